"""A heartbeat for the sockets that want one: who says nothing is asked for a pong, and who gives none is lost.

One timer for all of them. A task and a timer for each, as picows has them, are two turns of the event loop for each
look at a socket; with two hundred calls that was a hundredth of the core. Page: RFC 6455 section 5.5.2.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol

import structlog

from ..clock import NS_PER_S, SystemClock

__all__ = ["Heard", "Heartbeat"]

LOOK_NS = 5 * NS_PER_S // 2
"""Between two looks at one socket, at least; `_STEP_S` more at most."""
_ASK_AFTER = 2
"""Looks without anything heard, then a ping."""
_LOST_AFTER = 4
"""The same, then it is lost."""
_STEP_S = 0.25
"""Sockets whose time comes within so long are looked at together."""

log = structlog.get_logger(__name__)


class Heard(Protocol):
    """A socket, as far as it has a heart."""

    heard: bool
    """Set by the socket with each message that it is told of; set back by whoever looks."""

    def came_within(self, ns: int) -> bool:
        """Asked of one that was not `heard`: whether bytes have come so lately, of a long message perhaps."""
        ...

    def ping(self) -> None:
        """Ask for a pong."""
        ...

    def lost(self) -> None:
        """There is none: end the connection."""
        ...


class _Watched:
    __slots__ = ("due_ns", "silent", "socket")

    def __init__(self, socket: Heard, due_ns: int) -> None:
        self.socket: Heard | None = socket
        self.due_ns = due_ns
        self.silent = 0


class Heartbeat:
    """Of one event loop's sockets. `look` is the pure part."""

    def __init__(self) -> None:
        self._watched: dict[Heard, _Watched] = {}
        self._queue: deque[_Watched] = deque()
        """In the order in which they are due; who is not watched any more has no socket."""
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, socket: Heard, now_ns: int | None = None) -> None:
        """From now on, in ns. Needs a running loop."""
        now_ns = SystemClock.now_ns() if now_ns is None else now_ns
        watched = self._watched[socket] = _Watched(socket, now_ns + LOOK_NS)
        self._queue.append(watched)
        if self._timer is None:
            self._wind(now_ns)

    def forget(self, socket: Heard) -> None:
        """It has ended. Harmless if it was not watched."""
        watched = self._watched.pop(socket, None)
        if watched is not None:
            watched.socket = None

    def look(self, now_ns: int) -> None:
        """Look at those whose time has come."""
        queue = self._queue
        while queue and queue[0].due_ns <= now_ns:
            watched = queue.popleft()
            socket = watched.socket
            if socket is None:
                continue
            watched.due_ns = now_ns + LOOK_NS
            queue.append(watched)
            try:
                self._look_at(watched, socket)
            except Exception:  # one socket's; the others go on
                log.exception("socket.heartbeat_failed")

    def _look_at(self, watched: _Watched, socket: Heard) -> None:
        if socket.heard:
            socket.heard = False
            watched.silent = 0
            return
        watched.silent += 1
        if watched.silent not in (_ASK_AFTER, _LOST_AFTER):
            return
        if socket.came_within(LOOK_NS):
            watched.silent = 0
        elif watched.silent == _ASK_AFTER:
            socket.ping()
        else:
            self.forget(socket)
            socket.lost()

    def _wind(self, now_ns: int) -> None:
        """The next strike: when the first of them is due, and others may have become so. None without any."""
        self._timer = None
        if self._queue:
            wait_s = max(_STEP_S, (self._queue[0].due_ns - now_ns) / NS_PER_S)
            self._timer = asyncio.get_running_loop().call_later(wait_s, self._strike)

    def _strike(self) -> None:
        now_ns = SystemClock.now_ns()
        self.look(now_ns)
        self._wind(now_ns)
