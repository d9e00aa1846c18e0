"""The one port of several workers: accepts, looks at the request without reading it, and hands the connection on.

Looking is `MSG_PEEK`: whoever gets the connection finds it as it came. Who gets it is `choosing`'s business; this
module knows sockets and patience only. A connection that says nothing is closed after a while: it could be anybody's.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import Callable

import structlog

from ..net.heads import PATIENCE_S, TOO_SLOW
from .choosing import LONGEST_HEAD, Asked, read_request

__all__ = ["Door"]

log = structlog.get_logger(__name__)

_MOST_WAITING = 500
"""Connections that may be looked at at a time; one more, and the oldest is closed."""
_ACCEPT_AT_ONCE = 64
_LOOK_AGAIN_S = (0.005, 0.1)
"""First and longest pause before another look at a request of which a part is here."""
_NO_DESCRIPTORS = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_REST_S = 0.5


class Door:
    """`open`, then `close`. `hand` gets each connection, which belongs to it from then on."""

    def __init__(
        self,
        listener: socket.socket,
        hand: Callable[[socket.socket, Asked], None],
        *,
        patience_s: float = PATIENCE_S,
        most_waiting: int = _MOST_WAITING,
    ) -> None:
        self._listener = listener
        self._hand = hand
        self._patience_s = patience_s
        self._most_waiting = most_waiting
        self._waiting: dict[int, _Visitor] = {}
        self._resting: asyncio.TimerHandle | None = None

    def open(self) -> None:
        asyncio.get_running_loop().add_reader(self._listener.fileno(), self._accept)

    def close(self) -> None:
        """Close the listener and whoever has not said what they want."""
        if self._resting is not None:
            self._resting.cancel()
        asyncio.get_running_loop().remove_reader(self._listener.fileno())
        self._listener.close()
        for visitor in list(self._waiting.values()):
            visitor.close()

    def _accept(self) -> None:
        for _ in range(_ACCEPT_AT_ONCE):
            try:
                sock, _ = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in _NO_DESCRIPTORS:
                    raise
                log.error("door.no_descriptors", error=str(error), fix="raise the limit of open files")
                self._rest()
                return
            sock.setblocking(False)
            if len(self._waiting) >= self._most_waiting:
                next(iter(self._waiting.values())).close()
            visitor = _Visitor(sock, self._left, self._patience_s)
            self._waiting[sock.fileno()] = visitor
            visitor.look()

    def _rest(self) -> None:
        """A listener that is always readable and never accepted would keep the loop busy."""
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._listener.fileno())
        self._resting = loop.call_later(_REST_S, self.open)

    def _left(self, descriptor: int, sock: socket.socket | None, asked: Asked | None) -> None:
        self._waiting.pop(descriptor, None)
        if sock is not None and asked is not None:
            self._hand(sock, asked)


class _Visitor:
    """One connection, until it is known what it wants."""

    def __init__(
        self, sock: socket.socket, left: Callable[[int, socket.socket | None, Asked | None], None], patience_s: float
    ) -> None:
        self._sock = sock
        self._descriptor = sock.fileno()
        self._left = left
        self._loop = asyncio.get_running_loop()
        self._deadline = self._loop.call_later(patience_s, self._too_slow)
        self._again: asyncio.TimerHandle | None = None
        self._pause_s = _LOOK_AGAIN_S[0]
        self._listening = False

    def look(self) -> None:
        """What is there, without taking it."""
        try:
            peeked = self._sock.recv(LONGEST_HEAD, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            self._listen()
            return
        except OSError:
            self.close()
            return
        if not peeked:
            self.close()
            return
        asked = read_request(peeked)
        if asked is None:
            # What was looked at is still there, so "readable" says nothing more: look again in a while.
            self._deaf()
            self._again = self._loop.call_later(self._pause_s, self.look)
            self._pause_s = min(self._pause_s * 2, _LOOK_AGAIN_S[1])
            return
        self._forget()
        self._left(self._descriptor, self._sock, asked)

    def close(self) -> None:
        self._forget()
        self._sock.close()
        self._left(self._descriptor, None, None)

    def _too_slow(self) -> None:
        if not self._listening:  # it began to say something
            with contextlib.suppress(OSError):
                self._sock.send(TOO_SLOW)
        self.close()

    def _listen(self) -> None:
        if not self._listening:
            self._listening = True
            self._loop.add_reader(self._descriptor, self.look)

    def _deaf(self) -> None:
        if self._listening:
            self._listening = False
            self._loop.remove_reader(self._descriptor)

    def _forget(self) -> None:
        self._deaf()
        self._deadline.cancel()
        if self._again is not None:
            self._again.cancel()
