"""One call, sans-I/O: time is a parameter, sockets are callables that take bytes."""
