"""The database misbehaves: locked, full, gone, slow. Calls go on; nothing of their state is lost."""

from __future__ import annotations

import asyncio
import dataclasses
import sqlite3
import threading
import time
from types import SimpleNamespace

import pytest
import sqlalchemy as sa

from shortwire.clock import SystemClock
from shortwire.errors import Conflict, StoreError
from shortwire.records import EventKind
from shortwire.store import DATABASE_NAME, StoreTiming, open_store
from shortwire.store import writer as writer_module
from shortwire.store.backlog import Backlog, Create
from shortwire.store.engine import sqlite_database
from shortwire.store.migrate import migrate
from shortwire.store.receipt import Receipt
from shortwire.store.rows import record_to_row
from shortwire.store.sql import SqlCallStore, _hash_key
from shortwire.store.statements import apply_batch
from shortwire.terms import CallId, CallState

PATIENT = StoreTiming(create_s=60, read_s=60, close_s=60)


@pytest.fixture
async def impatient(tmp_path, hand_clock):
    """A store on SQLite that does not wait long for a lock; see `lose_patience`."""
    (tmp_path / DATABASE_NAME).touch()
    database = sqlite_database(tmp_path / DATABASE_NAME, busy_s=0.02)
    migrate(database.writer, database.place)
    timing = StoreTiming(interval_s=0.01, create_s=60, read_s=60, close_s=60, max_events=20)
    store = SqlCallStore(database, clock=hand_clock, timing=timing)
    yield store
    await store.close()


def lose_patience(store: SqlCallStore) -> None:
    """From here on nothing can be written, so short deadlines cannot fail by slowness."""
    store._timing = dataclasses.replace(store._timing, create_s=0.3, read_s=0.3)


class Lock:
    """Another process that holds the database."""

    def __init__(self, path) -> None:
        self.connection = sqlite3.connect(path / DATABASE_NAME, isolation_level=None)
        self.connection.execute("BEGIN IMMEDIATE")

    def release(self) -> None:
        self.connection.execute("ROLLBACK")
        self.connection.close()


