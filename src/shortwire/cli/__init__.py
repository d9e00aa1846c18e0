"""The `shortwire` command, one module per command group."""
