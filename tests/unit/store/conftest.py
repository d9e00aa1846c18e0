"""Stores to test: memory, SQLite in a temporary directory, PostgreSQL in a schema of its own."""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from shortwire.records import CallEvent, CallRecord
from shortwire.store import MemoryCallStore, SqlCallStore, StoreTiming, open_store
from shortwire.terms import AgentId, CallDirection, CallId, CallState, Profile

Store = MemoryCallStore | SqlCallStore


@dataclass
class HandClock:
    """Wall time moved by hand; the monotonic clock stands still."""

    wall: float = 1_800_000_000.0

    def now_ns(self) -> int:
        return 0

    def wall_s(self) -> float:
        return self.wall


@pytest.fixture
def hand_clock() -> HandClock:
    return HandClock()


@pytest.fixture
def make_call() -> Callable[..., CallRecord]:
    def make(number: int = 1, **fields: Any) -> CallRecord:
        wanted: dict[str, Any] = {
            "id": CallId(f"call_{number:026d}"),
            "direction": CallDirection.OUTBOUND,
            "state": CallState.CREATED,
            "profile": Profile.OPTIMIZED,
            "number": "+14155550123",
            "our_number": "+14155550199",
            "agent_id": AgentId("agent_1"),
            "created_at": 1_800_000_000.25 + number,
        }
        return CallRecord(**wanted | fields)

    return make


@pytest.fixture
def make_event() -> Callable[..., CallEvent]:
    def make(call: CallRecord, seq: int, kind: str = "call.state", **data: Any) -> CallEvent:
        return CallEvent(call.id, seq, 1_800_000_000.5 + seq, kind, data)

    return make


@pytest.fixture
def postgres_url() -> Iterator[str]:
    """A URL whose tables live in a fresh schema."""
    base = os.environ.get("SHORTWIRE_TEST_POSTGRES_URL")
    if not base:
        pytest.skip("SHORTWIRE_TEST_POSTGRES_URL is not set (scripts/postgres_for_tests.sh start prints one)")
    schema = f"shortwire_test_{secrets.token_hex(6)}"
    url = sa.engine.make_url(base).set(drivername="postgresql+psycopg")
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            connection.execute(sa.schema.CreateSchema(schema))
        own = url.set(drivername="postgresql").update_query_dict({"options": f"-csearch_path={schema}"})
        yield own.render_as_string(hide_password=False)
        with engine.connect() as connection:
            connection.execute(sa.schema.DropSchema(schema, cascade=True))
    finally:
        engine.dispose()


SQL = ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]


@pytest.fixture(params=SQL)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where an empty database can be opened: a directory or a URL."""
    if request.param == "sqlite":
        return str(tmp_path / "data")
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture(params=["memory", *SQL])
async def store(request: pytest.FixtureRequest, tmp_path: Path, hand_clock: HandClock) -> AsyncIterator[Store]:
    """Every kind of store. Generous bounds: a slow machine must not fail a test."""
    opened: Store
    if request.param == "memory":
        opened = MemoryCallStore(clock=hand_clock)
    else:
        at = tmp_path / "data" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
        opened = open_store(at, clock=hand_clock, timing=StoreTiming(create_s=60, read_s=60, close_s=60))
    yield opened
    await opened.close()
