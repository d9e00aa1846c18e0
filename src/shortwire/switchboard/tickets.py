"""One-time tickets: what a media stream's path carries, and all that it carries.

A ticket opens one stream of one call, once, and dies with the call or after its time. It is drawn from the
system's randomness and compared by look-up of its digest, so that timing tells nothing about live ones.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from typing import Generic, TypeVar

from ..clock import NS_PER_S
from ..owner import ticket_mark
from ..terms import Ticket

__all__ = ["Tickets"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Open(Generic[T]):
    owner: T
    until_ns: int


class Tickets(Generic[T]):
    """The tickets of one process; one of several workers puts its number before them (`shortwire.owner`)."""

    def __init__(self, worker: int | None = None) -> None:
        self._mark = ticket_mark(worker)
        self._open: dict[bytes, _Open[T]] = {}

    def issue(self, owner: T, now_ns: int, valid_s: float) -> Ticket:
        """A new ticket for `owner`."""
        ticket = Ticket(self._mark + secrets.token_urlsafe(24))
        self._open[_digest(ticket)] = _Open(owner, now_ns + int(valid_s * NS_PER_S))
        return ticket

    def redeem(self, ticket: str, now_ns: int) -> T | None:
        """Whose ticket it is; None if unknown, used or expired. It opens nothing a second time."""
        found = self._open.pop(_digest(ticket), None)
        return found.owner if found is not None and now_ns <= found.until_ns else None

    def revoke(self, ticket: str) -> None:
        self._open.pop(_digest(ticket), None)

    def __len__(self) -> int:
        return len(self._open)


def _digest(ticket: str) -> bytes:
    return hashlib.sha256(ticket.encode("utf-8", "replace")).digest()
