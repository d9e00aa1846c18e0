"""A WebSocket client as the vendor's media servers are one (RFC 6455): no extensions, no subprotocol, no Origin.

Strict about what the server sends, plain about what it sends itself, and it can be cut off without a goodbye.
Writes synchronously: a frame that is due does not wait for a task. Knows nothing of media.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import random
import ssl
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

__all__ = ["HandshakeRefused", "Violation", "WebSocketClient", "connect"]

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG = 0, 1, 2, 8, 9, 10
_MAX_HEAD = 65_536
_CLOSE_WAIT_S = 2.0


class HandshakeRefused(Exception):
    """The answer to the upgrade was not a correct 101; `status` is 0 when it was no HTTP at all."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class Violation(Exception):
    """The server broke RFC 6455."""

    def __init__(self, message: str, close_code: int = 1002) -> None:
        super().__init__(message)
        self.close_code = close_code


async def connect(
    url: str, headers: Sequence[tuple[str, str]], context: ssl.SSLContext, *, max_message_bytes: int = 0
) -> WebSocketClient:
    """Open a socket to a ws or wss URL; a header without a value gets it here (the key).

    Raises `HandshakeRefused`, `OSError` (`ssl.SSLError` for TLS) or `ValueError` for an address that is none.
    Deadlines are the caller's.
    """
    parts = urlsplit(url)
    secure = parts.scheme == "wss"
    if not parts.hostname:
        raise ValueError(f"no host in {url}")
    loop = asyncio.get_running_loop()
    _, client = await loop.create_connection(
        lambda: WebSocketClient(max_message_bytes),
        parts.hostname,
        parts.port or (443 if secure else 80),
        ssl=context if secure else None,
    )
    try:
        await client.shake_hands(parts.netloc.rpartition("@")[2], parts.path or "/", headers)
    except BaseException:
        client.abort()
        raise
    return client


