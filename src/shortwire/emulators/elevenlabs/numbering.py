"""The event ids of a conversation: one counter, with the gaps and the equalities of the live captures.

Voice barge-in: turn 23, interruption 39, next turn 54. After a ``user_message``: turn 1, interruption 2, next turn 2.
Which rule holds is an option, because the public material has both. Vendor page: "Client events".
"""

from __future__ import annotations

import random
from typing import Literal

__all__ = ["Numbering"]


class Numbering:
    """One conversation's ids; they never go down."""

    def __init__(self, rng: random.Random, rule: Literal["live", "strict", "equal"]) -> None:
        self._rng = rng
        self._rule = rule
        self._last = 0
        self._next: int | None = None

    def turn(self, *, spoken_to: bool) -> int:
        """For a turn that begins. ``spoken_to``: by voice (live: 10 for the first one, 54 after 39)."""
        if self._next is not None:
            self._last, self._next = self._next, None
        elif spoken_to:
            self._last += self._rng.randint(6, 16)
        else:
            self._last += 1
        return self._last

    def coming(self) -> int:
        """The number of the turn that is being heard, for those who are told half of it."""
        if self._next is None:
            self._next = self._last + self._rng.randint(6, 16)
        return self._next

    def interruption(self, *, by_voice: bool) -> int:
        """Of the interruption of the last turn."""
        if self._rule == "equal" or (self._rule == "live" and not by_voice):
            if self._next is None:
                self._next = self._last + 1
            return self._next
        self._last, self._next = max(self._last, self._next or 0) + self._rng.randint(6, 16), None
        return self._last
