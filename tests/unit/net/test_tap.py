"""A socket that is read beside its transport: what arrives is the same, however it was cut, and so is every end."""

from __future__ import annotations

import asyncio
import os
import random
import socket
import ssl
import struct
from array import array
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from raw_websocket import BINARY, CLOSE, MORE, PING, PONG, TEXT, Ear, Raw, frame, shake_hands

from shortwire import native
from shortwire.audio.ear import new_recorder
from shortwire.clock import SystemClock
from shortwire.net.agent_host import AgentSocketOptions
from shortwire.net.front import Front, FrontOptions
from shortwire.net.lean_agent import LeanAgentDialer
from shortwire.ports import MessageSocket

pytestmark = pytest.mark.skipif(not native.AVAILABLE, reason=f"not built: {native.WHY_NOT}")

ENDING = b'"},"streamSid":"MZ1"}'
BEFORE, BEHIND = b'{"user_audio_chunk":"', b'"}'


def media(payload: bytes) -> bytes:
    return (
        b'{"event":"media","sequenceNumber":"4","media":{"track":"inbound","chunk":"3","timestamp":"60","payload":"%b%b'
        % (payload, ENDING)
    )


class Phone(Ear):
    """Has a shortcut, as a live leg has."""

    def __init__(self) -> None:
        super().__init__()
        recorder = new_recorder([], keeps=False)
        assert recorder is not None
        self.shortcut = native.media.UplinkShortcut(recorder, native.media.Delays(array("Q", [0] * 2048)))

    def relay_to(self, other: Ear) -> None:
        assert other.socket is not None
        self.shortcut.begin(ENDING, BEFORE, BEHIND)
        self.shortcut.aim(other.socket.send)

    @property
    def tapped(self) -> bool:
        return bool(self.socket.tapped)  # type: ignore[union-attr]


@asynccontextmanager
async def line(max_message: int = 65_536) -> AsyncIterator[tuple[Phone, Raw, Raw]]:
    """A phone, its connection, and the one to which its audio goes."""
    phone, other = Phone(), Ear()

    async def _app(scope, receive, send) -> None:  # type: ignore[no-untyped-def]
        raise AssertionError

    front = Front(
        _app,
        lambda path, _signature: phone if path == "/a" else other,
        FrontOptions(port=0, lean=True, max_message=max_message),
    )
    await front.start()
    try:
        raw, beside = await Raw.open(front.port), await Raw.open(front.port, "/b")
        phone.relay_to(other)
        raw.send(frame(TEXT, b"the first goes to picows"))
        while not phone.messages:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        assert phone.tapped
        phone.messages.clear()
        yield phone, raw, beside
        raw.writer.close()
        beside.writer.close()
    finally:
        await front.stop()


Said = list[tuple[str, bytes]]


def conversation(rng: random.Random, count: int) -> tuple[bytes, Said]:
    """What a phone sends, most of it audio, and what has to become of it."""
    wire, said = bytearray(), []
    for n in range(count):
        what = rng.random()
        if what < 0.6:
            payload = b"%06d//" % n + b"A" * (4 * rng.randrange(60))
            wire += frame(TEXT, media(payload))
            said.append(("relayed", payload))
        elif what < 0.75:
            text = b"text %d " % n + b"x" * rng.choice([0, 1, 110, 120, 300, 70_000])
            wire += frame(TEXT, text)
            said.append(("heard", text))
        elif what < 0.85:
            wire += frame(TEXT, b"in ", fin=False) + frame(PING, b"between") + frame(MORE, b"pieces %d" % n)
            said.append(("heard", b"in pieces %d" % n))
        elif what < 0.9:
            payload = b"%06d//" % n
            # Audio in two frames is audio, though not for the shortcut.
            wire += frame(TEXT, media(payload)[:50], fin=False) + frame(MORE, media(payload)[50:])
            said.append(("heard", media(payload)))
        elif what < 0.95:
            wire += frame(BINARY, b"no text")
            said.append(("binary", b""))
        else:
            wire += frame(PONG)
    return bytes(wire), said


