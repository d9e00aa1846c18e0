"""Between the records of `shortwire.records` and rows. Both stores use it, so both keep the same things."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, Final

from shortwire.errors import StoreError
from shortwire.records import CallEvent, CallRecord
from shortwire.terms import CallDirection, CallState, Disposition, HangupCause, Profile

from .encoding import Encoded, clean_text, decode, encode

__all__ = ["Row", "changes_to_row", "event_to_row", "record_to_row", "row_to_event", "row_to_record"]

Row = dict[str, Any]

_JSON: Final = frozenset({"request", "metadata", "turns", "latencies"})
_INSTANTS: Final = frozenset(
    {"created_at", "dialed_at", "ringing_at", "answered_at", "connected_at", "ended_at"},
)
_ENUMS: Final[dict[str, type[StrEnum]]] = {
    "direction": CallDirection,
    "state": CallState,
    "profile": Profile,
    "cause": HangupCause,
    "disposition": Disposition,
}
_OPTIONAL: Final = frozenset({"cause", "disposition", "call_sid", "stream_sid", "conversation_id"}) | (
    _INSTANTS - {"created_at"}
)
_FIELDS: Final = tuple(field.name for field in dataclasses.fields(CallRecord))
_FIXED: Final = frozenset({"id", "created_at"})


def record_to_row(call: CallRecord) -> Row:
    """Raises `ValueError` or `TypeError` when a field does not hold what it is meant for."""
    return {name: _to_column(name, getattr(call, name)) for name in _FIELDS}


def changes_to_row(changes: Mapping[str, Any]) -> Row:
    """The same for some fields. Raises `ValueError` for a field that does not exist or never changes."""
    for name in changes:
        if name not in _FIELDS or name in _FIXED:
            raise ValueError(f"{name} is not a field of a call that can change")
    return {name: _to_column(name, value) for name, value in changes.items()}


def row_to_record(row: Mapping[str, Any]) -> CallRecord:
    """Raises `StoreError` for a row that this version cannot have written."""
    try:
        fields = {name: row[name] for name in _FIELDS}
        for name, read in _READERS:
            if (value := fields[name]) is not None:
                fields[name] = read(value)
        return CallRecord(**fields)
    except (ValueError, KeyError) as error:
        raise StoreError("a stored call cannot be read", details=f"call {row.get('id')}: {error}") from error


def event_to_row(event: CallEvent) -> Row:
    """Raises `ValueError` or `TypeError` like `record_to_row`."""
    return {
        "call_id": clean_text(event.call_id),
        "seq": int(event.seq),
        "at": _instant("at", event.at),
        "kind": clean_text(event.kind),
        "data": encode(event.data),
    }


def row_to_event(row: Mapping[str, Any]) -> CallEvent:
    return CallEvent(row["call_id"], row["seq"], row["at"], row["kind"], _data(row["data"]))


def _to_column(name: str, value: Any) -> Any:
    if name in _JSON:
        return encode(value)
    if value is None:
        if name in _OPTIONAL:
            return None
        raise ValueError(f"{name} must not be None")
    if name in _INSTANTS:
        return _instant(name, value)
    if not isinstance(value, str):
        raise TypeError(f"{name} must be text, not {type(value).__name__}")
    if name in _ENUMS:
        return str(_ENUMS[name](value))
    return clean_text(str(value))


def _instant(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{name} must be seconds since the epoch, not {value!r}")
    return float(value)


def _data(value: Any) -> Any:
    # The in-memory twin keeps the encoded text; a database driver hands out decoded data.
    return decode(value) if isinstance(value, Encoded) else value


_READERS: Final[tuple[tuple[str, Callable[[Any], Any]], ...]] = (
    *_ENUMS.items(),
    *((name, _data) for name in sorted(_JSON - {"turns"})),
    ("turns", lambda value: tuple(_data(value))),
)
"""Fields that are something else in a row. A list of 200 is read in the event loop's time: the interpreter is one."""
