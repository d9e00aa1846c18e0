"""One non-blocking connection: an HTTP head and body at a time, then WebSocket messages (RFC 6455).

Only what a benchmark says and hears, on loopback, with bridges it started itself. Masks are one repeated byte, so
that masking is a table look-up here; the other side unmasks as ever.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import socket
import ssl
import zlib
from collections.abc import Callable

from ..clock import SystemClock
from .poll import Loop

__all__ = ["Line", "accept_key", "header", "upgrade_request"]

_now_ns = SystemClock.now_ns
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_MASK = 0x5A
_MASKED = bytes(byte ^ _MASK for byte in range(256))
_READ = 1 << 15  # less than what an allocator asks the system for each time
_TAIL = b"\x00\x00\xff\xff"


def header(head: bytes, name: bytes) -> bytes:
    """The value of a header, empty if there is none; `name` in lower case."""
    for line in head.split(b"\r\n")[1:]:
        key, _, value = line.partition(b":")
        if key.strip().lower() == name:
            return value.strip()
    return b""


def accept_key(key: bytes) -> bytes:
    return base64.b64encode(hashlib.sha1(key + _GUID).digest())  # noqa: S324 - RFC 6455 section 4.2.2


def upgrade_request(path: str, host: str, more: dict[str, str]) -> bytes:
    """The head of an upgrade, as the carrier sends it: no extensions, no subprotocol (protocols/twilio.md)."""
    key = base64.b64encode(os.urandom(16)).decode()
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: {host}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {key}",
        *(f"{name}: {value}" for name, value in more.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode()


class Line:
    """A connection: `on_http(head, body)`, after `to_websocket` `on_text(payload, read_ns)`, `on_closed()` once."""

    def __init__(self, loop: Loop, sock: socket.socket, *, client: bool) -> None:
        self.loop = loop
        self.sock = sock
        self.client = client
        self.open = True
        self.websocket = False
        self.inflate = False
        """Whether permessage-deflate was agreed on (without context takeover)."""
        self.muted = False
        """Whether we do not read."""
        self.on_http: Callable[[bytes, bytes], None] = lambda _head, _body: None
        self.on_text: Callable[[bytes, int], None] = lambda _payload, _now: None
        self.on_closed: Callable[[], None] = lambda: None
        self._rest = b""
        self._out = bytearray()
        self._parts: list[bytes] = []
        self._compressed = False
        sock.setblocking(False)
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        loop.add(sock, self, writing=False)

    @classmethod
    def connect(cls, loop: Loop, port: int, *, receive_buffer: int = 0) -> Line:
        """To a port of this machine; on loopback it is made at once, or refused."""
        sock = socket.socket()
        try:
            if receive_buffer:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            sock.connect(("127.0.0.1", port))
        except OSError:
            sock.close()
            raise
        return cls(loop, sock, client=True)

    # Out

    @property
    def waiting(self) -> int:
        """Bytes that the other side has not taken."""
        return len(self._out)

    def write(self, data: bytes) -> None:
        if not self.open:
            return
        if self._out:
            self._out += data
            return
        try:
            sent = self.sock.send(data)
        except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
            sent = 0
        except OSError:
            self.close()
            return
        if sent < len(data):
            self._out += data[sent:]
            self.loop.want(self.sock, reading=not self.muted, writing=True)

    def send(self, payload: bytes, opcode: int = 1) -> None:
        """One message."""
        size = len(payload)
        first = 0x80 | opcode
        mask = 0x80 if self.client else 0
        if size < 126:
            head = bytes((first, mask | size))
        elif size < 65536:
            head = bytes((first, mask | 126, size >> 8, size & 255))
        else:
            head = bytes((first, mask | 127)) + size.to_bytes(8, "big")
        if self.client:
            self.write(head + bytes((_MASK,)) * 4 + payload.translate(_MASKED))
        else:
            self.write(head + payload)

    def writable(self) -> None:
        try:
            sent = self.sock.send(self._out)
        except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
            return
        except OSError:
            self.close()
            return
        del self._out[:sent]
        if not self._out:
            self.loop.want(self.sock, reading=not self.muted)

    # In

    def readable(self) -> None:
        while self.open:
            try:
                data = self.sock.recv(_READ)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return
            except OSError:
                data = b""
            if not data:
                self.close()
                return
            self._received(data)
            # A TLS socket may hold decrypted bytes that no poll tells of.
            if not isinstance(self.sock, ssl.SSLSocket):
                return

    def mute(self) -> None:
        """Read no more: what comes fills the buffers between."""
        self.muted = True
        self.loop.want(self.sock, reading=False, writing=bool(self._out))

    def to_websocket(self) -> None:
        """Messages from here on."""
        self.websocket = True

    def _received(self, data: bytes) -> None:
        self._rest = self._rest + data if self._rest else data
        while self.open and self._rest:
            if self.websocket:
                self._messages()
                return
            end = self._rest.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self._rest[:end]
            if header(head, b"transfer-encoding").lower() == b"chunked":
                whole = _unchunked(self._rest, end + 4)
                if whole is None:
                    return
                body, after = whole
                self._rest = self._rest[after:]
                self.on_http(head, body)
                continue
            size = int(header(head, b"content-length") or 0)
            if len(self._rest) < end + 4 + size:
                return
            body, self._rest = self._rest[end + 4 : end + 4 + size], self._rest[end + 4 + size :]
            self.on_http(head, body)

    def _messages(self) -> None:
        """All whole messages of what was read; the rest is kept."""
        data, at, size = self._rest, 0, len(self._rest)
        self._rest = b""  # closing in the middle must not read it again
        while size - at >= 2:
            first, second = data[at], data[at + 1]
            length, begin = second & 127, at + 2
            if length == 126:
                begin = at + 4
                length = int.from_bytes(data[at + 2 : begin], "big")
            elif length == 127:
                begin = at + 10
                length = int.from_bytes(data[at + 2 : begin], "big")
            mask = b""
            if second & 128:
                mask = data[begin : begin + 4]
                begin += 4
            if begin + length > size:
                break
            payload = data[begin : begin + length]
            at = begin + length
            if mask:
                payload = _unmasked(payload, mask)
            if first == 0x81 or (first & 15) < 8:
                self._data(first, payload)
            else:
                self._control(first & 15, payload)
            if not self.open:
                return
        self._rest = data[at:]

    def _data(self, first: int, payload: bytes) -> None:
        if first & 15:
            self._compressed = bool(first & 0x40)
        if first != 0x81:
            self._parts.append(payload)
            if not first & 0x80:
                return
            payload = b"".join(self._parts)
            self._parts.clear()
            if self._compressed and self.inflate:
                payload = zlib.decompressobj(-15).decompress(payload + _TAIL)
        self.on_text(payload, _now_ns())

    def _control(self, opcode: int, payload: bytes) -> None:
        if opcode == 9:
            self.send(payload, 10)
        elif opcode == 8:
            self.send(payload[:2], 8)
            self.close()

    # End

    def close(self) -> None:
        """Now, whatever is on its way."""
        if not self.open:
            return
        self.open = False
        self.loop.remove(self.sock)
        self.sock.close()
        self.on_closed()


def _unchunked(data: bytes, at: int) -> tuple[bytes, int] | None:
    """The body that begins `at` and where it ends (RFC 9112 section 7.1); None while it is not all there."""
    body = bytearray()
    while (end := data.find(b"\r\n", at)) >= 0:
        size = int(data[at:end].split(b";")[0], 16)
        at = end + 2 + size + 2
        if len(data) < at:
            return None
        if size == 0:
            return bytes(body), at
        body += data[end + 2 : end + 2 + size]
    return None


def _unmasked(payload: bytes, mask: bytes) -> bytes:
    size = len(payload)
    whole = mask * (size // 4 + 1)
    return (int.from_bytes(payload, "little") ^ int.from_bytes(whole[:size], "little")).to_bytes(size, "little")
