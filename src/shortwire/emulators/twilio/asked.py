"""A REST request as the handlers see it, and their answer. Values only; HTTP is `rest`'s."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from .refusals import Refusal
from .resources import page

__all__ = ["Asked", "Reply", "in_time", "paged", "query_of"]

_PAGING = {"PageSize", "Page", "PageToken"}


@dataclass(frozen=True, slots=True)
class Asked:
    form: Mapping[str, list[str]]
    """Of the body (POST) or the query, repeated keys kept."""
    path: str
    """As requested, for error texts and page URIs."""
    ids: tuple[str, ...]
    """The sids (or names) in the path."""
    query: Mapping[str, list[str]]


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    body: dict[str, Any] | None = None
    media: bytes | None = None
    """Instead of a document."""
    media_type: str = ""


def query_of(asked: Asked, filters: set[str]) -> dict[str, str]:
    """The filters of a list, the last of each. Raises `Refusal` for one that no page lists."""
    if strangers := sorted(set(asked.form) - filters - _PAGING):
        raise Refusal.bad_field(f"{strangers[0]} is not a filter of this list")
    return {name: values[-1] for name, values in asked.form.items()}


def paged(key: str, rows: Sequence[dict[str, Any]], asked: Asked, query: Mapping[str, str]) -> Reply:
    size, number = query.get("PageSize", "50"), query.get("Page", "0")
    if not (size.isdecimal() and number.isdecimal() and 1 <= int(size) <= 1000):
        raise Refusal.bad_field(f"PageSize must be 1 to 1000 and Page a whole number: {size}, {number}")
    return Reply(200, page(key, rows, asked.path, query, number=int(number), size=int(size)))


def in_time(at_s: float | None, query: Mapping[str, str], name: str) -> bool:
    """`Name<` and `Name>` include the given instant; `Name` is the whole day. Raises `Refusal`."""
    return all(_one(at_s, query.get(f"{name}{sign}"), sign) for sign in ("", "<", ">"))


def _one(at_s: float | None, wanted: str | None, sign: str) -> bool:
    if wanted is None:
        return True
    try:
        limit = datetime.fromisoformat(wanted)
    except ValueError:
        raise Refusal.bad_field(f"not a date: {wanted}") from None
    if at_s is None:
        return False
    limit = limit if limit.tzinfo else limit.replace(tzinfo=UTC)
    at = datetime.fromtimestamp(at_s, UTC)
    if sign == "<":
        return at <= limit
    return at >= limit if sign == ">" else limit <= at < limit + timedelta(days=1)
