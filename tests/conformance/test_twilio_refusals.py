"""What Twilio refuses: one table, one row per refusal, with the vendor's code and HTTP status as on the wire.

Codes that no source confirms are listed in docs/reference/emulator-twilio.md.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest

from shortwire.emulators.twilio import Choices, OwnedNumber, PartyScript, TwilioConfig, TwilioEmulator

ACCOUNT, TOKEN = "AC" + "7" * 32, "secret-of-the-account"
KEY, KEY_SECRET = "SK" + "8" * 32, "secret-of-the-key"
OURS, THEIRS = "+15005550006", "+14155550123"
GOOD: dict[str, Any] = {"To": THEIRS, "From": OURS, "Twiml": "<Response><Pause length='60'/></Response>"}
NOBODY = "CA" + "0" * 32


class Silent:
    def feed(self, ulaw_frame: bytes) -> bool:
        del ulaw_frame
        return False


def emulator(**changes: Any) -> TwilioEmulator:
    defaults: dict[str, Any] = {
        "account_sid": ACCOUNT,
        "auth_token": TOKEN,
        "api_keys": {KEY: KEY_SECRET},
        "numbers": {OURS: OwnedNumber()},
        "scenario": PartyScript(ring_s=0.0),
        "permitted_prefixes": ("+1", "+44"),
        "calls_per_second": 0,
        "dial_s": 0.0,
        "recording_processing_s": 0.0,
    }
    return TwilioEmulator(TwilioConfig(**{**defaults, **changes}), speak=lambda *_: b"", detector=Silent)


@pytest.fixture
async def twilio() -> AsyncIterator[TwilioEmulator]:
    async with emulator() as running:
        yield running


async def send(
    twilio: TwilioEmulator,
    method: str,
    path: str,
    form: Any = None,
    *,
    headers: dict[str, str] | None = None,
    content_type: str = "application/json",
) -> tuple[int, str, Any]:
    if headers is None:
        headers = {"Authorization": aiohttp.encode_basic_auth(ACCOUNT, TOKEN)}
    url = f"{twilio.base_url}/2010-04-01/Accounts/{path}"
    async with aiohttp.ClientSession() as session, session.request(method, url, data=form, headers=headers) as response:
        text = await response.text()
        if response.status != 204:
            assert response.content_type == content_type
        assert response.headers["Twilio-Request-Id"].startswith("RQ")
        assert len(response.headers["Twilio-Request-Id"]) == 34
        assert int(response.headers["Twilio-Concurrent-Requests"]) >= 1
        return response.status, text, json.loads(text) if text and content_type == "application/json" else None


async def until(check: Any) -> None:
    async with asyncio.timeout(20):
        while not check():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def place(twilio: TwilioEmulator, **more: str) -> str:
    status, text, made = await send(twilio, "POST", f"{ACCOUNT}/Calls.json", {**GOOD, **more})
    assert status == 201, text
    return str(made["sid"])


@dataclass(frozen=True)
class Row:
    code: int
    status: int
    text: str
    """In the message."""
    form: dict[str, str | None] = field(default_factory=dict)
    """Added to the good form of a create; None takes a field away."""
    path: str = "Calls.json"
    method: str = "POST"
    state: str = "none"
    """Of the call ``{call}`` in the path: none, ringing, live, over, recorded."""
    config: tuple[tuple[str, Any], ...] = ()

    @property
    def name(self) -> str:
        what = next(iter(self.form.items()), ("", "")) if self.form else (self.path, "")
        return f"{self.code}-{self.method}-{self.path}-{what[0]}={str(what[1])[:20]}-{self.state}"


def create(code: int, text: str, *, status: int = 400, config: Any = (), **form: str | None) -> Row:
    return Row(code, status, text, dict(form), config=tuple(config))


def at(method: str, path: str, state: str, code: int, text: str, **form: str) -> Row:
    return Row(code, 404 if code == 20404 else 400, text, dict(form), path, method, state)


RE0, MZ0, NO0 = "RE" + "0" * 32, "MZ" + "0" * 32, "NO" + "0" * 32
WSS = "wss://example.com/m"

TABLE = [
    # -- create: what must be there
    create(21201, "No 'To' number is specified", To=None),
    create(21201, "No 'To' number is specified", To=""),
    create(21213, "No 'From' number is specified", From=None),
    create(21200, "One of Url, Twiml or ApplicationSid", Twiml=None),
    create(21200, "One of Url, Twiml or ApplicationSid", Twiml=""),
    # -- create: addresses
    create(21205, "Url is not a valid URL", Url="ftp://example.com/x"),
    create(21205, "Url is not a valid URL", Url="voice"),
    create(21205, "Url is not a valid URL", Url="http://[/"),
    create(21205, "Url is not a valid URL", Url="http://host:99999/"),
    create(21205, "Url is not a valid URL", Url="http://"),
    create(21205, "Url is not a valid URL", Url="http://a b/"),
    create(21205, "FallbackUrl", FallbackUrl="x"),
    create(21205, "StatusCallback", StatusCallback="//x"),
    create(21205, "RecordingStatusCallback", RecordingStatusCallback="x"),
    create(21205, "AsyncAmdStatusCallback", AsyncAmdStatusCallback="mailto:x"),
    create(21205, "ClientNotificationUrl", ClientNotificationUrl="x"),
    create(21200, "underscore", StatusCallback="http://a_b.example.com/"),
    create(21200, "underscore", RecordingStatusCallback="http://a_b.example.com/"),
    # -- create: numbers
    create(21210, "is not yet verified for your account", From="+15005550099"),
    create(21212, "From is not a valid phone number", From="5005550006"),
    create(21212, "From is not a valid phone number", From="+15005550001"),
    create(21212, "From is not a valid phone number", From="client:me"),
    create(21211, "is not valid", To="4155550123"),
    create(21211, "is not valid", To="+0123456789"),
    create(21211, "is not valid", To="+1415555012x"),
    create(21211, "is not valid", To="+1"),
    create(21211, "is not valid", To="+1234567890123456"),
    create(21211, "is not valid", To="sip:nobody"),
    create(21211, "is not valid", To="client:"),
    create(21217, "is not valid", To="+15005550001"),
    create(21214, "cannot be reached", To="+15005550002"),
    create(21215, "Account not authorized to call", To="+15005550003"),
    create(21216, "not allowed to call", To="+15005550004"),
    create(21215, "Account not authorized to call", To="+4915550000000"),
    create(21202, "premium", To="+19005550123"),
    create(21219, "unverified", config=[("verified_numbers", ("+14155550199",))], To=THEIRS),
    # -- create: applications, carriers
    create(21218, "ApplicationSid", ApplicationSid="AP" + "0" * 32),
    create(21218, "ApplicationSid", ApplicationSid="x"),
    create(21200, "Byoc is not valid", Byoc="x"),
    create(21200, "phone numbers only", Byoc="BY" + "0" * 32, To="sip:a@example.com"),
    create(21200, "more than 5", Passports=",".join("abcdef")),
    # -- create: choices
    create(21200, "Method must be one of", Method="PUT"),
    create(21200, "FallbackMethod must be one of", FallbackMethod="post"),
    create(21200, "StatusCallbackMethod must be one of", StatusCallbackMethod="x"),
    create(21200, "AsyncAmdStatusCallbackMethod must be one of", AsyncAmdStatusCallbackMethod="x"),
    create(21200, "RecordingStatusCallbackMethod must be one of", RecordingStatusCallbackMethod="x"),
    create(21200, "StatusCallbackEvent must be one of", StatusCallbackEvent="answer"),
    create(21200, "RecordingStatusCallbackEvent must be one of", RecordingStatusCallbackEvent="started"),
    create(21200, "Record must be one of", Record="yes"),
    create(21200, "RecordingChannels must be one of", RecordingChannels="stereo"),
    create(21200, "RecordingTrack must be one of", RecordingTrack="left"),
    create(21200, "Trim must be one of", Trim="trim"),
    create(21200, "MachineDetection must be one of", MachineDetection="enable"),
    create(21200, "AsyncAmd must be one of", AsyncAmd="1"),
    # -- create: bounds
    create(21200, "4000", Twiml="x" * 4001),
    create(21200, "Timeout must be a whole number", Timeout="601"),
    create(21200, "Timeout must be a whole number", Timeout="0"),
    create(21200, "Timeout must be a whole number", Timeout="-1"),
    create(21200, "Timeout must be a whole number", Timeout="1.5"),
    create(21200, "TimeLimit must be a whole number", TimeLimit="soon"),
    create(21200, "TimeLimit must be a whole number", TimeLimit="0"),
    create(21200, "TimeLimit must be a whole number", TimeLimit="86401"),
    create(21200, "SendDigits", SendDigits="1" * 33),
    create(21200, "SendDigits", SendDigits="12e"),
    create(21200, "MachineDetectionTimeout", MachineDetectionTimeout="2"),
    create(21200, "MachineDetectionTimeout", MachineDetectionTimeout="60"),
    create(21200, "MachineDetectionSpeechThreshold", MachineDetectionSpeechThreshold="999"),
    create(21200, "MachineDetectionSpeechThreshold", MachineDetectionSpeechThreshold="6001"),
    create(21200, "MachineDetectionSpeechEndThreshold", MachineDetectionSpeechEndThreshold="499"),
    create(21200, "MachineDetectionSpeechEndThreshold", MachineDetectionSpeechEndThreshold="5001"),
    create(21200, "MachineDetectionSilenceTimeout", MachineDetectionSilenceTimeout="1999"),
    create(21200, "MachineDetectionSilenceTimeout", MachineDetectionSilenceTimeout="10001"),
    create(21200, "StatusCalback is not a parameter", StatusCalback="https://example.com/"),
    # -- what is not there
    at("GET", f"Calls/{NOBODY}.json", "none", 20404, "was not found"),
    at("POST", f"Calls/{NOBODY}.json", "none", 20404, "was not found", Status="completed"),
    at("DELETE", f"Calls/{NOBODY}.json", "none", 20404, "was not found"),
    at("GET", f"Calls/{NOBODY}/Notifications.json", "none", 20404, "was not found"),
    at("GET", f"Calls/{NOBODY}/Events.json", "none", 20404, "was not found"),
    at("GET", f"Calls/{NOBODY}/Recordings.json", "none", 20404, "was not found"),
    at("POST", f"Calls/{NOBODY}/Recordings.json", "none", 20404, "was not found"),
    at("POST", f"Calls/{NOBODY}/Streams.json", "none", 20404, "was not found", Url=WSS),
    at("GET", f"Calls/{{call}}/Notifications/{NO0}.json", "live", 20404, "was not found"),
    at("GET", f"Calls/{{call}}/Recordings/{RE0}.json", "live", 20404, "was not found"),
    at("POST", f"Calls/{{call}}/Recordings/{RE0}.json", "live", 20404, "was not found", Status="paused"),
    at("POST", "Calls/{call}/Recordings/Twilio.CURRENT.json", "live", 20404, "was not found", Status="paused"),
    at("DELETE", f"Calls/{{call}}/Recordings/{RE0}.json", "live", 20404, "was not found"),
    at("POST", f"Calls/{{call}}/Streams/{MZ0}.json", "live", 20404, "was not found", Status="stopped"),
    at("GET", f"Recordings/{RE0}.json", "none", 20404, "was not found"),
    at("DELETE", f"Recordings/{RE0}.json", "none", 20404, "was not found"),
    at("GET", "Messages.json", "none", 20404, "was not found"),
    at("PUT", "Calls.json", "none", 20404, "was not found"),
    at("PATCH", "Calls/{call}.json", "live", 20404, "was not found"),
    at("GET", "Calls/{call}/Siprec.json", "live", 20404, "was not found"),
    # -- update
    at("POST", "Calls/{call}.json", "live", 21200, "must change something"),
    at("POST", "Calls/{call}.json", "live", 21200, "Status must be one of", Status="paused"),
    at("POST", "Calls/{call}.json", "live", 21200, "exclusive", Url="https://example.com/x", Twiml="<Response/>"),
    at("POST", "Calls/{call}.json", "live", 21200, "Status cannot", Status="completed", Twiml="<Response/>"),
    at("POST", "Calls/{call}.json", "live", 21205, "Url is not a valid URL", Url="x"),
    at("POST", "Calls/{call}.json", "live", 21205, "FallbackUrl", Twiml="<Response/>", FallbackUrl="x"),
    at("POST", "Calls/{call}.json", "live", 21200, "not a parameter", To=THEIRS),
    at("POST", "Calls/{call}.json", "live", 21200, "Method must be", Url="https://example.com/x", Method="PUT"),
    at("POST", "Calls/{call}.json", "live", 21200, "TimeLimit", TimeLimit="0"),
    at("POST", "Calls/{call}.json", "live", 21200, "4000", Twiml="x" * 4001),
    at("POST", "Calls/{call}.json", "live", 21220, "not in-progress", Status="canceled"),
    at("POST", "Calls/{call}.json", "ringing", 21220, "not in-progress", Twiml="<Response/>"),
    at("POST", "Calls/{call}.json", "ringing", 21220, "not in-progress", Url="https://example.com/x"),
    at("POST", "Calls/{call}.json", "over", 21220, "not in-progress", Status="completed"),
    at("POST", "Calls/{call}.json", "over", 21220, "not in-progress", Status="canceled"),
    at("POST", "Calls/{call}.json", "over", 21220, "not in-progress", Twiml="<Response/>"),
    at("DELETE", "Calls/{call}.json", "live", 21220, "not in-progress"),
    at("DELETE", "Calls/{call}.json", "ringing", 21220, "not in-progress"),
    # -- recordings
    at("POST", "Calls/{call}/Recordings.json", "ringing", 21220, "not in-progress"),
    at("POST", "Calls/{call}/Recordings.json", "over", 21220, "not in-progress"),
    at("POST", "Calls/{call}/Recordings.json", "live", 21200, "RecordingChannels", RecordingChannels="3"),
    at("POST", "Calls/{call}/Recordings.json", "live", 21200, "RecordingTrack", RecordingTrack="x"),
    at("POST", "Calls/{call}/Recordings.json", "live", 21200, "Trim", Trim="x"),
    at("POST", "Calls/{call}/Recordings.json", "live", 21205, "RecordingStatusCallback", RecordingStatusCallback="x"),
    at("POST", "Calls/{call}/Recordings.json", "live", 21200, "not a parameter", Channels="dual"),
    at("POST", "Calls/{call}/Recordings/{re}.json", "recorded", 21220, "not in-progress", Status="paused"),
    at("POST", "Calls/{call}/Recordings/{re}.json", "recorded", 21200, "Status must be given"),
    at("POST", "Calls/{call}/Recordings/{re}.json", "recorded", 21200, "Status must be one of", Status="deleted"),
    at(
        *("POST", "Calls/{call}/Recordings/{re}.json", "recorded", 21200, "PauseBehavior must be"),
        Status="paused",
        PauseBehavior="loud",
    ),
    at("GET", "Recordings.json?Colour=red", "none", 21200, "not a filter"),
    at("GET", "Recordings.json?DateCreated=x", "recorded", 21200, "not a date"),
    at("GET", "Calls/{call}/Recordings.json?CallSid=x", "live", 21200, "not a filter"),
    # -- streams
    at("POST", "Calls/{call}/Streams.json", "live", 21200, "Url must be given", Name="a"),
    at("POST", "Calls/{call}/Streams.json", "live", 21205, "Url is not a valid URL", Url="https://example.com/m"),
    at("POST", "Calls/{call}/Streams.json", "live", 21205, "Url is not a valid URL", Url="ws://example.com/m"),
    at("POST", "Calls/{call}/Streams.json", "live", 21200, "Track must be one of", Url=WSS, Track="inbound"),
    at("POST", "Calls/{call}/Streams.json", "live", 21200, "not a parameter", Url=WSS, Parameter100="x"),
    at("POST", "Calls/{call}/Streams.json", "live", 21200, "needs a name", **{"Url": WSS, "Parameter1.Value": "x"}),
    at(
        *("POST", "Calls/{call}/Streams.json", "live", 21200, "under 500"),
        **{"Url": WSS, "Parameter1.Name": "a", "Parameter1.Value": "x" * 499},
    ),
    at("POST", "Calls/{call}/Streams.json", "ringing", 21220, "not in-progress", Url=WSS),
    at("POST", "Calls/{call}/Streams.json", "over", 21220, "not in-progress", Url=WSS),
    # -- lists
    *(
        at("GET", f"Calls.json?{query}", "live", 21200, text)
        for query, text in (
            ("PageSize=0", "PageSize"),
            ("PageSize=1001", "PageSize"),
            ("PageSize=x", "PageSize"),
            ("Page=x", "Page"),
            ("Page=-1", "Page"),
            ("Status=ended", "Status is not valid"),
            ("StartTime=x", "not a date"),
            ("EndTime%3E=x", "not a date"),
            ("Colour=red", "not a filter"),
        )
    ),
    at("GET", "Calls/{call}/Notifications.json?Colour=red", "live", 21200, "not a filter"),
    at("GET", "Calls/{call}/Events.json?PageSize=0", "live", 21200, "PageSize"),
]


async def stage(twilio: TwilioEmulator, state: str) -> tuple[str, str]:
    """A call in that state, and its recording."""
    if state == "none":
        return "", ""
    sid = await place(twilio)
    call = twilio.calls[sid]
    if state == "ringing":
        await until(lambda: call.status == "ringing")
        return sid, ""
    await until(lambda: call.status == "in-progress")
    recording = ""
    if state == "recorded":
        _, _, made = await send(twilio, "POST", f"{ACCOUNT}/Calls/{sid}/Recordings.json", {})
        recording = made["sid"]
        await until(lambda: call.line is not None and len(call.line.spoken) > 0)
        await send(twilio, "POST", f"{ACCOUNT}/Calls/{sid}/Recordings/{recording}.json", {"Status": "stopped"})
        await until(lambda: twilio.recordings[recording].status in {"completed", "absent"})
    if state == "over":
        await send(twilio, "POST", f"{ACCOUNT}/Calls/{sid}.json", {"Status": "completed"})
    return sid, recording


@asynccontextmanager
async def staged(row: Row) -> AsyncIterator[tuple[TwilioEmulator, str, str]]:
    ringing = {"scenario": PartyScript(ring_s=60.0)} if row.state == "ringing" else {}
    async with emulator(**ringing, **dict(row.config)) as twilio:
        sid, recording = await stage(twilio, row.state)
        yield twilio, sid, recording


@pytest.mark.parametrize("row", TABLE, ids=[f"{n:03}-{row.name}" for n, row in enumerate(TABLE)])
async def test_it_is_refused(row: Row) -> None:
    async with staged(row) as (twilio, sid, recording):
        before = len(twilio.calls)
        form: dict[str, Any] | None = dict(row.form)
        if row.path == "Calls.json" and row.method == "POST":
            form = {name: value for name, value in {**GOOD, **row.form}.items() if value is not None}
        if row.method != "POST":
            form = None
        path = f"{ACCOUNT}/{row.path.replace('{call}', sid).replace('{re}', recording)}"
        status, raw, body = await send(twilio, row.method, path, form)
        assert (status, body["code"], body["status"]) == (row.status, row.code, row.status)
        assert row.text in body["message"]
        assert body["more_info"] == f"https://www.twilio.com/docs/errors/{row.code}"
        assert list(body) == ["code", "message", "more_info", "status"]
        assert raw == json.dumps(body), "spaced, as captured"
        assert len(twilio.calls) == before, "a refusal changes nothing"
        if row.state == "live":
            assert twilio.calls[sid].status == "in-progress"


def test_the_table_is_long_enough() -> None:
    assert len(TABLE) >= 90
    assert len({(row.method, row.path, row.state, *row.form.items(), *row.config) for row in TABLE}) == len(TABLE)


async def test_the_good_form_is_good(twilio: TwilioEmulator) -> None:
    status, raw, body = await send(twilio, "POST", f"{ACCOUNT}/Calls.json", GOOD)
    assert (status, body["status"], body["queue_time"], body["price_unit"]) == (201, "queued", "0", "USD")
    assert raw == json.dumps(body)
    assert len(body["subresource_uris"]) == 9


@pytest.mark.parametrize("to", ["sip:desk@example.com", "client:alice", "+447700900123"])
async def test_other_addresses_are_good_too(twilio: TwilioEmulator, to: str) -> None:
    sid = await place(twilio, To=to)
    assert twilio.calls[sid].to == to


async def test_every_documented_field_at_its_bounds_is_good(twilio: TwilioEmulator) -> None:
    for timeout, limit, speech, end, silence, detection in (
        ("1", "1", "1000", "500", "2000", "3"),
        ("600", "86400", "6000", "5000", "10000", "59"),
    ):
        await place(
            twilio,
            Timeout=timeout,
            TimeLimit=limit,
            MachineDetection="DetectMessageEnd",
            MachineDetectionSpeechThreshold=speech,
            MachineDetectionSpeechEndThreshold=end,
            MachineDetectionSilenceTimeout=silence,
            MachineDetectionTimeout=detection,
            AsyncAmd="true",
            AsyncAmdStatusCallback="https://example.com/amd",
            AsyncAmdStatusCallbackMethod="GET",
            Record="true",
            RecordingChannels="dual",
            RecordingTrack="both",
            Trim="do-not-trim",
            SendDigits="w" * 32,
            CallerId=OURS,
            CallReason="a delivery",
            CallToken="token",
            Byoc="BY" + "0" * 32,
            SipAuthUsername="u",
            SipAuthPassword="p",
            Passports="a,b,c,d,e",
            FallbackMethod="GET",
        )


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
        {"Authorization": aiohttp.encode_basic_auth(KEY, TOKEN)},
        {"Authorization": aiohttp.encode_basic_auth("SK" + "9" * 32, KEY_SECRET)},
        {"Authorization": aiohttp.encode_basic_auth("", "")},
    ],
)
async def test_credentials(twilio: TwilioEmulator, headers: dict[str, str]) -> None:
    for method, path in (("POST", "Calls.json"), ("GET", f"Calls/{NOBODY}.json"), ("GET", "Recordings.json")):
        status, raw, _ = await send(twilio, method, f"{ACCOUNT}/{path}", GOOD if method == "POST" else None,
                                    headers=headers)  # fmt: skip
        assert status == 401
        assert raw == (
            '{"code":20003,"message":"Authenticate","more_info":"https://www.twilio.com/docs/errors/20003",'
            '"status":401}'
        ), "compact, as captured"


async def test_another_account_is_not_here(twilio: TwilioEmulator) -> None:
    status, _, body = await send(twilio, "GET", f"AC{'0' * 32}/Calls.json")
    assert (status, body["code"]) == (404, 20404)


async def test_a_path_without_json_is_answered_in_xml(twilio: TwilioEmulator) -> None:
    status, raw, _ = await send(twilio, "GET", f"{ACCOUNT}/Calls/{NOBODY}", content_type="application/xml")
    assert status == 404
    assert raw == (
        '<?xml version="1.0" encoding="UTF-8"?>\n<TwilioResponse><RestException><Status>404</Status><Message>The '
        f"requested resource /2010-04-01/Accounts/{ACCOUNT}/Calls/{NOBODY} was not found</Message><Code>20404</Code>"
        "<MoreInfo>https://www.twilio.com/docs/errors/20404</MoreInfo></RestException></TwilioResponse>"
    )
    _, raw, _ = await send(twilio, "POST", f"{ACCOUNT}/Calls", GOOD, content_type="application/xml")
    assert "<TwilioResponse><Call><DateUpdated/>" in raw
    assert f"<To>{THEIRS}</To>" in raw
    _, raw, _ = await send(twilio, "GET", f"{ACCOUNT}/Calls", content_type="application/xml")
    assert '<Calls firstpageuri="' in raw
    assert raw.count("<Call>") == 1


async def test_a_json_body_is_refused(twilio: TwilioEmulator) -> None:
    headers = {"Authorization": aiohttp.encode_basic_auth(ACCOUNT, TOKEN), "Content-Type": "application/json"}
    status, _, body = await send(twilio, "POST", f"{ACCOUNT}/Calls.json", json.dumps(GOOD), headers=headers)
    assert (status, body["code"]) == (400, 21200)


async def test_a_ringing_call_can_be_canceled() -> None:
    async with emulator(scenario=PartyScript(ring_s=60.0)) as twilio:
        sid = await place(twilio)
        status, _, body = await send(twilio, "POST", f"{ACCOUNT}/Calls/{sid}.json", {"Status": "canceled"})
        assert (status, body["status"], body["duration"]) == (200, "canceled", "0")


async def test_live_calls_are_limited() -> None:
    async with emulator(max_live_calls=1) as twilio:
        sid = await place(twilio)
        status, _, body = await send(twilio, "POST", f"{ACCOUNT}/Calls.json", GOOD)
        assert (status, body["code"]) == (429, 10004)
        await send(twilio, "POST", f"{ACCOUNT}/Calls/{sid}.json", {"Status": "completed"})
        assert await place(twilio) != sid, "the place is free again"


async def test_the_queue_is_limited_and_says_how_long_it_is() -> None:
    async with emulator(calls_per_second=0.5, max_queue_s=3, dial_s=0.0) as twilio:
        waits = [(await send(twilio, "POST", f"{ACCOUNT}/Calls.json", GOOD))[2] for _ in range(2)]
        assert waits[0]["queue_time"] == "0"
        assert 1000 <= int(waits[1]["queue_time"]) <= 2000
        assert waits[1]["status"] == "queued"
        status, _, body = await send(twilio, "POST", f"{ACCOUNT}/Calls.json", GOOD)
        assert (status, body["code"]) == (400, 22005)


async def test_concurrent_requests_are_limited() -> None:
    async with emulator(max_concurrent_requests=3) as twilio:
        twilio.faults = type(twilio.faults)(rest_delay_ms=500)
        answers = await asyncio.gather(*(send(twilio, "GET", f"{ACCOUNT}/Calls.json") for _ in range(5)))
    refused = [body for status, _, body in answers if status == 429]
    assert refused
    assert {body["code"] for body in refused} == {20429}
    assert [status for status, _, _ in answers].count(200) >= 1
