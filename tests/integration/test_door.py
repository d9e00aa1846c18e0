"""Who may open a media stream: signed by the carrier, holding a live ticket of that very call, once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from live_house import OURS, THEIRS, TOKEN, House, open_house

from shortwire.emulators.scenario import PartyScript
from shortwire.emulators.twilio.signature import sign

RINGS = PartyScript(ring_s=30)
PATH = "/outbound-media-stream/"


@pytest.fixture(params=["optimized", "baseline"])
def profile(request: pytest.FixtureRequest) -> str:
    """Both adapters: lean and stock."""
    return str(request.param)


async def knock(house: House, path: str, signature: str | None = None, *, signed_path: str | None = None) -> int:
    """The status of an upgrade request; 101 is closed again at once."""
    from yarl import URL

    signed = f"ws{house.url[4:]}{path if signed_path is None else signed_path}"
    headers = {"X-Twilio-Signature": sign(TOKEN, signed) if signature is None else signature}
    try:
        ws = await house.http.ws_connect(URL(f"{house.url}{path}", encoded=True), headers=headers)
    except aiohttp.WSServerHandshakeError as error:
        return error.status
    await ws.close()
    return 101


def ticket(house: House, call_id: str) -> str:
    return str(house.live_call(call_id).ticket)


def nothing_reached_the_agent(house: House) -> bool:
    return not house.conversations and not house.eleven.ledger.refusals


async def ringing(house: House) -> tuple[str, str]:
    call_id = await house.place()
    await house.state(call_id, "ringing")
    if not ticket(house, call_id):  # baseline: the ticket is born with the document
        await twiml(house, call_id)
    return call_id, ticket(house, call_id)


async def twiml(house: House, call_id: str) -> str:
    url = f"{house.url}/outbound-call-twiml/{call_id}"
    fields = {"CallSid": house.carrier_call().sid, "CallStatus": "in-progress"}
    signature = sign(TOKEN, url, list(fields.items()))
    async with house.http.post(url, data=fields, headers={"X-Twilio-Signature": signature}) as answer:
        assert answer.status == 200
        return await answer.text()


async def test_only_the_carriers_signature_opens(tmp_path: Path, profile: str) -> None:
    async with open_house(tmp_path, party=RINGS, shortwire_profile=profile) as house:
        _, good = await ringing(house)
        for signature in ("", "AAAA", sign("another-token", f"ws{house.url[4:]}{PATH}{good}"), "\xe9" * 28):
            assert await knock(house, PATH + good, signature) == 403
        for other in (PATH, f"{PATH}x", f"{PATH}{good}x"):  # a signature for something else
            assert await knock(house, PATH + good, signed_path=other) == 403
        assert nothing_reached_the_agent(house)
        assert await knock(house, PATH + good) == 101  # the failed ones used nothing up


async def test_a_ticket_opens_once(tmp_path: Path, profile: str) -> None:
    async with open_house(tmp_path, party=RINGS, shortwire_profile=profile) as house:
        _, good = await ringing(house)
        assert await knock(house, PATH + good) == 101
        assert await knock(house, PATH + good) == 403


async def test_unknown_expired_and_revoked_tickets(tmp_path: Path, profile: str) -> None:
    async with open_house(tmp_path, party=RINGS, shortwire_profile=profile) as house:
        call_id, good = await ringing(house)
        for unknown in ("", "x", "x" * 5000, "%00", good[:-1], good.swapcase()):
            assert await knock(house, PATH + unknown) in (403, 400, 414, 431)
        [entry] = house.desk._tickets._open.values()
        object.__setattr__(entry, "until_ns", 0)
        assert await knock(house, PATH + good) == 403
        await house.api("POST", f"/v1/calls/{call_id}/hangup")
        assert nothing_reached_the_agent(house)


async def test_a_ticket_dies_with_its_call(tmp_path: Path, profile: str) -> None:
    async with open_house(tmp_path, party=RINGS, shortwire_profile=profile) as house:
        call_id, good = await ringing(house)
        await house.api("POST", f"/v1/calls/{call_id}/hangup")
        assert await knock(house, PATH + good) == 403
        assert nothing_reached_the_agent(house)


async def test_tricks_with_the_path(tmp_path: Path, profile: str) -> None:
    async with open_house(tmp_path, party=RINGS, shortwire_profile=profile) as house:
        _, good = await ringing(house)
        tricks = [
            f"//outbound-media-stream/{good}",
            f"/x/..{PATH}{good}",
            f"/Outbound-Media-Stream/{good}",
            f"{PATH}{good}/more",
            f"{PATH}{good}%2f",
            f"{PATH}%20{good}",
            f"{PATH}{quote(good[0])}{good[1:]}%00",
            f"{PATH}?ticket={good}",
            f"{PATH}{good}?x=1",
            f"/v1/calls?x={PATH}{good}",
            "/",
            "/healthz",
        ]
        for path in tricks:
            assert await knock(house, path) in (400, 403, 404), path
        # What was signed is the whole target: a query that is not part of it does not slip in.
        assert await knock(house, f"{PATH}{good}?x=1", signed_path=PATH + good) == 403
        assert nothing_reached_the_agent(house)
        assert await knock(house, PATH + good) == 101


async def test_a_replayed_webhook_mints_no_second_stream(tmp_path: Path) -> None:
    async with open_house(tmp_path, inline_twiml=False) as house:
        call_id = await house.place()
        await house.talking(call_id)
        replayed = await twiml(house, call_id)
        assert "<Stream" not in replayed
        assert "<Hangup" in replayed
        assert len(house.conversations) == 1
        await house.api("POST", f"/v1/calls/{call_id}/hangup")
        url = f"{house.url}/outbound-call-twiml/{call_id}"
        fields = {"CallSid": house.carrier_call().sid, "CallStatus": "in-progress"}
        headers = {"X-Twilio-Signature": sign(TOKEN, url, list(fields.items()))}
        async with house.http.post(url, data=fields, headers=headers) as answer:
            assert answer.status == 404
        assert len(house.conversations) == 1


async def test_the_ticket_of_another_call(tmp_path: Path, profile: str) -> None:
    """A stream that names another call than its ticket's ends that call at once, and nothing of it is heard."""
    async with open_house(tmp_path, party=RINGS, shortwire_profile=profile) as house:
        call_id, good = await ringing(house)
        ws = await opened(house, good)
        await ws.send_str('{"event":"connected","protocol":"Call","version":"1.0.0"}')
        await ws.send_str(start("CA" + "9" * 32))
        closing = await ws.receive(timeout=10)
        while closing.type is aiohttp.WSMsgType.TEXT:
            closing = await ws.receive(timeout=10)
        assert closing.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSING)
        call = await house.ended(call_id)
        assert call["cause"] == "media_protocol"
        assert house.carrier_call().ending.by == "api"
        await house.nothing_is_left()


