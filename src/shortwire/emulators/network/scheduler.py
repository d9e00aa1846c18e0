"""Time for the relay: a reading and an alarm. Tests bring one that they move by hand."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

__all__ = ["Alarm", "LoopScheduler", "Scheduler"]


class Alarm(Protocol):
    def cancel(self) -> None: ...


class Scheduler(Protocol):
    def now_ns(self) -> int:
        """Monotonic nanoseconds."""
        ...

    def call_at(self, at_ns: int, callback: Callable[[], None]) -> Alarm:
        """Call it at that instant, or in the next turn if that is past; never from within this call."""
        ...


class LoopScheduler:
    """The machine's clock and the running event loop."""

    now_ns = staticmethod(time.monotonic_ns)

    def call_at(self, at_ns: int, callback: Callable[[], None]) -> Alarm:
        wait_s = max(0, at_ns - time.monotonic_ns()) / 1e9
        return asyncio.get_running_loop().call_later(wait_s, callback)
