"""Somebody calls our number: the same path, the same measurements."""

from __future__ import annotations

from pathlib import Path

import pytest
from live_house import OURS, POLITE, SAYS_GOODBYE, THEIRS, House, Leftovers, open_house

from shortwire.emulators.scenario import PartyScript
from shortwire.wire.twiml import HANGUP


@pytest.fixture(params=["optimized", "baseline"])
def profile(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def call_in(house: House, party: PartyScript = POLITE) -> str:
    house.twilio.call_in(OURS, THEIRS, party)
    await house.until(lambda: house.desk._live, "the call")
    return str(next(iter(house.desk._live)))


async def test_a_whole_conversation(tmp_path: Path, profile: str) -> None:
    async with open_house(tmp_path, agent=SAYS_GOODBYE, shortwire_profile=profile) as house:
        before = Leftovers(house)
        call_id = await call_in(house)
        call = await house.ended(call_id)
        assert (call["direction"], call["cause"], call["disposition"]) == ("inbound", "agent_ended", "answered")
        assert call["call_sid"] == house.carrier_call().sid
        assert call["latencies"]["answer_to_first_word_ms"] > 0
        assert call["latencies"]["response_gap_ms"]["n"] == 1
        assert call["answered_at"] <= call["connected_at"] <= call["ended_at"]
        assert not house.requests("POST", "Calls.json")
        await house.nothing_is_left()
        await before.none()


async def test_the_caller_hangs_up(tmp_path: Path, profile: str) -> None:
    async with open_house(tmp_path, shortwire_profile=profile) as house:
        call_id = await call_in(house, PartyScript())
        await house.talking(call_id)
        house.carrier_call().hang_up()
        call = await house.ended(call_id)
        assert (call["cause"], call["disposition"]) == ("party_hangup", "answered")
        await house.nothing_is_left()


async def test_a_repeated_webhook_is_the_same_call(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        fields = {"CallSid": "CA" + "4" * 32, "From": THEIRS, "To": OURS, "CallStatus": "ringing"}
        first, second = await house.desk.answer_incoming(fields), await house.desk.answer_incoming(fields)
        assert first != second  # another ticket; the first one is dead
        assert len(house.desk._live) == 1
        assert len(house.desk._tickets) == 1


async def test_a_caller_who_is_gone_before_the_stream(tmp_path: Path) -> None:
    async with open_house(tmp_path, limits={"media_wait_s": 0.4}) as house:
        carrier_call = house.twilio.call_in(OURS, THEIRS, PartyScript())
        await house.until(lambda: house.desk._live, "the call")
        [call_id] = house.desk._live
        house.desk._tickets._open.clear()
        carrier_call.hang_up()
        call = await house.ended(call_id)
        assert call["cause"] in ("party_hangup", "media_never_came", "canceled")
        await house.nothing_is_left()


async def test_no_new_calls_while_draining(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        await house.desk.drain(0)
        carrier_call = house.twilio.call_in(OURS, THEIRS, PartyScript())
        await carrier_call.ended()
        assert carrier_call.status == "busy"
        assert not house.conversations


async def test_a_server_that_stops_while_it_answers_sends_no_stream(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_house(tmp_path) as house:

        async def stop_meanwhile() -> None:
            await house.desk.drain(0)

        monkeypatch.setattr("shortwire.switchboard.desk.give_way", stop_meanwhile)
        fields = {"CallSid": "CA" + "4" * 32, "From": THEIRS, "To": OURS, "CallStatus": "ringing"}
        assert await house.desk.answer_incoming(fields) == HANGUP
        assert not house.desk._live
        assert len(house.desk._tickets) == 0
