"""The carrier adapter against a small stub of the Calls resource: no, no answer, and never on a guess."""

from __future__ import annotations

import asyncio
import random
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import parse_qsl

import pytest
from aiohttp import encode_basic_auth, web

from shortwire.errors import CarrierRefused, CarrierUncertain
from shortwire.net.twilio_rest import TwilioCarrier
from shortwire.records import DialOrder
from shortwire.terms import CallSid

ACCOUNT = "AC" + "1" * 32
CALL = CallSid("CA" + "2" * 32)
ORDER = DialOrder(
    to="+14155550123",
    from_="+14155550100",
    status_callback_url="https://b.example/status-callback/call_1",
    time_limit_s=600,
    ring_timeout_s=30,
    twiml="<Response/>",
)
Handler = Callable[[web.Request], Any]


def call_json(status: str = "queued", created: str | None = None, sid: str = CALL) -> dict[str, Any]:
    return {"sid": sid, "status": status, "to": "+14155550123", "date_created": created}


def refusal(status: int, code: int, message: str) -> web.Response:
    return web.json_response({"code": code, "message": message, "status": status}, status=status)


class Stub:
    """Answers every request with the next handler (the last one for ever) and keeps what was asked."""

    def __init__(self) -> None:
        self.handlers: list[Handler] = []
        self.seen: list[tuple[str, str, list[tuple[str, str]], web.Request]] = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        fields = parse_qsl(await request.text(), keep_blank_values=True)
        self.seen.append((request.method, request.path_qs, fields, request))
        handler = self.handlers.pop(0) if len(self.handlers) > 1 else self.handlers[0]
        answer = handler(request)
        return await answer if asyncio.iscoroutine(answer) else answer


@pytest.fixture
async def stub() -> AsyncIterator[Stub]:
    stub = Stub()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", stub.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    stub.url = f"http://127.0.0.1:{runner.addresses[0][1]}"  # type: ignore[attr-defined]
    yield stub
    await runner.cleanup()


@pytest.fixture
async def carrier(stub: Stub) -> AsyncIterator[TwilioCarrier]:
    carrier = TwilioCarrier(
        ACCOUNT,
        "token",
        base_url=stub.url,  # type: ignore[attr-defined]
        deadline_s=5.0,
        rng=random.Random(1),
    )
    yield carrier
    await carrier.close()


async def test_a_call_is_asked_for_with_everything_the_order_says(stub: Stub, carrier: TwilioCarrier) -> None:
    stub.handlers = [lambda _: web.json_response(call_json(), status=201)]
    call = await carrier.create_call(ORDER)
    assert (call.sid, call.status, call.to) == (CALL, "queued", "+14155550123")
    method, path, fields, request = stub.seen[0]
    assert (method, path) == ("POST", f"/2010-04-01/Accounts/{ACCOUNT}/Calls.json")
    assert request.headers["Authorization"] == encode_basic_auth(ACCOUNT, "token")
    assert [v for k, v in fields if k == "StatusCallbackEvent"] == ["initiated", "ringing", "answered", "completed"]
    assert {k: v for k, v in fields if k != "StatusCallbackEvent"} == {
        "To": "+14155550123",
        "From": "+14155550100",
        "StatusCallback": "https://b.example/status-callback/call_1",
        "StatusCallbackMethod": "POST",
        "Timeout": "30",
        "TimeLimit": "600",
        "Twiml": "<Response/>",
    }


async def test_a_document_by_url_is_asked_for_without_inline_twiml(stub: Stub, carrier: TwilioCarrier) -> None:
    stub.handlers = [lambda _: web.json_response(call_json(), status=201)]
    order = DialOrder(
        to=ORDER.to, from_=ORDER.from_, status_callback_url=ORDER.status_callback_url, time_limit_s=1, ring_timeout_s=2,
        twiml_url="https://b.example/outbound-call-twiml/call_1",
    )  # fmt: skip
    await carrier.create_call(order)
    fields = dict(stub.seen[0][2])
    assert fields["Url"] == "https://b.example/outbound-call-twiml/call_1" and fields["Method"] == "POST"
    assert "Twiml" not in fields


async def test_a_refusal_keeps_the_carriers_code_and_words(stub: Stub, carrier: TwilioCarrier) -> None:
    stub.handlers = [lambda _: refusal(400, 21215, "Account not authorized to call +14155550123.")]
    with pytest.raises(CarrierRefused) as caught:
        await carrier.create_call(ORDER)
    assert (caught.value.carrier_code, caught.value.status) == (21215, 400)
    assert caught.value.details == "Account not authorized to call +14155550123. (Twilio error 21215)"
    assert len(stub.seen) == 1