class WebSocketClient(asyncio.Protocol):
    """Set `on_text`, `on_binary`, `on_ping` and `on_writable` before the next await after `connect`."""

    def __init__(self, max_message_bytes: int = 0) -> None:
        self.on_text: Callable[[str], None] = lambda _: None
        self.on_binary: Callable[[bytes], None] = lambda _: None
        self.on_ping: Callable[[], None] = lambda: None
        self.on_writable: Callable[[], None] = lambda: None
        self.congested = False
        """The server does not read: what is written now piles up here."""
        self.close_code: int | None = None
        """Of the server's close frame (1005 when it carried none)."""
        loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[Violation | None] = loop.create_future()
        """Done when nothing will come any more; with the violation, if that is why."""
        self._head: asyncio.Future[bytes] = loop.create_future()
        self._shaken = False
        self._transport: Any = None
        self._buffer = bytearray()
        self._fragments = bytearray()
        self._fragment_kind = 0
        self._limit = max_message_bytes
        self._close_sent = False

    # --- asyncio's side -----------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._transport.set_write_buffer_limits(high=0)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._head.done():
            self._head.set_exception(HandshakeRefused(f"the connection was closed instead of an answer: {exc}"))
            self._head.exception()  # read here too: nobody may be waiting any more
        self._end(None)
        self.on_writable()

    def pause_writing(self) -> None:
        self.congested = True

    def resume_writing(self) -> None:
        self.congested = False
        self.on_writable()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._shaken:
            self._take_head()
            return
        try:
            while self._take_frame():
                pass
        except Violation as violation:
            self._end(violation)
            self.close(violation.close_code)

    # --- handshake ----------------------------------------------------------------------------------------

    async def shake_hands(self, host: str, path: str, headers: Sequence[tuple[str, str]]) -> None:
        key = base64.b64encode(os.urandom(16))
        lines = [f"GET {path} HTTP/1.1", f"Host: {host}"]
        lines += [f"{name}: {value or key.decode()}" for name, value in headers]
        self._transport.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
        head = (await self._head).decode("latin-1").split("\r\n")
        _check_answer(head, key)
        self._shaken = True
        if self._buffer:  # the server spoke at once
            asyncio.get_running_loop().call_soon(self.data_received, b"")

    def _take_head(self) -> None:
        end = self._buffer.find(b"\r\n\r\n")
        if self._head.done() or (end < 0 and len(self._buffer) < _MAX_HEAD):
            return
        if end < 0:
            self._head.set_exception(HandshakeRefused("the answer to the upgrade has no end"))
            return
        self._head.set_result(bytes(self._buffer[:end]))
        del self._buffer[: end + 4]

    # --- sending ------------------------------------------------------------------------------------------

    def send_text(self, text: str) -> None:
        self._send(_TEXT, text.encode())

    def close(self, code: int) -> None:
        """Say goodbye; the connection ends when the server answers, or after two seconds."""
        if self._close_sent or self._transport is None or self._transport.is_closing():
            return
        self._send(_CLOSE, code.to_bytes(2, "big"))
        self._close_sent = True
        asyncio.get_running_loop().call_later(_CLOSE_WAIT_S, self._transport.abort)

    def abort(self) -> None:
        """Cut the connection without a close frame."""
        if self._transport is not None:
            self._transport.abort()

    def _send(self, kind: int, payload: bytes) -> None:
        if self._close_sent or self._transport.is_closing():
            return
        size = len(payload)
        if size < 126:
            head = bytes((0x80 | kind, 0x80 | size))
        elif size < 65_536:
            head = bytes((0x80 | kind, 0x80 | 126)) + size.to_bytes(2, "big")
        else:
            head = bytes((0x80 | kind, 0x80 | 127)) + size.to_bytes(8, "big")
        mask = _dice_bytes()
        key = int.from_bytes((mask * (size // 4 + 1))[:size], "little")
        masked = (int.from_bytes(payload, "little") ^ key).to_bytes(size, "little")
        self._transport.write(head + mask + masked)

    # --- receiving ----------------------------------------------------------------------------------------

    def _take_frame(self) -> bool:
        """One frame off the buffer, if a whole one is there. Raises `Violation`."""
        buffer = self._buffer
        if len(buffer) < 2 or self.ended.done():
            return False
        first, second = buffer[0], buffer[1]
        final, kind, size, at = bool(first & 0x80), first & 0x0F, second & 0x7F, 2
        _check_frame(first, second)
        if size >= 126:
            width = 2 if size == 126 else 8
            if len(buffer) < 2 + width:
                return False
            size, at = int.from_bytes(buffer[2 : 2 + width], "big"), 2 + width
        if self._limit and size + len(self._fragments) > self._limit:
            raise Violation("a message is too long", 1009)
        if len(buffer) < at + size:
            return False
        payload = bytes(buffer[at : at + size])
        del buffer[: at + size]
        if kind >= _CLOSE:
            self._control(kind, payload)
        else:
            self._data(kind, payload, final)
        return True

    def _data(self, kind: int, payload: bytes, final: bool) -> None:
        if (kind == _CONTINUATION) != bool(self._fragment_kind):
            raise Violation("a fragment out of order")
        self._fragment_kind = self._fragment_kind or kind
        if not final:
            self._fragments += payload
            return
        kind, self._fragment_kind = self._fragment_kind, 0
        if self._fragments:
            payload = bytes(self._fragments) + payload
            self._fragments.clear()
        if kind == _BINARY:
            self.on_binary(payload)
            return
        try:
            text = payload.decode()
        except UnicodeDecodeError:
            raise Violation("a text message is not UTF-8", 1007) from None
        self.on_text(text)

    def _control(self, kind: int, payload: bytes) -> None:
        if kind == _PING:
            self._send(_PONG, payload)
            self.on_ping()
        elif kind == _CLOSE:
            if len(payload) == 1:
                raise Violation("a close frame with half a code")
            self.close_code = int.from_bytes(payload[:2], "big") if payload else 1005
            self._end(None)
            self.close(1000 if self.close_code == 1005 else self.close_code)
            self._transport.close()

    def _end(self, violation: Violation | None) -> None:
        if not self.ended.done():
            self.ended.set_result(violation)


def _dice_bytes() -> bytes:
    return random.getrandbits(32).to_bytes(4, "little")


def _check_frame(first: int, second: int) -> None:
    kind, size = first & 0x0F, second & 0x7F
    if first & 0x70:
        raise Violation("a reserved bit is set: no extension was agreed")
    if second & 0x80:
        raise Violation("a server must not mask")
    if kind not in {_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG}:
        raise Violation(f"unknown opcode {kind}")
    if kind >= _CLOSE and (size > 125 or not first & 0x80):
        raise Violation("a control frame is fragmented or too long")


def _check_answer(head: Sequence[str], key: bytes) -> None:
    parts = head[0].split(" ", 2)
    if len(parts) < 2 or not parts[0].startswith("HTTP/1.") or not parts[1].isdecimal():
        raise HandshakeRefused("the answer to the upgrade is no HTTP")
    status = int(parts[1])
    if status != 101:
        raise HandshakeRefused(f"HTTP status {status} instead of 101", status)
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
    accept = base64.b64encode(hashlib.sha1(key + _GUID).digest()).decode()  # noqa: S324  RFC 6455 says so
    if headers.get("sec-websocket-accept") != accept or headers.get("upgrade", "").lower() != "websocket":
        raise HandshakeRefused("the answer to the upgrade does not belong to it", status)
    if "sec-websocket-extensions" in headers or "sec-websocket-protocol" in headers:
        raise HandshakeRefused("the answer agrees to what nobody asked for", status)
