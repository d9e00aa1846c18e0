"""The guard: who may ask what, how much they may say, and what an outsider learns."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import httpx
import pytest
from fake_desk import KEY, PUBLIC_URL, TWIML, FakeDesk, only_signed_with, options

from shortwire.web import WebOptions, create_app
from shortwire.web.guard import PUBLIC
from shortwire.wire.signature import sign, verify

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
SIGNED = {**FORM, "X-Twilio-Signature": "good"}
BEARER = {"Authorization": f"Bearer {KEY}"}


def client(desk: FakeDesk, **changes: Any) -> httpx.AsyncClient:
    app = create_app(desk, options(**changes))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://internal")


def every_route() -> list[tuple[str, str]]:
    routes: list[Any] = []

    def walk(found: Any) -> None:
        for route in found:
            inner = getattr(getattr(route, "original_router", None), "routes", None)
            if inner is not None:
                walk(inner)
            else:
                routes.append(route)

    walk(create_app(FakeDesk(), options()).routes)
    return sorted(
        (method, route.path.replace("{call_id}", "call_1")) for route in routes for method in route.methods or ()
    )


def test_the_sweep_sees_the_routes() -> None:
    paths = {path for _, path in every_route()}
    assert {
        "/v1/calls",
        "/v1/calls/call_1/events",
        "/outbound-call",
        "/incoming-call",
        "/status-callback/call_1",
    } <= paths
    assert paths >= PUBLIC


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Bearer "},
        {"Authorization": f"Basic {KEY}"},
        {"X-API-Key": ""},
        {"X-API-Key": KEY[:-1]},
        {"X-API-Key": KEY + "x"},
        {"X-Twilio-Signature": "bad"},
        {"X-Twilio-Signature": ""},
    ],
)
async def test_every_route_but_the_public_ones_refuses_whoever_shows_nothing_right(headers: dict[str, str]) -> None:
    desk = FakeDesk()
    desk.add("call_1")
    async with client(desk) as http:
        for method, path in every_route():
            for sent in {method, "GET", "POST", "PUT", "DELETE"}:
                if path in PUBLIC:
                    continue
                answer = await http.request(sent, path, headers={**FORM, **headers})
                assert answer.status_code in (401, 403), (sent, path, answer.text)
    assert not desk.forms and not desk.placed and not desk.hung_up and not desk.after


async def test_the_public_routes_are_public() -> None:
    async with client(FakeDesk()) as http:
        for path in PUBLIC:
            assert (await http.get(path)).status_code == 200


async def test_an_unknown_path_needs_the_key_before_it_says_that_it_is_unknown() -> None:
    async with client(FakeDesk()) as http:
        assert (await http.get("/admin")).status_code == 401
        assert (await http.get("/admin", headers=BEARER)).status_code == 404
        assert (await http.get("/healthz/")).status_code == 401
        assert (await http.get("//healthz")).status_code == 401
        assert (await http.get("/incoming-callx", headers=SIGNED)).status_code == 401


async def test_the_key_of_the_api_opens_no_webhook_and_a_signature_opens_no_api() -> None:
    async with client(FakeDesk()) as http:
        assert (await http.post("/incoming-call", headers={**FORM, **BEARER})).status_code == 403
        assert (await http.get("/v1/calls", headers=SIGNED)).status_code == 401


@pytest.mark.parametrize("headers", [BEARER, {"X-API-Key": KEY}, {"Authorization": f"bearer {KEY}"}])
async def test_either_header_carries_the_key(headers: dict[str, str]) -> None:
    async with client(FakeDesk()) as http:
        assert (await http.get("/v1/calls", headers=headers)).status_code == 200


async def test_a_refusal_says_what_to_send() -> None:
    async with client(FakeDesk()) as http:
        answer = await http.get("/v1/calls")
        seed = await http.post("/outbound-call", json={})
        hook = await http.post("/incoming-call")
        wrong = await http.get("/v1/calls", headers={"X-API-Key": "another server's"})
    assert answer.json()["error"]["message"] == "an API key is needed"
    assert wrong.status_code == 401 and wrong.json()["error"]["message"] == "this API key is not that of the server"
    assert answer.json()["error"]["code"] == "unauthorized" and "SHORTWIRE_API_KEY" in answer.json()["error"]["details"]
    assert answer.headers["www-authenticate"] == "Bearer"
    assert seed.status_code == 401 and seed.json()["success"] is False and seed.json()["code"] == "unauthorized"
    assert hook.status_code == 403 and hook.headers["content-type"].startswith("text/plain")


async def test_a_body_is_not_read_for_somebody_without_credentials() -> None:
    read = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal read
        while True:
            read += 1
            yield b"x" * 1024

    async with client(FakeDesk()) as http:
        assert (await http.post("/v1/calls", content=body())).status_code == 401
        assert (await http.post("/incoming-call", content=body(), headers=FORM)).status_code == 403
        assert (await http.post("/healthz", content=body())).status_code == 413
    assert read <= 1


@pytest.mark.parametrize(
    ("path", "headers", "limit"),
    [("/v1/calls", BEARER, 64), ("/outbound-call", BEARER, 64), ("/incoming-call", SIGNED, 32)],
)
async def test_a_body_too_large_is_refused_while_it_is_read(path: str, headers: dict[str, str], limit: int) -> None:
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while True:
            read += 1
            yield b"x" * 1024

    async with client(FakeDesk()) as http:
        answer = await http.post(path, content=endless(), headers=headers)
        assert answer.status_code == 413 and read == limit + 1
        assert answer.headers["connection"] == "close"
        promised = await http.post(path, content=b"x" * (limit * 1024 + 1), headers=headers)
        assert promised.status_code == 413


async def test_a_body_that_never_ends_is_given_up() -> None:
    async def slow() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(30)

    async with client(FakeDesk(), body_deadline_s=0.05) as http:
        answer = await http.post("/v1/calls", content=slow(), headers=BEARER)
    assert answer.status_code == 408 and answer.json()["error"]["code"] == "body_too_slow"


async def test_a_signature_is_checked_over_the_public_url_and_the_form_as_it_came() -> None:
    check, desk = only_signed_with(), FakeDesk()
    async with client(desk, verify_signature=check) as http:
        answer = await http.post(
            "/status-callback/call_1",
            content="B=2&A=a+b%20c&A=1&Empty=",
            headers={**SIGNED, "Host": "evil.example", "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "http"},
        )
    assert answer.status_code == 204
    fields = [("B", "2"), ("A", "a b c"), ("A", "1"), ("Empty", "")]
    assert check.asked == [(f"{PUBLIC_URL}/status-callback/call_1", fields, "good")]
    assert desk.forms == [("status", {"B": "2", "A": "1", "Empty": ""}, "call_1")]


async def test_a_get_is_signed_over_its_query_and_nothing_else() -> None:
    check, desk = only_signed_with(), FakeDesk()
    async with client(desk, verify_signature=check) as http:
        answer = await http.get("/incoming-call?From=%2B1415&To=x+y", headers=SIGNED)
    assert answer.text == TWIML and answer.headers["content-type"].startswith("text/xml")
    assert check.asked == [(f"{PUBLIC_URL}/incoming-call?From=%2B1415&To=x+y", [], "good")]
    assert desk.forms == [("incoming", {"From": "+1415", "To": "x y"}, "")]


async def test_real_signatures_open_and_mutated_ones_do_not() -> None:
    token, desk = "12345", FakeDesk()
    fields = {"CallSid": "CA1", "From": "+14155550123", "Empty": "", "Name": "Zoë & Søn"}
    signature = sign(token, f"{PUBLIC_URL}/incoming-call", list(fields.items()))
    async with client(desk, verify_signature=partial(verify, token)) as http:
        good = await http.post("/incoming-call", data=fields, headers={"X-Twilio-Signature": signature})
        assert good.status_code == 200 and desk.forms[0][1] == fields
        for changed in [{**fields, "From": "+1"}, {**fields, "Extra": "1"}, {}]:
            bad = await http.post("/incoming-call", data=changed, headers={"X-Twilio-Signature": signature, **FORM})
            assert bad.status_code == 403
        other = await http.post("/status-callback/call_1", data=fields, headers={"X-Twilio-Signature": signature})
        assert other.status_code == 403
    assert len(desk.forms) == 1


async def test_only_a_form_of_reasonable_size_is_read() -> None:
    async with client(FakeDesk()) as http:
        multipart = await http.post("/incoming-call", files={"a": b"1"}, headers={"X-Twilio-Signature": "good"})
        many = await http.post("/incoming-call", content="&".join(f"a{i}=1" for i in range(300)), headers=SIGNED)
    assert multipart.status_code == 415 and many.status_code == 400


async def test_every_answer_carries_the_security_headers() -> None:
    async with client(FakeDesk()) as http:
        for path, headers in [
            ("/healthz", {}),
            ("/v1/calls", {}),
            ("/v1/calls", BEARER),
            ("/docs", {}),
            ("/x", BEARER),
        ]:
            answer = await http.get(path, headers=headers)
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["x-frame-options"] == "DENY"
            assert "default-src 'none'" in answer.headers["content-security-policy"]


async def test_a_mistake_of_ours_is_answered_with_a_reference_that_is_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    desk = FakeDesk()
    desk.failure = RuntimeError("secret of the inside")
    with caplog.at_level(logging.ERROR, "shortwire.web"):
        async with client(desk) as http:
            answer = await http.get("/v1/calls", headers=BEARER)
    assert answer.status_code == 500 and "secret" not in answer.text
    error = answer.json()["error"]
    assert error["code"] == "internal_error"
    reference = error["details"].rsplit(" ", 1)[1]
    assert reference in caplog.messages[0] and "/v1/calls" in caplog.messages[0]


def test_an_empty_key_is_no_key() -> None:
    with pytest.raises(ValueError, match="API key"):
        WebOptions(PUBLIC_URL, "", only_signed_with())


async def test_sockets_and_lifespan_pass_to_the_application() -> None:
    reached: list[str] = []

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        reached.append(scope["type"])

    from shortwire.web.guard import Guard

    guard = Guard(inner, options())
    for kind in ("websocket", "lifespan"):
        await guard({"type": kind}, None, None)  # type: ignore[arg-type]
    assert reached == ["websocket", "lifespan"]
