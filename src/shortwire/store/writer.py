"""The one thread that writes: batches, commits, tries again, and never loses a state update to a bad disk.

It knows the backlog and the statements; callers know neither. A locked, full or absent database is waited
for with back-off; a single write that no database would take is found and given up with a log line.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Sequence
from typing import Final

import structlog
from sqlalchemy.engine import Engine
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from shortwire.clock import NS_PER_S, Clock
from shortwire.errors import Conflict, StoreError

from .backlog import Append, Backlog, Barrier, Create, Item, Update
from .statements import IDEMPOTENCY_S, Applied, apply_batch, purge_keys

__all__ = ["BATCH_LIMIT", "Writer", "database_words"]

BATCH_LIMIT: Final = 1000
"""Writes in one transaction: some tens of milliseconds, short enough for a second process to get its turn."""
_FIRST_BACKOFF_S: Final = 0.05
_LONGEST_BACKOFF_S: Final = 2.0
_PURGE_EVERY_S: Final = 3600.0
_LONGEST_WORDS: Final = 500
"""Characters of an error that are kept to be shown."""
_SHORTEST_PASSWORD: Final = 6
"""Hiding a shorter one would spoil the words and hide nothing."""
_NICENESS: Final = 10
"""A tenth of the usual share of a core that somebody else wants too. Not the least there is: the thread holds the
interpreter at times, and must not be kept from giving it back."""

_log = structlog.stdlib.get_logger(__name__)


def database_words(error: BaseException) -> str:
    """The database's own message in one line, without the statement and its values."""
    text = str(error.orig) if isinstance(error, DBAPIError) and error.orig is not None else str(error)
    return " ".join(text.split()) or type(error).__name__


