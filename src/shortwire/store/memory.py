"""The same store in memory: the twin of `SqlCallStore` for tests and experiments. Keeps nothing on disk.

It encodes and decodes like the real one, so that what a database would change or refuse shows here too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from shortwire.clock import Clock, SystemClock
from shortwire.errors import StoreError
from shortwire.records import CallEvent, CallRecord, EventKind, StoreHealth
from shortwire.terms import CallId, CallSid, CallState

from .rows import Row, changes_to_row, event_to_row, record_to_row, row_to_event, row_to_record
from .so_far import with_turns
from .statements import IDEMPOTENCY_S, id_conflict, key_conflict

__all__ = ["MemoryCallStore"]


class MemoryCallStore:
    """A `CallStore`. `failing` makes it behave like a database that takes nothing."""

    def __init__(self, *, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._calls: dict[str, Row] = {}
        self._events: dict[str, dict[int, Row]] = {}
        self._keys: dict[str, tuple[str, str, float]] = {}  # fingerprint, call, when
        self._dropped = 0
        self._closed = False
        self.failing = ""
        """Set to a reason: `create` and reads raise `StoreError` with it, events are dropped. State updates
        are kept, as the real store keeps them."""

    def health(self) -> StoreHealth:
        return StoreHealth(0, self._dropped, self.failing)

    async def create(
        self, call: CallRecord, *, idempotency_key: str | None = None, fingerprint: str = ""
    ) -> CallRecord:
        self._check("the call could not be stored")
        try:
            row = record_to_row(call)
        except (ValueError, TypeError) as error:
            raise StoreError("the call could not be stored", details=str(error)) from error
        now_s = self._clock.wall_s()
        if idempotency_key is not None:
            known = self._keys.get(idempotency_key)
            if known is not None and known[2] >= now_s - IDEMPOTENCY_S:
                if known[0] != fingerprint:
                    raise key_conflict()
                return row_to_record(self._calls[known[1]])
        if self._calls.setdefault(call.id, row) != row:
            raise id_conflict()
        self._events.setdefault(call.id, {})
        if idempotency_key is not None:
            self._keys[idempotency_key] = (fingerprint, call.id, now_s)
        return row_to_record(row)

    def update(self, call_id: CallId, changes: Mapping[str, Any]) -> None:
        try:
            row = changes_to_row(changes)
        except Exception:  # the port promises: never raises
            self._dropped += 1
            return
        if self._closed or call_id not in self._calls:
            self._dropped += 1
            return
        self._calls[call_id] = {**self._calls[call_id], **row}

    def append(self, event: CallEvent) -> None:
        try:
            row = event_to_row(event)
        except Exception:  # the port promises: never raises
            self._dropped += 1
            return
        kept = self._events.get(event.call_id)
        if self._closed or self.failing or kept is None or row["seq"] in kept:
            self._dropped += 1
            return
        kept[row["seq"]] = row

    async def get(self, call_id: CallId) -> CallRecord | None:
        self._check("the database cannot be read")
        row = self._calls.get(call_id)
        return None if row is None else self._record(row)

    async def by_call_sid(self, call_sid: CallSid) -> CallRecord | None:
        self._check("the database cannot be read")
        return next(self._records(row for row in self._newest_first() if row["call_sid"] == call_sid), None)

    async def list(
        self, *, limit: int = 50, before: CallId | None = None, state: str | None = None
    ) -> Sequence[CallRecord]:
        self._check("the database cannot be read")
        wanted = (
            row
            for row in self._newest_first()
            if (before is None or row["id"] < before) and (state is None or row["state"] == state)
        )
        return [*self._records(wanted)][: max(0, limit)]

    async def events(self, call_id: CallId, *, after: int = 0) -> Sequence[CallEvent]:
        self._check("the database cannot be read")
        kept = self._events.get(call_id, {})
        return [row_to_event(kept[seq]) for seq in sorted(kept) if seq > after]

    async def unfinished(self) -> Sequence[CallRecord]:
        self._check("the database cannot be read")
        return [*self._records(row for row in reversed(self._newest_first()) if row["state"] != CallState.ENDED)]

    async def flush(self) -> None:
        self._check("the database takes no writes")

    async def close(self) -> None:
        self._closed = True

    def _newest_first(self) -> Sequence[Row]:
        return [self._calls[call_id] for call_id in sorted(self._calls, reverse=True)]

    def _records(self, rows: Iterable[Row]) -> Iterator[CallRecord]:
        return (self._record(row) for row in rows)

    def _record(self, row: Row) -> CallRecord:
        record = row_to_record(row)
        if record.state is CallState.ENDED:
            return record
        kept = self._events[record.id]
        told = [row_to_event(kept[seq]) for seq in sorted(kept)]
        return with_turns(record, {record.id: [event.data for event in told if event.kind == EventKind.TURN]})

    def _check(self, failure: str) -> None:
        if self._closed:
            raise StoreError(failure, details="the store is closed")
        if self.failing:
            raise StoreError(failure, details=self.failing)
