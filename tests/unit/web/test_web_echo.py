"""Doctor's echo: one ticket, one answer; a key to get a ticket; and what is told of a request."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx
from fake_desk import KEY, FakeDesk, options

from shortwire.web import create_app
from shortwire.web.echo import ECHO_PATH, DoctorEcho

URL = "https://calls.example.com"


class Clock:
    now = 1_000

    def now_ns(self) -> int:
        return self.now

    def wall_s(self) -> float:
        return 0.0


def signed(url: str, fields: Sequence[tuple[str, str]], signature: str) -> bool:
    return signature == f"{url}|{len(list(fields))}"


def made(clock: Clock | None = None) -> tuple[DoctorEcho, httpx.AsyncClient]:
    echo = DoctorEcho(URL, signed, clock or Clock())
    return echo, client(echo=echo)


def client(**changes: Any) -> httpx.AsyncClient:
    app = create_app(FakeDesk(), options(**changes))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://internal")


async def test_a_ticket_needs_the_key_and_opens_once() -> None:
    echo, http = made()
    assert (await http.post("/doctor/tickets")).status_code == 401
    answer = await http.post("/doctor/tickets?count=2", headers={"Authorization": f"Bearer {KEY}"})
    document = answer.json()
    assert document["instance"] == echo.instance
    assert len(set(document["tickets"])) == 2
    path = ECHO_PATH + document["tickets"][0]
    assert (await http.get(path)).json()["instance"] == echo.instance
    again = await http.get(path)
    assert again.status_code == 404
    assert again.json()["error"]["code"] == "no_such_ticket"


async def test_without_a_ticket_nothing_is_told() -> None:
    echo, http = made()
    answer = await http.get(ECHO_PATH + "guessed")
    assert answer.status_code == 404
    assert echo.instance not in answer.text
    assert (await http.get(ECHO_PATH)).status_code == 404


async def test_a_ticket_is_good_for_a_minute() -> None:
    clock = Clock()
    echo, http = made(clock)
    path = ECHO_PATH + echo.ticket()
    clock.now += 61 * 10**9
    assert (await http.get(path)).status_code == 404


async def test_tickets_do_not_pile_up() -> None:
    echo, http = made()
    first = echo.ticket()
    for _ in range(64):
        echo.ticket()
    assert (await http.get(ECHO_PATH + first)).status_code == 404


async def test_the_signature_is_judged_over_the_public_address_with_path_query_and_form() -> None:
    echo, http = made()
    path = ECHO_PATH + echo.ticket()
    signature = f"{URL}{path}?a=b%20c|2"
    answer = await http.post(f"{path}?a=b%20c", content=b"x=1&y=2", headers={"X-Twilio-Signature": signature})
    seen = answer.json()["seen"]
    assert seen["signature_valid"] is True
    assert seen["hashed_url"] == f"{URL}{path}?a=b%20c"
    assert seen["fields"] == [["x", "1"], ["y", "2"]]


async def test_something_before_the_path_is_found_out() -> None:
    echo, http = made()
    path = "/app" + ECHO_PATH + echo.ticket()
    seen = (await http.get(path)).json()["seen"]
    assert seen["path"] == path
    assert seen["signature_came"] is False


class Body:
    """Sends pieces for ever, or says nothing more after the first; counts what was asked for."""

    def __init__(self, *, ends: bool = True) -> None:
        self.read = 0
        self.ends = ends

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            self.read += 1
            yield b"x" * 1024
            if not self.ends:
                await asyncio.Event().wait()


async def test_a_body_that_is_too_long_is_refused_while_it_is_read() -> None:
    echo, http = made()
    body = Body()
    answer = await http.post(ECHO_PATH + echo.ticket(), content=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "body_too_large")
    assert answer.headers["connection"] == "close"
    assert body.read == 5
    assert (await http.post(ECHO_PATH + echo.ticket(), content=b"x" * 4097)).status_code == 413
    assert (await http.post(ECHO_PATH + echo.ticket(), content=b"x" * 4096)).json()["seen"]["body_bytes"] == 4096


async def test_a_body_that_never_ends_is_given_up() -> None:
    echo = DoctorEcho(URL, signed, Clock())
    http = client(echo=echo, body_deadline_s=0.05)
    answer = await http.post(ECHO_PATH + echo.ticket(), content=Body(ends=False))
    assert (answer.status_code, answer.json()["error"]["code"]) == (408, "body_too_slow")
    assert answer.headers["connection"] == "close"


async def test_without_a_ticket_no_body_is_read() -> None:
    _, http = made()
    body = Body()
    answer = await http.post(ECHO_PATH + "guessed", content=body)
    assert answer.status_code == 404
    assert answer.headers["connection"] == "close"
    assert body.read <= 1


async def test_a_socket_needs_a_ticket_too() -> None:
    echo, _ = made()
    path = ECHO_PATH + echo.ticket()
    gate = echo.before(lambda path, signature: None)
    listener: Any = gate(path, f"wss://calls.example.com{path}|0")
    assert listener is not None
    assert b'"signature_valid": true' in listener._greeting
    assert gate(path, "") is None
    assert gate("/outbound-media-stream/x", "") is None


async def test_a_server_without_doctor_knows_no_such_routes() -> None:
    http = client()
    headers = {"Authorization": f"Bearer {KEY}"}
    assert (await http.post("/doctor/tickets", headers=headers)).status_code == 404
    assert (await http.get(ECHO_PATH + "x", headers=headers)).status_code == 404
