"""A store that opens works; one that cannot says one sentence."""

from __future__ import annotations

import os
import sqlite3
import stat
import sys

import pytest
import sqlalchemy as sa

from shortwire.errors import StoreError
from shortwire.store import DATABASE_NAME, open_store
from shortwire.store import opening as module

POSIX = pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")


def mode(path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def refusal(at) -> str:
    with pytest.raises(StoreError) as caught:
        open_store(at)
    text = str(caught.value)
    assert "\n" not in text
    assert caught.value.details  # what to do about it
    return text


@POSIX
async def test_directory_and_files_are_the_owners_alone(tmp_path, make_call):
    before = os.umask(0o022)
    try:
        store = open_store(tmp_path / "deep" / "data")
        await store.create(make_call())
        names = {path.name: mode(path) for path in (tmp_path / "deep" / "data").iterdir()}
        await store.close()
    finally:
        os.umask(before)
    assert names == {DATABASE_NAME: 0o600, f"{DATABASE_NAME}-wal": 0o600, f"{DATABASE_NAME}-shm": 0o600}
    assert mode(tmp_path / "deep" / "data") == 0o700


@POSIX
async def test_an_existing_directory_keeps_its_mode_and_an_open_file_is_closed_to_others(tmp_path):
    tmp_path.chmod(0o755)
    (tmp_path / DATABASE_NAME).touch(mode=0o644)
    store = open_store(tmp_path)
    await store.close()
    assert mode(tmp_path) == 0o755
    assert mode(tmp_path / DATABASE_NAME) == 0o600


async def test_a_sqlite_url_names_the_file(tmp_path, make_call):
    store = open_store(f"sqlite:///{tmp_path / 'other.sqlite'}")
    await store.create(make_call())
    await store.close()
    assert (tmp_path / "other.sqlite").exists()


async def test_the_pragmas_that_durability_rests_on(tmp_path):
    store = open_store(tmp_path)
    with store._database.writer.connect() as connection:
        found = {
            name: connection.execute(sa.text(f"PRAGMA {name}")).scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    with store._database.reader.connect() as connection:
        assert connection.execute(sa.text("PRAGMA query_only")).scalar() == 1
    await store.close()
    assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 2000}


def test_a_directory_that_cannot_be_one(tmp_path):
    (tmp_path / "file").write_text("not a directory")
    assert "cannot be written" in refusal(tmp_path / "file" / "data")
    assert "cannot be written" in refusal(tmp_path / "file")
    assert "SHORTWIRE_DATA_DIR" in refusal("/proc/shortwire-nowhere") or sys.platform != "linux"


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_directory_without_the_right_to_write(tmp_path):
    tmp_path.chmod(0o500)
    assert "cannot be written" in refusal(tmp_path)


def test_a_database_that_is_a_directory(tmp_path):
    (tmp_path / DATABASE_NAME).mkdir()
    assert "cannot be written" in refusal(tmp_path)


def test_a_file_that_is_no_database(tmp_path):
    path = tmp_path / DATABASE_NAME
    path.write_bytes(b"this is a letter, not a database. " * 100)
    assert "damaged (file is not a database)" in refusal(tmp_path)
    assert path.read_bytes().startswith(b"this is a letter")  # refused, not touched


@pytest.mark.parametrize("damage", ["truncated", "overwritten"])
async def test_a_damaged_database(tmp_path, make_call, damage):
    store = open_store(tmp_path)
    for number in range(1, 40):
        await store.create(make_call(number, metadata={"long": "x" * 5000}))
    await store.close()
    path = tmp_path / DATABASE_NAME
    content = path.read_bytes()
    assert len(content) > 100_000
    path.write_bytes(
        content[:50_000] if damage == "truncated" else content[:4096] + b"\xa5" * 60_000 + content[64_096:]
    )
    assert "damaged" in refusal(tmp_path)


def test_somebody_elses_tables(tmp_path):
    with sqlite3.connect(tmp_path / DATABASE_NAME) as connection:
        connection.execute("CREATE TABLE calls (mine INTEGER)")
    connection.close()
    assert "not a Shortwire database" in refusal(tmp_path)


@pytest.mark.parametrize(
    "url", ["mysql://user:s3cr3t@host/db", "sqlite://", "://s3cr3t", "postgresql://user:s3cr3t@host:port/db"]
)
def test_urls_that_cannot_be_used(url):
    text = refusal(url)
    assert "postgresql://user:password@host/name" in text
    assert "s3cr3t" not in text


def test_a_server_that_is_not_there(tmp_path):
    text = refusal(f"postgresql://user:s3cr3t@/db?host={tmp_path}&password=s3cr3t")
    assert "cannot be used" in text
    assert "s3cr3t" not in text


@pytest.mark.postgres
def test_a_wrong_password(postgres_url):
    url = sa.engine.make_url(postgres_url).set(password="s3cr3t")
    text = refusal(url.render_as_string(hide_password=False))
    assert "password" in text
    assert "s3cr3t" not in text


def test_without_the_driver(monkeypatch):
    def missing(_url):
        raise ModuleNotFoundError("psycopg")

    monkeypatch.setattr(module, "postgres_database", missing)
    assert "pip install 'shortwire[postgres]'" in refusal("postgresql://host/db")


async def test_a_file_that_is_locked_for_a_moment_is_waited_for(tmp_path, monkeypatch):
    waits = []
    calls = [sa.exc.OperationalError("", {}, sqlite3.OperationalError("database is locked"))] * 2

    def migrate(engine, place):
        if calls:
            raise calls.pop()
        return original(engine, place)

    original = module.migrate
    monkeypatch.setattr(module, "migrate", migrate)
    monkeypatch.setattr(module.time, "sleep", waits.append)
    store = open_store(tmp_path)
    await store.close()
    assert waits == [0.1, 0.3]


def test_a_file_that_stays_locked_is_refused(tmp_path, monkeypatch):
    def migrate(engine, place):
        raise sa.exc.OperationalError("", {}, sqlite3.OperationalError("database is locked"))

    monkeypatch.setattr(module, "migrate", migrate)
    monkeypatch.setattr(module.time, "sleep", lambda seconds: None)
    assert "cannot be used (database is locked)" in refusal(tmp_path)


def test_a_home_that_nobody_has():
    assert "no home" in refusal("~nobody-of-this-name/calls")
