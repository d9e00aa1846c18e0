"""How late the event loop's clock was at worst: what stood in the way of frames, and whose doing it was."""

from __future__ import annotations

from collections.abc import Callable

from ..clock import NS_PER_MS, NS_PER_S, computed_ns

__all__ = ["STRIKE_NS", "Lag"]

STRIKE_NS = 10 * NS_PER_MS
"""Between two strikes of the clock: what stood in the way may have begun so long before the late one."""
_REMEMBERED = 30 * NS_PER_S // STRIKE_NS
"""Strikes in which the worst is gathered before it is put beside the next."""


class Lag:
    """The worst of the last half minute to minute of calls. Whoever asks twice a minute misses nothing."""

    def __init__(self, computed: Callable[[], int] = computed_ns) -> None:
        """`computed`: what all threads of this process have computed so far, ns."""
        self._computed_ns = computed
        self._since_ns = 0
        self._strikes = 0
        self._worst = [0, 0]
        """Of the last half minute, and of the one before."""
        self._own = [0, 0]

    @property
    def ms(self) -> float:
        """How late the clock was; what stood in its way was up to `STRIKE_NS` longer."""
        return max(self._worst) / NS_PER_MS

    @property
    def own_ms(self) -> float:
        """As `ms`, of the lateness at most what this process computed since the strike before, its other threads too:
        they hold the interpreter. In the rest it waited: for a core that others had, or for a disk."""
        return max(self._own) / NS_PER_MS

    def begin(self) -> None:
        """The clock is wound: what was computed until now made nothing late."""
        self._since_ns = self._computed_ns()

    def struck(self, late_ns: int) -> None:
        """The clock struck, so late."""
        before_ns, self._since_ns = self._since_ns, self._computed_ns()
        if not self._strikes % _REMEMBERED:
            self._worst = [0, self._worst[0]]
            self._own = [0, self._own[0]]
        self._strikes += 1
        self._worst[0] = max(self._worst[0], late_ns)
        own_ns = min(late_ns, self._since_ns - before_ns)
        self._own[0] = max(self._own[0], own_ns)
