"""The socket client against servers that do not keep to RFC 6455, and what the account's log says of each."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme
from bridge_side import config, create, emulator

from shortwire.emulators.scenario import PartyScript
from shortwire.emulators.twilio import TwilioConfig, WebhookManners

AT_ONCE = PartyScript(ring_s=0.0)
GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def accept(head: str, extra: str = "", status: str = "101 Switching Protocols") -> bytes:
    match = re.search(r"Sec-WebSocket-Key: (\S+)", head)
    assert match
    key = base64.b64encode(hashlib.sha1((match[1] + GUID).encode()).digest()).decode()
    return (
        f"HTTP/1.1 {status}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {key}\r\n{extra}\r\n"
    ).encode()


def frame(first: int, payload: bytes, second: int = 0) -> bytes:
    return bytes((first, second | len(payload))) + payload


@asynccontextmanager
async def server(answer: Callable[[str], bytes | None]) -> AsyncIterator[tuple[str, list[str]]]:
    """Answers the upgrade with those bytes, and stays; None: says nothing."""
    heads: list[str] = []
    over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
        text = answer(heads[-1])
        if text == b"":
            writer.close()
            return
        if text is not None:
            writer.write(text)
        reading = asyncio.ensure_future(reader.read())
        await asyncio.wait({reading, asyncio.ensure_future(over.wait())}, return_when=asyncio.FIRST_COMPLETED)
        reading.cancel()
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"ws://127.0.0.1:{listening.sockets[0].getsockname()[1]}/media", heads
    finally:
        over.set()
        listening.close()


async def codes_of(answer: Callable[[str], bytes | None], settings: TwilioConfig | None = None) -> list[str]:
    async with server(answer) as (url, _), emulator(settings or config(scenario=AT_ONCE)) as twilio:
        twiml = f"<Response><Connect><Stream url='{url}'/></Connect><Hangup/></Response>"
        call = twilio.calls[await create(twilio, Twiml=twiml)]
        await asyncio.wait_for(call.finished.wait(), 30)
        assert not twilio.ledger.entries("emulator_error")
        return [note["error_code"] for note in call.notifications]


@pytest.mark.parametrize(
    "answer",
    [
        lambda head: b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        lambda head: b"HTTP/1.1 302 Found\r\nLocation: /other\r\n\r\n",
        lambda head: b"SSH-2.0\r\n\r\n",
        lambda head: accept(head).replace(b"Accept: ", b"Accept: x"),
        lambda head: accept(head, "Sec-WebSocket-Extensions: permessage-deflate\r\n"),
        lambda head: accept(head, "Sec-WebSocket-Protocol: chat\r\n"),
        lambda head: accept(head).replace(b"Upgrade: websocket\r\n", b""),
        lambda head: b"",
    ],
)
async def test_an_answer_that_is_no_upgrade_is_31920(answer: Callable[[str], bytes | None]) -> None:
    assert await codes_of(answer) == ["31920"]


async def test_no_answer_is_31901() -> None:
    settings = config(scenario=AT_ONCE, webhooks=WebhookManners(total_timeout_s=0.2))
    assert await codes_of(lambda _: None, settings) == ["31901"]


@pytest.mark.parametrize(
    "bytes_after",
    [
        frame(0x89 & 0x7F, b""),  # a ping in pieces
        frame(0x81, b"\xff\xfe"),  # no UTF-8
        frame(0xC1, b"{}"),  # a reserved bit
        frame(0x83, b"{}"),  # an unknown opcode
        frame(0x80, b"{}"),  # a continuation of nothing
        frame(0x01, b"{") + frame(0x81, b"}"),  # a new message inside another
        frame(0x81, b"\0\0\0\0{}", second=0x80),  # masked
        bytes((0x89, 126, 0, 200)) + bytes(200),  # a long ping
        frame(0x88, b"\x03"),  # half a close code
    ],
)
async def test_a_violation_is_31924(bytes_after: bytes) -> None:
    assert await codes_of(lambda head: accept(head) + bytes_after) == ["31924"]


async def test_fragments_and_pings_are_no_violation() -> None:
    pieces = frame(0x01, b"{") + frame(0x89, b"ping") + frame(0x80, b"}") + frame(0x88, b"\x03\xe8")
    assert await codes_of(lambda head: accept(head) + pieces) == ["31951", "31921"]


async def test_the_upgrade_looks_like_the_captured_ones() -> None:
    async with server(lambda _: b"") as (url, heads), emulator(config(scenario=AT_ONCE)) as twilio:
        call = twilio.calls[
            await create(twilio, Twiml=f"<Response><Connect><Stream url='{url}'/></Connect></Response>")
        ]
        await asyncio.wait_for(call.finished.wait(), 30)
    lines = heads[0].rstrip().split("\r\n")
    assert lines[0] == "GET /media HTTP/1.1"
    assert [line.partition(":")[0] for line in lines[1:]] == [
        "Host",
        "User-Agent",
        "Connection",
        "Sec-WebSocket-Key",
        "Sec-WebSocket-Version",
        "Upgrade",
        "X-Twilio-Signature",
        "Accept-Encoding",
    ]


async def test_a_message_beyond_the_limit_ends_the_stream() -> None:
    from shortwire.emulators.twilio import Choices

    settings = config(scenario=AT_ONCE, choices=Choices(max_message_bytes=100))
    long = bytes((0x81, 126, 0, 200)) + b"x" * 200
    assert await codes_of(lambda head: accept(head) + long, settings) == ["31924"]


@pytest.mark.parametrize(("trusted", "code"), [(True, "31921"), (False, "31910")])
async def test_wss_wants_a_certificate_it_trusts(tmp_path: Path, trusted: bool, code: str) -> None:
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        writer.write(accept(head) + frame(0x88, b"\x03\xe8"))
        await reader.read()
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    url = f"wss://localhost:{listening.sockets[0].getsockname()[1]}/media"
    settings = config(scenario=AT_ONCE, webhooks=WebhookManners(ca_file=str(ca_file) if trusted else None))
    async with emulator(settings) as twilio:
        twiml = f"<Response><Connect><Stream url='{url}'/></Connect><Hangup/></Response>"
        call = twilio.calls[await create(twilio, Twiml=twiml)]
        await asyncio.wait_for(call.finished.wait(), 30)
    listening.close()
    assert [note["error_code"] for note in call.notifications] == [code]
