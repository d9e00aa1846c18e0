"""The door: looks at what comes without taking it, waits for the rest, and not for ever."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from shortwire.net.front import listen
from shortwire.workers.choosing import LONGEST_HEAD, Asked
from shortwire.workers.door import Door

pytestmark = pytest.mark.skipif(not hasattr(asyncio.AbstractEventLoop, "add_reader"), reason="no add_reader")

Arrived = list[tuple[socket.socket, Asked]]
MEDIA = b"GET /outbound-media-stream/w1.abc HTTP/1.1\r\nHost: x\r\n\r\n"


@asynccontextmanager
async def door(**options: float) -> AsyncIterator[tuple[Door, Arrived, Callable[[], Awaitable[socket.socket]]]]:
    arrived: Arrived = []
    clients: list[socket.socket] = []
    listener = listen("127.0.0.1", 0)
    address = listener.getsockname()
    made = Door(listener, lambda sock, asked: arrived.append((sock, asked)), **options)  # type: ignore[arg-type]

    async def client() -> socket.socket:
        sock = socket.socket()
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, address)
        clients.append(sock)
        return sock

    made.open()
    try:
        yield made, arrived, client
    finally:
        made.close()
        for sock in [*clients, *(sock for sock, _ in arrived)]:
            sock.close()


async def until(check: Callable[[], object], within_s: float = 20.0) -> None:
    async with asyncio.timeout(within_s):
        while not check():  # noqa: ASYNC110 - a condition of the tests, no event
            await asyncio.sleep(0.005)


async def test_a_request_is_handed_on_as_it_came() -> None:
    async with door() as (_, arrived, client):
        sock = await client()
        sock.send(MEDIA + b"and more")
        await until(lambda: arrived)
        served, asked = arrived[0]
        assert asked == Asked(1)
        assert served.recv(1000) == MEDIA + b"and more"


async def test_a_request_in_pieces_is_waited_for() -> None:
    async with door() as (_, arrived, client):
        sock = await client()
        for start in range(0, len(MEDIA), 7):
            sock.send(MEDIA[start : start + 7])
            await asyncio.sleep(0.01)
        await until(lambda: arrived)
        served, asked = arrived[0]
        assert asked == Asked(1)
        assert served.recv(1000).startswith(MEDIA[:20])


async def test_who_says_nothing_is_closed_and_who_says_half_is_told() -> None:
    async with door(patience_s=0.2) as (_, arrived, client):
        loop = asyncio.get_running_loop()
        silent, half = await client(), await client()
        half.send(MEDIA[:10])
        assert await loop.sock_recv(silent, 100) == b""
        assert (await loop.sock_recv(half, 100)).startswith(b"HTTP/1.1 408 ")
        assert arrived == []


async def test_who_goes_without_a_word_leaves_nothing() -> None:
    async with door() as (made, arrived, client):
        sock = await client()
        await until(lambda: made._waiting)
        sock.close()
        await until(lambda: not made._waiting)
        assert arrived == []


async def test_a_flood_of_silent_ones_does_not_keep_others_out() -> None:
    async with door(most_waiting=20) as (made, arrived, client):
        for _ in range(100):
            await client()
        sock = await client()
        sock.send(MEDIA)
        await until(lambda: arrived)
        assert len(made._waiting) <= 20


async def test_an_endless_request_is_somebodys_and_not_kept() -> None:
    async with door() as (made, arrived, client):
        sock = await client()
        sock.send(b"GET /" + b"a" * (LONGEST_HEAD + 100))
        await until(lambda: arrived)
        assert arrived[0][1] == Asked()
        assert not made._waiting


async def test_without_descriptors_it_rests_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shortwire.workers.door._REST_S", 0.05)
    async with door() as (made, arrived, client):
        real, failures = made._listener, [OSError(24, "Too many open files")] * 3

        class Failing:
            def accept(self) -> object:
                if failures:
                    raise failures.pop()
                return real.accept()

            def fileno(self) -> int:
                return real.fileno()

            def close(self) -> None:
                real.close()

        made._listener = Failing()  # type: ignore[assignment]
        sock = await client()
        sock.send(MEDIA)
        await until(lambda: arrived)
        assert not failures