async def test_refused_credentials_name_their_settings(stub: Stub, carrier: TwilioCarrier) -> None:
    stub.handlers = [lambda _: refusal(401, 20003, "Authenticate")]
    with pytest.raises(CarrierRefused) as caught:
        await carrier.create_call(ORDER)
    assert caught.value.details.startswith("Authenticate (Twilio error 20003); check TWILIO_ACCOUNT_SID")
    assert "TWILIO_AUTH_TOKEN" in caught.value.details


async def test_a_refusal_in_the_newer_shape_is_read_too(stub: Stub, carrier: TwilioCarrier) -> None:
    body = {"type": "about:blank", "title": "Bad", "status": 400, "code": 21211, "detail": "The number is not valid."}
    stub.handlers = [lambda _: web.json_response(body, status=400)]
    with pytest.raises(CarrierRefused, match=r"The number is not valid\. \(Twilio error 21211\)"):
        await carrier.create_call(ORDER)


async def test_a_refusal_without_a_body_of_theirs_names_the_status(stub: Stub, carrier: TwilioCarrier) -> None:
    stub.handlers = [lambda _: web.Response(status=403, text="<html>")]
    with pytest.raises(CarrierRefused) as caught:
        await carrier.create_call(ORDER)
    assert caught.value.carrier_code is None and "HTTP 403" in caught.value.details


async def test_429_is_asked_again_until_it_works(stub: Stub, carrier: TwilioCarrier) -> None:
    busy = lambda _: refusal(429, 20429, "Too many requests")  # noqa: E731
    stub.handlers = [busy, busy, lambda _: web.json_response(call_json(), status=201)]
    assert (await carrier.create_call(ORDER)).sid == CALL
    assert len(stub.seen) == 3


async def test_429_for_ever_is_a_refusal_and_nothing_was_dialled(stub: Stub) -> None:
    stub.handlers = [lambda _: refusal(429, 20429, "Too many requests")]
    carrier = TwilioCarrier(ACCOUNT, "token", base_url=stub.url, retries=2)  # type: ignore[attr-defined]
    with pytest.raises(CarrierRefused) as caught:
        await carrier.create_call(ORDER)
    await carrier.close()
    assert caught.value.status == 429 and len(stub.seen) == 3


async def test_a_deadline_while_waiting_after_429_is_a_refusal(stub: Stub) -> None:
    headers = {"Retry-After": "2"}
    stub.handlers = [lambda _: web.json_response({"code": 20429, "message": "x"}, status=429, headers=headers)]
    carrier = TwilioCarrier(ACCOUNT, "token", base_url=stub.url, deadline_s=1.0)  # type: ignore[attr-defined]
    with pytest.raises(CarrierRefused) as caught:
        await carrier.create_call(ORDER)
    await carrier.close()
    assert caught.value.status == 429 and len(stub.seen) == 1


@pytest.mark.parametrize("status", [500, 502, 503, 408])
async def test_a_failure_of_theirs_is_uncertain_and_never_asked_again(
    stub: Stub, carrier: TwilioCarrier, status: int
) -> None:
    stub.handlers = [lambda _: refusal(status, 20500, "Internal error")]
    with pytest.raises(CarrierUncertain, match=f"HTTP {status}"):
        await carrier.create_call(ORDER)
    assert len(stub.seen) == 1


async def test_silence_after_the_request_is_uncertain(stub: Stub) -> None:
    async def never(_: web.Request) -> web.Response:
        await asyncio.sleep(30)
        return web.Response()

    stub.handlers = [never]
    carrier = TwilioCarrier(ACCOUNT, "token", base_url=stub.url, deadline_s=0.3)  # type: ignore[attr-defined]
    with pytest.raises(CarrierUncertain, match=r"no answer within 0\.3 s"):
        await carrier.create_call(ORDER)
    await carrier.close()
    assert len(stub.seen) == 1


async def test_a_connection_lost_after_the_request_is_uncertain(stub: Stub, carrier: TwilioCarrier) -> None:
    def cut(request: web.Request) -> web.Response:
        request.transport.abort()  # type: ignore[union-attr]
        return web.Response()

    stub.handlers = [cut]
    with pytest.raises(CarrierUncertain):
        await carrier.create_call(ORDER)
    assert len(stub.seen) == 1


