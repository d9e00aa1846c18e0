"""Faults switched while it runs: from Python, over HTTP, by time and by trigger; chance that repeats itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from network_kit import HandScheduler

from shortwire.emulators.network import NETWORKS, WAYS, Fault, FaultError, LegNetwork, NetworkRelay
from shortwire.emulators.network.connection import Connection
from shortwire.emulators.network.control import NetworkControl
from shortwire.emulators.network.end import End
from shortwire.emulators.network.standing import StandingFaults

S = 1_000_000_000


@asynccontextmanager
async def echoing() -> AsyncIterator[int]:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, data: bytes) -> bytes:
    writer.write(data)
    return await asyncio.wait_for(reader.readexactly(len(data)), 10)


@asynccontextmanager
async def controlled(*faults: Fault) -> AsyncIterator[tuple[NetworkRelay, Any]]:
    async with (
        echoing() as port,
        NetworkRelay("127.0.0.1", port, LegNetwork(1), faults=faults) as relay,
        NetworkControl({"agent": relay}) as control,
        aiohttp.ClientSession(f"http://127.0.0.1:{control.port}") as http,
    ):

        async def ask(method: str, path: str, body: Any = None, **more: Any) -> tuple[int, Any]:
            data = {"data": body} if isinstance(body, bytes) else {"json": body}
            async with http.request(method, path, **data, **more) as answer:
                assert answer.content_type == "application/json"
                return answer.status, await answer.json()

        yield relay, ask


async def test_add_change_remove_over_http_on_a_live_connection() -> None:
    async with controlled() as (relay, ask):
        reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
        assert await exchange(reader, writer, b"before") == b"before"

        status, fault = await ask("POST", "/relays/agent/faults", {"kind": "stall", "for_ms": 0, "direction": "up"})
        assert (status, fault["name"], fault["state"], fault["connections_hit"]) == (201, "stall-up", "active", 1)
        writer.write(b"held")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.2)
        _, fault = await ask("GET", "/relays/agent/faults/stall-up")
        assert (fault["bytes_held"], fault["counters"]["bytes"]) == (4, 4)

        assert (await ask("PATCH", "/relays/agent/faults/stall-up", {"for_ms": 1}))[1]["for_ms"] == 1
        assert await asyncio.wait_for(reader.readexactly(4), 10) == b"held"

        assert (await ask("DELETE", "/relays/agent/faults/stall-up"))[1]["counters"]["bytes"] == 4
        _, listed = await ask("GET", "/relays/agent/faults")
        assert [f["name"] for f in listed["faults"]] == ["leg-latency"]
        _, relays = await ask("GET", "/relays")
        assert relays["agent"]["connections"] == 1
        assert relays["agent"]["open"][0]["faults"] == ["leg-latency"]
        assert relays["agent"]["bytes_up"] == 10
        writer.close()


async def test_a_reset_of_the_relay_brings_back_the_start() -> None:
    async with controlled(Fault.of("jitter", up_to_ms=2)) as (relay, ask):
        relay.remove("jitter")
        relay.add(Fault.of("blackhole"))
        relay.change("leg-latency", one_way_ms=7)
        for path in ("/relays/agent/reset", "/reset"):
            assert (await ask("POST", path))[0] == 200
            assert [(f["name"], f.get("one_way_ms")) for f in relay.faults()] == [("leg-latency", 1), ("jitter", None)]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "words"),
    [
        ("GET", "/relays/phone", None, 404, "there are: agent"),
        ("GET", "/nothing", None, 404, "see GET /"),
        ("PUT", "/relays", None, 405, "see GET /"),
        ("DELETE", "/relays/agent/faults/none", None, 404, "there are: leg-latency"),
        ("PATCH", "/relays/agent/faults/leg-latency", {"toxicity": 0.5}, 400, "what can: one_way_ms"),
        ("PATCH", "/relays/agent/faults/leg-latency", {"name": "x"}, 400, "cannot be changed"),
        ("PATCH", "/relays/agent/faults/leg-latency", {}, 400, "nothing to change"),
        ("POST", "/relays/agent/faults", b"[1]", 400, "JSON object"),
        ("POST", "/relays/agent/faults", b"{", 400, "JSON object"),
        ("POST", "/relays/agent/faults", {"kind": "slow"}, 400, "kind must be one of latency"),
        ("POST", "/relays/agent/faults", {"kind": "stall"}, 400, "stall needs for_ms"),
        ("POST", "/relays/agent/faults", {"kind": "latency", "name": "leg-latency", "one_way_ms": 1}, 400, "stands"),
        ("POST", "/triggers/lunch", None, 400, "one of answered"),
    ],
)
async def test_refusals_have_one_shape(method: str, path: str, body: Any, status: int, words: str) -> None:
    async with controlled() as (_, ask):
        got, answer = await ask(method, path, body)
        assert got == answer["status"] == status
        assert set(answer) == {"error", "status"} and words in answer["error"]


async def test_other_names_for_loopback_are_refused() -> None:
    async with controlled() as (_, ask):
        status, answer = await ask("GET", "/relays", headers={"Host": "evil.example:80"})
        assert status == 403 and "localhost" in answer["error"]


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"kind": "latency", "one_way_ms": -1}, "one_way_ms must not be negative"),
        ({"kind": "latency", "one_way_ms": "1"}, "one_way_ms must be a number"),
        ({"kind": "latency", "one_way_ms": float("nan")}, "must be a number"),
        ({"kind": "latency", "one_way_ms": True}, "must be a number"),
        ({"kind": "latency", "one_way_ms": 1, "ms": 2}, "unknown key 'ms': latency has one_way_ms"),
        ({"kind": "slicer", "size_bytes": 1.5}, "size_bytes must be a whole number"),
        ({"kind": "slicer", "size_bytes": 0}, "at least 1"),
        ({"kind": "bandwidth", "kbit_per_s": 0}, "above zero"),
        ({"kind": "corrupt", "one_in_bytes": 0}, "at least 1"),
        ({"kind": "blackhole", "for_ms": 1}, "has no options"),
        ({"kind": "half_open"}, "needs a direction"),
        ({"kind": "reset", "direction": "sideways"}, "direction must be one of up, down, both"),
        ({"kind": "reset", "toxicity": 1.1}, "from 0 to 1"),
        ({"kind": "reset", "connection": 0}, "counts from 1"),
        ({"kind": "reset", "since": "noon"}, "start, answered, connection"),
        ({"kind": "reset", "at_s": -1}, "at_s must not be negative"),
        ({"kind": "reset", "name": "a b"}, "name must be"),
        ({"kind": ["reset"]}, "kind must be one of"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused_with_a_sentence(table: dict[str, Any], words: str) -> None:
    with pytest.raises(FaultError, match=words):
        Fault.parse(table)


def test_two_faults_of_one_name_are_refused_at_once() -> None:
    with pytest.raises(FaultError, match="two faults are named 'reset'"):
        NetworkRelay("127.0.0.1", 1, LegNetwork(), faults=(Fault.of("reset", at_s=1), Fault.of("reset", at_s=2)))


def test_a_table_of_a_fault_gives_the_fault() -> None:
    fault = Fault.of("stall", for_ms=5, direction="down", toxicity=0.5, since="answered", at_s=2, lift_after_s=3)
    assert Fault.parse(fault.as_table()) == fault
    assert fault.mirrored().direction == "up" and fault.mirrored().name == "stall-up"
    assert fault.mirrored().mirrored() == fault


class Standing:
    """Standing faults over connections without sockets, on time moved by hand."""

    def __init__(self, *faults: Fault, seed: int = 1) -> None:
        self.time = HandScheduler()
        self.live: dict[int, Connection] = {}
        self.standing = StandingFaults(self.live.values(), self.time)
        self.seed = seed
        self.standing.replace_all(faults)

    def open(self, count: int = 1) -> list[Connection]:
        made = []
        for _ in range(count):
            number = len(self.live) + 1
            connection = Connection(number, End(lambda _: None), self.time, seed=self.seed, on_gone=self._gone)
            self.live[number] = connection
            self.standing.meet(connection)
            made.append(connection)
        return made

    def _gone(self, connection: Connection) -> None:
        self.standing.part_from(connection)
        self.live.pop(connection.number, None)

    def hit(self, name: str = "blackhole") -> list[int]:
        return [number for number, connection in self.live.items() if name in connection.faults]


def test_a_fault_comes_and_goes_at_its_time() -> None:
    s = Standing(Fault.of("blackhole", at_s=5, lift_after_s=2))
    s.open()
    s.time.run_to(5 * S - 1)
    assert s.hit() == []
    s.time.run_to(5 * S)
    s.open()
    assert s.hit() == [1, 2]
    assert s.standing.describe()[0]["connections_hit"] == 2
    s.time.run_to(7 * S)
    s.open()
    assert s.hit() == []
    assert s.standing.describe()[0]["state"] == "lifted"


def test_a_fault_waits_for_its_trigger_each_time() -> None:
    s = Standing(Fault.of("blackhole", since="answered", at_s=1, lift_after_s=1), Fault.of("reset", at_s=99))
    s.open()
    s.time.run_to(10 * S)
    assert s.hit() == []
    assert s.standing.trigger("answered") == ["blackhole"]
    assert s.standing.trigger("answered") == [], "it counts already"
    s.time.run_to(11 * S)
    assert s.hit() == [1]
    s.time.run_to(12 * S)
    assert s.hit() == []
    assert s.standing.trigger("answered") == ["blackhole"]


def test_a_fault_may_count_from_each_connections_own_beginning() -> None:
    s = Standing(Fault.of("blackhole", since="connection", at_s=3, lift_after_s=2))
    s.open()
    s.time.run_to(2 * S)
    s.open()
    s.time.run_to(3 * S)
    assert s.hit() == [1]
    s.time.run_to(5 * S)
    assert s.hit() == [2]
    s.standing.remove("blackhole")
    s.open()
    s.time.run_out()
    assert s.hit() == []


def test_toxicity_is_a_share_of_connections_and_repeats_itself() -> None:
    some = Fault.of("blackhole", toxicity=0.3)
    first = Standing(some)
    first.open(400)
    assert 80 < len(first.hit()) < 160
    again = Standing(Fault.of("latency", one_way_ms=5, toxicity=0.5), some)
    again.open(400)
    assert again.hit() == first.hit(), "another fault beside it changes nothing"
    other = Standing(some, seed=2)
    other.open(400)
    assert other.hit() != first.hit()
    assert [len(Standing(Fault.of("blackhole", toxicity=t)).open(20)[0].faults) for t in (0, 1)] == [0, 1]


def test_a_fault_for_one_connection_spares_the_others() -> None:
    s = Standing(Fault.of("blackhole", connection=2))
    s.open(3)
    assert s.hit() == [2]


async def test_what_a_connection_counted_is_kept_when_it_is_over() -> None:
    async with controlled() as (relay, _):
        for _ in range(3):
            reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
            await exchange(reader, writer, b"four")
            writer.close()
            await writer.wait_closed()
        async with asyncio.timeout(10):
            while relay.open_connections:  # noqa: ASYNC110  the relay has no event for it
                await asyncio.sleep(0.01)
        assert relay.faults("leg-latency")[0]["counters"]["bytes"] == 3 * 2 * 4
        assert (relay.describe()["bytes_up"], relay.describe()["bytes_down"]) == (12, 12)


async def test_a_reset_is_a_reset_for_both_ends() -> None:
    async with controlled() as (relay, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
        await exchange(reader, writer, b"x")
        relay.add(Fault.of("reset"))
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.read(), 10)
        writer.close()
        assert relay.open_connections == 0
        relay.remove("reset")
        reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
        assert await exchange(reader, writer, b"again") == b"again"
        writer.close()


@pytest.mark.parametrize("way", ["up", "down"])
async def test_half_open_breaks_one_end_only(way: str) -> None:
    broken = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(100):
                writer.write(data)
        except ConnectionResetError:
            broken.set()
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with NetworkRelay("127.0.0.1", port, LegNetwork()) as relay:
        reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
        assert await exchange(reader, writer, b"x") == b"x"
        relay.add(Fault.of("half_open", direction=way))
        if way == "up":
            await asyncio.wait_for(broken.wait(), 10)
            writer.write(b"into nothing")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(reader.read(), 0.3)
        else:
            with pytest.raises(ConnectionResetError):
                await asyncio.wait_for(reader.read(), 10)
            await asyncio.sleep(0.2)
            assert not broken.is_set()
        writer.close()
    server.close()


def test_the_uplink_of_a_house_is_narrow_away_from_it_whoever_connects() -> None:
    network = NETWORKS["congested-uplink"]
    narrow = {way: [fault.direction for fault in network.way(way).parts() if fault.kind == "bandwidth"] for way in WAYS}
    assert narrow == {"server": ["down"], "carrier": ["up"], "agent": ["up"]}
    with pytest.raises(KeyError):
        network.way("moon")
