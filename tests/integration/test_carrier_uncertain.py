"""A carrier that was asked and gave no clear answer: never dialled twice, settled by callback or by asking."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from live_house import POLITE, SAYS_GOODBYE, House, Leftovers, open_house

from shortwire.emulators.scenario import PartyScript
from shortwire.emulators.twilio.fields import check_create
from shortwire.errors import StoreError
from shortwire.switchboard import settle

RINGS = PartyScript(ring_s=30)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The settler's pauses, scaled."""
    monkeypatch.setattr(settle, "_ASK_AFTER_S", (0.2, 0.3, 0.5))


@asynccontextmanager
async def unclear(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *, how: str, places: bool, deadline_s: float = 1.0, **more: Any
) -> AsyncIterator[House]:
    """A house whose carrier answers no create clearly: `how` is "500", "reset" or "silence"; `places` it all the same.

    Its callbacks are off, so that only asking helps; `callbacks=True` leaves them on.
    """
    callbacks = more.pop("callbacks", False)

    async def create(self: Any, asked: Any) -> Any:
        fields = check_create(asked.form, self._config)
        if places:
            if not callbacks:
                fields = {name: value for name, value in fields.items() if name != "StatusCallback"}
            self._exchange.place(fields, [event for event in asked.form.get("StatusCallbackEvent", []) if event], [])
        if how == "silence":
            await asyncio.sleep(3)  # longer than our deadline
        if how == "reset":
            raise asyncio.CancelledError
        raise web.HTTPInternalServerError(text='{"message": "Internal", "code": 20500, "status": 500}')

    monkeypatch.setattr("shortwire.emulators.twilio.rest_calls.Calls.create", create)
    async with open_house(folder, **more) as house:
        house.desk.context.carrier._deadline_s = deadline_s
        yield house


async def place_unclearly(house: House) -> str:
    status, body = await house.api("POST", "/v1/calls", {"number": "+14155550123"})
    assert (status, body["error"]["code"]) == (504, "carrier_uncertain")
    [listed] = (await house.api("GET", "/v1/calls"))[1]["calls"]
    return str(listed["id"])


def creates(house: House) -> int:
    return len(house.requests("POST", "Calls.json"))


@pytest.mark.parametrize("how", ["500", "reset", "silence"])
async def test_found_by_asking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    async with unclear(tmp_path, monkeypatch, how=how, places=True, party=POLITE, agent=SAYS_GOODBYE) as house:
        before = Leftovers(house)
        call_id = await place_unclearly(house)
        assert (await house.call(call_id))["state"] in ("unknown", "dialing", "ringing", "answered", "connected")
        call = await house.ended(call_id)
        assert (call["cause"], call["disposition"]) == ("agent_ended", "answered")
        assert creates(house) == 1
        assert len(house.twilio.calls) == 1
        await house.nothing_is_left()
        await before.none()


async def test_adopted_by_its_callback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with unclear(tmp_path, monkeypatch, how="500", places=True, callbacks=True, party=RINGS) as house:
        call_id = await place_unclearly(house)
        await house.state(call_id, "ringing")
        assert not house.requests("GET", "Calls.json")
        assert house.live_call(call_id).record.call_sid == house.carrier_call().sid
        _, body = await house.api("POST", f"/v1/calls/{call_id}/hangup")
        assert body["disposition"] == "canceled"
        assert creates(house) == 1
        await house.nothing_is_left()


async def test_never_placed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with unclear(tmp_path, monkeypatch, how="silence", places=False) as house:
        call_id = await place_unclearly(house)
        assert (await house.call(call_id))["state"] == "unknown"
        call = await house.ended(call_id)
        assert (call["cause"], call["disposition"]) == ("carrier_unknown", "unknown")
        assert "not dialled again" in call["meaning"]
        assert creates(house) == 1
        assert len(house.requests("GET", "Calls.json")) == 3


async def test_hung_up_while_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with unclear(tmp_path, monkeypatch, how="500", places=True, party=RINGS) as house:
        call_id = await place_unclearly(house)
        _, body = await house.api("POST", f"/v1/calls/{call_id}/hangup")
        assert body["cause"]["slug"] == "api_hangup"
        assert house.carrier_call().ending is not None
        await house.nothing_is_left()


async def test_a_store_that_fails_while_the_call_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with unclear(tmp_path, monkeypatch, how="500", places=True, party=POLITE, agent=SAYS_GOODBYE) as house:
        store, asked = house.desk.context.store, []
        by_call_sid = type(store).by_call_sid

        async def fails_at_first(self: Any, sid: Any) -> Any:
            asked.append(sid)
            if len(asked) == 1:
                raise StoreError("the database cannot be read", details="database is locked")
            return await by_call_sid(self, sid)

        monkeypatch.setattr(type(store), "by_call_sid", fails_at_first)
        call = await house.ended(await place_unclearly(house))
        assert (call["cause"], call["disposition"]) == ("agent_ended", "answered")


