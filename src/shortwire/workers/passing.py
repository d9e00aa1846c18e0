"""Handing an accepted connection to another process: its descriptor travels with one byte (SCM_RIGHTS, unix(7)).

Nothing of the connection has been read; the kernel keeps what has come for whoever reads it. Sockets only, no loop.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator

__all__ = ["can_pass", "pass_socket", "received_sockets"]

_AT_ONCE = 64
# The last one: more descriptors on their way than this process may have open; it passes when the others are taken.
_FULL = (errno.EAGAIN, errno.EWOULDBLOCK, errno.ENOBUFS, getattr(errno, "ETOOMANYREFS", errno.EAGAIN))


def can_pass() -> bool:
    """Whether this system can: Windows cannot."""
    return hasattr(socket, "send_fds") and hasattr(socket, "AF_UNIX")


def pass_socket(channel: socket.socket, sock: socket.socket) -> bool:
    """Hand over a socket; close ours afterwards. False: the channel is full. Raises `OSError`: nobody is there."""
    try:
        socket.send_fds(channel, [b"c"], [sock.fileno()])
    except OSError as error:
        if error.errno in _FULL:
            return False
        raise
    return True


def received_sockets(channel: socket.socket) -> Iterator[socket.socket | None]:
    """What has come, for now at most a few dozen. None: one that the system could not give us (too many open files).

    Raises `EOFError` when whoever hands over is gone.
    """
    for _ in range(_AT_ONCE):
        try:
            # One byte at a time: each has its own descriptor.
            data, descriptors, _flags, _address = socket.recv_fds(channel, 1, 1)
        except BlockingIOError:
            return
        except OSError as error:
            raise EOFError(str(error)) from error
        if not data:
            raise EOFError("closed")
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
            yield socket.socket(fileno=descriptor)
        if not descriptors:
            yield None
