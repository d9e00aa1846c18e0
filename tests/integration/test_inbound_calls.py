"""Somebody calls our number: the same path, the same measurements."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from live_house import OURS, POLITE, SAYS_GOODBYE, THEIRS, House, Leftovers, open_house

from shortwire.emulators.scenario import PartyScript
from shortwire.wire.twiml import BUSY, HANGUP


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

        monkeypatch.setattr("shortwire.switchboard.incoming.give_way", stop_meanwhile)
        fields = {"CallSid": "CA" + "4" * 32, "From": THEIRS, "To": OURS, "CallStatus": "ringing"}
        assert await house.desk.answer_incoming(fields) == HANGUP
        assert not house.desk._live
        assert len(house.desk._tickets) == 0


def webhook(digit: str) -> dict[str, str]:
    return {"CallSid": "CA" + digit * 32, "From": THEIRS, "To": OURS, "CallStatus": "ringing"}


async def test_webhooks_of_one_call_at_the_same_time_are_one_call(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        desk = house.desk
        twice = [asyncio.create_task(desk.answer_incoming(webhook("4"))) for _ in range(2)]
        twice.append(asyncio.create_task(desk.answer_incoming(webhook("5"))))
        answers = await asyncio.gather(*twice)
        assert all("<Stream" in answer for answer in answers)
        assert len(desk._live) == len(desk._tickets) == 2
        assert len(await desk.context.store.list()) == 2


async def test_a_webhook_that_nobody_waits_for_any_more_still_has_its_call(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        desk = house.desk
        cut = asyncio.create_task(desk.answer_incoming(webhook("4")))
        await asyncio.sleep(0)
        cut.cancel()
        await asyncio.gather(cut, return_exceptions=True)
        assert "<Stream" in await desk.answer_incoming(webhook("4"))
        [call] = desk._live.values()
        assert call.record.state == "answered"


async def test_a_call_that_comes_while_the_store_is_read_at_start_is_not_settled(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        desk, store = house.desk, house.desk.context.store
        left = await desk.context.store.create(desk._incoming_record(webhook("6")))
        desk._begun.clear()  # as a process is before it knows
        answer = asyncio.create_task(desk.answer_incoming(webhook("4")))
        await asyncio.sleep(0.05)
        assert not desk._live
        await desk.start()
        assert "<Stream" in await answer
        await house.until(lambda: not desk._settler._tasks, "the settling")
        assert (await store.get(left.id)).state == "ended"
        [call] = desk._live.values()
        assert (call.record.state, (await store.get(call.record.id)).state) == ("answered", "answered")


async def test_a_webhook_that_is_overtaken_by_the_end_of_the_server(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        desk = house.desk
        answer = asyncio.create_task(desk.answer_incoming(webhook("4")))
        await asyncio.sleep(0)  # it is looking the call up
        await desk.drain(0)
        assert await answer == BUSY
        await house.until(lambda: not desk._live, "the call to end")
        [stored] = await desk.context.store.list()
        assert (stored.state, stored.cause) == ("ended", "shutdown")
