"""The adapters that touch the network: the listener, both kinds of sockets, the vendors' REST."""
