"""From nothing to today's schema; never from tomorrow's."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from shortwire.errors import StoreError
from shortwire.records import EventKind
from shortwire.store import open_store
from shortwire.store.engine import Database
from shortwire.store.migrate import _config, head_revision, migrate
from shortwire.store.opening import _database
from shortwire.store.rows import event_to_row, record_to_row
from shortwire.store.schema import VERSION_TABLE, calls, events, metadata
from shortwire.store.so_far import stored_turns
from shortwire.terms import CallState


@pytest.fixture
def database(place):
    opened: Database = _database(place)
    yield opened
    opened.dispose()


def tables(database: Database) -> set[str]:
    with database.reader.connect() as connection:
        return set(sa.inspect(connection).get_table_names())


def set_revision(database: Database, revision: str) -> None:
    with database.writer.begin() as connection:
        connection.execute(sa.text(f"UPDATE {VERSION_TABLE} SET version_num = :revision"), {"revision": revision})


def test_empty_to_head_and_again(database):
    assert tables(database) == set()
    migrate(database.writer, database.place)
    assert tables(database) == {*metadata.tables, VERSION_TABLE}
    migrate(database.writer, database.place)
    with database.reader.connect() as connection:
        assert connection.execute(sa.text(f"SELECT version_num FROM {VERSION_TABLE}")).scalars().all() == [
            head_revision()
        ]


def test_the_migrations_lead_to_the_tables_of_the_schema(database):
    migrate(database.writer, database.place)
    with database.reader.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"version_table": VERSION_TABLE, "compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, metadata) == []
        inspector = sa.inspect(connection)
        for table in metadata.tables.values():
            found = {index["name"] for index in inspector.get_indexes(table.name)}
            assert found == {index.name for index in table.indexes}
            assert inspector.get_pk_constraint(table.name)["name"] == f"pk_{table.name}"
            for key in inspector.get_foreign_keys(table.name):
                assert key["options"] == {"ondelete": "CASCADE"}


def test_the_comparison_would_see_a_difference(database):
    """The negative control."""
    migrate(database.writer, database.place)
    with database.writer.begin() as connection:
        connection.execute(sa.text("DROP INDEX ix_calls_state_id"))
        connection.execute(sa.text("ALTER TABLE calls ADD COLUMN surplus TEXT"))
    with database.reader.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        assert len(compare_metadata(context, metadata)) == 2


def test_restarts_find_open_calls_by_the_small_index(database):
    migrate(database.writer, database.place)
    if database.reader.dialect.name != "sqlite":
        pytest.skip("an empty PostgreSQL table is always scanned")
    query = "EXPLAIN QUERY PLAN SELECT * FROM calls WHERE calls.state <> 'ended' ORDER BY calls.id"
    with database.reader.connect() as connection:
        assert "ix_calls_unfinished" in str(connection.execute(sa.text(query)).all())


async def test_a_database_of_the_first_schema_is_brought_up_and_keeps_its_calls(place, database, make_call, make_event):
    with database.writer.begin() as connection:
        command.upgrade(_config(connection), "0001")
        call, told = make_call(), {"index": 0}
        connection.execute(sa.insert(calls).values(record_to_row(call)))
        connection.execute(sa.insert(events).values(event_to_row(make_event(call, 1, EventKind.TURN, **told))))
    store = open_store(place)
    assert (await store.get(call.id)) == dataclasses.replace(call, turns=(told,))
    await store.close()
    with database.reader.connect() as connection:
        assert "ix_events_turns" in {index["name"] for index in sa.inspect(connection).get_indexes("events")}


def test_the_turns_of_live_calls_are_found_by_the_small_index(database):
    migrate(database.writer, database.place)
    if database.reader.dialect.name != "sqlite":
        pytest.skip("an empty PostgreSQL table is always scanned")
    asked: list[str] = []
    with database.reader.connect() as connection:
        sa.event.listen(connection, "before_cursor_execute", lambda *called: asked.append(called[2]))
        stored_turns(connection, [SimpleNamespace(id="call_1", state=CallState.CONNECTED)])
        (query,) = [query for query in asked if "kind" in query]
        plan = str(connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}", ("call_1", "call_1")).all())
        assert "ix_events_turns" in plan
        assert "ix_calls_unfinished" in plan
        assert "TEMP B-TREE" not in plan


def test_a_newer_database_is_refused_with_one_sentence(place, database):
    migrate(database.writer, database.place)
    set_revision(database, "0042\n")
    with pytest.raises(StoreError) as caught:
        open_store(place)
    text = str(caught.value)
    assert f"was written by a newer Shortwire (its schema is 0042?, this version knows {head_revision()})" in text
    assert "install that version" in text
    assert "\n" not in text


def test_two_versions_at_once_are_damage(place, database):
    migrate(database.writer, database.place)
    with database.writer.begin() as connection:
        connection.execute(sa.text(f"INSERT INTO {VERSION_TABLE} VALUES ('0000')"))
    with pytest.raises(StoreError, match="damaged"):
        open_store(place)


def test_a_migration_that_fails_leaves_nothing_behind(database, monkeypatch):
    def broken(config, revision):
        config.attributes["connection"].execute(sa.text("CREATE TABLE half (a INTEGER)"))
        raise RuntimeError("in the middle")

    monkeypatch.setattr("shortwire.store.migrate.command.upgrade", broken)
    with pytest.raises(RuntimeError):
        migrate(database.writer, database.place)
    assert tables(database) == set()
