"""A strike every 10 ms says how late the event loop is; every fifth begins a turn of the calls' clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from .. import native
from ..clock import NS_PER_MS, NS_PER_S, Clock, computed_ns

__all__ = ["STRIKE_NS", "TURN_NS", "PlainStrikes", "Strikes", "Told", "new_strikes"]

STRIKE_NS = 10 * NS_PER_MS
"""Between two strikes: what stood in the way may have begun so long before the late one."""
TURN_STRIKES = 5
TURN_NS = TURN_STRIKES * STRIKE_NS
_TOO_LATE_NS = NS_PER_S
"""Strikes that were missed are made up for, unless there are too many (the machine slept)."""

Told = Callable[[int, int, int], None]
"""(turns that begin: one, or more where some were missed; how late the latest strike since the last time was, ns; of
the lateness of a strike at most what this process computed since the one before, all its threads, ns)."""


class Strikes(Protocol):
    """Who strikes."""

    def begin(self) -> bool:
        """From now on. Needs a running loop; harmless while it strikes. False: not on this loop."""
        ...

    def stop(self) -> None:
        """Harmless if it does not strike."""
        ...


def new_strikes(clock: Clock, told: Told) -> Strikes:
    """The compiled ones, on a timer of the kernel's, where they were built and the running loop is uvloop's; else
    `PlainStrikes`. Both strike already."""
    if native.AVAILABLE:
        compiled = native.strikes.Strikes(told, STRIKE_NS, TURN_STRIKES, _TOO_LATE_NS)
        if compiled.begin():
            return compiled
    plain = PlainStrikes(clock, told)
    plain.begin()
    return plain


class PlainStrikes:
    """`Strikes` with timers of the event loop's."""

    def __init__(self, clock: Clock, told: Told, computed: Callable[[], int] = computed_ns) -> None:
        """`computed`: what all threads of this process have computed so far, ns."""
        self._clock = clock
        self._told = told
        self._computed = computed
        self._timer: asyncio.TimerHandle | None = None
        self._due_ns = 0
        self._computed_ns = 0
        self._late_ns = self._own_ns = 0
        self._count = 0

    def begin(self) -> bool:
        """See `Strikes`."""
        if self._timer is None:
            self._due_ns = self._clock.now_ns() + STRIKE_NS
            self._computed_ns = self._computed()
            self._late_ns = self._own_ns = self._count = 0
            self._timer = asyncio.get_running_loop().call_later(STRIKE_NS / NS_PER_S, self._strike)
        return True

    def stop(self) -> None:
        """See `Strikes`."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _strike(self) -> None:
        now_ns = self._clock.now_ns()
        late_ns = now_ns - self._due_ns
        before_ns, self._computed_ns = self._computed_ns, self._computed()
        self._late_ns = max(self._late_ns, late_ns)
        self._own_ns = max(self._own_ns, min(late_ns, self._computed_ns - before_ns))
        self._due_ns = now_ns + STRIKE_NS if late_ns > _TOO_LATE_NS else self._due_ns + STRIKE_NS
        self._timer = asyncio.get_running_loop().call_later(max(0, self._due_ns - now_ns) / NS_PER_S, self._strike)
        self._count += 1
        if self._count % TURN_STRIKES == 0:
            late_ns, own_ns = self._late_ns, self._own_ns
            self._late_ns = self._own_ns = 0
            self._told(1, late_ns, own_ns)