async def test_forged_webhooks_change_nothing(tmp_path: Path) -> None:
    async with open_house(tmp_path, party=RINGS) as house:
        call_id, _ = await ringing(house)
        for path in (f"/status-callback/{call_id}", f"/outbound-call-twiml/{call_id}", "/incoming-call"):
            fields = {"CallSid": "CA" + "7" * 32, "CallStatus": "completed", "From": THEIRS, "To": OURS}
            for headers in ({}, {"X-Twilio-Signature": "AAAA"}):
                async with house.http.post(house.url + path, data=fields, headers=headers) as answer:
                    assert answer.status == 403
        assert house.live_call(call_id).record.state == "ringing"
        assert len((await house.api("GET", "/v1/calls"))[1]["calls"]) == 1


async def test_a_signed_callback_of_another_call_changes_nothing(tmp_path: Path) -> None:
    async with open_house(tmp_path, party=RINGS) as house:
        call_id, _ = await ringing(house)
        url = f"{house.url}/status-callback/{call_id}"
        fields = {"CallSid": "CA" + "7" * 32, "CallStatus": "completed"}
        headers = {"X-Twilio-Signature": sign(TOKEN, url, list(fields.items()))}
        async with house.http.post(url, data=fields, headers=headers) as answer:
            assert answer.status < 300
        assert house.live_call(call_id).record.state == "ringing"


async def opened(house: House, good: str) -> Any:
    headers = {"X-Twilio-Signature": sign(TOKEN, f"ws{house.url[4:]}{PATH}{good}")}
    return await house.http.ws_connect(f"{house.url}{PATH}{good}", headers=headers)


def start(call_sid: str, stream_sid: str = "MZ" + "1" * 32) -> str:
    document = {
        "event": "start",
        "sequenceNumber": "1",
        "start": {
            "accountSid": "AC" + "1" * 32,
            "streamSid": stream_sid,
            "callSid": call_sid,
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": {},
        },
        "streamSid": stream_sid,
    }
    return json.dumps(document, separators=(",", ":"))
