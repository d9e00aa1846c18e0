"""The SQL: what each accepted write does, in one transaction that the caller owns.

Everything may be applied twice, because a commit whose answer was lost is tried again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from shortwire.beside import resting
from shortwire.errors import Conflict
from shortwire.records import CallRecord

from .backlog import Append, Create, Item, Update
from .rows import Row, record_to_row, row_to_record
from .schema import calls, events, idempotency_keys

__all__ = ["IDEMPOTENCY_S", "Applied", "CreateOutcome", "apply_batch", "purge_keys"]

IDEMPOTENCY_S: Final = 24 * 3600.0
"""How long an idempotency key is kept."""

_PORTION: Final = 20
"""Rows that are written between two rests: 0.2 ms."""
_COUNTED: Final = {"preserve_rowcount": True}
"""Asks SQLAlchemy for the number of rows that were really inserted; it does not look otherwise."""

_WHOSE: Final = "whose"
"""No column's name."""
_UPDATE: Final = sa.update(calls).where(calls.c.id == sa.bindparam(_WHOSE))
"""Sets the columns that its parameters name."""

CreateOutcome = CallRecord | Conflict | None
"""The earlier call, a refusal, or None: stored."""


class Applied:
    """What came of a batch: answers to deliver after the commit, and writes that changed nothing."""

    __slots__ = ("created", "ignored")

    def __init__(self) -> None:
        self.created: list[tuple[Create, CreateOutcome]] = []
        self.ignored = 0


def apply_batch(connection: Connection, items: Sequence[Item]) -> Applied:
    """Apply the items in order. Raises what SQLAlchemy raises; the transaction is lost then."""
    applied = Applied()
    updates: dict[str, Row] = {}
    appended: list[Row] = []
    for item in items:
        match item:
            case Create():
                # Updates of different calls, and events, may pass each other; a creation separates.
                _write(connection, updates, appended, applied)
                applied.created.append((item, _create(connection, item)))
            case Update(call_id, row):
                updates.setdefault(call_id, {}).update(row)
            case Append(row):
                appended.append(row)
    _write(connection, updates, appended, applied)
    return applied


def purge_keys(connection: Connection, before: float) -> int:
    """Forget idempotency keys older than an instant; how many there were."""
    return connection.execute(sa.delete(idempotency_keys).where(idempotency_keys.c.created_at < before)).rowcount


def _write(connection: Connection, updates: dict[str, Row], appended: list[Row], applied: Applied) -> None:
    # Calls of which the same changed are one statement.
    alike: dict[frozenset[str], list[Row]] = {}
    for call_id, row in updates.items():
        if row:
            alike.setdefault(frozenset(row), []).append({**row, _WHOSE: call_id})
    for rows in resting(part for same in alike.values() for part in _cut(same)):
        result = connection.execute(_UPDATE, rows, execution_options=_COUNTED)
        applied.ignored += len(rows) - result.rowcount
    for rows in resting(_cut(appended)):
        result = connection.execute(_append(connection.dialect.name), rows, execution_options=_COUNTED)
        if 0 <= result.rowcount < len(rows):
            applied.ignored += len(rows) - result.rowcount
    updates.clear()
    appended.clear()


def _cut(rows: list[Row]) -> Iterator[list[Row]]:
    return (rows[at : at + _PORTION] for at in range(0, len(rows), _PORTION))


def _create(connection: Connection, item: Create) -> CreateOutcome:
    if item.key_hash is not None:
        known = _known_key(connection, item)
        if known is not None:
            return known
    try:
        with connection.begin_nested():
            return _insert_call(connection, item)
    except IntegrityError:
        # Another process used the key between our look and our insert.
        known = _known_key(connection, item)
        if known is None:
            raise
        return known


def _insert_call(connection: Connection, item: Create) -> CreateOutcome:
    insert = _insert(connection.dialect.name, calls).values(item.row).on_conflict_do_nothing()
    inserted = connection.execute(insert, execution_options=_COUNTED)
    if not inserted.rowcount:
        return _same_or_conflict(connection, item)
    if item.key_hash is not None:
        key = {
            "key_hash": item.key_hash,
            "fingerprint": item.fingerprint,
            "call_id": item.row["id"],
            "created_at": item.at,
        }
        connection.execute(sa.insert(idempotency_keys).values(key))
    return None


def _known_key(connection: Connection, item: Create) -> CreateOutcome:
    keys = idempotency_keys
    connection.execute(
        sa.delete(keys).where(keys.c.key_hash == item.key_hash, keys.c.created_at < item.at - IDEMPOTENCY_S)
    )
    joined = sa.join(keys, calls, calls.c.id == keys.c.call_id)
    query = sa.select(keys.c.fingerprint, *calls.c).select_from(joined).where(keys.c.key_hash == item.key_hash)
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        return None
    if row["fingerprint"] != item.fingerprint:
        return key_conflict()
    return row_to_record(dict(row))


def _same_or_conflict(connection: Connection, item: Create) -> CreateOutcome:
    """The id exists: our own insert whose commit was not confirmed, or a mistake."""
    row = connection.execute(sa.select(calls).where(calls.c.id == item.row["id"])).mappings().one()
    return None if record_to_row(row_to_record(dict(row))) == item.row else id_conflict()


def key_conflict() -> Conflict:
    return Conflict(
        "this Idempotency-Key was used for another request",
        details="use a new key for a new call, or repeat the first request unchanged",
    )


def id_conflict() -> Conflict:
    return Conflict("a call with this id exists already", details="every call needs an id of its own")


def _insert(dialect: str, table: sa.Table) -> Any:
    # Two classes of the same shape: `ON CONFLICT` is not in the common SQL of SQLAlchemy.
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)


@cache
def _append(dialect: str) -> Any:
    """Keeps events; put together once, not with each portion."""
    return _insert(dialect, events).on_conflict_do_nothing()
