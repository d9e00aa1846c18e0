"""Several processes behind one port: who gets a connection, how it is handed over, who looks after whom.

Above `app`: each worker is one of its servers. docs/why/workers.md.
"""