@pytest.mark.parametrize("seed", range(12))
async def test_what_arrives_does_not_depend_on_how_it_was_cut(seed: int) -> None:
    rng = random.Random(seed)
    wire, said = conversation(rng, 60)
    async with line(max_message=100_000) as (phone, raw, beside), asyncio.timeout(30):
        at, most = 0, rng.choice([1, 3, 40, 700, 5000])
        while at < len(wire):
            # A head in pieces, and then the rest in larger ones: else seventy thousand bytes take all day.
            size = rng.randrange(1, most + 1) if rng.random() < 0.9 else rng.randrange(1, 20_000)
            raw.send(wire[at : at + size])
            at += size
            if rng.random() < 0.3:
                await asyncio.sleep(0)
        heard = [text for what, text in said if what == "heard"]
        relayed = [payload for what, payload in said if what == "relayed"]
        for payload in relayed:
            assert await beside.next() == (TEXT, BEFORE + payload + BEHIND)
        while len(phone.messages) < len(heard):  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        assert phone.messages == heard
        assert phone.binaries == sum(what == "binary" for what, _ in said)
        assert phone.tapped


async def test_byte_by_byte() -> None:
    wire = frame(TEXT, media(b"AAAA")) + frame(TEXT, b"y" * 130) + frame(TEXT, media(b"BBBB"))
    async with line() as (phone, raw, beside), asyncio.timeout(30):
        for byte in wire:
            raw.send(bytes([byte]))
            await asyncio.sleep(0.001)
        assert await beside.next() == (TEXT, BEFORE + b"AAAA" + BEHIND)
        assert await beside.next() == (TEXT, BEFORE + b"BBBB" + BEHIND)
        assert phone.messages == [b"y" * 130]


def open_sockets() -> list[int]:
    links = [one for one in Path("/proc/self/fd").iterdir() if one.is_symlink()]
    return [int(one.name) for one in links if "socket" in str(one.readlink())]


async def test_no_child_inherits_a_connection() -> None:
    async with line():
        sockets = open_sockets()
        assert len(sockets) > 4
        assert not any(os.get_inheritable(fd) for fd in sockets)


@pytest.mark.parametrize("how", ["close frame", "end", "reset", "ours"])
async def test_every_end_is_told_once_and_leaves_no_descriptor(how: str) -> None:
    async with line() as (phone, raw, _):
        before = len(open_sockets())
        if how == "close frame":
            raw.send(frame(CLOSE, struct.pack("!H", 4321) + b"bye"))
            assert await raw.close_code() == 4321
            expected = (4321, "bye")
        elif how == "ours":
            assert phone.socket is not None
            phone.socket.close(1000, "done")
            raw.send(frame(TEXT, b"still said") + frame(CLOSE, struct.pack("!H", 1000)))
            assert await raw.close_code() == 1000
            expected = (1000, "done")
        else:
            raw.send(frame(TEXT, media(b"AAAA"))[:40])  # in the middle of a frame
            if how == "reset":
                system = raw.writer.get_extra_info("socket")
                system.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            await asyncio.sleep(0.02)
            raw.writer.close()
            expected = (1006, "")
        assert await phone.over() == expected
        assert not phone.tapped
        raw.writer.close()
        await asyncio.sleep(0.05)
        assert len(open_sockets()) <= before - 3  # the transport's, the second one, and the phone's own


