"""Killed without warning, or two at once: what `create` returned from is there afterwards."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from shortwire.records import CallRecord
from shortwire.store import StoreTiming, open_store
from shortwire.terms import AgentId, CallDirection, CallId, CallState, Profile

CHILD = """
import asyncio, sys
from shortwire.records import CallEvent, CallRecord
from shortwire.store import StoreTiming, open_store
from shortwire.terms import AgentId, CallDirection, CallId, CallState, Profile

async def main(place, name, count):
    store = open_store(place, timing=StoreTiming(create_s=60, read_s=60, close_s=60))
    for number in range(count):
        call = CallRecord(
            CallId(f"call_{name}_{number:06d}"), CallDirection.OUTBOUND, CallState.CREATED, Profile.OPTIMIZED,
            "+14155550123", "+14155550199", AgentId("agent_1"), 1.5 + number,
        )
        await store.create(call, idempotency_key=f"key {number}" if name == "shared" else None)
        print(call.id, flush=True)
        store.update(call.id, {"state": CallState.DIALING})
        store.append(CallEvent(call.id, 1, 2.5, "call.state", {"state": "dialing"}))
    await store.close()

asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
"""


def start(place: str | Path, name: str, count: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, str(place), name, str(count)], stdout=subprocess.PIPE, text=True
    )


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where two processes meet: a directory, or a fresh schema."""
    if request.param == "sqlite":
        yield str(tmp_path)
        return
    base = os.environ.get("SHORTWIRE_TEST_POSTGRES_URL")
    if not base:
        pytest.skip("SHORTWIRE_TEST_POSTGRES_URL is not set (scripts/postgres_for_tests.sh start prints one)")
    schema = f"shortwire_test_{secrets.token_hex(6)}"
    url = sa.engine.make_url(base).set(drivername="postgresql+psycopg")
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.schema.CreateSchema(schema))
        yield url.update_query_dict({"options": f"-csearch_path={schema}"}).render_as_string(hide_password=False)
        connection.execute(sa.schema.DropSchema(schema, cascade=True))
    engine.dispose()


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")
@pytest.mark.parametrize("kills", range(3))
async def test_awaited_creates_survive_sigkill(tmp_path, kills):
    told: list[str] = []
    with start(tmp_path, f"child{kills}", 1_000_000) as child:
        assert child.stdout is not None
        for line in child.stdout:
            told.append(line.strip())
            if len(told) == 40 + kills:
                os.kill(child.pid, signal.SIGKILL)
                break
        told += [line.strip() for line in child.stdout if line.endswith("\n")]
    assert child.returncode == -signal.SIGKILL
    assert len(told) >= 40
    store = open_store(tmp_path, timing=StoreTiming(create_s=60, read_s=60, close_s=60))
    found = {call.id: call for call in await store.list(limit=1_000_000)}
    assert set(told) <= set(found)
    assert len(found) <= len(told) + 1  # the one whose answer was not heard
    assert set(told) <= {call.id for call in await store.unfinished()}
    await store.close()


async def test_two_processes_share_one_database(place):
    """The optimized and the baseline server on one SHORTWIRE_DATA_DIR; both start on an empty directory."""
    with start(place, "one", 60) as one, start(place, "two", 60) as two:
        said = await asyncio.gather(*(asyncio.to_thread(child.communicate) for child in (one, two)))
    assert (one.returncode, two.returncode) == (0, 0)
    told = {line for out, _ in said for line in out.split()}
    assert len(told) == 120
    store = open_store(place, timing=StoreTiming(create_s=60, read_s=60, close_s=60))
    found = await store.list(limit=1000)
    assert {call.id for call in found} == told
    assert {call.state for call in found} == {CallState.DIALING}
    for call in found:
        assert [event.seq for event in await store.events(call.id)] == [1]
    await store.close()


async def test_one_key_in_two_processes_makes_one_call(place):
    """The child names its calls as we do; whoever is later is given the other's."""
    store = open_store(place, timing=StoreTiming(create_s=60, read_s=60, close_s=60))
    with start(place, "shared", 50) as child:
        mine = []
        for number in range(50):
            call = CallRecord(
                CallId(f"call_mine_{number:06d}"),
                CallDirection.OUTBOUND,
                CallState.CREATED,
                Profile.BASELINE,
                "+14155550123",
                "+14155550199",
                AgentId("agent_1"),
                1.5,
            )
            mine.append((await store.create(call, idempotency_key=f"key {number}")).id)
            await asyncio.sleep(0.005)
        await asyncio.to_thread(child.communicate)
    assert child.returncode == 0
    found = {call.id for call in await store.list(limit=1000)}
    assert len(found) == 50
    assert set(mine) == found
    await store.close()