async def until(condition) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110  (another thread's state)
            await asyncio.sleep(0.01)


async def test_a_locked_database_keeps_state_and_bounds_events(impatient, tmp_path, make_call, make_event):
    call = await impatient.create(make_call())
    lock = Lock(tmp_path)
    for seq in range(1, 101):
        impatient.update(call.id, {"cause_detail": f"number {seq}"})
        impatient.append(make_event(call, seq))
    impatient.append(make_event(call, 101, EventKind.ENDED))
    await until(lambda: impatient.health().failing)
    health = impatient.health()
    assert health.last_error == "database is locked"
    assert health.dropped == 80
    assert 21 <= health.pending <= 24
    patient = impatient._timing
    lose_patience(impatient)
    with pytest.raises(StoreError, match=r"could not be stored within 0\.3 s: database is locked"):
        await impatient.create(make_call(2))
    with pytest.raises(StoreError, match="latest writes cannot be read"):
        await impatient.get(call.id)
    with pytest.raises(StoreError, match="database takes no writes"):
        await impatient.flush()
    impatient.update(call.id, {"state": CallState.ENDED})
    impatient._timing = patient
    lock.release()
    await until(lambda: impatient.health().pending == 0 and not impatient.health().failing)
    found = await impatient.get(call.id)
    assert (found.cause_detail, found.state) == ("number 100", CallState.ENDED)
    assert [event.seq for event in await impatient.events(call.id)] == [*range(1, 21), 101]
    assert await impatient.get(make_call(2).id) is None  # its creation was refused: it must not turn up


async def test_a_database_that_is_well_again_is_found_out_without_a_write(impatient, tmp_path, make_call):
    """Nobody sends calls to a server that is not ready: it has to look for itself."""
    lock = Lock(tmp_path)
    patient = impatient._timing
    lose_patience(impatient)
    with pytest.raises(StoreError, match="could not be stored"):
        await impatient.create(make_call())
    await until(lambda: impatient.health().pending == 0)  # given up: nothing waits
    assert impatient.health().failing
    impatient._timing = patient
    await impatient.flush()  # of nothing, which says nothing of the database
    assert impatient.health().failing
    lock.release()
    await until(lambda: not impatient.health().failing)


def test_the_words_of_a_database_are_shown_without_its_password_and_have_an_end():
    url = sa.make_url("postgresql://shortwire:pa55word!@db/shortwire")
    writer = writer_module.Writer(SimpleNamespace(url=url), Backlog(max_events=1), SystemClock(), interval_s=1)
    words = writer._words(RuntimeError("no pa55word! for\nshortwire " + "x" * 1000))
    assert words.startswith("no [redacted] for shortwire xxx")
    assert len(words) == 500


async def test_without_writes_a_locked_database_can_be_read(impatient, tmp_path, make_call):
    call = await impatient.create(make_call())
    lock = Lock(tmp_path)
    assert await impatient.get(call.id) == call
    lock.release()


async def test_a_full_disk_keeps_state(impatient, make_call, make_event):
    call = await impatient.create(make_call())
    with impatient._database.writer.connect() as connection:  # the writer's only connection
        pages = connection.execute(sa.text("PRAGMA page_count")).scalar()
        connection.execute(sa.text(f"PRAGMA max_page_count = {pages}"))
    impatient.update(call.id, {"metadata": {"long": "x" * 200_000}})
    await until(lambda: impatient.health().failing)
    assert impatient.health().last_error == "database or disk is full"
    impatient.update(call.id, {"state": CallState.RINGING})
    async with asyncio.timeout(60):
        while impatient.health().failing:
            try:
                with impatient._database.writer.connect() as connection:
                    connection.execute(sa.text("PRAGMA max_page_count = 1000000"))
            except sa.exc.TimeoutError:
                pass
            await asyncio.sleep(0.05)
    await impatient.flush()
    found = await impatient.get(call.id)
    assert found.state is CallState.RINGING
    assert len(found.metadata["long"]) == 200_000


async def test_a_mistake_of_ours_does_not_end_the_thread(tmp_path, make_call, monkeypatch):
    store = open_store(tmp_path, timing=PATIENT)
    call = await store.create(make_call())
    original = writer_module.apply_batch

    def broken(connection, items):
        if any(getattr(item, "row", {}).get("cause_detail") == "poison" for item in items):
            raise RuntimeError("a mistake")
        return original(connection, items)

    monkeypatch.setattr(writer_module, "apply_batch", broken)
    other = await store.create(make_call(2))
    store.update(call.id, {"cause_detail": "poison"})
    store.update(other.id, {"state": CallState.RINGING})
    assert (await store.get(other.id)).state is CallState.RINGING
    assert (await store.get(call.id)).cause_detail == ""
    assert store.health().dropped == 1
    with pytest.raises(StoreError, match="a mistake"):
        await store.create(make_call(3, cause_detail="poison"))
    await store.close()


async def test_writing_never_waits_for_the_database(impatient, tmp_path, make_call, make_event):
    call = await impatient.create(make_call())
    lock = Lock(tmp_path)
    begun = time.perf_counter()
    for seq in range(1, 5001):
        impatient.update(call.id, {"cause_detail": str(seq)})
        impatient.append(make_event(call, seq))
    taken = time.perf_counter() - begun
    lock.release()
    # Each would have waited for the busy time-out of 20 ms: 200 s.
    assert taken < 100


async def test_unawaited_writes_are_written_by_themselves(tmp_path, make_call, make_event):
    store = open_store(tmp_path, timing=PATIENT)
    call = await store.create(make_call())
    store.append(make_event(call, 1))
    await until(lambda: store.health().pending == 0)
    with sqlite3.connect(tmp_path / DATABASE_NAME) as connection:
        assert connection.execute("SELECT count(*) FROM events").fetchone() == (1,)
    connection.close()
    await store.close()


async def test_closing_writes_what_waits_and_ends_the_thread(place, make_call, make_event):
    before = {thread.name for thread in threading.enumerate()}
    assert "shortwire-store" not in before
    store = open_store(place, timing=StoreTiming(interval_s=600, create_s=60, read_s=60, close_s=60))
    call = await store.create(make_call())
    store.update(call.id, {"state": CallState.RINGING})
    store.append(make_event(call, 1))
    await store.close()
    assert "shortwire-store" not in {thread.name for thread in threading.enumerate()}
    again = open_store(place, timing=PATIENT)
    assert (await again.get(call.id)).state is CallState.RINGING
    assert len(await again.events(call.id)) == 1
    assert [found.id for found in await again.unfinished()] == [call.id]
    await again.close()


async def test_closing_on_a_locked_database_ends_and_counts(tmp_path, make_call, make_event):
    (tmp_path / DATABASE_NAME).touch()
    database = sqlite_database(tmp_path / DATABASE_NAME, busy_s=0.02)
    migrate(database.writer, database.place)
    clock = SystemClock()
    store = SqlCallStore(
        database, clock=clock, timing=StoreTiming(interval_s=0.01, create_s=60, read_s=60, close_s=0.3)
    )
    call = await store.create(make_call())
    lock = Lock(tmp_path)
    store.update(call.id, {"state": CallState.RINGING})
    waiting = asyncio.create_task(store.flush())
    await asyncio.sleep(0)
    await store.close()
    with pytest.raises(StoreError, match="closed before this was written"):
        await waiting
    assert store.health().dropped == 1
    assert store.health().failing
    lock.release()


async def test_old_idempotency_keys_are_purged(place, make_call, hand_clock):
    store = open_store(place, clock=hand_clock, timing=PATIENT)
    await store.create(make_call(1), idempotency_key="old", fingerprint="f")
    hand_clock.wall += 23 * 3600
    await store.create(make_call(2), idempotency_key="new", fingerprint="f")
    hand_clock.wall += 2 * 3600
    await store.create(make_call(3))
    await store.close()  # the purge follows a batch: ended when the thread has
    again = open_store(place, clock=hand_clock, timing=PATIENT)
    with again._database.reader.connect() as connection:
        kept = connection.execute(sa.text("SELECT call_id FROM idempotency_keys")).scalars().all()
    await again.close()
    assert kept == [make_call(2).id]


@pytest.mark.postgres
async def test_a_server_that_ends_our_connections(postgres_url, make_call, make_event):
    store = open_store(postgres_url, timing=PATIENT)
    call = await store.create(make_call())
    killer = sa.create_engine(sa.engine.make_url(postgres_url).set(drivername="postgresql+psycopg"))
    for seq in range(1, 6):
        with killer.connect() as connection:
            connection.execute(
                sa.text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE application_name = 'shortwire' AND pid <> pg_backend_pid()"
                )
            )
        store.append(make_event(call, seq))
        store.update(call.id, {"cause_detail": str(seq)})
        assert (await store.get(call.id)).cause_detail == str(seq)
    killer.dispose()
    assert [event.seq for event in await store.events(call.id)] == [1, 2, 3, 4, 5]
    assert store.health().dropped == 0
    await store.close()


