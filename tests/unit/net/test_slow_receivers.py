"""A side that stops reading and goes on sending: told within few bytes, ended in time; a burst is not taken for one."""

from __future__ import annotations

import asyncio
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from raw_websocket import TEXT, Ear, Raw, frame, listening

from shortwire.net import outbound
from shortwire.net.agent_host import AgentSocketOptions
from shortwire.net.lean_agent import LeanAgentDialer
from shortwire.net.stock import StockAgentDialer

FRAME = b'{"user_audio_chunk":"%b"}' % (b"/" * 216)
LITTLE = 8_192
"""Bytes that the stopped side's own buffer takes."""

linux = pytest.mark.skipif(sys.platform != "linux", reason="TCP_USER_TIMEOUT is of Linux")


@pytest.fixture(params=["lean", "stock"])
def lean(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "lean")


async def until(check: Callable[[], object], within_s: float = 20.0) -> None:
    async with asyncio.timeout(within_s):
        while not check():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def fill(ear: Ear, most: int) -> int:
    """Write audio until the socket says that it is enough; bytes, or what is more than `most`."""
    written = 0
    assert ear.socket is not None
    while not ear.pauses and written <= most:
        for _ in range(5):
            ear.socket.send(FRAME)
            written += len(FRAME)
        await asyncio.sleep(0.001)
    return written


@asynccontextmanager
async def deaf_agent(ear: Ear, *, lean: bool, tuned: bool = True) -> AsyncIterator[None]:
    """The conversation socket of `ear`, whose host opens it, sends a message every 50 ms and never reads again."""
    sending: set[asyncio.Task[None]] = set()

    async def host(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from websockets.utils import accept_key

        head = await reader.readuntil(b"\r\n\r\n")
        [key] = [line[18:].strip() for line in head.decode().splitlines() if line.lower().startswith("sec-websocket-k")]
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: %b\r\n\r\n" % accept_key(key).encode()
        )
        try:
            while True:
                writer.write(frame(TEXT, b"{}", masked=False))
                await asyncio.sleep(0.05)
        finally:
            writer.transport.abort()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sending.add(asyncio.create_task(host(reader, writer)))

    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, LITTLE)
    server = await asyncio.start_server(connected, sock=listener)
    options, tls = AgentSocketOptions(tuned=tuned), ssl.create_default_context()
    dialer = LeanAgentDialer(options, tls) if lean else StockAgentDialer(options, tls, compression=False)
    try:
        await dialer.connect(f"ws://127.0.0.1:{listener.getsockname()[1]}/", ear)
        yield
    finally:
        if ear.socket is not None and not ear.ended:
            ear.socket.close(1000, "")
        for task in sending:
            task.cancel()
        await asyncio.gather(*sending, return_exceptions=True)
        await ear.over()
        server.close()
        await server.wait_closed()


async def test_the_agent_is_told_within_little_audio(lean: bool) -> None:
    """On loopback one packet holds 64 KiB, so this is the most there can be: 10 s of mu-law, and not minutes."""
    ear = Ear()
    async with deaf_agent(ear, lean=lean):
        await until(lambda: ear.messages)
        assert await fill(ear, 1 << 20) < 150_000
        assert ear.pauses == [True]


async def test_without_tuning_the_system_takes_what_it_likes() -> None:
    """The other side of the toggle; and that the test above can fail."""
    ear = Ear()
    async with deaf_agent(ear, lean=True, tuned=False):
        await until(lambda: ear.messages)
        assert await fill(ear, 400_000) > 400_000


@linux
async def test_an_agent_that_does_not_recover_is_gone(lean: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbound, "STUCK_S", 1.0)
    ear = Ear()
    async with deaf_agent(ear, lean=lean):
        await until(lambda: ear.messages)
        await fill(ear, 1 << 20)
        assert (await ear.over())[0] == 1006


async def deaf_phone(port: int) -> Raw:
    """A media stream that has stopped reading."""
    system = socket.socket()
    system.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, LITTLE)
    system.setblocking(False)
    await asyncio.get_running_loop().sock_connect(system, ("127.0.0.1", port))
    raw = await Raw.open(port, system=system)
    raw.writer.transport.pause_reading()  # type: ignore[attr-defined]
    return raw


@linux
async def test_a_phone_that_stops_reading_is_gone_though_it_sends(lean: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Long before the megabyte that a burst may take is full."""
    monkeypatch.setattr(outbound, "STUCK_S", 1.0)
    async with listening(lean=lean) as (front, ears):
        raw = await deaf_phone(front.port)
        ear = ears["/a"]
        assert ear.socket is not None
        async with asyncio.timeout(20):
            while not ear.ended:
                raw.send(frame(TEXT, b"{}"))
                ear.socket.send(FRAME)
                await asyncio.sleep(0.02)
        assert (await ear.over())[0] == 1006
        assert ear.messages
        raw.writer.transport.abort()


async def test_what_a_phone_may_leave_is_bounded(lean: bool) -> None:
    async with listening(lean=lean) as (front, ears):
        raw = await deaf_phone(front.port)
        ear = ears["/a"]
        assert await fill(ear, 4 << 20) < 1_400_000
        assert ear.pauses == [True]
        raw.writer.transport.abort()
        await ear.over()


async def test_a_minute_of_audio_at_once_is_no_slow_phone(lean: bool) -> None:
    message = b'{"event":"media","streamSid":"MZ","media":{"payload":"%b"}}' % (b"/" * 10_667)
    async with listening(lean=lean) as (front, ears):
        raw = await Raw.open(front.port)
        ear = ears["/a"]
        assert ear.socket is not None
        for _ in range(60):
            ear.socket.send(message)
        for _ in range(60):
            assert await raw.next() == (TEXT, message)
        assert ear.pauses == []
        raw.writer.transport.abort()
        await ear.over()
