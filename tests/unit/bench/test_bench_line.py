"""The generator's own sockets: heads, bodies, messages whole and in pieces; the loop's deadlines."""

from __future__ import annotations

import socket
import zlib
from collections.abc import Iterator

import pytest

from shortwire.bench.line import Line, accept_key, header, upgrade_request
from shortwire.bench.phone import signature, stream_of
from shortwire.bench.poll import Loop
from shortwire.clock import SystemClock
from shortwire.wire.signature import verify


class Pair:
    """A line and the other end of its socket."""

    def __init__(self, *, client: bool = True) -> None:
        self.loop = Loop()
        ours, self.far = socket.socketpair()
        self.line = Line(self.loop, ours, client=client)
        self.texts: list[bytes] = []
        self.bodies: list[bytes] = []
        self.closed = 0
        self.line.on_text = lambda payload, _now: self.texts.append(payload)
        self.line.on_http = lambda _head, body: self.bodies.append(body)
        self.line.on_closed = self._closed

    def _closed(self) -> None:
        self.closed += 1

    def get(self, data: bytes, *, step: int = 0) -> None:
        for at in range(0, len(data), step or len(data)):
            self.far.sendall(data[at : at + (step or len(data))])
            self.line.readable()


@pytest.fixture
def pair() -> Iterator[Pair]:
    made = Pair()
    yield made
    made.line.close()
    made.far.close()


def frame(payload: bytes, first: int = 0x81) -> bytes:
    size = len(payload)
    if size < 126:
        length = bytes((size,))
    else:
        length = b"\x7e" + size.to_bytes(2, "big") if size < 65536 else b"\x7f" + size.to_bytes(8, "big")
    return bytes((first,)) + length + payload


@pytest.mark.parametrize("step", [0, 1, 7])
def test_messages_of_all_lengths_in_any_pieces(pair: Pair, step: int) -> None:
    pair.line.to_websocket()
    messages = [b"", b"a" * 125, b"b" * 126, b"c" * 300]
    pair.get(b"".join(map(frame, messages)), step=step)
    assert pair.texts == messages


def test_a_long_message(pair: Pair) -> None:
    pair.line.to_websocket()
    pair.get(frame(b"d" * 70_000), step=30_000)
    assert pair.texts == [b"d" * 70_000]


def test_fragments_are_joined(pair: Pair) -> None:
    pair.line.to_websocket()
    pair.get(frame(b"one ", 0x01) + frame(b"", 0x89) + frame(b"two", 0x80))
    assert pair.texts == [b"one two"]


def test_what_was_agreed_to_be_deflated_is_inflated() -> None:
    pair = Pair(client=False)
    pair.line.to_websocket()
    pair.line.inflate = True
    squeeze = zlib.compressobj(wbits=-15)
    small = (squeeze.compress(b"hello " * 20) + squeeze.flush(zlib.Z_SYNC_FLUSH))[:-4]
    pair.get(frame(small, 0xC1) + frame(b"as it is"))
    assert pair.texts == [b"hello " * 20, b"as it is"]
    pair.line.close()
    pair.far.close()


@pytest.mark.parametrize("size", [0, 5, 125, 126, 70_000])
def test_masked_messages_are_understood_by_the_other_side(size: int) -> None:
    client, server = Pair(client=True), Pair(client=False)
    server.line.to_websocket()
    client.far.settimeout(5)
    payload = bytes(n % 251 for n in range(size))
    client.line.send(payload)
    sent = client.far.recv(1 << 20)
    while len(sent) < size:
        sent += client.far.recv(1 << 20)
    assert sent[1] & 0x80
    server.get(sent, step=30_000)
    assert server.texts == [payload]
    for each in (client, server):
        each.line.close()
        each.far.close()


def test_a_ping_is_answered_and_a_close_closes(pair: Pair) -> None:
    pair.line.to_websocket()
    pair.get(frame(b"hi", 0x89))
    assert pair.far.recv(100)[0] == 0x8A
    pair.get(frame(b"\x03\xe8", 0x88))
    assert (pair.closed, pair.line.open) == (1, False)


def test_the_other_side_going_away_is_told_once(pair: Pair) -> None:
    pair.far.close()
    pair.line.readable()
    pair.line.close()
    assert pair.closed == 1


@pytest.mark.parametrize("step", [0, 1])
def test_bodies_by_length_and_in_chunks(pair: Pair, step: int) -> None:
    pair.get(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", step=step)
    pair.get(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n", step=step)
    assert pair.bodies == [b"hello", b"abcde"]


def test_what_follows_an_upgrade_in_the_same_read_is_a_message(pair: Pair) -> None:
    pair.line.on_http = lambda _head, _body: pair.line.to_websocket()
    pair.get(b"HTTP/1.1 101 Switching Protocols\r\n\r\n" + frame(b"first"))
    assert pair.texts == [b"first"]


def test_headers_are_found_in_any_case() -> None:
    head = b"GET / HTTP/1.1\r\nHOST: a\r\nSec-WebSocket-Key:  k \r\n"
    assert header(head, b"host") == b"a"
    assert header(head, b"sec-websocket-key") == b"k"
    assert header(head, b"nothing") == b""


def test_the_key_is_that_of_the_standard() -> None:
    # RFC 6455 section 1.3
    assert accept_key(b"dGhlIHNhbXBsZSBub25jZQ==") == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def test_an_upgrade_offers_what_the_carrier_offers() -> None:
    head = upgrade_request("/stream/x", "h.example", {"X-Twilio-Signature": "s"})
    assert head.startswith(b"GET /stream/x HTTP/1.1\r\nHost: h.example\r\n")
    assert header(head, b"x-twilio-signature") == b"s"
    assert header(head, b"sec-websocket-extensions") == b""


def test_signatures_are_what_the_product_accepts() -> None:
    url, fields = "https://h.example/incoming-call", {"To": "+1", "From": "+2", "CallSid": "CA1"}
    assert verify("token", url, fields.items(), signature("token", url, fields))
    assert not verify("token", url, [*fields.items(), ("x", "y")], signature("token", url, fields))


def test_streams_are_read_from_answers() -> None:
    twiml = b'<Response><Connect><Stream url="wss://h/a?b&amp;c"><Parameter name="n" value="1 &lt; 2"/></Stream>'
    assert stream_of(twiml) == ("wss://h/a?b&c", {"n": "1 < 2"})
    assert stream_of(b"<Response><Hangup/></Response>") is None


def test_deadlines_come_in_order_and_never_early() -> None:
    loop = Loop()
    began = SystemClock.now_ns()
    seen: list[tuple[str, int]] = []
    for name, ms in (("c", 3), ("a", 1), ("b", 2)):
        loop.after(ms / 1000, lambda name=name: seen.append((name, SystemClock.now_ns() - began)))  # type: ignore[misc]
    loop.after(0.005, loop.stop)
    loop.run()
    assert [name for name, _ in seen] == ["a", "b", "c"]
    assert all(after >= ms * 1_000_000 for (_, after), ms in zip(seen, (1, 2, 3), strict=True))
