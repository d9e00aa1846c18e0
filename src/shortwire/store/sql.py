"""`CallStore` on SQLAlchemy Core: writes through the writer thread, reads in worker threads.

A read first has what was written before it committed, so it sees it. The loop never touches a database.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import sqlalchemy as sa
import structlog
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from shortwire.beside import resting
from shortwire.clock import Clock
from shortwire.errors import StoreError
from shortwire.records import CallEvent, CallRecord, StoreHealth
from shortwire.terms import CallId, CallSid, CallState

from .backlog import Backlog, Barrier, Create
from .encoding import clean_text
from .engine import Database
from .receipt import Receipt
from .rows import changes_to_row, event_to_row, record_to_row, row_to_event, row_to_record
from .schema import calls, events
from .so_far import stored_turns, with_turns
from .writer import Writer, database_words

__all__ = ["SqlCallStore", "StoreTiming"]

T = TypeVar("T")
_MOST_ROWS: Final = 2**31 - 1
_CALLS: Final = 5
_EVENTS: Final = 20
"""Rows that are read between two rests: 0.2 ms."""
_KEY: Final = "key"
_NONE: Final[Mapping[str, Any]] = {}
# Made once, and not by the event loop with each call that comes.
_BY_ID: Final = sa.select(calls).where(calls.c.id == sa.bindparam(_KEY))
_BY_CALL_SID: Final = (
    sa.select(calls).where(calls.c.call_sid == sa.bindparam(_KEY)).order_by(calls.c.id.desc()).limit(1)
)
_log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class StoreTiming:
    """Bounds of the store."""

    interval_s: float = 0.5
    """How long a write that nobody waits for may lie before its batch is committed."""
    create_s: float = 5.0
    """How long `create` waits for durability. Given again to a commit under way."""
    read_s: float = 5.0
    """How long a read or `flush` waits for the writes before it."""
    close_s: float = 10.0
    max_events: int = 10_000
    """Events kept in memory while the database cannot take them."""


class SqlCallStore:
    """Made by `open_store`. Every method may be called from any thread's event loop."""

    def __init__(self, database: Database, *, clock: Clock, timing: StoreTiming) -> None:
        self._database = database
        self._clock = clock
        self._timing = timing
        self._backlog = Backlog(max_events=timing.max_events)
        self._writer = Writer(database.writer, self._backlog, clock, interval_s=timing.interval_s)
        self._writer.start()

    @property
    def place(self) -> str:
        """The file, or the URL without its password."""
        return self._database.place

    def health(self) -> StoreHealth:
        return StoreHealth(self._backlog.pending, self._backlog.dropped, self._writer.last_error)

    async def create(
        self, call: CallRecord, *, idempotency_key: str | None = None, fingerprint: str = ""
    ) -> CallRecord:
        """See `CallStore.create`. A call whose creation raised is not found stored later, unless the
        database neither confirmed nor refused the commit within twice `StoreTiming.create_s`."""
        try:
            row = record_to_row(call)
        except (ValueError, TypeError) as error:
            raise StoreError("the call could not be stored", details=str(error)) from error
        key_hash = None if idempotency_key is None else _hash_key(idempotency_key)
        item = Create(row, key_hash, clean_text(fingerprint), self._clock.wall_s(), Receipt[CallRecord | None]())
        earlier = await self._written(item, self._timing.create_s, "the call could not be stored")
        return row_to_record(row) if earlier is None else earlier

    def update(self, call_id: CallId, changes: Mapping[str, Any]) -> None:
        try:
            row = changes_to_row(changes)
        except Exception as error:  # the port promises: never raises
            self._backlog.count_dropped()
            _log.error("store.refused", what="update", call_id=call_id, fields=sorted(changes), error=str(error))
            return
        self._backlog.put_update(call_id, row)

    def append(self, event: CallEvent) -> None:
        try:
            row = event_to_row(event)
        except Exception as error:  # the port promises: never raises
            self._backlog.count_dropped()
            _log.error("store.refused", what=event.kind, call_id=event.call_id, error=str(error))
            return
        self._backlog.put_event(row)

    async def get(self, call_id: CallId) -> CallRecord | None:
        return await self._one(_BY_ID, call_id)

    async def by_call_sid(self, call_sid: CallSid) -> CallRecord | None:
        """The newest call with this id of the carrier's."""
        return await self._one(_BY_CALL_SID, call_sid)

    async def list(
        self, *, limit: int = 50, before: CallId | None = None, state: str | None = None
    ) -> Sequence[CallRecord]:
        query = sa.select(calls).order_by(calls.c.id.desc()).limit(min(max(0, limit), _MOST_ROWS))
        if before is not None:
            query = query.where(calls.c.id < clean_text(before))
        if state is not None:
            query = query.where(calls.c.state == clean_text(str(state)))
        return await self._many(query)

    async def events(self, call_id: CallId, *, after: int = 0) -> Sequence[CallEvent]:
        query = (
            sa.select(events)
            .where(events.c.call_id == clean_text(call_id), events.c.seq > after)
            .order_by(events.c.seq)
        )
        return await self._read(
            lambda connection: [
                row_to_event(dict(row))
                for rows in resting(connection.execute(query).yield_per(_EVENTS).mappings().partitions())
                for row in rows
            ]
        )

    async def unfinished(self) -> Sequence[CallRecord]:
        # Written out, not bound: only then does the database see that the partial index fits.
        still_open = sa.text(f"calls.state <> '{CallState.ENDED.value}'")
        return await self._many(sa.select(calls).where(still_open).order_by(calls.c.id))

    async def flush(self) -> None:
        """See `CallStore.flush`. Raises `StoreError` when the database takes nothing for `StoreTiming.read_s`."""
        await self._written(Barrier(Receipt[None]()), self._timing.read_s, "the database takes no writes")

    async def close(self) -> None:
        """Write what waits, end the thread, close the connections. What cannot be written is counted and
        logged, not raised. May be called again."""
        if not await asyncio.to_thread(self._writer.stop, self._timing.close_s):
            _log.error("store.closed_with_losses", place=self.place, dropped=self._backlog.dropped)
        await asyncio.to_thread(self._database.dispose)

    async def _written(self, item: Create | Barrier, deadline_s: float, failure: str) -> CallRecord | None:
        if not self._backlog.put_awaited(item):
            raise StoreError(failure, details="the store is closed")
        try:
            return await item.receipt.wait(deadline_s)
        except TimeoutError:
            details = self._writer.last_error or "the database is too slow"
            raise StoreError(f"{failure} within {deadline_s:g} s", details=details) from None

    async def _one(self, query: sa.Select[Any], key: str) -> CallRecord | None:
        found = await self._many(query, {_KEY: clean_text(key)})
        return found[0] if found else None

    async def _many(self, query: sa.Select[Any], parameters: Mapping[str, Any] = _NONE) -> Sequence[CallRecord]:
        def read(connection: Connection) -> Sequence[CallRecord]:
            found = connection.execute(query, parameters)
            names = tuple(found.keys())
            portions = resting(found.yield_per(_CALLS).partitions())
            records = [row_to_record(dict(zip(names, row, strict=True))) for rows in portions for row in rows]
            turns = stored_turns(connection, records)
            return [with_turns(record, turns) for record in records]

        return await self._read(read)

    async def _read(self, read: Callable[[Connection], T]) -> T:
        if self._backlog.closed:
            raise StoreError("the database cannot be read", details="the store is closed")
        if self._backlog.pending:
            await self._written(Barrier(Receipt[None]()), self._timing.read_s, "the latest writes cannot be read")

        def run() -> T:
            with self._database.reader.connect() as connection:
                return read(connection)

        try:
            return await asyncio.to_thread(run)
        except (DBAPIError, PoolTimeout) as error:
            raise StoreError("the database cannot be read", details=database_words(error)) from error


def _hash_key(idempotency_key: str) -> str:
    return hashlib.sha256(idempotency_key.encode("utf-8", "surrogatepass")).hexdigest()
