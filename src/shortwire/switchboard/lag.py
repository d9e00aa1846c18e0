"""How late the event loop's clock was at worst: what stood in the way of frames, and whose doing it was."""

from __future__ import annotations

from ..clock import NS_PER_MS, NS_PER_S
from .strikes import TURN_NS

__all__ = ["Lag"]

_REMEMBERED = 30 * NS_PER_S // TURN_NS
"""Turns in which the worst is gathered before it is put beside the next."""


class Lag:
    """The worst of the last half minute to minute of calls. Whoever asks twice a minute misses nothing."""

    def __init__(self) -> None:
        self._turns = 0
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

    def struck(self, late_ns: int, own_ns: int) -> None:
        """The strikes of one turn: the latest of them, and what was our own of it."""
        if not self._turns % _REMEMBERED:
            self._worst = [0, self._worst[0]]
            self._own = [0, self._own[0]]
        self._turns += 1
        self._worst[0] = max(self._worst[0], late_ns)
        self._own[0] = max(self._own[0], own_ns)
