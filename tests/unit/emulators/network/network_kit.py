"""Time moved by hand, and sockets that only remember: what the network's tests share."""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable
from typing import Any

from shortwire.emulators.network.chain import Chain
from shortwire.emulators.network.chunk import Mark, StreamChunk
from shortwire.emulators.network.fault import Fault
from shortwire.emulators.network.line import Line
from shortwire.emulators.network.part import Part
from shortwire.emulators.network.parts import PARTS

MS = 1_000_000


class Alarm:
    def __init__(self) -> None:
        self.off = False

    def cancel(self) -> None:
        self.off = True


class HandScheduler:
    """A `Scheduler` whose time passes when a test says so."""

    def __init__(self) -> None:
        self.now = 0
        self._heap: list[tuple[int, int, Alarm, Callable[[], None]]] = []
        self._order = itertools.count()

    def now_ns(self) -> int:
        return self.now

    def call_at(self, at_ns: int, callback: Callable[[], None]) -> Alarm:
        alarm = Alarm()
        heapq.heappush(self._heap, (max(at_ns, self.now), next(self._order), alarm, callback))
        return alarm

    def run_to(self, to_ns: int) -> None:
        while self._heap and self._heap[0][0] <= to_ns:
            at_ns, _, alarm, callback = heapq.heappop(self._heap)
            if not alarm.off:
                self.now = max(self.now, at_ns)
                callback()
        self.now = max(self.now, to_ns)

    def run_out(self) -> None:
        """Until nothing is to come any more."""
        while any(not alarm.off for _, _, alarm, _ in self._heap):
            self.run_to(self._heap[0][0])


class Socket:
    """Source and target in one: remembers what was written, and when."""

    def __init__(self, scheduler: HandScheduler) -> None:
        self.writable = True
        self.paused = False
        self.writes: list[tuple[int, bytes]] = []
        self._scheduler = scheduler

    def write(self, data: bytes) -> None:
        self.writes.append((self._scheduler.now, data))

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    @property
    def data(self) -> bytes:
        return b"".join(data for _, data in self.writes)


class Direction:
    """One line with its two sockets."""

    def __init__(self, *parts: Part[Any]) -> None:
        self.time = HandScheduler()
        self.marks: list[tuple[int, Mark]] = []
        self.source, self.target = Socket(self.time), Socket(self.time)
        self.line = Line(self.time, lambda mark: self.marks.append((self.time.now, mark)))
        self.line.read_from(self.source)
        self.line.connect(self.target)
        for part in parts:
            self.line.add(part)

    @property
    def chain(self) -> Chain:
        return self.line.chain


def part(kind: str, *, seed: int = 1, now_ns: int = 0, **options: float) -> Part[Any]:
    direction = "up" if PARTS[kind].one_direction else "both"
    fault = Fault.of(kind, direction=direction, **options)
    return PARTS[kind](fault.options, now_ns=now_ns, dice=random.Random(seed))


def chunk(data: bytes, at_ms: float = 0.0) -> StreamChunk:
    return StreamChunk(data, round(at_ms * MS))
