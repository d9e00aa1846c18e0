"""A way out for lines that keeps nobody waiting: a bounded queue, and a thread that writes.

Whoever writes to a terminal that was stopped (Ctrl-S), to a pager or to a pipe that nobody reads is blocked until
somebody reads on. The event loop carries every call, so it puts lines here. A blocked output costs lines, which are
counted.
"""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, Generic, TextIO, TypeVar

import structlog

__all__ = ["CLOSE_S", "QUEUE_LINES", "LinePipe", "standard_output"]

log = structlog.get_logger(__name__)

T = TypeVar("T")

QUEUE_LINES: Final = 10_000
"""Lines that wait while the output is blocked."""
_GATHER_S: Final = 0.02
_AT_ONCE: Final = 100
"""Lines are written together that come so close together: a thread that wakes up for each takes the interpreter from
the calls each time."""
CLOSE_S: Final = 2.0
"""How long the last lines are waited for."""


class LinePipe(Generic[T]):
    """The queue and its thread. Items are put in any thread, and written in the order in which they came.

    Args:
        text: makes an item's line, without its end; called in the thread.
        lost: is told, in the thread, how many items were lost before the next one; what it answers is written in
            their place, unless that is None.
    """

    def __init__(
        self,
        stream: TextIO,
        text: Callable[[T], str],
        lost: Callable[[int], T | None],
        *,
        capacity: int = QUEUE_LINES,
        name: str = "lines",
    ) -> None:
        self.dropped = 0
        """Items lost because the queue was full, or closed."""
        self.broken = 0
        """Items of which no line could be made, or whose line could not be written."""
        self._stream = stream
        self._text = text
        self._lost = lost
        self._capacity = capacity
        self._waiting: deque[T] = deque()
        self._changed = threading.Condition(threading.Lock())
        self._closed = False
        self._told = 0
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def put(self, item: T) -> None:
        """Returns at once, never raises."""
        with self._changed:
            if self._closed or len(self._waiting) >= self._capacity:
                self.dropped += 1
                return
            self._waiting.append(item)
            if len(self._waiting) in (1, _AT_ONCE):  # between the two the thread is gathering, and not to be woken
                self._changed.notify()

    def close(self, timeout_s: float = CLOSE_S) -> None:
        """Write what waits, for at most so long, and stop. Later items are lost. May be called again."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)

    def _work(self) -> None:
        own = _apart(self._stream)
        stream = own or self._stream
        while batch := self._next():
            self._tell_losses(stream)
            self._write(stream, batch)
        self._tell_losses(stream)
        if own is not None:
            with suppress(OSError):
                own.close()

    def _next(self) -> Sequence[T]:
        """What has come since the last time, and a moment's more; nothing: closed, and everything is written."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            self._changed.wait_for(lambda: self._closed or len(self._waiting) >= _AT_ONCE, _GATHER_S)
            return [self._waiting.popleft() for _ in range(min(len(self._waiting), _AT_ONCE))]

    def _tell_losses(self, stream: TextIO) -> None:
        lost = self.dropped - self._told
        if lost:
            self._told += lost
            instead = self._lost(lost)
            if instead is not None:
                self._write(stream, [instead])

    def _write(self, stream: TextIO, items: Sequence[T]) -> None:
        lines = [line for item in items if (line := self._line(item)) is not None]
        encoding = _encoding(stream)
        try:
            stream.write("".join(lines).encode(encoding, "backslashreplace").decode(encoding))
            stream.flush()
        except Exception:  # a closed pipe must not end the thread
            self.broken += len(lines)

    def _line(self, item: T) -> str | None:
        try:
            return self._text(item) + "\n"
        except Exception:  # nor must a bad line
            self.broken += 1
            return None


def standard_output() -> LinePipe[str]:
    """Lines for the person at the terminal, and for scripts that read them: losses are told in the log."""

    def lost(count: int) -> None:
        log.warning("output.blocked", lines_dropped=count)

    return LinePipe(sys.stdout, str, lost, name="output")


def _apart(stream: TextIO) -> TextIO | None:
    """The same place behind a descriptor of its own; None where there is none.

    At its end the interpreter flushes `sys.stdout` and `sys.stderr`, and would wait for a thread that is blocked in one
    of them: a process whose output nobody reads could not end.
    """
    try:
        descriptor = os.dup(stream.fileno())
    except (AttributeError, OSError, ValueError):
        return None
    return os.fdopen(descriptor, "w", encoding=_encoding(stream), errors="backslashreplace")


def _encoding(stream: TextIO) -> str:
    return getattr(stream, "encoding", None) or "utf-8"
