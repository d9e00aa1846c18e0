"""What the analyst has found of a call, told to the world one by one: frames may pass between two events."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from ..call.turns import Turn
from ..records import EventKind
from .figures import Figures

__all__ = ["Findings"]


class Findings:
    """One call's. It does not know the call, which would never be freed by itself then: whoever asks says how to `tell`
    an event."""

    def __init__(self, figures: Figures) -> None:
        self._figures = figures
        self._waiting: deque[float | Turn] = deque()

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, round_trips: Iterable[float], turns: Iterable[Turn]) -> None:
        """Found since the last time; round trips in ms."""
        self._waiting.extend(round_trips)
        self._waiting.extend(turns)

    def tell_one(self, tell: Callable[..., None]) -> None:
        """The oldest that was not told; there is one."""
        found = self._waiting.popleft()
        if isinstance(found, Turn):
            told = found.as_dict()
            self._figures.turns.append(told)
            tell(EventKind.TURN, **told)
        else:
            average = self._figures.round_trip(found)
            tell(EventKind.ROUND_TRIP, ms=round(found, 2), average_ms=round(average, 2))

    def tell_all(self, tell: Callable[..., None]) -> None:
        while self._waiting:
            self.tell_one(tell)