async def test_hung_up_while_unknown_and_the_store_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with unclear(tmp_path, monkeypatch, how="500", places=True, party=RINGS) as house:
        call_id = await place_unclearly(house)

        async def fails(_self: Any, _sid: Any) -> Any:
            raise StoreError("the database cannot be read", details="database is locked")

        monkeypatch.setattr(type(house.desk.context.store), "by_call_sid", fails)
        _, body = await house.api("POST", f"/v1/calls/{call_id}/hangup")
        assert (body["state"], body["cause"]["slug"]) == ("ended", "api_hangup")


async def test_hung_up_while_the_carrier_is_being_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The POST is on its way and there is no id to end yet: it is waited for, and ended then."""
    from shortwire.emulators.twilio.rest_calls import Calls

    create = Calls.create

    async def slow(self: Calls, asked: Any) -> Any:
        await asyncio.sleep(0.7)
        return await create(self, asked)

    monkeypatch.setattr(Calls, "create", slow)
    async with open_house(tmp_path, party=RINGS) as house:
        before = Leftovers(house)
        placing = asyncio.create_task(house.api("POST", "/v1/calls", {"number": "+14155550123"}))
        await house.until(lambda: house.desk._live, "the call")
        [call_id] = house.desk._live
        _, body = await house.api("POST", f"/v1/calls/{call_id}/hangup")
        assert (body["state"], body["cause"]["slug"], body["disposition"]) == ("ended", "api_hangup", "canceled")
        status, placed = await placing
        assert (status, placed["id"]) == (201, call_id)
        assert house.carrier_call().status == "canceled"
        assert creates(house) == 1
        await house.nothing_is_left()
        await before.none()


async def test_whoever_asked_goes_away_during_the_dial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_house(tmp_path, party=RINGS) as house:
        from shortwire.records import CallRequest

        placing = asyncio.create_task(house.desk.place_call(CallRequest("+14155550123")))
        await house.until(lambda: house.desk._live and next(iter(house.desk._live.values())).dialing, "the dial")
        placing.cancel()
        [call_id] = house.desk._live
        await house.state(call_id, "ringing")
        await house.api("POST", f"/v1/calls/{call_id}/hangup")
        await house.nothing_is_left()


async def test_given_up_and_found_alive_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its first callback comes when we have ended it as unknown: it is hung up, nobody is left ringing."""
    monkeypatch.setattr(settle, "_ASK_AFTER_S", (0.05,))
    async with unclear(
        tmp_path, monkeypatch, how="500", places=True, callbacks=True, party=RINGS, carrier={"dial_s": 1.0}
    ) as house:

        async def nobody(**_: Any) -> list[Any]:
            return []

        monkeypatch.setattr(house.desk.context.carrier, "find_calls", nobody)
        carrier_call = None
        monkeypatch.setattr(house.twilio._exchange, "_take_slot", lambda: 800)
        call_id = await place_unclearly(house)
        call = await house.ended(call_id)
        assert call["cause"] == "carrier_unknown"
        carrier_call = house.carrier_call()
        await house.until(lambda: carrier_call.ending is not None, "the late call to be hung up")
        assert carrier_call.ending.by == "api"
        assert (await house.call(call_id))["call_sid"] == carrier_call.sid
        await house.nothing_is_left()


async def test_the_same_key_twice_dials_once(tmp_path: Path) -> None:
    async with open_house(tmp_path, party=RINGS) as house:
        body, headers = {"number": "+14155550123"}, {"Idempotency-Key": "one"}
        answers = await asyncio.gather(*(house.api("POST", "/v1/calls", body, headers) for _ in range(5)))
        assert {status for status, _ in answers} == {201}
        assert len({answer["id"] for _, answer in answers}) == 1
        assert creates(house) == 1
        status, answer = await house.api("POST", "/v1/calls", {"number": "+14155550124"}, headers)
        assert (status, answer["error"]["code"]) == (409, "conflict")
        _, ended = await house.api("POST", f"/v1/calls/{answers[0][1]['id']}/hangup")
        status, replay = await house.api("POST", "/v1/calls", body, headers)
        assert (status, replay["id"], replay["state"]) == (201, ended["id"], "ended")
        assert creates(house) == 1


async def test_ending_is_asked_again_when_the_answer_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from shortwire.emulators.twilio.rest_calls import Calls

    update, asked = Calls.update, []

    async def first_fails(self: Calls, question: Any) -> Any:
        asked.append(question)
        if len(asked) == 1:
            raise web.HTTPBadGateway
        return await update(self, question)

    monkeypatch.setattr(Calls, "update", first_fails)
    async with open_house(tmp_path, party=RINGS) as house:
        call_id = await house.place()
        await house.state(call_id, "ringing")
        await house.api("POST", f"/v1/calls/{call_id}/hangup")
        assert house.carrier_call().status == "canceled"
        assert len(asked) == 2
