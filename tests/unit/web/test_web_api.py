"""The versioned API and the seed's routes over a fake desk."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import httpx
import pytest
from fake_desk import KEY, TWIML, FakeDesk, options

from shortwire.errors import CarrierRefused, CarrierUncertain, Conflict, Unavailable
from shortwire.records import EventKind
from shortwire.terms import CallState, HangupCause
from shortwire.web import create_app
from shortwire.web.models import CallList

BEARER = {"Authorization": f"Bearer {KEY}"}
SIGNED = {"X-Twilio-Signature": "good", "Content-Type": "application/x-www-form-urlencoded"}
NUMBER = "+14155550123"


@pytest.fixture
def desk() -> FakeDesk:
    return FakeDesk()


def client(desk: FakeDesk, **changes: Any) -> httpx.AsyncClient:
    app = create_app(desk, options(**changes))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://internal", headers=BEARER)


async def test_a_call_is_placed_with_everything_that_was_asked(desk: FakeDesk) -> None:
    body = {
        "number": NUMBER,
        "agent_id": "agent_x",
        "prompt": "Be brief.",
        "first_message": "Hi.",
        "language": "de",
        "voice_id": "v1",
        "dynamic_variables": {"name": "Zoë", "n": 3, "x": 1.5, "ok": True},
        "metadata": {"crm": {"id": [1, None]}},
    }
    async with client(desk) as http:
        answer = await http.post("/v1/calls", json=body, headers={"Idempotency-Key": "k-1"})
    assert answer.status_code == 201
    request, key = desk.placed[0]
    assert key == "k-1"
    assert {name: getattr(request, name) for name in body} == body
    assert type(request.dynamic_variables["ok"]) is bool and type(request.dynamic_variables["n"]) is int
    call = answer.json()
    assert call["id"] == "call_1" and call["state"] == "dialing" and call["cause"] is None
    assert call["number"] == "+1******0123"


async def test_the_seeds_route_answers_as_the_seed_did(desk: FakeDesk) -> None:
    async with client(desk) as http:
        answer = await http.post("/outbound-call", json={"number": NUMBER, "prompt": "P", "first_message": "F"})
        refused = await http.post("/outbound-call", json={"number": "+4930123456"})
    assert answer.status_code == 200
    assert answer.json() == {"success": True, "message": "Call initiated", "callSid": "CA" + "2" * 32}
    request, key = desk.placed[0]
    assert (request.number, request.prompt, request.first_message, key) == (NUMBER, "P", "F", None)
    assert refused.status_code == 422
    assert refused.json()["success"] is False and refused.json()["code"] == "number_refused"
    assert "ALLOWED_COUNTRIES" in refused.json()["details"]


BAD_BODIES: list[tuple[Any, int, str]] = [
    ({}, 422, "number"),
    ({"number": 4155550123}, 422, "number"),
    ({"number": ""}, 422, "number"),
    ({"number": NUMBER, "first_mesage": "x"}, 422, "first_mesage"),
    ({"number": NUMBER, "agent_id": "a/b"}, 422, "agent_id"),
    ({"number": NUMBER, "language": "English"}, 422, "language"),
    ({"number": NUMBER, "prompt": "a\x00b"}, 422, "prompt"),
    ({"number": NUMBER, "prompt": "\ud800"}, 422, "prompt"),
    ({"number": NUMBER, "dynamic_variables": {"a": None}}, 422, "dynamic_variables"),
    ({"number": NUMBER, "dynamic_variables": {"a": [1]}}, 422, "dynamic_variables"),
    ({"number": NUMBER, "dynamic_variables": {"a": 2**60}}, 422, "dynamic_variables"),
    ({"number": NUMBER, "metadata": {"a": {"b": "\ud800"}}}, 422, "metadata"),
    ({"number": NUMBER, "metadata": [1]}, 422, "metadata"),
    ([], 422, "the body"),
    ("x", 422, "the body"),
    ({"number": "415 555 0123"}, 422, ""),
]


@pytest.mark.parametrize(("body", "status", "names"), BAD_BODIES)
async def test_a_wrong_field_is_named(desk: FakeDesk, body: Any, status: int, names: str) -> None:
    async with client(desk) as http:
        answer = await http.post("/v1/calls", content=json.dumps(body), headers={"Content-Type": "application/json"})
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert set(error) == {"code", "message", "details"}
    assert names in error["details"]
    assert not desk.calls


@pytest.mark.parametrize("text", ["", "{", "nope", '{"number": }', b"\xff\xfe"])
async def test_what_is_not_json_is_said_to_be_none(desk: FakeDesk, text: Any) -> None:
    async with client(desk) as http:
        answer = await http.post("/v1/calls", content=text, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422)
    assert answer.json()["error"]["code"] in ("bad_json", "invalid_request", "bad_request")


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999"])
async def test_numbers_that_are_not_finite_are_refused(desk: FakeDesk, number: str) -> None:
    text = f'{{"number": "{NUMBER}", "metadata": {{"a": {number}}}, "dynamic_variables": {{"b": {number}}}}}'
    async with client(desk) as http:
        answer = await http.post("/v1/calls", content=text, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422 and not desk.placed


async def test_depth_is_bounded(desk: FakeDesk) -> None:
    text = f'{{"number": "{NUMBER}", "metadata": {{"a": {"[" * 5000}{"]" * 5000}}}}}'
    async with client(desk) as http:
        answer = await http.post("/v1/calls", content=text, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422) and not desk.placed


ERRORS = [
    (
        CarrierRefused("the carrier refused", carrier_code=21215, status=400, details="No. (Twilio error 21215)"),
        502,
        "carrier_refused",
    ),
    (CarrierUncertain("no clear answer", details="HTTP 500"), 504, "carrier_uncertain"),
    (Conflict("that key was used for another request"), 409, "conflict"),
    (Unavailable("draining"), 503, "unavailable"),
]


@pytest.mark.parametrize(("failure", "status", "code"), ERRORS)
async def test_errors_of_the_desk_keep_their_status_and_code(
    desk: FakeDesk, failure: Exception, status: int, code: str
) -> None:
    desk.failure = failure
    async with client(desk) as http:
        answer = await http.post("/v1/calls", json={"number": NUMBER})
        seed = await http.post("/outbound-call", json={"number": NUMBER})
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert (seed.status_code, seed.json()["code"]) == (status, code)
    if status == 502:
        assert "21215" in answer.json()["error"]["details"] and "21215" in seed.json()["details"]


async def test_a_call_is_shown_with_whose_fault_its_end_was(desk: FakeDesk) -> None:
    cause = HangupCause.AGENT_OVERRIDE_DENIED
    detail = f"1008 Override for field 'voice_id' is not allowed by config. ({NUMBER})"
    desk.add(
        "call_7", state=CallState.ENDED, cause=cause, cause_detail=detail, turns=({"index": 1},), latencies={"a": 1}
    )
    async with client(desk) as http:
        hidden = (await http.get("/v1/calls/call_7")).json()
        shown = (await http.get("/v1/calls/call_7?reveal=true")).json()
    assert hidden["cause"]["slug"] == "agent_override_denied" and hidden["cause"]["fault"] == "config"
    assert "security settings" in hidden["cause"]["meaning"] and "voice_id" in hidden["cause"]["detail"]
    assert NUMBER not in json.dumps(hidden)
    assert shown["number"] == NUMBER and NUMBER in shown["cause"]["detail"]
    assert hidden["turns"] == [{"index": 1}] and hidden["latencies"] == {"a": 1}


async def test_calls_are_listed_page_by_page(desk: FakeDesk) -> None:
    for i in range(5):
        desk.add(f"call_{i}", state=CallState.ENDED if i % 2 else CallState.DIALING)
    async with client(desk) as http:
        first = (await http.get("/v1/calls?limit=3")).json()
        second = (await http.get(f"/v1/calls?limit=3&before={first['next']}")).json()
        ended = (await http.get("/v1/calls?state=ended")).json()
        nothing = (await http.get("/v1/calls?before=call_0")).json()
        one = (await http.get("/v1/calls/call_4")).json()
    assert nothing == {"calls": [], "next": None} and first["calls"][0] == one
    assert all(CallList.model_validate(page, extra="forbid") for page in (first, second, ended, nothing))
    assert [c["id"] for c in first["calls"]] == ["call_4", "call_3", "call_2"] and first["next"] == "call_2"
    assert [c["id"] for c in second["calls"]] == ["call_1", "call_0"] and second["next"] is None
    assert [c["id"] for c in ended["calls"]] == ["call_3", "call_1"]


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "limit=201", "state=gone", "before=a/b", "unknown=1"])
async def test_a_wrong_query_is_named(desk: FakeDesk, query: str) -> None:
    async with client(desk) as http:
        answer = await http.get(f"/v1/calls?{query}")
    assert answer.status_code == 422
    assert query.partition("=")[0] in answer.json()["error"]["details"]


@pytest.mark.parametrize("path", ["/v1/calls/nope", "/v1/calls/nope/events"])
async def test_an_unknown_call_is_not_found(desk: FakeDesk, path: str) -> None:
    async with client(desk) as http:
        answer = await http.get(path)
        posted = await http.post("/v1/calls/nope/hangup")
    assert answer.status_code == posted.status_code == 404
    assert answer.json()["error"]["code"] == "not_found"


async def test_an_unknown_method_is_said_so_in_the_same_shape(desk: FakeDesk) -> None:
    async with client(desk) as http:
        answer = await http.put("/v1/calls")
    assert answer.status_code == 405 and answer.json()["error"]["code"] == "method_not_allowed"
    assert answer.headers["allow"] == "GET, POST"


async def test_hanging_up_answers_with_the_call(desk: FakeDesk) -> None:
    desk.add("call_1")
    async with client(desk) as http:
        answer = await http.post("/v1/calls/call_1/hangup")
    assert answer.status_code == 200 and answer.json()["cause"]["slug"] == "api_hangup" and desk.hung_up == ["call_1"]


def messages(text: str) -> list[tuple[int, str, dict[str, Any]]]:
    found = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line and not line.startswith(":"))
        if "data" in fields:
            found.append((int(fields["id"]), fields["event"], json.loads(fields["data"])))
    return found


async def test_events_are_streamed_in_order_until_the_end(desk: FakeDesk) -> None:
    desk.add("call_1")
    desk.script[4] = (EventKind.AGENT_SAID, {"text": f"Zoë\u2028 said\nhello to {NUMBER}"})
    async with client(desk) as http:
        answer = await http.get("/v1/calls/call_1/events")
    assert answer.headers["content-type"].startswith("text/event-stream")
    found = messages(answer.text)
    assert [seq for seq, _, _ in found] == [1, 2, 3, 4, 5, 6]
    assert found[-1][1] == "call.ended" and found[-1][2]["data"]["disposition"] == "answered"
    assert found[4][2] == {
        "call_id": "call_1", "seq": 5, "at": 1_790_000_005.0, "kind": "agent.said",
        "data": {"text": "Zoë\u2028 said\nhello to +1******0123"},
    }  # fmt: skip
    assert desk.released == 1


async def test_a_stream_goes_on_after_the_last_event_that_was_seen(desk: FakeDesk) -> None:
    desk.add("call_1")
    async with client(desk) as http:
        answer = await http.get("/v1/calls/call_1/events", headers={"Last-Event-ID": "4"})
        bad = await http.get("/v1/calls/call_1/events", headers={"Last-Event-ID": "x"})
    assert [seq for seq, _, _ in messages(answer.text)] == [5, 6]
    assert bad.status_code == 422


async def test_a_quiet_stream_sends_comments_and_loses_nothing(desk: FakeDesk) -> None:
    desk.add("call_1")
    desk.gate = asyncio.Event()
    async with client(desk, heartbeat_s=0.02) as http:
        waiting = asyncio.create_task(http.get("/v1/calls/call_1/events"))
        await asyncio.sleep(0.2)
        desk.gate.set()
        text = (await waiting).text
    assert text.count(": still there") >= 2
    assert [seq for seq, _, _ in messages(text)] == [1, 2, 3, 4, 5, 6]


async def test_a_follower_who_leaves_frees_the_desk(desk: FakeDesk) -> None:
    desk.add("call_1")
    desk.gate = asyncio.Event()
    app = create_app(desk, options())
    sent: list[dict[str, Any]] = []
    left = asyncio.Event()

    async def receive() -> dict[str, Any]:
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)
        if b"call.created" in message.get("body", b""):
            left.set()

    scope = {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "method": "GET",
        "path": "/v1/calls/call_1/events", "raw_path": b"/v1/calls/call_1/events", "query_string": b"", "server": None,
        "client": None, "root_path": "", "scheme": "http", "headers": [(b"x-api-key", KEY.encode())],
    }  # fmt: skip
    async with asyncio.timeout(10):
        await app(scope, receive, send)
    assert desk.released == 1
    assert sent[0]["status"] == 200


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_webhooks_answer_with_twiml_and_know_their_call(desk: FakeDesk, method: str) -> None:
    async with client(desk) as http:
        paths = ["/incoming-call", "/outbound-call-twiml", "/outbound-call-twiml/call_9", "/status-callback/call_9"]
        answers = [await http.request(method, path, headers=SIGNED) for path in paths]
    assert [a.status_code for a in answers] == [200, 200, 200, 204]
    assert [a.text for a in answers[:3]] == [TWIML] * 3
    assert all(a.headers["content-type"].startswith("text/xml") for a in answers[:3])
    assert [(kind, call_id) for kind, _, call_id in desk.forms] == [
        ("incoming", ""), ("outbound", ""), ("outbound", "call_9"), ("status", "call_9"),
    ]  # fmt: skip


async def test_a_webhook_for_a_call_that_cannot_be_is_not_found(desk: FakeDesk) -> None:
    async with client(desk) as http:
        answer = await http.post("/status-callback/a%20b", headers=SIGNED)
    assert answer.status_code == 404 and not desk.forms


async def test_a_webhook_is_answered_in_time_even_when_the_desk_is_not(desk: FakeDesk) -> None:
    async def never(form: Any) -> str:
        await asyncio.sleep(30)
        return TWIML

    desk.answer_incoming = never  # type: ignore[method-assign]
    async with client(desk, webhook_deadline_s=0.05) as http:
        answer = await http.post("/incoming-call", headers=SIGNED)
    assert answer.status_code == 503


async def test_readiness_follows_the_desk_and_says_no_more_than_needed(desk: FakeDesk) -> None:
    async with client(desk) as http:
        assert (await http.get("/readyz")).json() == {"ready": True, "draining": False}
        desk.health_now = {"ready": True, "draining": True, "calls": 3}
        answer = await http.get("/readyz")
        figures = await http.get("/v1/health")
        desk.health_now = {"ready": False, "reason": "the database takes no writes", "store": {"last_error": "words"}}
        refused = await http.get("/readyz")
    assert answer.status_code == 503 and answer.json() == {"ready": False, "draining": True}
    assert figures.json()["calls"] == 3
    assert refused.status_code == 503
    assert refused.json() == {"ready": False, "draining": False, "reason": "the database takes no writes"}


async def test_the_documentation_names_every_route_of_the_api_and_loads_nothing(desk: FakeDesk) -> None:
    async with client(desk) as http:
        document = (await http.get("/openapi.json")).json()
        page = (await http.get("/docs")).text
    for path in ("/v1/calls", "/v1/calls/{call_id}", "/v1/calls/{call_id}/events", "/outbound-call", "/healthz"):
        assert path in document["paths"] and path in page
    assert "/incoming-call" not in document["paths"]
    assert document["paths"]["/v1/calls"]["post"]["security"] and not document["paths"]["/healthz"]["get"]["security"]
    assert "<script" not in page and "http://" not in page and "https://" not in page
    # A schema that another one or a body names is a link to where it stands on the page.
    assert '<pre><a href="#CallIn">CallIn</a></pre>' in page and 'id="CallIn"' in page
    names = re.findall(r'href="#(\w+)"', page)
    assert "CauseOut" in names and all(f'id="{name}"' in page for name in names)
    assert "#/components/schemas" not in page


async def test_an_error_names_the_call_it_happened_to(desk: FakeDesk) -> None:
    desk.failure = CarrierUncertain("no clear answer", details="HTTP 500")
    desk.failure.call_id = "call_9"
    async with client(desk) as http:
        answer = await http.post("/v1/calls", json={"number": NUMBER})
    assert answer.json()["error"]["call_id"] == "call_9"