@pytest.mark.postgres
async def test_a_key_that_another_process_is_just_using(postgres_url, make_call):
    """Between our look and our insert: the database makes us wait for the other's commit, then refuses."""
    store = open_store(postgres_url, timing=PATIENT)
    other = open_store(postgres_url, timing=PATIENT)
    with other._database.reader.begin() as connection:
        item = Create(record_to_row(make_call(1)), _hash_key("k"), "f", 1_800_000_000.0, Receipt())
        assert apply_batch(connection, [item]).created == [(item, None)]
        asked = asyncio.create_task(store.create(make_call(2), idempotency_key="k", fingerprint="f"))
        refused = asyncio.create_task(store.create(make_call(3), idempotency_key="k", fingerprint="g"))

        def waits() -> bool:
            with other._database.writer.connect() as looking:
                query = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'"
                return looking.execute(sa.text(query)).scalar() > 0

        async with asyncio.timeout(60):
            while not await asyncio.to_thread(waits):  # noqa: ASYNC110  (the server's state)
                await asyncio.sleep(0.01)
    assert (await asked).id == make_call(1).id
    with pytest.raises(Conflict):
        await refused
    assert [call.id for call in await store.list()] == [make_call(1).id]
    await store.close()
    await other.close()


async def test_reads_name_a_row_that_no_version_wrote(place, make_call):
    store = open_store(place, timing=PATIENT)
    await store.create(make_call())
    with store._database.writer.begin() as connection:
        connection.execute(sa.text("UPDATE calls SET state = 'dancing'"))
    with pytest.raises(StoreError, match="'dancing' is not a valid CallState"):
        await store.get(make_call().id)
    await store.close()


async def test_strangers_ids_are_only_ids(store, make_call):
    await store.create(make_call())
    assert await store.get(CallId("' OR 1=1 --")) is None
