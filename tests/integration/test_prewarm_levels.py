"""What is made before somebody picks up, level by level, and what becomes of it when nobody does."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from live_house import House, Leftovers, open_house

from shortwire.emulators.scenario import AgentScript, PartyScript

RINGS_A_SECOND = PartyScript(ring_s=1.0)
RINGS = PartyScript(ring_s=30)


def idle(house: House) -> list[Any]:
    """Connections at the agent's host on which nothing has been said."""
    return [c for c in house.eleven.ledger.connections if c.first_bytes_ns is None and c.closed_ns is None]


def fetched(house: House) -> int:
    return sum(r.path.endswith("/get-signed-url") for r in house.eleven.ledger.requests)


@pytest.mark.parametrize(
    ("level", "urls", "warm"), [("off", 0, 0), ("signed-url", 1, 0), ("tls", 1, 1), ("conversation", 1, 1)]
)
async def test_while_it_rings(tmp_path: Path, level: str, urls: int, warm: int) -> None:
    async with open_house(tmp_path, party=RINGS, prewarm=level) as house:
        before = Leftovers(house)
        call_id = await house.place()
        await house.state(call_id, "ringing")
        await house.until(lambda: (fetched(house), len(idle(house))) == (urls, warm), "what the level makes")
        await asyncio.sleep(0.1)
        assert (fetched(house), len(idle(house))) == (urls, warm)
        assert not house.conversations  # nothing is billed while it rings, on any level
        await house.api("POST", f"/v1/calls/{call_id}/hangup")
        await house.until(lambda: not idle(house), "the unused connection to be closed")
        await before.none()


@pytest.mark.parametrize("level", ["off", "signed-url", "tls", "conversation"])
async def test_the_conversation_comes_on_the_warm_connection(tmp_path: Path, level: str) -> None:
    async with open_house(tmp_path, party=RINGS_A_SECOND, prewarm=level) as house:
        call_id = await house.place()
        await house.talking(call_id)
        _, body = await house.api("POST", f"/v1/calls/{call_id}/hangup")
        assert body["latencies"]["prewarmed"] is (level in ("tls", "conversation"))
        [upgrade] = [r for r in house.eleven.ledger.requests if r.path == "/v1/convai/conversation"]
        [connection] = [c for c in house.eleven.ledger.connections if c.number == upgrade.connection]
        waited_ms = (connection.first_bytes_ns - connection.opened_ns) / 1e6
        assert (waited_ms > 500) is (level in ("tls", "conversation"))


@pytest.mark.parametrize("level", ["tls", "conversation"])
async def test_over_tls(tmp_path: Path, level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "tls" / "ca.pem"))
    (tmp_path / "tls").mkdir()
    async with open_house(tmp_path, party=RINGS_A_SECOND, prewarm=level, eleven={"tls_dir": tmp_path / "tls"}) as house:
        call_id = await house.place()
        await house.talking(call_id)
        _, body = await house.api("POST", f"/v1/calls/{call_id}/hangup")
        assert body["latencies"]["prewarmed"] is True
        await house.nothing_is_left()


STEPS = ("agent_lookup_ms", "agent_tcp_ms", "agent_tls_ms", "agent_connect_ms")


@pytest.mark.parametrize("profile", ["optimized", "baseline"])
@pytest.mark.parametrize("level", ["off", "tls"])
async def test_the_connection_is_told_in_steps_where_the_party_waited_for_it(
    tmp_path: Path, level: str, profile: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "tls" / "ca.pem"))
    (tmp_path / "tls").mkdir()
    changes = {"prewarm": level, "shortwire_profile": profile}
    async with open_house(tmp_path, party=RINGS_A_SECOND, eleven={"tls_dir": tmp_path / "tls"}, **changes) as house:
        call_id = await house.place()
        await house.talking(call_id)
        _, body = await house.api("POST", f"/v1/calls/{call_id}/hangup")
        latencies = body["latencies"]
        waited = [name for name in STEPS if name in latencies["setup"]]
        warm = latencies["prewarmed"]
        assert warm is (level == "tls" and profile == "optimized")
        assert waited == ([] if warm else ["agent_tcp_ms", "agent_tls_ms"])  # the host is an address
        assert sum(latencies["setup"].values()) == pytest.approx(latencies["answer_to_first_word_ms"], abs=0.1)


async def test_a_connection_that_the_host_dropped_is_replaced(tmp_path: Path) -> None:
    async with open_house(tmp_path, party=RINGS_A_SECOND, eleven={"idle_connection_s": 0.3}) as house:
        call_id = await house.place()
        await house.until(lambda: any(c.idle_closed for c in house.eleven.ledger.connections), "the drop")
        await house.talking(call_id)
        _, body = await house.api("POST", f"/v1/calls/{call_id}/hangup")
        assert body["latencies"]["prewarmed"] is False
        assert body["disposition"] == "answered"


async def test_a_conversation_started_at_the_answer_holds_its_greeting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The media stream takes its time; the greeting waits for it and is heard whole."""
    slow_streams(monkeypatch, 0.8)
    async with open_house(tmp_path, agent=AgentScript(first_message="1200"), prewarm="conversation") as house:
        call_id = await house.place()
        await house.until(lambda: house.conversations and house.conversations[0].turns, "the greeting")
        assert house.live_call(call_id).phone.opened_ns == 0
        await house.until(lambda: house.live_call(call_id).session.downlink.playout.confirmed_ms >= 1200, "its end")
        heard = house.carrier_call().line.party.heard_voice
        await house.api("POST", f"/v1/calls/{call_id}/hangup")
        assert sum(end - begin for begin, end in heard) >= 1100


async def test_a_held_greeting_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow_streams(monkeypatch, 0.8)
    agent = AgentScript(first_message="6000")
    async with open_house(tmp_path, agent=agent, prewarm="conversation", limits={"held_audio_s": 2.0}) as house:
        call_id = await house.place()
        await house.state(call_id, "connected")
        downlink = house.live_call(call_id).session.downlink
        await house.until(lambda: downlink.playout.written_ms > 0, "what was held")
        assert downlink.playout.written_ms <= 2000
        assert downlink.held_dropped_ms >= 3000


async def test_a_stream_that_never_comes_ends_a_conversation_started_early(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow_streams(monkeypatch, 60)
    async with open_house(tmp_path, prewarm="conversation", limits={"media_wait_s": 0.5}) as house:
        call_id = await house.place()
        call = await house.ended(call_id)
        assert (call["cause"], call["disposition"]) == ("media_never_came", "failed")
        assert "SERVER_URL" in call["meaning"]
        assert house.conversations[0].closed_by == "client"
        await house.nothing_is_left()


def slow_streams(monkeypatch: pytest.MonkeyPatch, wait_s: float) -> None:
    from shortwire.emulators.twilio.media_stream import MediaStream

    dial = MediaStream._open

    async def later(self: MediaStream) -> Any:
        await asyncio.sleep(wait_s)
        return await dial(self)

    monkeypatch.setattr(MediaStream, "_open", later)