@pytest.mark.parametrize("body", ["{", "{}", "[]"])
async def test_an_unreadable_yes_is_uncertain(stub: Stub, carrier: TwilioCarrier, body: str) -> None:
    stub.handlers = [lambda _: web.Response(status=201, text=body)]
    with pytest.raises(CarrierUncertain):
        await carrier.create_call(ORDER)


async def test_a_carrier_that_cannot_be_reached_dialled_nothing() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        carrier = TwilioCarrier(ACCOUNT, "token", base_url=f"http://127.0.0.1:{closed.getsockname()[1]}")
        with pytest.raises(CarrierRefused, match="TWILIO_API_BASE_URL") as caught:
            await carrier.create_call(ORDER)
        await carrier.close()
    assert caught.value.code == "carrier_unreachable"


async def test_hanging_up_asks_for_completed(stub: Stub, carrier: TwilioCarrier) -> None:
    stub.handlers = [lambda _: web.json_response(call_json("completed"))]
    assert await carrier.end_call(CALL) == "completed"
    assert stub.seen[0][2] == [("Status", "completed")]


async def test_hanging_up_a_call_that_is_over_is_no_error(stub: Stub, carrier: TwilioCarrier) -> None:
    stub.handlers = [
        lambda _: refusal(400, 21220, "Invalid call state"),
        lambda _: web.json_response(call_json("no-answer")),
    ]
    assert await carrier.end_call(CALL) == "no-answer"


async def test_hanging_up_a_call_nobody_knows_is_no_error(stub: Stub, carrier: TwilioCarrier) -> None:
    stub.handlers = [lambda _: refusal(404, 20404, "not found")]
    assert await carrier.end_call(CALL) == "completed"
    assert await carrier.fetch_call(CALL) is None


async def test_calls_are_found_by_numbers_and_time(stub: Stub, carrier: TwilioCarrier) -> None:
    page = {
        "calls": [
            call_json("queued", None, "CAnew"),
            call_json("ringing", "Tue, 31 Aug 2010 20:36:28 +0000", "CAfresh"),
            call_json("completed", "Tue, 31 Aug 2010 19:36:28 +0000", "CAold"),
        ],
        "next_page_uri": None,
        "page_size": 50,
    }
    stub.handlers = [lambda _: web.json_response(page)]
    found = await carrier.find_calls(to="+14155550123", from_="+14155550100", since=1283286988.9)
    assert [call.sid for call in found] == ["CAnew", "CAfresh"]
    assert "To=%2B14155550123&From=%2B14155550100" in stub.seen[0][3].rel_url.raw_query_string


async def test_edge_and_region_of_the_environment_never_bend_our_base_url(
    stub: Stub, carrier: TwilioCarrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TWILIO_EDGE", "dublin")
    monkeypatch.setenv("TWILIO_REGION", "ie1")
    stub.handlers = [lambda _: web.json_response(call_json("ringing"))]
    call = await carrier.fetch_call(CALL)
    assert call is not None and call.status == "ringing"


async def test_edge_and_region_given_to_us_reach_the_host_name() -> None:
    carrier = TwilioCarrier(ACCOUNT, "token", edge="dublin", region="ie1")
    assert carrier._connected().get_hostname("https://api.twilio.com/x") == "https://api.dublin.ie1.twilio.com/x"
    await carrier.close()
    await carrier.close()


FIRST_REQUEST = f"""
import asyncio, sys
from shortwire.errors import CarrierRefused
from shortwire.net.twilio_account import TwilioAccount

async def ask() -> list[str]:
    account = TwilioAccount("{ACCOUNT}", "secret", base_url="http://127.0.0.1:9")
    before = set(sys.modules)
    for request in (account.fetch_call("{CALL}"), account.permission("US")):
        try:
            await request
        except CarrierRefused:
            continue
        raise AssertionError("somebody answers on port 9")
    await account.close()
    return sorted(set(sys.modules) - before)

print(*asyncio.run(ask()))
"""


def test_the_first_request_imports_nothing() -> None:
    # The SDK imports its resources when they are first used: 0.1 s in which no frame passes.
    done = subprocess.run([sys.executable, "-c", FIRST_REQUEST], capture_output=True, text=True, check=True)
    assert [name for name in done.stdout.split() if name.startswith("twilio")] == []
