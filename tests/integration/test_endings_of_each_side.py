"""Whatever ends a call ends both legs once and leaves nothing open (issue item 8), against the real emulators."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from live_house import POLITE, SAYS_GOODBYE, House, Leftovers, open_house

from shortwire.emulators.elevenlabs import Faults
from shortwire.emulators.scenario import AgentScript, PartyScript, Reply, Say
from shortwire.emulators.twilio.media_stream import MediaStream
from shortwire.emulators.twilio.ws_client import WebSocketClient
from shortwire.terms import CallId

PROFILES = ["optimized", "baseline"]


@pytest.fixture(params=PROFILES)
def profile(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def closed_once(house: House) -> None:
    """Both vendors saw one call and at most one conversation, and each ended once."""
    await house.nothing_is_left()
    assert len(house.twilio.calls) == 1
    assert len(house.conversations) <= 1
    finals = [e for e in house.twilio.ledger.entries("transition") if e["status"] in ("completed", "canceled")]
    assert len(finals) == 1


async def test_the_caller_hangs_up(tmp_path: Path, profile: str) -> None:
    async with open_house(tmp_path, shortwire_profile=profile) as house:
        before = Leftovers(house)
        call_id = await house.place()
        await house.talking(call_id)
        house.carrier_call().hang_up()
        call = await house.ended(call_id)
        assert (call["cause"], call["disposition"]) == ("party_hangup", "answered")
        await closed_once(house)
        assert house.conversations[0].closed_by == "client"
        assert house.conversations[0].close_code == 1000
        await before.none()


async def test_the_goodbye_is_heard_to_its_end(tmp_path: Path, profile: str) -> None:
    async with open_house(tmp_path, party=POLITE, agent=SAYS_GOODBYE, shortwire_profile=profile) as house:
        before = Leftovers(house)
        call_id = await house.place()
        call = await house.ended(call_id)
        assert (call["cause"], call["disposition"]) == ("agent_ended", "answered")
        await closed_once(house)
        assert house.conversations[0].closed_by == "emulator"
        carrier = house.carrier_call()
        assert carrier.ending.by == "api"
        heard_ms = sum(end - begin for begin, end in carrier.line.party.heard_voice)
        assert heard_ms >= 300 + 900 - 60
        await before.none()


@pytest.mark.parametrize("failing", ["analyst.finish", "figures.summary"])
async def test_figures_that_fail_keep_no_call_from_ending(tmp_path: Path, profile: str, failing: str) -> None:
    async with open_house(tmp_path, party=POLITE, agent=SAYS_GOODBYE, shortwire_profile=profile) as house:
        before = Leftovers(house)
        call_id = await house.place()
        live = house.desk._live[CallId(call_id)]
        whose, _, what = failing.partition(".")
        setattr(getattr(live, whose), what, lambda _: 1 / 0)
        del live
        call = await house.ended(call_id)
        assert (call["cause"], call["disposition"]) == ("agent_ended", "answered")
        await before.none()


async def test_hung_up_through_the_api_while_talking(tmp_path: Path, profile: str) -> None:
    async with open_house(tmp_path, shortwire_profile=profile) as house:
        before = Leftovers(house)
        call_id = await house.place()
        await house.talking(call_id)
        status, body = await house.api("POST", f"/v1/calls/{call_id}/hangup")
        assert (status, body["state"], body["cause"]["slug"]) == (200, "ended", "api_hangup")
        assert body["disposition"] == "answered"
        await closed_once(house)
        assert house.carrier_call().ending.by == "api"
        status, again = await house.api("POST", f"/v1/calls/{call_id}/hangup")
        assert (status, again["cause"]["slug"]) == (200, "api_hangup")
        await before.none()


async def test_hung_up_through_the_api_while_ringing(tmp_path: Path, profile: str) -> None:
    async with open_house(tmp_path, party=PartyScript(ring_s=20), shortwire_profile=profile) as house:
        before = Leftovers(house)
        call_id = await house.place()
        await house.state(call_id, "ringing")
        _, body = await house.api("POST", f"/v1/calls/{call_id}/hangup")
        assert (body["cause"]["slug"], body["disposition"]) == ("api_hangup", "canceled")
        await closed_once(house)
        assert house.carrier_call().status == "canceled"
        assert not house.conversations
        await before.none()


@pytest.mark.parametrize(
    ("outcome", "cause", "disposition"),
    [("busy", "busy", "busy"), ("no-answer", "no_answer", "no_answer"), ("failed", "carrier_failed", "failed")],
)
async def test_nobody_picks_up(tmp_path: Path, outcome: str, cause: str, disposition: str) -> None:
    party = PartyScript(outcome=outcome, ring_s=0.05)  # type: ignore[arg-type]
    async with open_house(tmp_path, party=party, ring_timeout_seconds=1) as house:
        before = Leftovers(house)
        call = await house.ended(await house.place())
        assert (call["cause"], call["disposition"]) == (cause, disposition)
        assert not house.conversations
        await house.nothing_is_left()
        await before.none()


async def test_the_deadline(tmp_path: Path, profile: str) -> None:
    async with open_house(tmp_path, shortwire_profile=profile, max_call_seconds=1) as house:
        before = Leftovers(house)
        call = await house.ended(await house.place())
        assert (call["cause"], call["disposition"]) == ("deadline", "answered")
        assert "MAX_CALL_SECONDS" in call["meaning"]
        await closed_once(house)
        assert int(house.requests("POST", "Calls.json")[0]["form"]["TimeLimit"][0]) >= 1
        await before.none()


async def test_the_agents_socket_is_cut(tmp_path: Path, profile: str) -> None:
    async with open_house(tmp_path, shortwire_profile=profile, faults=Faults(drop_after_ms=800)) as house:
        before = Leftovers(house)
        call = await house.ended(await house.place())
        assert (call["cause"], call["disposition"]) == ("agent_lost", "answered")
        assert "1006" in call["detail"]
        await closed_once(house)
        await before.none()


async def test_the_media_socket_is_cut(tmp_path: Path, profile: str, streams: list[MediaStream]) -> None:
    async with open_house(tmp_path, shortwire_profile=profile) as house:
        before = Leftovers(house)
        call_id = await house.place()
        await house.talking(call_id)
        assert streams[0]._ws is not None
        streams[0]._ws.abort()
        call = await house.ended(call_id)
        assert (call["cause"], call["disposition"]) == ("media_lost", "answered")
        await closed_once(house)
        assert house.conversations[0].closed_by == "client"
        await before.none()


async def test_a_stop_that_got_lost(tmp_path: Path, profile: str, streams: list[MediaStream]) -> None:
    """The carrier closed its stream in order, and says on being asked that the call is over."""
    async with open_house(tmp_path, shortwire_profile=profile) as house:
        before = Leftovers(house)
        call_id = await house.place()
        await house.talking(call_id)
        streams[0]._texts.stop = lambda: '{"event":"dtmf","sequenceNumber":"9","streamSid":"x","dtmf":{"digit":"0"}}'  # type: ignore[method-assign]
        house.carrier_call().hang_up()
        call = await house.ended(call_id)
        assert call["cause"] == "party_hangup"
        await closed_once(house)
        await before.none()


async def test_the_agent_ends_in_the_middle_of_its_greeting_and_the_caller_hangs_up_during_the_goodbye(
    tmp_path: Path, profile: str
) -> None:
    agent = AgentScript(first_message="300", end_of_turn_ms=200, replies=(Reply("5000", (20, 40), end_call=True),))
    party = PartyScript(ring_s=0.05, says=(Say("300", delay_ms=100),))
    async with open_house(tmp_path, party=party, agent=agent, shortwire_profile=profile) as house:
        before = Leftovers(house)
        call_id = await house.place()
        await house.state(call_id, "ending")
        house.carrier_call().hang_up()
        call = await house.ended(call_id)
        assert call["cause"] in ("agent_ended", "party_hangup")
        await closed_once(house)
        await before.none()


async def test_drained_while_talking(tmp_path: Path, profile: str) -> None:
    async with open_house(tmp_path, shortwire_profile=profile) as house:
        call_id = await house.place()
        await house.talking(call_id)
        draining = asyncio.create_task(house.desk.drain(0.3))
        await asyncio.sleep(0.05)
        status, body = await house.api("POST", "/v1/calls", {"number": "+14155550199"})
        assert (status, body["error"]["code"]) == (503, "unavailable")
        assert (await house.api("GET", "/readyz"))[0] == 503
        await draining
        call = await house.call(call_id)
        assert (call["state"], call["cause"], call["disposition"]) == ("ended", "shutdown", "answered")
        await closed_once(house)


async def test_a_drain_lets_calls_end_by_themselves(tmp_path: Path) -> None:
    async with open_house(tmp_path, party=POLITE, agent=SAYS_GOODBYE) as house:
        call_id = await house.place()
        await house.talking(call_id)
        await house.desk.drain(20)
        assert (await house.call(call_id))["cause"] == "agent_ended"
        await closed_once(house)


@pytest.fixture
def streams(monkeypatch: pytest.MonkeyPatch) -> list[MediaStream]:
    """The carrier's ends of the media streams, as they are opened."""
    opened: list[MediaStream] = []
    dial = MediaStream._open

    async def and_keep(self: MediaStream) -> WebSocketClient:
        opened.append(self)
        return await dial(self)

    monkeypatch.setattr(MediaStream, "_open", and_keep)
    return opened
