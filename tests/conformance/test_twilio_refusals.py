"""What Twilio refuses, one row per refusal, as the official SDK reports it and as it stands on the wire."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from shortwire.emulators.twilio import Choices, OwnedNumber, PartyScript, TwilioConfig, TwilioEmulator

ACCOUNT, TOKEN = "AC" + "7" * 32, "secret-of-the-account"
OURS, THEIRS = "+15005550006", "+14155550123"
GOOD: dict[str, Any] = {"To": THEIRS, "From": OURS, "Twiml": "<Response><Pause length='60'/></Response>"}


class Silent:
    def feed(self, ulaw_frame: bytes) -> bool:
        del ulaw_frame
        return False


def emulator(**changes: Any) -> TwilioEmulator:
    defaults: dict[str, Any] = {
        "account_sid": ACCOUNT,
        "auth_token": TOKEN,
        "numbers": {OURS: OwnedNumber()},
        "scenario": PartyScript(ring_s=0.0),
        "permitted_prefixes": ("+1", "+44"),
        "calls_per_second": 0,
        "dial_s": 0.0,
    }
    return TwilioEmulator(TwilioConfig(**{**defaults, **changes}), speak=lambda *_: b"", detector=Silent)


@pytest.fixture
async def twilio() -> AsyncIterator[TwilioEmulator]:
    async with emulator() as running:
        yield running


async def send(
    twilio: TwilioEmulator, method: str, path: str, form: Any = None, *, headers: dict[str, str] | None = None
) -> tuple[int, str, Any]:
    if headers is None:
        headers = {"Authorization": aiohttp.encode_basic_auth(ACCOUNT, TOKEN)}
    url = f"{twilio.base_url}/2010-04-01/Accounts/{path}"
    async with aiohttp.ClientSession() as session, session.request(method, url, data=form, headers=headers) as response:
        text = await response.text()
        assert response.content_type == "application/json"
        assert response.headers["Twilio-Request-Id"].startswith("RQ")
        assert len(response.headers["Twilio-Request-Id"]) == 34
        return response.status, text, json.loads(text)


CREATE = [
    ({"To": None}, 21201, "No 'To' number is specified"),
    ({"From": None}, 21213, "No 'From' number is specified"),
    ({"Twiml": None}, 21200, "One of Url, Twiml or ApplicationSid"),
    ({"Twiml": "x" * 4001}, 21200, "4000"),
    ({"Url": "ftp://example.com/x"}, 21205, "Url is not a valid URL"),
    ({"Url": "voice"}, 21205, "Url is not a valid URL"),
    ({"Url": "http://[/"}, 21205, "Url is not a valid URL"),
    ({"Url": "http://host:99999/"}, 21205, "Url is not a valid URL"),
    ({"FallbackUrl": "x"}, 21205, "FallbackUrl"),
    ({"StatusCallback": "//x"}, 21205, "StatusCallback"),
    ({"StatusCallback": "http://a_b.example.com/"}, 21200, "underscore"),
    ({"From": "+15005550099"}, 21210, "is not yet verified for your account"),
    ({"From": "5005550006"}, 21212, "From is not a valid phone number"),
    ({"To": "4155550123"}, 21211, "is not valid"),
    ({"To": "+0123456789"}, 21211, "is not valid"),
    ({"To": "sip:a@example.com"}, 21211, "is not valid"),
    ({"To": "+4915550000000"}, 21215, "Account not authorized to call"),
    ({"ApplicationSid": "AP" + "0" * 32}, 21218, "ApplicationSid"),
    ({"ApplicationSid": "x"}, 21218, "ApplicationSid"),
    ({"Method": "PUT"}, 21200, "Method must be one of"),
    ({"Timeout": "601"}, 21200, "Timeout must be a whole number"),
    ({"Timeout": "-1"}, 21200, "Timeout must be a whole number"),
    ({"TimeLimit": "soon"}, 21200, "TimeLimit must be a whole number"),
    ({"StatusCallbackEvent": "answer"}, 21200, "StatusCallbackEvent must be one of"),
    ({"SendDigits": "1" * 33}, 21200, "SendDigits"),
    ({"MachineDetection": "enable"}, 21200, "MachineDetection"),
    ({"MachineDetectionTimeout": "2"}, 21200, "MachineDetectionTimeout"),
    ({"Record": "yes"}, 21200, "Record"),
    ({"StatusCalback": "https://example.com/"}, 21200, "StatusCalback is not a parameter"),
]


@pytest.mark.parametrize(("change", "code", "text"), CREATE, ids=[f"{code}-{next(iter(c))}" for c, code, _ in CREATE])
async def test_a_create_that_is_refused(twilio: TwilioEmulator, change: dict[str, Any], code: int, text: str) -> None:
    form = {name: value for name, value in {**GOOD, **change}.items() if value is not None}
    status, raw, body = await send(twilio, "POST", f"{ACCOUNT}/Calls.json", form)
    assert (status, body["code"], body["status"]) == (400, code, 400)
    assert text in body["message"]
    assert body["more_info"] == f"https://www.twilio.com/docs/errors/{code}"
    assert raw == json.dumps(body), "spaced, as captured"
    assert list(body) == ["code", "message", "more_info", "status"]
    assert twilio.calls == {}


async def test_the_good_form_is_good(twilio: TwilioEmulator) -> None:
    status, raw, body = await send(twilio, "POST", f"{ACCOUNT}/Calls.json", GOOD)
    assert (status, body["status"], body["queue_time"], body["price_unit"]) == (201, "queued", "0", "USD")
    assert raw == json.dumps(body)
    assert len(body["subresource_uris"]) == 9


async def test_a_field_twice_is_refused(twilio: TwilioEmulator) -> None:
    form = aiohttp.FormData([*GOOD.items(), ("To", "+14155550199")])
    status, _, body = await send(twilio, "POST", f"{ACCOUNT}/Calls.json", form)
    assert (status, body["code"]) == (400, 21200)
    assert "more than once" in body["message"]


async def test_choices_change_the_unconfirmed_codes() -> None:
    choices = Choices(missing_to_code=21213, missing_from_code=21201, invalid_to_code=21217, unknown_fields="ignore")
    async with emulator(choices=choices) as twilio:
        for change, code in (({"To": ""}, 21213), ({"From": ""}, 21201), ({"To": "x"}, 21217)):
            _, _, body = await send(twilio, "POST", f"{ACCOUNT}/Calls.json", {**GOOD, **change})
            assert body["code"] == code
        status, _, _ = await send(twilio, "POST", f"{ACCOUNT}/Calls.json", {**GOOD, "Colour": "red"})
        assert status == 201


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer x"},
        {"Authorization": "Basic ???"},
        {"Authorization": aiohttp.encode_basic_auth(ACCOUNT, "wrong")},
        {"Authorization": aiohttp.encode_basic_auth("", "")},
    ],
)
async def test_credentials(twilio: TwilioEmulator, headers: dict[str, str]) -> None:
    status, raw, _ = await send(twilio, "POST", f"{ACCOUNT}/Calls.json", GOOD, headers=headers)
    assert status == 401
    assert raw == (
        '{"code":20003,"message":"Authenticate","more_info":"https://www.twilio.com/docs/errors/20003","status":401}'
    ), "compact, as captured"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"{ACCOUNT}/Calls/CA{'0' * 32}.json"),
        ("POST", f"{ACCOUNT}/Calls/CA{'0' * 32}.json"),
        ("DELETE", f"{ACCOUNT}/Calls/CA{'0' * 32}.json"),
        ("GET", f"{ACCOUNT}/Calls/CA{'0' * 32}/Notifications.json"),
        ("GET", f"{ACCOUNT}/Messages.json"),
        ("GET", f"AC{'0' * 32}/Calls.json"),
        ("PUT", f"{ACCOUNT}/Calls.json"),
        ("GET", f"{ACCOUNT}/Calls"),
    ],
)
async def test_what_is_not_there(twilio: TwilioEmulator, method: str, path: str) -> None:
    status, _, body = await send(twilio, method, path, {"Status": "completed"} if method == "POST" else None)
    assert (status, body["code"]) == (404, 20404)
    assert body["message"] == f"The requested resource /2010-04-01/Accounts/{path} was not found"


@pytest.mark.parametrize(
    ("form", "code"),
    [
        ({}, 21200),
        ({"Status": "paused"}, 21200),
        ({"Status": "canceled"}, 21220),
        ({"Url": "https://example.com/x", "Twiml": "<Response/>"}, 21200),
        ({"Status": "completed", "Twiml": "<Response/>"}, 21200),
        ({"Url": "x"}, 21205),
        ({"To": THEIRS}, 21200),
    ],
)
async def test_an_update_of_a_live_call_that_is_refused(
    twilio: TwilioEmulator, form: dict[str, str], code: int
) -> None:
    _, _, made = await send(twilio, "POST", f"{ACCOUNT}/Calls.json", GOOD)
    async with asyncio.timeout(20):
        while twilio.calls[made["sid"]].status != "in-progress":  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    status, _, body = await send(twilio, "POST", f"{ACCOUNT}/Calls/{made['sid']}.json", form)
    assert (status, body["code"]) == (400, code)
    assert twilio.calls[made["sid"]].status == "in-progress"


async def test_a_ringing_call_can_be_canceled_but_not_redirected() -> None:
    async with emulator(scenario=PartyScript(ring_s=60.0)) as twilio:
        _, _, made = await send(twilio, "POST", f"{ACCOUNT}/Calls.json", GOOD)
        path = f"{ACCOUNT}/Calls/{made['sid']}.json"
        status, _, body = await send(twilio, "POST", path, {"Twiml": "<Response/>"})
        assert (status, body["code"]) == (400, 21220)
        status, _, body = await send(twilio, "DELETE", path)
        assert (status, body["code"]) == (400, 21220)
        status, _, body = await send(twilio, "POST", path, {"Status": "canceled"})
        assert (status, body["status"], body["duration"]) == (200, "canceled", "0")
        status, _, body = await send(twilio, "POST", path, {"Status": "completed"})
        assert (status, body["code"]) == (400, 21220), "a call that is over stays over"


@pytest.mark.parametrize(
    "query", ["PageSize=0", "PageSize=1001", "Page=x", "Status=ended", "StartTime=x", "Colour=red"]
)
async def test_a_list_that_is_refused(twilio: TwilioEmulator, query: str) -> None:
    await send(twilio, "POST", f"{ACCOUNT}/Calls.json", GOOD)
    status, _, body = await send(twilio, "GET", f"{ACCOUNT}/Calls.json?{query}")
    assert (status, body["code"]) == (400, 21200)


async def test_a_json_body_is_refused(twilio: TwilioEmulator) -> None:
    headers = {"Authorization": aiohttp.encode_basic_auth(ACCOUNT, TOKEN), "Content-Type": "application/json"}
    status, _, body = await send(twilio, "POST", f"{ACCOUNT}/Calls.json", json.dumps(GOOD), headers=headers)
    assert (status, body["code"]) == (400, 21200)
