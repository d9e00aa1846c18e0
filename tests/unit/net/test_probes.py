"""Timings and the hand-made upgrade: figures from series, deadlines that hold, and what an odd server is called."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import socket
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest

from shortwire.doctor.way import Way
from shortwire.net.probes import AnswerTooLong, Series, Socket, addresses_are_private, http_request, resolve, tcp_series

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(handler: Handler):  # type: ignore[no-untyped-def]
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None: ...


def test_figures_of_a_series() -> None:
    found = Series((10.0, 12.0, 10.0, 30.0), failures=1)
    assert found.p50_ms == 10.0  # nearest rank
    assert found.p95_ms == 30.0
    assert found.jitter_ms == pytest.approx((2 + 2 + 20) / 3)
    assert found.lost_share == 0.2
    nothing = Series((), 3, "refused")
    assert math.isnan(nothing.p50_ms)
    assert nothing.as_dict() == {"n": 0, "failures": 3, "error": "refused"}


async def test_tcp_is_timed_and_two_refusals_in_a_row_are_enough() -> None:
    async with serving(hang_up) as port:
        found = await tcp_series(f"http://127.0.0.1:{port}", 3)
    assert len(found.times_ms) == 3
    assert all(ms > 0 for ms in found.times_ms)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        refused = await tcp_series(f"http://127.0.0.1:{taken.getsockname()[1]}", 5)
    assert (refused.answered, refused.failures) == (False, 2)
    assert refused.last_error


async def test_a_name_that_does_not_resolve_is_a_series_of_failures() -> None:
    found = await tcp_series("https://no.such.host.invalid", 4)
    assert (found.answered, found.failures) == (False, 4)
    with pytest.raises(OSError, match=r"."):
        await resolve("no.such.host.invalid")


async def test_a_request_has_a_deadline_and_shows_redirects() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(-1)

    async def elsewhere(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(
            b"HTTP/1.1 301 Moved\r\nLocation: https://a.example/\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
            b"Content-Length: 0\r\n\r\n"
        )
        await writer.drain()

    async with aiohttp.ClientSession() as http:
        async with serving(silent) as port:
            with pytest.raises(TimeoutError):
                await http_request(http, "GET", f"http://127.0.0.1:{port}/", deadline_s=0.1)
        async with serving(elsewhere) as port:
            answer = await http_request(http, "GET", f"http://127.0.0.1:{port}/")
    assert (answer.status, answer.headers["location"]) == (301, "https://a.example/")
    assert answer.date_s == 784111777


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", 404),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200),
        (b"", 0),
    ],
)
async def test_an_upgrade_that_is_none_is_not_open(answer: bytes, status: int) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()

    async with serving(refuse) as port, Socket(f"ws://127.0.0.1:{port}/x", deadline_s=5) as found:
        assert not found.open
        assert found.status == status
        assert found.problem
        with pytest.raises(ConnectionResetError):
            await found.send("x")


async def test_an_upgrade_that_is_not_answered_ends_at_the_deadline() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(-1)

    async with serving(silent) as port:
        with pytest.raises(TimeoutError):
            async with Socket(f"ws://127.0.0.1:{port}/x", deadline_s=0.1):
                raise AssertionError


def test_private_addresses() -> None:
    assert addresses_are_private(["10.0.0.1", "192.168.1.1", "100.64.0.1", "fe80::1%eth0", "127.0.0.1"])
    assert not addresses_are_private(["10.0.0.1", "93.184.216.34"])
    assert not addresses_are_private([])


def in_pieces(body: bytes, piece: int = 16_000) -> Handler:
    """A server whose answer arrives piece by piece, as a long one does."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode())
        with contextlib.suppress(ConnectionError):
            for at in range(0, len(body), piece):
                writer.write(body[at : at + piece])
                await writer.drain()
                await asyncio.sleep(0)

    return answer


async def test_an_answer_in_pieces_is_read_to_its_end() -> None:
    body = bytes(range(256)) * 400
    async with serving(in_pieces(body)) as port, aiohttp.ClientSession() as http:
        answer = await http_request(http, "GET", f"http://127.0.0.1:{port}/", whole=len(body))
        assert answer.body == body
        assert (await http_request(http, "GET", f"http://127.0.0.1:{port}/")).body == body


async def test_an_answer_that_is_longer_than_it_may_be() -> None:
    """Cut off where its beginning is enough; refused where every byte is needed."""
    body = b"x" * (256 * 1024 + 1)
    async with serving(in_pieces(body)) as port, aiohttp.ClientSession() as http:
        assert len((await http_request(http, "GET", f"http://127.0.0.1:{port}/")).body) == 256 * 1024
        with pytest.raises(AnswerTooLong, match=r"longer than 0\.25 MiB"):
            await http_request(http, "GET", f"http://127.0.0.1:{port}/", whole=256 * 1024)


def calls_of_a_list(count: int, turns: int = 120) -> bytes:
    """GET /v1/calls: calls of half an hour."""
    turn = {"index": 1, "kind": "reply", "party": "I would like to ask about my reservation.", "response_gap_ms": 812.5}
    call = {"request": {"first_message": "Good evening."}, "turns": [turn] * turns}
    return json.dumps({"calls": [{"id": f"call_{n}", **call} for n in range(count)], "next": None}).encode()


async def test_the_newest_calls_are_read_however_long_their_list_is() -> None:
    body = calls_of_a_list(50)
    assert len(body) > 256 * 1024
    async with serving(in_pieces(body)) as port, aiohttp.ClientSession() as http:
        way = Way(f"http://127.0.0.1:{port}", "", "", False, "key")
        found = await way.recent_calls(http)
    assert [call["id"] for call in found] == [f"call_{n}" for n in range(50)]
    async with serving(in_pieces(calls_of_a_list(20, 4000))) as port, aiohttp.ClientSession() as http:
        way = Way(f"http://127.0.0.1:{port}", "", "", False, "key")
        with pytest.raises(AnswerTooLong, match="8 MiB"):
            await way.recent_calls(http)
