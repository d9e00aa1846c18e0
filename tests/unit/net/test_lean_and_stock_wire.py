"""RFC 6455 on the media socket, byte by byte, on both adapters: fragments, controls, closes, limits."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator

import pytest
from raw_websocket import BINARY, CLOSE, MORE, PING, PONG, TEXT, Ear, Raw, frame, listening

from shortwire.net.front import Front

Place = tuple[Front, dict[str, Ear]]


@pytest.fixture(params=["lean", "stock"])
def lean(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "lean")


@pytest.fixture
async def place(lean: bool) -> AsyncIterator[Place]:
    async with listening(lean=lean) as place:
        yield place


async def until(check, within_s: float = 20.0) -> None:  # type: ignore[no-untyped-def]
    async with asyncio.timeout(within_s):
        while not check():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def test_a_message(place: Place) -> None:
    front, ears = place
    raw = await Raw.open(front.port)
    assert raw.status == 101
    assert b"permessage-deflate" not in raw.head
    raw.send(frame(TEXT, b"one") + frame(TEXT, b"two"))
    await until(lambda: ears["/a"].messages == [b"one", b"two"])
    raw.writer.close()


async def test_fragments_are_joined_with_controls_between(place: Place) -> None:
    front, ears = place
    raw = await Raw.open(front.port)
    raw.send(frame(TEXT, b"he", fin=False) + frame(PING, b"p") + frame(MORE, b"ll", fin=False) + frame(MORE, b"o"))
    assert await raw.next() == (PONG, b"p")
    await until(lambda: ears["/a"].messages == [b"hello"])
    raw.send(frame(TEXT, b"after"))
    await until(lambda: ears["/a"].messages[-1] == b"after")
    raw.writer.close()


async def test_byte_by_byte(place: Place) -> None:
    front, ears = place
    raw = await Raw.open(front.port)
    for byte in frame(TEXT, b"slow") + frame(PING, b"x"):
        raw.send(bytes([byte]))
        await raw.writer.drain()
        await asyncio.sleep(0)
    assert await raw.next() == (PONG, b"x")
    assert ears["/a"].messages == [b"slow"]
    raw.writer.close()


async def test_binary_is_told_and_survived(place: Place) -> None:
    front, ears = place
    raw = await Raw.open(front.port)
    raw.send(frame(BINARY, b"\x00\x01") + frame(BINARY, b"a", fin=False) + frame(MORE, b"b") + frame(TEXT, b"on"))
    await until(lambda: ears["/a"].messages == [b"on"])
    assert ears["/a"].binaries == 2
    raw.writer.close()


@pytest.mark.parametrize(
    "what",
    [
        frame(TEXT, b"x" * 5000),
        frame(TEXT, b"x" * 3000, fin=False) + frame(MORE, b"x" * 3000),
        frame(TEXT, b"x" * 70_000),
    ],
)
async def test_too_big_closes_1009(place: Place, what: bytes) -> None:
    front, ears = place
    raw = await Raw.open(front.port)
    raw.send(what)
    assert await raw.close_code() == 1009
    assert await raw.ended()
    await ears["/a"].over()
    assert ears["/a"].messages == []


@pytest.mark.parametrize(
    "what",
    [
        frame(MORE, b"nothing before"),
        frame(TEXT, b"a", fin=False) + frame(TEXT, b"b"),
        frame(TEXT, b"no mask", masked=False),
        frame(PING, b"x" * 126),
        frame(PING, b"x", fin=False),
        frame(0x3, b"reserved"),
    ],
    # Masks are drawn: ids made of the bytes would differ from run to run.
    ids=["continuation of nothing", "two messages at once", "no mask", "long ping", "cut ping", "reserved opcode"],
)
async def test_broken_protocol_closes_1002(place: Place, what: bytes) -> None:
    front, ears = place
    raw = await Raw.open(front.port)
    raw.send(what)
    assert await raw.close_code() == 1002
    assert await raw.ended()
    await ears["/a"].over()


async def test_their_close_is_answered(place: Place) -> None:
    front, ears = place
    raw = await Raw.open(front.port)
    raw.send(frame(CLOSE, struct.pack("!H", 1000) + b"bye"))
    assert await raw.close_code() == 1000
    assert await raw.ended()
    assert await ears["/a"].over() == (1000, "bye")


async def test_their_close_without_a_code(place: Place) -> None:
    front, ears = place
    raw = await Raw.open(front.port)
    raw.send(frame(CLOSE))
    assert await raw.close_code() in (1000, 1005)
    assert await ears["/a"].over() == (1005, "")


async def test_our_close_is_a_handshake(place: Place) -> None:
    front, ears = place
    raw = await Raw.open(front.port)
    socket = ears["/a"].socket
    assert socket is not None
    socket.close(1000, "call ended")
    socket.close(1001, "again")
    socket.send(b"too late")
    assert await raw.next() == (CLOSE, struct.pack("!H", 1000) + b"call ended")
    raw.send(frame(CLOSE, struct.pack("!H", 1000)))
    assert await raw.ended()
    assert await ears["/a"].over() == (1000, "call ended")


async def test_our_close_does_not_wait_for_ever(place: Place) -> None:
    front, ears = place
    raw = await Raw.open(front.port)
    socket = ears["/a"].socket
    assert socket is not None
    socket.close(1000, "call ended")
    assert await raw.ended()  # we never answer
    await ears["/a"].over()


async def test_cut_without_a_close_frame(place: Place) -> None:
    front, ears = place
    raw = await Raw.open(front.port)
    raw.writer.transport.abort()
    assert (await ears["/a"].over())[0] == 1006


async def test_half_closed(place: Place) -> None:
    """They say they will send no more, and keep listening: for a call that is the end."""
    front, ears = place
    raw = await Raw.open(front.port)
    raw.writer.write_eof()
    assert await raw.ended()
    assert (await ears["/a"].over())[0] == 1006


async def test_refused_before_101(place: Place) -> None:
    front, ears = place
    raw = await Raw.open(front.port, signature="bad")
    assert raw.status == 403
    assert await raw.ended()
    assert ears == {}


async def test_bytes_glued_to_the_request_do_not_break_the_stream(place: Place) -> None:
    """RFC 6455 section 4.1 makes a client wait for the answer; what it sends before is lost, nothing else."""
    front, ears = place
    raw = await Raw.open(front.port, behind=frame(TEXT, b"early"))
    assert raw.status == 101
    raw.send(frame(TEXT, b"later"))
    await until(lambda: ears["/a"].messages[-1:] == [b"later"])
    raw.writer.close()


async def test_a_mistake_in_a_listener_ends_its_stream_alone(place: Place) -> None:
    front, ears = place
    broken, whole = await Raw.open(front.port, "/a"), await Raw.open(front.port, "/b")
    broken.send(frame(TEXT, b"break"))
    assert await broken.close_code() == 1011
    whole.send(frame(TEXT, b"fine"))
    await until(lambda: ears["/b"].messages == [b"fine"])
    whole.writer.close()


async def test_a_flood_on_one_stream_does_not_stop_another(place: Place) -> None:
    front, ears = place
    flood, calm = await Raw.open(front.port, "/a"), await Raw.open(front.port, "/b")
    stopped = asyncio.Event()

    async def pour() -> None:
        piece = frame(TEXT, b"x" * 400) * 20
        while not stopped.is_set():
            flood.send(piece)
            await flood.writer.drain()

    pouring = asyncio.create_task(pour())
    try:
        for number in range(30):
            calm.send(frame(PING, b"%d" % number))
            assert await calm.next() == (PONG, b"%d" % number)
    finally:
        stopped.set()
        await pouring
    assert len(ears["/a"].messages) > 30
    flood.writer.close()
    calm.writer.close()


async def test_a_peer_that_does_not_read_is_told_and_the_memory_is_bounded(place: Place) -> None:
    front, ears = place
    raw = await Raw.open(front.port)
    ear = ears["/a"]
    assert ear.socket is not None
    raw.writer.transport.pause_reading()  # type: ignore[attr-defined]
    async with asyncio.timeout(20):
        while True not in ear.pauses:
            for _ in range(50):
                ear.socket.send(b"x" * 20_000)
            await asyncio.sleep(0.01)
    raw.writer.transport.resume_reading()  # type: ignore[attr-defined]
    reading = asyncio.create_task(raw.ended())
    await until(lambda: ear.pauses[-1:] == [False])
    ear.socket.close(1000, "")
    await ear.over()
    await reading


async def test_http_is_served_on_the_same_port(place: Place) -> None:
    front, _ = place
    reader, writer = await asyncio.open_connection("127.0.0.1", front.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    answer = await asyncio.wait_for(reader.read(), 10)
    assert answer.startswith(b"HTTP/1.1 200") and answer.endswith(b"ok")
    writer.close()


async def test_many_streams_leave_nothing(place: Place, lean: bool) -> None:
    front, ears = place
    before = len(asyncio.all_tasks())
    for number in range(50):
        raw = await Raw.open(front.port, f"/{number}")
        raw.send(frame(CLOSE, struct.pack("!H", 1000)))
        await raw.ended()
        await ears[f"/{number}"].over()
        raw.writer.close()
    await until(lambda: len(asyncio.all_tasks()) <= before)