def _go_last() -> None:
    """Have the event loop go first where both want the same core; a batch would keep it waiting for a millisecond.

    Only Linux knows a niceness of threads (sched(7)). A process that is nicer stays so, and a refusal ends nothing.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            niceness = max(_NICENESS, os.getpriority(os.PRIO_PROCESS, 0))
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), niceness)


def _may_pass(error: Exception) -> bool:
    """Is it a bad moment of the database, or a write that it will never take?"""
    return isinstance(error, DBAPIError | PoolTimeout) and not isinstance(error, IntegrityError | DataError)


def _writes(batch: Sequence[Item]) -> bool:
    """Whether the database is asked at all."""
    return any(not isinstance(item, Barrier) for item in batch)


class _Withdrawn(Exception):
    """Somebody stopped waiting for a creation of this transaction: roll back, go on without it."""


class Writer:
    """Owns the thread. `last_error` is empty while writing works."""

    def __init__(self, engine: Engine, backlog: Backlog, clock: Clock, *, interval_s: float) -> None:
        self._engine = engine
        self._backlog = backlog
        self._clock = clock
        self._interval_s = interval_s
        self._failures = 0
        self._next_purge_s = 0.0
        self._stop_by_ns: int | None = None
        self.last_error = ""
        self._thread = threading.Thread(target=self._run, name="shortwire-store", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, deadline_s: float) -> bool:
        """Write what waits, for at most so long, and end. Blocks. False when something was left."""
        self._stop_by_ns = self._clock.now_ns() + int(deadline_s * NS_PER_S)
        self._backlog.close()
        # The last attempt may be inside a busy time-out: give it the same time again.
        self._thread.join(deadline_s * 2)
        return not self._thread.is_alive() and not self.last_error

    def _run(self) -> None:
        _go_last()
        while True:
            idle_s = 0.0 if self.last_error else _PURGE_EVERY_S
            batch = self._backlog.take(interval_s=self._interval_s, idle_s=idle_s, limit=BATCH_LIMIT)
            if batch is None:
                return
            rest = self._attempt(batch)
            self._backlog.put_back(rest)
            if not rest and (_writes(batch) or self._takes_writes()):
                self._recovered()
                self._purge()
            elif rest and self._out_of_time():
                self._abandon()
            else:
                self._back_off()

    def _attempt(self, batch: Sequence[Item]) -> Sequence[Item]:
        """Write a batch; what could not be written now."""
        try:
            return self._write(batch)
        except Exception as error:  # a mistake of ours must not end the thread: the state must go on
            self.last_error = self._words(error)
            _log.exception("store.broken", writes=len(batch))
            return batch

    def _write(self, batch: Sequence[Item]) -> Sequence[Item]:
        if not batch:
            return ()
        try:
            self._commit(batch)
        except Exception as error:
            if _may_pass(error):
                self._note(error)
                return batch
            if len(batch) == 1:
                self._give_up(batch[0], error)
                return ()
            # One of them is to blame: halve until it is found, everything else is written.
            half = len(batch) // 2
            rest = self._write(batch[:half])
            return [*rest, *batch[half:]] if rest else self._write(batch[half:])
        return ()

    def _commit(self, batch: Sequence[Item]) -> None:
        applied = Applied()
        while _writes(batch):
            wanted = [item for item in batch if not (isinstance(item, Create) and item.receipt.withdrawn)]
            creates = [item for item in wanted if isinstance(item, Create)]
            try:
                with self._engine.begin() as connection:
                    applied = apply_batch(connection, wanted)
                    if not all(create.receipt.claim() for create in creates):
                        raise _Withdrawn
                break
            except _Withdrawn:
                for create in creates:
                    create.receipt.release()
            except BaseException:
                for create in creates:
                    create.receipt.release()
                raise
        self._deliver(batch, applied)

    def _deliver(self, batch: Sequence[Item], applied: Applied) -> None:
        if applied.ignored and not self._failures:  # after a failure they may be our own, written before
            self._backlog.count_dropped(applied.ignored)
            _log.warning("store.ignored", writes=applied.ignored, why="no such call, or the event exists")
        self._backlog.settle(batch)
        for create, outcome in applied.created:
            if isinstance(outcome, Conflict):
                create.receipt.fail(outcome)
            else:
                create.receipt.deliver(outcome)
        for item in batch:
            if isinstance(item, Barrier):
                item.receipt.deliver(None)

    def _give_up(self, item: Item, error: Exception) -> None:
        self._backlog.settle([item])
        self._backlog.count_dropped()
        words = database_words(error)
        match item:
            case Create(row):
                _log.error("store.refused", what="create", call_id=row["id"], error=words)
                item.receipt.fail(StoreError("the call could not be stored", details=words))
            case Update(call_id, row):
                _log.error("store.refused", what="update", call_id=call_id, fields=sorted(row), error=words)
            case Append(row):
                _log.error("store.refused", what=row["kind"], call_id=row["call_id"], error=words)
            case Barrier():
                item.receipt.deliver(None)

    def _note(self, error: Exception) -> None:
        self.last_error = self._words(error)
        if not self._failures:
            _log.error("store.failing", error=self.last_error, pending=self._backlog.pending)

    def _words(self, error: BaseException) -> str:
        """What `last_error` says: anybody with an API key may read it."""
        words, password = database_words(error), self._engine.url.password
        if password and len(password) >= _SHORTEST_PASSWORD:
            words = words.replace(password, "[redacted]")
        return words[:_LONGEST_WORDS]

    def _takes_writes(self) -> bool:
        """A database that failed and has nothing to write is asked by the one write that is always right: nobody would
        send a call to a server that is not ready, and it would never find out that it is again."""
        if not self.last_error:
            return True
        try:
            with self._engine.begin() as connection:
                purge_keys(connection, self._clock.wall_s() - IDEMPOTENCY_S)
        except Exception as error:  # as in `_attempt`
            self.last_error = self._words(error)
            return False
        return True

    def _recovered(self) -> None:
        if self._failures:
            _log.warning("store.recovered", attempts=self._failures, dropped=self._backlog.dropped)
        self._failures = 0
        self.last_error = ""

    def _back_off(self) -> None:
        seconds = min(_LONGEST_BACKOFF_S, _FIRST_BACKOFF_S * 2.0 ** min(self._failures, 10))
        self._failures += 1
        self._backlog.pause(seconds)

    def _purge(self) -> None:
        now_s = self._clock.wall_s()
        if now_s < self._next_purge_s:
            return
        self._next_purge_s = now_s + _PURGE_EVERY_S
        try:
            with self._engine.begin() as connection:
                purge_keys(connection, now_s - IDEMPOTENCY_S)
        except DBAPIError as error:
            _log.warning("store.purge_failed", error=database_words(error))

    def _out_of_time(self) -> bool:
        return self._stop_by_ns is not None and self._clock.now_ns() >= self._stop_by_ns

    def _abandon(self) -> None:
        """Closing, and the database still refuses: say what is lost, and let nobody wait."""
        lost = 0
        while batch := self._backlog.take(interval_s=0, idle_s=0, limit=BATCH_LIMIT):
            lost += sum(not isinstance(item, Barrier) for item in batch)
            self._backlog.settle(batch)
            for item in batch:
                if isinstance(item, Create | Barrier):
                    item.receipt.fail(StoreError("the store was closed before this was written"))
        self._backlog.count_dropped(lost)
        _log.error("store.lost", writes=lost, error=self.last_error)
