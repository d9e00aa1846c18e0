"""Python's cycle collector, kept out of calls: it looks at young objects only, and at everything when nobody listens.

A full collection of a process with two hundred calls takes tens of milliseconds, in which no frame moves. The media
path makes no cycles and a usual call leaves none; those of an unusual one that outlive a look can wait until nobody
talks. To look at what survived one look was a stall of its own: 2.5 to 3.7 ms, every 2.5 s, with five hundred calls.
"""

from __future__ import annotations

import asyncio
import gc

__all__ = ["Collector"]

_CALLS_BETWEEN = 5_000
"""Calls after which a full collection is made although others are live: a machine that is never idle must not grow."""

_YOUNG = 700
"""Objects since the last look that make another one worth while: some tens of microseconds of looking."""

_TURNS = 10
"""Turns of the clock, of 50 ms, after which they are looked at all the same. The collector counts what was made less
what went, however old that was: with five hundred calls 700 were counted after four seconds, and looking took 8 ms."""

_QUIET_S = 1.0


class Collector:
    """One process's. Counts the live calls."""

    def __init__(self) -> None:
        self._live = 0
        self._turns = 0
        """Since the last look."""
        self._left = 0
        """Calls whose remains were not collected yet."""

    def begin(self) -> None:
        """The process is up: what it was built of lives as long as it does, and is looked at no more."""
        gc.collect()
        gc.freeze()

    def call_begins(self) -> None:
        self._live += 1
        gc.disable()

    def call_over(self) -> None:
        self._live -= 1
        self._left += 1
        if not self._live:
            gc.enable()
            # Not in the way of whoever is being told of the end.
            asyncio.get_running_loop().call_later(_QUIET_S, self._if_quiet)

    def collect_young(self) -> None:
        """Each turn of the clock while there are calls: cycles among what was allocated since, when it is enough."""
        if self._left >= _CALLS_BETWEEN:
            self._collect_all()
            return
        self._turns += 1
        if gc.get_count()[0] < _YOUNG and self._turns < _TURNS:
            return
        self._turns = 0
        gc.collect(0)

    def stop(self) -> None:
        gc.unfreeze()
        gc.enable()

    def _if_quiet(self) -> None:
        if not self._live and self._left:
            self._collect_all()

    def _collect_all(self) -> None:
        self._left = 0
        gc.collect()
