"""One direction of one connection at work: a chain, the alarm that moves it, and the two sockets at its ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from .chain import Chain
from .chunk import NEVER_NS, Mark, StreamChunk
from .part import Part
from .scheduler import Alarm, Scheduler

__all__ = ["Line", "Source", "Target"]


class Source(Protocol):
    """The socket that is read from."""

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


class Target(Protocol):
    """The socket that is written to."""

    writable: bool

    def write(self, data: bytes) -> None: ...


class Line:
    """Bytes in by `put`, out to the target when the chain lets them, marks to `on_mark`."""

    def __init__(self, scheduler: Scheduler, on_mark: Callable[[Mark], None]) -> None:
        self.chain = Chain()
        self.held_until_ns = 0
        """Nothing leaves the source before this (the handshake)."""
        self.bytes_in = 0
        self.bytes_out = 0
        self._scheduler = scheduler
        self._on_mark = on_mark
        self._source: Source | None = None
        self._target: Target | None = None
        self._paused = False
        self._ended = False
        self._alarm: Alarm | None = None

    def read_from(self, source: Source) -> None:
        self._source = source

    def connect(self, target: Target) -> None:
        self._target = target
        self.flush()

    def put(self, data: bytes) -> None:
        if not self._ended:
            self.bytes_in += len(data)
            self._enter(StreamChunk(data, self._entry_ns()))

    def end(self) -> None:
        if not self._ended:
            self._ended = True
            self._enter(StreamChunk(b"", self._entry_ns(), Mark.END))

    def broken(self) -> None:
        """The source's connection broke: what is in flight still arrives, then the break."""
        self._ended = True
        self._enter(StreamChunk(b"", self._entry_ns(), Mark.BROKEN))

    def stop(self) -> None:
        """Drop everything; nothing enters any more."""
        self._ended = True
        self.chain.out.clear()
        self.chain.parts.clear()
        self._disarm()

    def add(self, part: Part[Any]) -> None:
        self.chain.add(part)
        self.flush()

    def remove(self, part: Part[Any]) -> None:
        if part in self.chain.parts:
            self.chain.remove(part, self._scheduler.now_ns())
            self.flush()

    def flush(self) -> None:
        """Write everything that is due, as long as the target takes it."""
        self._disarm()
        self.chain.advance(self._scheduler.now_ns())
        out = self.chain.out
        alone = False
        while out and not alone:
            if self._target is None or not self._target.writable:
                if out[-1].mark not in (Mark.RESET, Mark.GONE):
                    break
                while len(out) > 1:  # a break does not wait until somebody has read what came before
                    out.popleft()
            chunk = out.popleft()
            alone = chunk.apart
            if chunk.mark is not None:
                self._on_mark(chunk.mark)
            elif self._target is not None:
                self.bytes_out += len(chunk.data)
                self._target.write(chunk.data)
        self._arm(soon=alone and bool(out))
        self._read_on()

    def _entry_ns(self) -> int:
        return max(self._scheduler.now_ns(), self.held_until_ns)

    def _enter(self, chunk: StreamChunk) -> None:
        self.chain.put(chunk)
        self.flush()

    def _arm(self, *, soon: bool) -> None:
        due_ns = 0 if soon else self.chain.due_ns()
        if due_ns < NEVER_NS:
            self._alarm = self._scheduler.call_at(due_ns, self.flush)

    def _disarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _read_on(self) -> None:
        if self._source is None:
            return
        if not self._paused and self.chain.full:
            self._paused = True
            self._source.pause_reading()
        elif self._paused and self.chain.roomy:
            self._paused = False
            self._source.resume_reading()
