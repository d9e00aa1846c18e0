"""Writes that were accepted and are not yet in the database: ordered, bounded, shared by two threads.

The event loop puts and never waits; the writer takes batches and puts back what failed. Bounds: events by
number, state updates by calls (a second update of a call joins the first), awaited writes by those who wait.
It knows nothing of SQL.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from shortwire.records import CallRecord, EventKind
from shortwire.terms import CallId

from .receipt import Receipt
from .rows import Row

__all__ = ["Append", "Backlog", "Barrier", "Create", "Item", "Update"]


@dataclass(slots=True, eq=False)
class Create:
    """A new call, awaited."""

    row: Row
    key_hash: str | None
    fingerprint: str
    at: float
    receipt: Receipt[CallRecord | None]
    """Delivers the earlier call when the key was seen before, None when this one was stored."""


@dataclass(slots=True, eq=False)
class Update:
    """Changed columns of a call. Grows while it waits."""

    call_id: CallId
    row: Row


@dataclass(slots=True, eq=False)
class Append:
    """One event."""

    row: Row


@dataclass(slots=True, eq=False)
class Barrier:
    """Delivered when everything put before it is durable."""

    receipt: Receipt[None]


Item = Create | Update | Append | Barrier

_NEWS_S = 0.08
"""How long a changed state may wait for others: what a killed process has not written of it is lost."""


class Backlog:
    """Every method takes one short lock and does no I/O."""

    def __init__(self, *, max_events: int) -> None:
        self._max_events = max_events
        self._changed = threading.Condition()
        self._items: deque[Item] = deque()
        self._open_updates: dict[CallId, Update] = {}
        self._events = 0  # waiting or being written
        self._being_written = 0
        self._awaited = 0  # waiting items somebody is waiting for
        self._news = False  # an update waits without which a restart could not settle the call
        self._dropped = 0
        self._closed = False

    @property
    def dropped(self) -> int:
        return self._dropped

    @property
    def pending(self) -> int:
        # Under the lock: between the two figures a batch is in neither, and a read would not wait for it.
        with self._changed:
            return len(self._items) + self._being_written

    @property
    def closed(self) -> bool:
        return self._closed

    def put_awaited(self, item: Create | Barrier) -> bool:
        """Written at once. False when closed."""
        with self._changed:
            if self._closed:
                return False
            if isinstance(item, Create):
                # An update must not move in front of the creation of its call.
                self._open_updates.pop(item.row["id"], None)
            self._forget_withdrawn()
            self._items.append(item)
            self._awaited += 1
            self._changed.notify()
            return True

    def put_update(self, call_id: CallId, row: Row) -> bool:
        """False, and counted, when closed."""
        with self._changed:
            if self._closed:
                self._dropped += 1
                return False
            if not self._news:
                self._news = True
                self._changed.notify()
            waiting = self._open_updates.get(call_id)
            if waiting is not None:
                waiting.row.update(row)
                return True
            self._open_updates[call_id] = item = Update(call_id, row)
            self._add(item)
            return True

    def put_event(self, row: Row) -> bool:
        """False, and counted, when full or closed. A call's last event always finds room: one a call."""
        with self._changed:
            if self._closed or (self._events >= self._max_events and row["kind"] != EventKind.ENDED):
                self._dropped += 1
                return False
            self._events += 1
            self._add(Append(row))
            return True

    def count_dropped(self, count: int = 1) -> None:
        with self._changed:
            self._dropped += count

    def take(self, *, interval_s: float, idle_s: float, limit: int) -> Sequence[Item] | None:
        """The next batch: at once when somebody waits, soon when a call's state has changed, else after `interval_s`;
        empty after `idle_s` without work; None when closed and empty."""
        with self._changed:
            if not self._items and not self._closed:
                self._changed.wait(idle_s)
            if not self._items:
                return None if self._closed else ()
            self._changed.wait_for(lambda: self._hurried() or self._news, interval_s)
            if self._news and not self._hurried():
                self._changed.wait_for(self._hurried, min(interval_s, _NEWS_S))
            self._news = False
            batch = [self._items.popleft() for _ in range(min(limit, len(self._items)))]
            for item in batch:
                if isinstance(item, Update):
                    if self._open_updates.get(item.call_id) is item:
                        del self._open_updates[item.call_id]
                elif not isinstance(item, Append):
                    self._awaited -= 1
            self._being_written = len(batch)
            return batch

    def put_back(self, items: Sequence[Item]) -> None:
        """What could not be written goes to the front, in its order; newer updates join the older ones."""
        with self._changed:
            joined: set[CallId] = set()
            for item in reversed(items):
                if isinstance(item, Create | Barrier) and item.receipt.withdrawn:
                    continue
                if isinstance(item, Update) and not self._rejoin(item, joined):
                    continue
                if isinstance(item, Create | Barrier):
                    self._awaited += 1
                self._items.appendleft(item)
            self._being_written = 0

    def settle(self, items: Iterable[Item]) -> None:
        """These are written, or given up for good."""
        with self._changed:
            for item in items:
                if isinstance(item, Append):
                    self._events = max(0, self._events - 1)
                self._being_written = max(0, self._being_written - 1)

    def pause(self, seconds: float) -> None:
        """The writer waits before it tries again; closing cuts it short."""
        with self._changed:
            if not self._closed:
                self._changed.wait_for(lambda: self._closed, seconds)

    def close(self) -> None:
        """Nothing more is accepted; what waits is still handed out."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _add(self, item: Item) -> None:
        self._items.append(item)
        if len(self._items) == 1:
            self._changed.notify()

    def _forget_withdrawn(self) -> None:
        """At the end only: behind more writes than a batch takes, an outage never hands them to the writer."""
        while self._items:
            last = self._items[-1]
            if not isinstance(last, Create | Barrier) or not last.receipt.withdrawn:
                return
            self._items.pop()
            self._awaited -= 1

    def _hurried(self) -> bool:
        return self._awaited > 0 or self._closed

    def _rejoin(self, item: Update, joined: set[CallId]) -> bool:
        """False: nothing left in it. Only the call's last update of the batch takes in newer ones."""
        if not item.row:
            return False
        if item.call_id not in joined:
            joined.add(item.call_id)
            newer = self._open_updates.get(item.call_id)
            if newer is not None:
                item.row.update(newer.row)
                newer.row.clear()
            self._open_updates[item.call_id] = item
        return True
