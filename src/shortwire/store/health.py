"""What a store says of itself: three figures and a sentence."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["StoreHealth"]


@dataclass(frozen=True, slots=True)
class StoreHealth:
    """A snapshot; reading it costs nothing and touches no database."""

    pending: int = 0
    """Writes accepted and not yet durable."""
    dropped: int = 0
    """Writes given up since the start: events beyond the bound, duplicates, writes for calls that do not
    exist, values that no database takes. State updates are never among them because of overload."""
    last_error: str = ""
    """Why writing fails at this moment, in the database's words; empty while it works."""

    @property
    def failing(self) -> bool:
        return bool(self.last_error)