def long_winded(payload: bytes) -> bytes:
    """RFC 6455 section 5.2: the minimal number of bytes must be used to encode the length."""
    return b"\x81\xff" + len(payload).to_bytes(8, "big") + bytes(4) + payload


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        pytest.param(frame(TEXT, media(b"AAAA"), masked=False), 1002, id="not masked"),
        pytest.param(frame(TEXT, media(b"AAAA"), rsv=4), 1002, id="reserved bit"),
        pytest.param(frame(0x3, b"?"), 1002, id="unknown opcode"),
        pytest.param(long_winded(media(b"AAAA")), 1002, id="a length of more bytes than it needs"),
        pytest.param(b"\x81\xff" + b"\xff" * 8 + b"mask", 1002, id="a length without end"),
        pytest.param(b"\x81\xff" + (1 << 40).to_bytes(8, "big") + b"mask", 1009, id="a terabyte"),
        pytest.param(b"\x81\xff" + ((1 << 63) - 1).to_bytes(8, "big") + b"mask", 1009, id="the most there is"),
        pytest.param(b"\x81\xff" + ((1 << 63) - 11).to_bytes(8, "big") + b"mask", 1009, id="nearly the most"),
        pytest.param(b"\x81\xff" + (1 << 63).to_bytes(8, "big") + b"mask", 1002, id="one more than that"),
        pytest.param(frame(TEXT, b"\xff\xfe"), 1007, id="not UTF-8"),
        pytest.param(frame(TEXT, b"z" * 70_000), 1009, id="longer than permitted"),
    ],
)
async def test_what_is_wrong_is_refused_as_without_it(wrong: bytes, code: int) -> None:
    async with line() as (phone, raw, beside):
        raw.send(frame(TEXT, media(b"AAAA")) + wrong)
        assert await raw.close_code() == code
        raw.send(frame(TEXT, media(b"BBBB")))  # nothing counts any more
        assert await beside.next() == (TEXT, BEFORE + b"AAAA" + BEHIND)
        await asyncio.sleep(0.02)
        raw.writer.close()
        assert (await phone.over())[0] in (code, 1006)
        assert phone.shortcut.relayed == 1


async def test_a_message_in_pieces_keeps_audio_from_the_short_way() -> None:
    async with line() as (phone, raw, _):
        raw.send(frame(TEXT, b"begun", fin=False) + frame(TEXT, media(b"AAAA")))
        assert await raw.close_code() == 1002  # RFC 6455 section 5.4: nothing but control frames may come between
        assert phone.shortcut.relayed == 0


async def test_a_host_that_sends_audio_all_the_time_is_not_pinged() -> None:
    """A host that is silent for five seconds is pinged; what is read beside the transport is heard, too."""
    pings, audio = [], b'{"audio_event":{"audio_base_64":"AAAA","event_id":1},"type":"audio"}'

    async def host(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await shake_hands(reader, writer)

        async def hear() -> None:
            while first := await reader.read(1):
                [second] = await reader.readexactly(1)
                await reader.readexactly((second & 0x7F) + 4)
                if first[0] & 0xF == PING:
                    pings.append(first)

        hearing = asyncio.create_task(hear())
        for _ in range(60):
            writer.write(frame(TEXT, audio, masked=False))
            await asyncio.sleep(0.12)
        writer.close()
        await hearing

    class Agent(Ear):
        """Sends its audio back where it came from, by the shortcut."""

        def __init__(self) -> None:
            super().__init__()
            recorder = new_recorder([], keeps=False)
            assert recorder is not None
            self.shortcut = native.media.DownlinkShortcut(recorder, native.media.Delays(array("Q", [0] * 2048)))

        def opened(self, socket: MessageSocket) -> None:
            super().opened(socket)
            self.shortcut.begin(b"<", b">", lambda _now_ns: None)
            self.shortcut.aim(socket.send)
            self.shortcut.playout.wrote(SystemClock.now_ns(), 1000.0)  # a run has begun

    server = await asyncio.start_server(host, "127.0.0.1", 0)
    agent = Agent()
    try:
        options = AgentSocketOptions(connect_s=5.0, max_message=65_536, tuned=True)
        dialer = LeanAgentDialer(options, ssl.create_default_context())
        await dialer.connect(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/", agent)
        await agent.over()
        assert agent.shortcut.relayed > 50
        assert not pings
    finally:
        server.close()
