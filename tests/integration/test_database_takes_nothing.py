"""A database that takes no writes: the server says so before it has refused a call, and finds out when it is over."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from live_house import POLITE, SAYS_GOODBYE, THEIRS, House, open_house

from shortwire.store import DATABASE_NAME


@contextmanager
def locked(house: House) -> Iterator[None]:
    with closing(sqlite3.connect(house.desk.context.store.place, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield


async def readiness(house: House) -> tuple[int, object]:
    return await house.api("GET", "/readyz")


async def test_ready_as_long_as_the_database_is(tmp_path: Path) -> None:
    async with open_house(tmp_path, party=POLITE, agent=SAYS_GOODBYE) as house:
        assert Path(house.desk.context.store.place).name == DATABASE_NAME
        assert await readiness(house) == (200, {"ready": True, "draining": False})
        with locked(house):
            status, body = await house.api("POST", "/v1/calls", {"number": THEIRS})
            assert (status, body["error"]["code"]) == (503, "store_error")
            status, told = await readiness(house)
            assert status == 503
            assert told == {
                "ready": False,
                "draining": False,
                "reason": "the database takes no writes, so new calls would be refused",
            }
            _, health = await house.api("GET", "/v1/health")
            assert health["store"]["last_error"] == "database is locked"
            assert (health["ready"], health["reason"]) == (False, told["reason"])
        await house.until(lambda: not house.desk.context.store.health().failing, "the database to be found well")
        assert await readiness(house) == (200, {"ready": True, "draining": False})
        _, health = await house.api("GET", "/v1/health")
        assert health["store"] == {"pending": 0, "dropped": 0, "last_error": ""}
        await house.ended(await house.place())
