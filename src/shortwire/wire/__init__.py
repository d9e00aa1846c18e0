"""Both vendors' wires, sans-I/O: bytes in, bytes or messages out; no socket, no clock, no state of a call."""
