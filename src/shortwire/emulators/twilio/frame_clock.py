"""A steady 20 ms clock: tick k is due at start + 20 ms * (k + 1), whatever happened to the ticks before.

On Linux a timerfd wakes the loop, because loop timers are rounded to milliseconds; elsewhere `call_at`.
A loop that was busy gets the ticks it missed at once, as a real line would deliver them.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import struct
import sys
import time
from collections.abc import Callable
from typing import ClassVar

__all__ = ["FRAME_NS", "FrameClock", "Lateness", "aligned"]

FRAME_NS = 20_000_000
GRID_NS = 2_500_000
_CLOCK_MONOTONIC = 1
_TFD_TIMER_ABSTIME = 1


class Lateness:
    """How late frames left, of any number of clocks: counts per 0.1 ms, the last bucket open."""

    STEP_NS = 100_000
    BUCKETS = 10_000

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.counts = [0] * self.BUCKETS
        self.total = 0
        self.max_ns = 0

    def add(self, late_ns: int) -> None:
        self.total += 1
        self.max_ns = max(self.max_ns, late_ns)
        self.counts[min(late_ns // self.STEP_NS, self.BUCKETS - 1)] += 1

    def percentile_ms(self, share: float) -> float:
        """Upper edge of the bucket that holds it; 0.0 when nothing was counted."""
        wanted, seen = share * self.total, 0
        for index, count in enumerate(self.counts):
            seen += count
            if count and seen >= wanted:
                return min((index + 1) * self.STEP_NS, self.max_ns) / 1e6
        return 0.0

    def summary(self) -> dict[str, float]:
        """frames, p50_ms, p99_ms, p999_ms and max_ms."""
        return {
            "frames": self.total,
            "p50_ms": self.percentile_ms(0.5),
            "p99_ms": self.percentile_ms(0.99),
            "p999_ms": self.percentile_ms(0.999),
            "max_ms": self.max_ns / 1e6,
        }

    def histogram(self) -> list[tuple[float, int]]:
        """(upper edge in ms, frames) per doubling: 0.1, 0.2, 0.4 ... ms."""
        rows, edge, begin = [], 1, 0
        while begin < self.BUCKETS:
            rows.append((edge * self.STEP_NS / 1e6, sum(self.counts[begin:edge])))
            begin, edge = edge, edge * 2
        while rows and not rows[-1][1]:
            rows.pop()
        return rows


class FrameClock:
    """Calls `tick(k)` until `stop`. A tick that raises stops its clock and reaches the loop's handler."""

    def __init__(self, start_ns: int, tick: Callable[[int], None], lateness: Lateness | None = None) -> None:
        self.start_ns = start_ns
        self.latest_ns = 0
        """How late the latest tick of all was."""
        self._tick = tick
        self._lateness = lateness
        self._count = 0
        self._stopped = False
        self._beat = _Beat.at(start_ns)
        self._beat.clocks.append(self)

    def stop(self) -> None:
        if not self._stopped:
            self._stopped = True
            self._beat.leave(self)

    def run_due(self) -> None:
        """Every tick whose time has come."""
        due_ns = self.start_ns + (self._count + 1) * FRAME_NS
        now_ns = time.monotonic_ns()
        while now_ns >= due_ns and not self._stopped:
            count = self._count
            self._count = count + 1
            self._tick(count)
            now_ns = time.monotonic_ns()  # after the tick: late is when the frame left, not when its turn came
            self.latest_ns = max(self.latest_ns, now_ns - due_ns)
            if self._lateness is not None:
                self._lateness.add(now_ns - due_ns)
            due_ns += FRAME_NS


def aligned(now_ns: int) -> int:
    """The last instant of the grid: clocks that start on it share their wake-ups."""
    return now_ns - now_ns % GRID_NS


class _Beat:
    """One timer for all clocks of a loop that tick at the same instants."""

    _all: ClassVar[dict[tuple[int, int], _Beat]] = {}

    def __init__(self, loop: asyncio.AbstractEventLoop, start_ns: int) -> None:
        self.clocks: list[FrameClock] = []
        self._loop = loop
        self._key = (id(loop), start_ns % FRAME_NS)
        self._due_ns = start_ns + FRAME_NS
        self._fd = -1
        self._handle: asyncio.TimerHandle | None = None
        if sys.platform == "linux":
            self._fd = _timer_fd(self._due_ns)
        if self._fd >= 0:
            try:
                loop.add_reader(self._fd, self._wake)
            except NotImplementedError:
                os.close(self._fd)
                self._fd = -1
        if self._fd < 0:
            self._arm()

    @classmethod
    def at(cls, start_ns: int) -> _Beat:
        """The running loop's timer with this phase."""
        loop = asyncio.get_running_loop()
        beat = cls._all.get((id(loop), start_ns % FRAME_NS))
        if beat is None or beat._loop is not loop:
            beat = cls(loop, start_ns)
            cls._all[beat._key] = beat
        return beat

    def leave(self, clock: FrameClock) -> None:
        self.clocks.remove(clock)
        if self.clocks:
            return
        if self._all.get(self._key) is self:
            del self._all[self._key]
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _arm(self) -> None:
        delay_s = max(0.0, (self._due_ns - time.monotonic_ns()) / 1e9)
        self._handle = self._loop.call_later(delay_s, self._wake)

    def _wake(self) -> None:
        if self._fd >= 0:
            with contextlib.suppress(BlockingIOError):  # the expiry was read by an earlier wake-up
                os.read(self._fd, 8)
        for clock in tuple(self.clocks):
            try:
                clock.run_due()
            except Exception as error:
                clock.stop()
                self._loop.call_exception_handler({"message": "a frame clock's tick failed", "exception": error})
        if self.clocks and self._fd < 0:
            now_ns = time.monotonic_ns()
            while self._due_ns <= now_ns:
                self._due_ns += FRAME_NS
            self._arm()


def _timer_fd(first_ns: int) -> int:
    """A timerfd that expires at `first_ns` and every 20 ms after it; -1 where the system has none."""
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        fd: int = libc.timerfd_create(_CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, AttributeError):
        return -1
    if fd < 0:
        return -1
    spec = struct.pack("@4l", 0, FRAME_NS, *divmod(first_ns, 1_000_000_000))
    if libc.timerfd_settime(fd, _TFD_TIMER_ABSTIME, ctypes.c_char_p(spec), None) != 0:
        os.close(fd)
        return -1
    return fd
