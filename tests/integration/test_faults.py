"""The bridge on a bad network: what it lives through, and how it ends when it cannot (research F06, F07, F11, F13).

Product, both emulators and a relay on either way in one process; a fault is put on while the call talks. Whatever
happens, both legs are closed, each vendor's ledger holds one ended call, and nothing is left open.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from live_house import POLITE, SAYS_GOODBYE, House, Leftovers, open_house

from shortwire.demo.processes import free_port
from shortwire.emulators.network import NETWORKS, Fault, NetworkRelay

HEARD_MS = 300 + 900
"""Greeting and goodbye of `SAYS_GOODBYE`."""


_AUDIO = 20_000
"""Bytes of a second of audio; what webhooks and requests for signed URLs never come to."""


def _carried(connection: Mapping[str, Any]) -> int:
    return int(connection["bytes_up"] + connection["bytes_down"])


class BadHouse:
    """A house with a relay before the server and one before the agent."""

    def __init__(self, house: House, server: NetworkRelay, agent: NetworkRelay) -> None:
        self.house = house
        self.relays = {"server": server, "agent": agent}

    @property
    def kept_connections(self) -> int:
        """For `Leftovers`: what REST clients keep, and both ends that a relay has of everything open."""
        return self.house.kept_connections + sum(relay.open_connections for relay in self.relays.values())

    async def talking(self, call_id: str) -> None:
        """Until the agent was heard, and no other connection is as busy as the one with the audio."""
        await self.house.talking(call_id)
        for relay in self.relays.values():
            await self.house.until(
                lambda relay=relay: max(_carried(c) for c in relay.describe()["open"]) > _AUDIO, "audio"
            )

    def break_it(self, leg: str, kind: str, **options: Any) -> Fault:
        """Put a fault on the connection that carries audio: the busiest one of that way."""
        relay = self.relays[leg]
        busiest = max(relay.describe()["open"], key=_carried)
        fault = Fault.of(kind, connection=busiest["number"], **options)
        relay.add(fault)
        assert relay.faults(fault.name)[0]["connections_hit"] == 1
        return fault

    def count(self, leg: str, name: str, counter: str) -> int:
        return int(self.relays[leg].faults(name)[0]["counters"].get(counter, 0))

    async def survives(self, call_id: str) -> None:
        """The conversation went on to its goodbye, and all of it was heard."""
        call = await self.house.ended(call_id, within_s=40)
        assert (call["cause"], call["disposition"]) == ("agent_ended", "answered"), call
        heard_ms = sum(end - begin for begin, end in self.house.carrier_call().line.party.heard_voice)
        assert heard_ms >= HEARD_MS - 100
        await self.closed_once()

    async def ends(self, call_id: str, *causes: str) -> dict[str, Any]:
        call = await self.house.ended(call_id, within_s=40)
        assert call["cause"] in causes and call["disposition"] == "answered", call
        self.mend()  # a neighbour to whom not even our goodbye could be said hears of it now
        await self.closed_once()
        return call

    def mend(self) -> None:
        for relay in self.relays.values():
            for fault in relay.faults():
                relay.remove(fault["name"])

    async def closed_once(self) -> None:
        await self.house.nothing_is_left()
        assert len(self.house.twilio.calls) == 1
        assert len(self.house.conversations) == 1
        finals = [e for e in self.house.twilio.ledger.entries("transition") if e["status"] == "completed"]
        assert len(finals) == 1


@asynccontextmanager
async def bad_house(
    folder: Path,
    *,
    faults: Mapping[str, tuple[Fault, ...]] | None = None,
    network: str = "none",
    **house_options: Any,
) -> AsyncIterator[BadHouse]:
    server_port, agent_port = free_port(), free_port()
    line, hit = NETWORKS[network].way, faults or {}
    async with (
        NetworkRelay("127.0.0.1", server_port, line("server"), faults=hit.get("server", ())) as to_server,
        NetworkRelay("127.0.0.1", agent_port, line("agent"), faults=hit.get("agent", ())) as to_agent,
        open_house(
            folder,
            eleven={"port": agent_port},
            shortwire_port=server_port,
            server_url=f"http://127.0.0.1:{to_server.port}",
            elevenlabs_base_url=f"http://127.0.0.1:{to_agent.port}",
            **house_options,
        ) as house,
    ):
        house.url = f"http://127.0.0.1:{server_port}"
        yield BadHouse(house, to_server, to_agent)


@pytest.mark.parametrize("leg", ["server", "agent"])
async def test_read_in_pieces(tmp_path: Path, leg: str) -> None:
    """No reader may count on whole messages: everything comes in crumbs, the upgrade and what follows byte by byte."""
    way = "up" if leg == "server" else "down"
    bytes_first = Fault.of("slicer", name="bytes", size_bytes=1, direction=way, since="connection", lift_after_s=0.3)
    crumbs = Fault.of("slicer", name="crumbs", size_bytes=30, spread_bytes=30, direction=way)
    async with bad_house(tmp_path, faults={leg: (crumbs, bytes_first)}, party=POLITE, agent=SAYS_GOODBYE) as bad:
        before = Leftovers(bad)  # type: ignore[arg-type]
        await bad.survives(await bad.house.place())
        assert bad.count(leg, "bytes", "slices") > 300
        assert bad.count(leg, "crumbs", "slices") > 300
        await before.none()


@pytest.mark.parametrize("network", ["home-line-tunnel", "lossy-wifi", "congested-uplink"])
async def test_a_bad_line(tmp_path: Path, network: str) -> None:
    async with bad_house(tmp_path, network=network, party=POLITE, agent=SAYS_GOODBYE) as bad:
        await bad.survives(await bad.house.place())
        assert bad.count("server", "leg-jitter", "chunks") > 50


@pytest.mark.parametrize("leg", ["server", "agent"])
async def test_nothing_for_two_seconds_and_then_a_burst(tmp_path: Path, leg: str) -> None:
    """Shorter than any of our watchdogs: the call goes on, and what was held is heard."""
    async with bad_house(tmp_path, party=POLITE, agent=SAYS_GOODBYE) as bad:
        before = Leftovers(bad)  # type: ignore[arg-type]
        call_id = await bad.house.place()
        await bad.house.talking(call_id)
        stall = bad.break_it(leg, "stall", for_ms=2000)
        await bad.survives(call_id)
        assert bad.count(leg, stall.name, "stalled_chunks") > 20
        await before.none()


@pytest.mark.parametrize(("leg", "cause"), [("server", "media_lost"), ("agent", "agent_lost")])
async def test_a_reset_in_the_middle(tmp_path: Path, leg: str, cause: str) -> None:
    async with bad_house(tmp_path) as bad:
        before = Leftovers(bad)  # type: ignore[arg-type]
        call_id = await bad.house.place()
        await bad.house.talking(call_id)
        bad.break_it(leg, "reset")
        await bad.ends(call_id, cause)
        await before.none()


@pytest.mark.parametrize("kind", ["blackhole", "half_open"])
async def test_the_agent_falls_silent_without_a_word(tmp_path: Path, kind: str) -> None:
    """F06: no end of file, no pong. Silence of the agent alone is legal; a missing pong is not."""
    async with bad_house(tmp_path) as bad:
        before = Leftovers(bad)  # type: ignore[arg-type]
        call_id = await bad.house.place()
        await bad.talking(call_id)
        began = time.monotonic()
        # Half-open upwards: the agent's end is gone, and ours has not heard of it.
        bad.break_it("agent", kind, direction="both" if kind == "blackhole" else "up")
        call = await bad.ends(call_id, "agent_lost")
        assert time.monotonic() - began > 2, "nobody told us: it was the watchdog"
        assert call["detail"]
        await before.none()


@pytest.mark.parametrize("kind", ["blackhole", "half_open"])
async def test_the_carrier_falls_silent_without_a_word(tmp_path: Path, kind: str) -> None:
    """F11: frames come every 20 ms even in silence, so their absence is the sign."""
    async with bad_house(tmp_path, limits={"frame_gap_s": 1.0}) as bad:
        before = Leftovers(bad)  # type: ignore[arg-type]
        call_id = await bad.house.place()
        await bad.talking(call_id)
        # The carrier's frames vanish; half-open the other way round: its end is gone, and we have not heard of it.
        bad.break_it("server", kind, direction="up" if kind == "blackhole" else "down")
        call = await bad.ends(call_id, "media_lost", "party_hangup")
        if kind == "blackhole":
            assert "no frame" in call["detail"]
        # Half-open, the carrier knows: its TwiML falls through to <Hangup/>, and its callback may be here first.
        await before.none()


async def test_our_audio_is_not_taken(tmp_path: Path) -> None:
    """F13: our writes pile up. The call is bounded all the same: its goodbye or its deadline ends it."""
    async with bad_house(tmp_path, party=POLITE, agent=SAYS_GOODBYE, max_call_seconds=4) as bad:
        call_id = await bad.house.place()
        await bad.house.talking(call_id)
        bad.break_it("server", "stall", for_ms=0, direction="down")
        await bad.ends(call_id, "agent_ended", "deadline")
