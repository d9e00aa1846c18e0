"""A small event loop of the benchmark's own: sockets, and deadlines finer than a millisecond.

No asyncio: at 10,000 frames a second the generator's own cost decides how many calls it can carry, and it must
not be the event loop of what it measures. Linux (epoll) and BSD or macOS (kqueue).
"""

from __future__ import annotations

import heapq
import select
import selectors
from collections.abc import Callable
from typing import Any, Protocol

from ..clock import SystemClock

__all__ = ["Handler", "Loop"]

_now_ns = SystemClock.now_ns
_LONGEST_S = 0.5
_AT_ONCE = 64


class _Descriptor(Protocol):
    def fileno(self) -> int: ...


class Handler(Protocol):
    """Somebody with a socket."""

    def readable(self) -> None: ...
    def writable(self) -> None: ...


class Loop:
    """`run` until `stop`."""

    def __init__(self) -> None:
        self._handlers: dict[int, Handler] = {}
        self._writing: set[int] = set()
        self._epoll = select.epoll() if hasattr(select, "epoll") else None
        self._selector = None if self._epoll else selectors.DefaultSelector()
        self._timers: list[tuple[int, int, Callable[[], None]]] = []
        self._order = 0
        self._running = False
        self.woken_ns = 0
        """When the last wait ended: what is read after that had waited for us at least since."""

    def add(self, sock: _Descriptor, handler: Handler, *, writing: bool = False) -> None:
        fd = sock.fileno()
        self._handlers[fd] = handler
        if self._epoll is not None:
            self._epoll.register(fd, select.EPOLLIN | (select.EPOLLOUT if writing else 0))
        else:
            self._selector_of().register(fd, 1 | (2 if writing else 0), handler)

    def want(self, sock: _Descriptor, *, reading: bool = True, writing: bool = False) -> None:
        """What to be told of."""
        fd = sock.fileno()
        if fd not in self._handlers:
            return
        if self._epoll is not None:
            self._epoll.modify(fd, (select.EPOLLIN if reading else 0) | (select.EPOLLOUT if writing else 0))
        elif reading or writing:
            self._selector_of().modify(fd, (1 if reading else 0) | (2 if writing else 0), self._handlers[fd])

    def remove(self, sock: _Descriptor) -> None:
        fd = sock.fileno()
        if self._handlers.pop(fd, None) is None:
            return
        if self._epoll is not None:
            self._epoll.unregister(fd)
        else:
            self._selector_of().unregister(fd)

    def at(self, when_ns: int, action: Callable[[], None]) -> None:
        """Do something at an instant of the monotonic clock, or as soon after it as may be."""
        self._order += 1
        heapq.heappush(self._timers, (when_ns, self._order, action))

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        self.at(_now_ns() + int(seconds * 1e9), action)

    def stop(self) -> None:
        self._running = False

    def run(self) -> None:
        """Until `stop` is called."""
        self._running = True
        timers = self._timers
        while self._running:
            # Not all that are due: a generator that is late must go on reading, or it would never catch up.
            for _ in range(_AT_ONCE):
                if not timers or timers[0][0] > _now_ns():
                    break
                heapq.heappop(timers)[2]()
            if not self._running:
                return
            self._wait(min(_LONGEST_S, (timers[0][0] - _now_ns()) / 1e9) if timers else _LONGEST_S)

    def _wait(self, timeout_s: float) -> None:
        # epoll counts in milliseconds in Python: frames of 200 calls are due every 100 µs. `select` on the
        # epoll's own descriptor knows microseconds.
        if self._epoll is None:
            self._wait_selector(max(0.0, timeout_s))
            return
        events = self._epoll.poll(0)
        if not events and timeout_s > 0:
            select.select((self._epoll,), (), (), timeout_s)
            events = self._epoll.poll(0)
        self.woken_ns = _now_ns()
        handlers = self._handlers
        for fd, what in events:
            handler = handlers.get(fd)
            if handler is None:
                continue  # closed by one before it in the same wait
            if what & ~select.EPOLLOUT:
                handler.readable()
            if what & select.EPOLLOUT and fd in handlers:
                handler.writable()

    def _wait_selector(self, timeout_s: float) -> None:
        events = self._selector_of().select(timeout_s)
        self.woken_ns = _now_ns()
        for key, what in events:
            if what & selectors.EVENT_READ and key.fd in self._handlers:
                key.data.readable()
            if what & selectors.EVENT_WRITE and key.fd in self._handlers:
                key.data.writable()

    def _selector_of(self) -> Any:
        assert self._selector is not None
        return self._selector
