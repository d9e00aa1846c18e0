"""A WebSocket client made of bytes, to send what no library would; and a listener that keeps what it is told."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from websockets.utils import accept_key

from shortwire.net.front import Front, FrontOptions
from shortwire.ports import MessageSocket

TEXT, BINARY, CLOSE, PING, PONG, MORE = 0x1, 0x2, 0x8, 0x9, 0xA, 0x0


@dataclass
class Ear:
    """A `SocketListener`."""

    messages: list[bytes] = field(default_factory=list)
    binaries: int = 0
    pauses: list[bool] = field(default_factory=list)
    ended: list[tuple[int, str]] = field(default_factory=list)
    relays: int = 0
    socket: MessageSocket | None = None
    closed_event: asyncio.Event = field(default_factory=asyncio.Event)

    def opened(self, socket: MessageSocket) -> None:
        self.socket = socket

    def media(self, data: bytes, read_ns: int) -> bool | None:
        return None

    def message(self, data: bytes, read_ns: int) -> bool:
        assert read_ns > 0
        self.messages.append(data)
        if data == b"break":
            raise RuntimeError("a mistake in a listener")
        return False

    def other(self, data: bytes, read_ns: int) -> bool:
        return self.message(data, read_ns)

    def relayed(self, read_ns: int, written_ns: int) -> None:
        self.relays += 1

    def binary(self) -> None:
        self.binaries += 1

    def paused(self, paused: bool) -> None:
        self.pauses.append(paused)

    def closed(self, code: int, reason: str) -> None:
        self.ended.append((code, reason))
        self.closed_event.set()

    async def over(self) -> tuple[int, str]:
        await asyncio.wait_for(self.closed_event.wait(), 20)
        await asyncio.sleep(0.05)
        [end] = self.ended  # exactly once
        return end


async def _app(scope, receive, send) -> None:  # type: ignore[no-untyped-def]
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@asynccontextmanager
async def listening(*, lean: bool, max_message: int = 4096) -> AsyncIterator[tuple[Front, dict[str, Ear]]]:
    """A front whose streams are /a, /b, ... and their ears."""
    ears: dict[str, Ear] = {}

    def admit(path: str, signature: str) -> Ear | None:
        return ears.setdefault(path, Ear()) if signature == "good" and path not in ears else None

    front = Front(_app, admit, FrontOptions(port=0, lean=lean, max_message=max_message))
    await front.start()
    try:
        yield front, ears
    finally:
        await front.stop()


@asynccontextmanager
async def serving(
    handler: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]], tls: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    """A server's port; `handler` takes the upgrade itself (`shake_hands`)."""
    server = await asyncio.start_server(handler, "127.0.0.1", 0, ssl=tls)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()


async def shake_hands(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Take an upgrade, as a server."""
    head = await reader.readuntil(b"\r\n\r\n")
    [key] = [line[18:].strip() for line in head.decode().splitlines() if line.lower().startswith("sec-websocket-k")]
    writer.write(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: %b\r\n\r\n" % accept_key(key).encode()
    )


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, masked: bool = True, rsv: int = 0) -> bytes:
    head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
    bit = 0x80 if masked else 0
    size = len(payload)
    if size < 126:
        head += bytes([bit | size])
    elif size < 65536:
        head += bytes([bit | 126]) + struct.pack("!H", size)
    else:
        head += bytes([bit | 127]) + struct.pack("!Q", size)
    if not masked:
        return head + payload
    mask = os.urandom(4)
    return head + mask + bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))


class Raw:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def open(
        cls,
        port: int,
        path: str = "/a",
        signature: str = "good",
        behind: bytes = b"",
        system: socket.socket | None = None,
    ) -> Raw:
        """`system`: a socket that is connected already."""
        way = asyncio.open_connection("127.0.0.1", port) if system is None else asyncio.open_connection(sock=system)
        reader, writer = await way
        writer.write(
            f"GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
            f"X-Twilio-Signature: {signature}\r\n\r\n".encode()
            + behind
        )
        raw = cls(reader, writer)
        raw.head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
        return raw

    head = b""

    @property
    def status(self) -> int:
        return int(self.head.split()[1])

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def next(self) -> tuple[int, bytes]:
        """The next frame: opcode and payload."""
        async with asyncio.timeout(20):
            first, second = await self.reader.readexactly(2)
            size = second & 0x7F
            if size == 126:
                [size] = struct.unpack("!H", await self.reader.readexactly(2))
            elif size == 127:
                [size] = struct.unpack("!Q", await self.reader.readexactly(8))
            return first & 0xF, await self.reader.readexactly(size)

    async def close_code(self) -> int:
        """The code of the close frame that comes next; 1006 when the connection just ends."""
        try:
            while True:
                opcode, payload = await self.next()
                if opcode == CLOSE:
                    return int.from_bytes(payload[:2], "big") if payload else 1005
        except (asyncio.IncompleteReadError, ConnectionError):
            return 1006

    async def ended(self) -> bool:
        """Whether the other side closes the connection."""
        try:
            async with asyncio.timeout(20):
                while await self.reader.read(65536):
                    pass
        except ConnectionError:
            pass
        return True
