"""Marks that stop coming back: the one sign that audio waits unread where no socket of ours can see it."""

from __future__ import annotations

from ..call.playout import Playout

__all__ = ["OVERDUE_S", "MarkWatch"]

OVERDUE_S = 10.0
"""How late a mark may be, by our clock."""


class MarkWatch:
    """Of one call; told once, and only where marks came before: a carrier that returns none is another matter."""

    def __init__(self) -> None:
        self._told = False

    def complaint(self, playout: Playout, now_ns: int) -> str:
        """One sentence the first time that a mark is overdue by too much; else empty."""
        if self._told or not playout.returned_marks or playout.overdue_ms(now_ns) < OVERDUE_S * 1000:
            return ""
        self._told = True
        return f"marks stopped coming back {OVERDUE_S:g} s ago: the carrier may not be playing what it is sent"
