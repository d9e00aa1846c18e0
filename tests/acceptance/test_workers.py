"""`shortwire serve --workers 2`: real processes between both vendors' emulators."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import sqlalchemy as sa
from command import KEY, OURS, Child, Scene, scene

from shortwire.emulators.scenario import AgentScript, PartyScript, Reply, Say
from shortwire.emulators.twilio import OwnedNumber
from shortwire.owner import worker_of_call

pytestmark = pytest.mark.acceptance

POLITE = PartyScript(ring_s=0.1, says=(Say("300", delay_ms=100),))
GOODBYE = AgentScript(first_message="300", end_of_turn_ms=200, replies=(Reply("600", (20, 40), end_call=True),))
HEADERS = {"Authorization": f"Bearer {KEY}"}


class Office:
    """A server of two workers, and what a client of its API sees."""

    def __init__(self, made: Scene, server: Child, http: aiohttp.ClientSession) -> None:
        self.made = made
        self.server = server
        self.http = http
        self.placed: list[str] = []

    async def api(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        async with self.http.request(method, self.made.url + path, json=body, headers=headers) as answer:
            return answer.status, await answer.json()

    async def place(self) -> str:
        status, body = await self.api("POST", "/v1/calls", {"number": "+14155550123"})
        assert status == 201, body
        self.placed.append(str(body["id"]))
        return self.placed[-1]

    async def hang_up(self) -> None:
        """Every call that was placed here and lives."""
        for call_id in self.placed:
            if (await self.call(call_id))["state"] != "ended":
                assert (await self.api("POST", f"/v1/calls/{call_id}/hangup"))[0] == 200

    async def call(self, call_id: str) -> dict[str, Any]:
        status, body = await self.api("GET", f"/v1/calls/{call_id}")
        assert status == 200, body
        return dict(body)

    async def health(self) -> dict[str, Any]:
        status, body = await self.api("GET", "/v1/health")
        assert status == 200, body
        return dict(body)

    async def figures_of_both(self, calls: dict[int, str]) -> dict[str, Any]:
        """The figures, once those of the other worker have come."""
        health = await self.health()
        return health if all(health["workers"][worker].get("calls") for worker in calls) else {}

    async def until(self, check: Any, what: str, within_s: float = 40.0) -> Any:
        deadline = time.monotonic() + within_s
        while not (found := await check()):
            assert time.monotonic() < deadline, f"waited {within_s:g} s for {what}"
            await asyncio.sleep(0.1)
        return found

    async def calls_in_state(self, call_ids: list[str], state: str) -> None:
        async def all_are() -> bool:
            return all([(await self.call(call_id))["state"] == state for call_id in call_ids])

        await self.until(all_are, f"all calls to be {state}")

    async def one_on_each(self) -> dict[int, str]:
        """Calls that talk, one of each worker."""
        found: dict[int, str] = {}
        while len(found) < 2:
            call_id = await self.place()
            found.setdefault(worker_of_call(call_id) or 0, call_id)
        await self.calls_in_state(list(found.values()), "connected")
        return found

    async def pid(self, worker: int) -> int:
        return int((await self.health())["workers"][worker]["pid"])


@asynccontextmanager
async def office(
    folder: Path, *arguments: str, changes: dict[str, str | None] | None = None, **scripts: Any
) -> AsyncIterator[Office]:
    async with scene(folder, **scripts) as made, aiohttp.ClientSession(headers=HEADERS) as http:
        made.twilio.config.numbers[OURS] = OwnedNumber(voice_url=f"{made.url}/incoming-call")
        yield Office(made, await made.serving("--workers", "2", *arguments, changes=changes), http)


@pytest.mark.parametrize("more", [{}, {"INLINE_TWIML": "false"}, {"SHORTWIRE_PROFILE": "baseline"}])
async def test_outbound_calls_are_whole_whichever_worker_has_them(tmp_path: Path, more: dict[str, str]) -> None:
    async with office(tmp_path, changes={**more}, party=POLITE, agent=GOODBYE) as desk:
        calls = [await desk.place() for _ in range(6)]
        assert {worker_of_call(call_id) for call_id in calls} == {0, 1}
        await desk.calls_in_state(calls, "ended")
        for call_id in calls:
            call = await desk.call(call_id)
            assert call["cause"]["slug"] == "agent_ended", call
            assert call["node"].endswith(f":w{worker_of_call(call_id)}")
            # Status callbacks reached the worker that waited for them.
            assert call["ringing_at"] and call["answered_at"]
        assert not desk.made.twilio.ledger.entries("emulator_error")


async def test_inbound_calls_are_whole(tmp_path: Path) -> None:
    async with office(tmp_path, party=POLITE, agent=GOODBYE) as desk:
        for _ in range(4):
            desk.made.twilio.call_in(OURS, "+14155550123")

        async def all_ended() -> list[Any]:
            _, body = await desk.api("GET", "/v1/calls?state=ended")
            return body["calls"] if len(body["calls"]) == 4 else []

        ended = await desk.until(all_ended, "four calls to end")
        assert {call["cause"]["slug"] for call in ended} == {"agent_ended"}
        assert {worker_of_call(call["id"]) for call in ended} == {0, 1}


async def test_every_answer_closes_its_connection_and_a_call_is_found_from_anywhere(tmp_path: Path) -> None:
    async with office(tmp_path) as desk:
        calls = await desk.one_on_each()
        for path in ("/healthz", "/v1/calls", f"/v1/calls/{calls[0]}", "/nowhere"):
            async with desk.http.get(desk.made.url + path) as answer:
                assert answer.headers.getall("Connection") == ["close"], path
        health = await desk.until(lambda: desk.figures_of_both(calls), "the figures of both")
        assert health["calls"] == sum(one["calls"] for one in health["workers"]) >= 2
        assert [one["worker"] for one in health["workers"]] == [0, 1]
        assert len({one["pid"] for one in health["workers"]} | {desk.server.process.pid}) == 3
        assert health["ready"] and not health["draining"]
        for one in health["workers"]:
            shown = command_line(one["pid"])
            assert KEY not in shown and (not shown or "shortwire.workers" in shown)
        for call_id in calls.values():
            status, body = await desk.api("POST", f"/v1/calls/{call_id}/hangup")
            assert status == 200
            assert body["cause"]["slug"] == "api_hangup"
            async with desk.http.get(f"{desk.made.url}/v1/calls/{call_id}/events") as events:
                assert "call.ended" in await events.text()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database(request: pytest.FixtureRequest) -> Iterator[dict[str, str | None]]:
    """The setting that names it: the data directory, or a fresh schema."""
    if request.param == "sqlite":
        yield {}
        return
    base = os.environ.get("SHORTWIRE_TEST_POSTGRES_URL")
    if not base:
        pytest.skip("SHORTWIRE_TEST_POSTGRES_URL is not set (scripts/postgres_for_tests.sh start prints one)")
    schema = f"shortwire_test_{secrets.token_hex(6)}"
    url = sa.engine.make_url(base).set(drivername="postgresql+psycopg")
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.schema.CreateSchema(schema))
        there = url.update_query_dict({"options": f"-csearch_path={schema}"})
        yield {"SHORTWIRE_DATABASE_URL": there.render_as_string(hide_password=False)}
        connection.execute(sa.schema.DropSchema(schema, cascade=True))
    engine.dispose()


async def test_a_key_dials_once_whoever_is_asked(tmp_path: Path, database: dict[str, str | None]) -> None:
    async with office(tmp_path, changes=database) as desk:
        order = {"number": "+14155550123"}
        answers = await asyncio.gather(
            *(desk.api("POST", "/v1/calls", order, **{"Idempotency-Key": "the-same"}) for _ in range(8))
        )
        assert {status for status, _ in answers} == {201}
        assert len({body["id"] for _, body in answers}) == 1
        assert len(desk.made.twilio.calls) == 1
        status, body = await desk.api(
            "POST", "/v1/calls", {"number": "+14155550124"}, **{"Idempotency-Key": "the-same"}
        )
        assert (status, body["error"]["code"]) == (409, "conflict")


async def test_the_doctors_echo_comes_back_from_the_worker_that_was_asked(tmp_path: Path) -> None:
    async with office(tmp_path) as desk:
        instances = set()
        for _ in range(4):
            _, made = await desk.api("POST", "/doctor/tickets?count=3")
            instances.add(made["instance"])
            page, refused, stream = made["tickets"]
            async with aiohttp.ClientSession() as stranger:
                async with stranger.get(f"{desk.made.url}/doctor/echo/{page}") as answer:
                    assert (await answer.json())["instance"] == made["instance"]
                async with stranger.ws_connect(f"{desk.made.url}/doctor/echo/{stream}") as socket:
                    assert (await socket.receive_json())["instance"] == made["instance"]
                    assert "Connection" not in socket._response.headers or (
                        socket._response.headers["Connection"].lower() == "upgrade"
                    )
                other = refused.replace("w0.", "w9.").replace("w1.", "w9.")
                async with stranger.get(f"{desk.made.url}/doctor/echo/{other}") as answer:
                    assert answer.status == 404
        assert len(instances) == 2


async def test_a_worker_that_dies_takes_its_calls_along_and_no_others(tmp_path: Path) -> None:
    async with office(tmp_path) as desk:
        calls = await desk.one_on_each()
        killed = await desk.pid(0)
        os.kill(killed, signal.SIGKILL)

        async def is_back() -> bool:
            try:
                health = await desk.health()
            except aiohttp.ClientConnectionError:
                return False  # it was on its way to the one that died
            return health["workers"][0].get("ready") is True and health["workers"][0]["pid"] != killed

        await desk.until(is_back, "another worker in its place")
        await desk.calls_in_state([calls[0]], "ended")
        assert (await desk.call(calls[0]))["cause"]["slug"] == "restart"
        assert (await desk.call(calls[1]))["state"] == "connected"
        assert sum(call.ending is None for call in desk.made.twilio.calls.values()) >= 1
        await desk.one_on_each()
        _, live = await desk.api("GET", "/v1/calls?state=connected")
        assert calls[1] in [call["id"] for call in live["calls"]]
        await desk.hang_up()
        desk.server.signal(signal.SIGTERM)
        ran = await desk.server.ended()
        assert ran.status == 0
        assert "SIGKILL" in ran.err
        assert ran.out.count("ready on") == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_lets_the_calls_of_both_end_by_themselves(tmp_path: Path, number: signal.Signals) -> None:
    longer = AgentScript(first_message="300", end_of_turn_ms=200, replies=(Reply("3000", (20, 40), end_call=True),))
    async with office(tmp_path, party=POLITE, agent=longer) as desk:
        calls = await desk.one_on_each()
        # As a terminal does it, and a supervisor of a group: everybody gets the signal.
        os.killpg(desk.server.process.pid, number)
        ran = await desk.server.ended()
        assert ran.status == 0, ran
        assert "waiting" in ran.out
        assert "Traceback" not in ran.out + ran.err
        for call in desk.made.twilio.calls.values():
            assert call.ending is not None
        await desk.made.serving()
        for call_id in calls.values():
            assert (await desk.call(call_id))["cause"]["slug"] == "agent_ended"


async def test_a_second_signal_hangs_up_at_once(tmp_path: Path) -> None:
    async with office(tmp_path) as desk:
        calls = await desk.one_on_each()
        desk.server.signal(signal.SIGTERM)

        async def drains() -> bool:
            return bool((await desk.health())["draining"])

        await desk.until(drains, "both to drain")
        status, _ = await desk.api("POST", "/v1/calls", {"number": "+14155550123"})
        assert status == 503
        # Calls go on, and their callbacks and questions are answered.
        assert (await desk.call(calls[1]))["state"] == "connected"
        desk.server.signal(signal.SIGTERM)
        ran = await desk.server.ended(within_s=30)
        assert ran.status == 0
        assert "Traceback" not in ran.out + ran.err
        await desk.made.until(lambda: not desk.made.eleven.live, "the conversations to end")


async def test_fewer_settle_what_more_left_open(tmp_path: Path) -> None:
    async with office(tmp_path) as desk:
        calls = await desk.one_on_each()
        # All at once, as when the machine loses power: nobody puts anything in order.
        os.killpg(desk.server.process.pid, signal.SIGKILL)
        await desk.server.process.wait()
        await desk.made.serving()
        await desk.calls_in_state(list(calls.values()), "ended")
        for call_id in calls.values():
            assert (await desk.call(call_id))["cause"]["slug"] == "restart"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are looked for in /proc")
async def test_a_parent_that_is_killed_leaves_nobody_behind(tmp_path: Path) -> None:
    async with office(tmp_path) as desk:
        await desk.one_on_each()
        pids = [one["pid"] for one in (await desk.health())["workers"]]
        desk.server.process.kill()
        await desk.server.process.wait()
        await desk.made.until(lambda: not any(map(is_alive, pids)), "the workers to end")
        await desk.made.until(lambda: not desk.made.eleven.live, "the conversations to end")


def command_line(pid: int) -> str:
    """What everybody on the machine can read; empty where the system shows it elsewhere."""
    file = Path(f"/proc/{pid}/cmdline")
    return file.read_text() if file.exists() else ""


def is_alive(pid: int) -> bool:
    """A process that nobody has buried yet counts as dead."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def test_what_stops_one_server_stops_several_with_the_same_words(tmp_path: Path) -> None:
    async with scene(tmp_path) as made:
        server = await made.serving()
        taken = await made.run("serve", "--workers", "2")
        assert taken.status == 78
        assert f"cannot listen on 127.0.0.1 port {made.port}" in taken.err
        server.signal(signal.SIGTERM)
        await server.ended()
        (tmp_path / "file").write_text("not a directory")
        nowhere = await made.run("serve", "--workers", "2", changes={"SHORTWIRE_DATA_DIR": str(tmp_path / "file")})
        assert nowhere.status == 74
        assert "Traceback" not in taken.err + nowhere.err
