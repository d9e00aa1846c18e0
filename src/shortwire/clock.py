"""Time, as a parameter: the one place that reads a clock.

Cores take ``now_ns`` as an argument; drivers own a `Clock` and pass its readings down.
Nobody else calls `time`, so a test or a replay can move time by hand.
"""

from __future__ import annotations

import time
from typing import Protocol

__all__ = ["NEVER_NS", "NS_PER_MS", "NS_PER_S", "Clock", "SystemClock", "computed_ns"]

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000
NEVER_NS = 1 << 62
"""An instant that does not come."""

computed_ns = time.process_time_ns
"""What all threads of this process have computed so far."""


class Clock(Protocol):
    """Two readings that never mix: instants for durations, wall time for people."""

    def now_ns(self) -> int:
        """Monotonic instant in nanoseconds; only differences mean anything."""
        ...

    def wall_s(self) -> float:
        """Seconds since the Unix epoch; may jump."""
        ...


class SystemClock:
    """The machine's clocks."""

    # The monotonic clock is read per frame: bound as an attribute so that hot code can take
    # the C function itself instead of calling a Python method around it. It is CLOCK_MONOTONIC
    # on Linux, shared by all processes of the machine, so traces of two processes can be laid
    # on one time line.
    now_ns = staticmethod(time.monotonic_ns)
    wall_s = staticmethod(time.time)
