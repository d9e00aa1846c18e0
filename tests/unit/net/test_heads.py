"""What somebody unknown may send before a request's head is complete: so many bytes, for so long, and then goes.

On both event loops (conftest). Time is the test's: a deadline passes when `Deadlines.pass_all` says so.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from raw_websocket import Ear, Raw, frame

from shortwire.net.front import Front, FrontOptions
from shortwire.net.heads import LONGEST_HEAD, BoundedHttp

PATIENCE_S = 12_345.0
"""Tells these timers from others; none of them passes by itself."""
BEGINNING = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"
WHOLE = BEGINNING + b"\r\n"


async def until(check: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not check():  # noqa: ASYNC110
            await asyncio.sleep(0.002)


class Handle:
    """A timer that the test lets pass."""

    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        self.callback = None


@dataclass
class Deadlines:
    made: list[Handle] = field(default_factory=list)

    @property
    def running(self) -> list[Handle]:
        return [handle for handle in self.made if handle.callback is not None]

    def pass_all(self) -> None:
        for handle in self.running:
            callback, handle.callback = handle.callback, None
            assert callback is not None
            callback()


@pytest.fixture
async def deadlines(monkeypatch: pytest.MonkeyPatch) -> Deadlines:
    found, loop = Deadlines(), asyncio.get_running_loop()
    call_later = loop.call_later

    def noted(delay: float, callback: Any, *arguments: Any, **more: Any) -> Any:
        if delay != PATIENCE_S:
            return call_later(delay, callback, *arguments, **more)
        found.made.append(Handle(callback))
        return found.made[-1]

    monkeypatch.setattr(loop, "call_later", noted)
    return found


class App:
    """Answers when it may, with the length of the body that it has waited for."""

    def __init__(self) -> None:
        self.asked = 0
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.reads_bodies = True

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked += 1
        size = 0
        while self.reads_bodies:
            message = await receive()
            size += len(message.get("body", b""))
            if not message.get("more_body", False):
                break
        await self.may_answer.wait()
        answer = b"%d" % size
        headers = [(b"content-length", b"%d" % len(answer))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})


@dataclass
class Place:
    front: Front
    app: App
    ears: dict[str, Ear] = field(default_factory=dict)
    visitors: list[Visitor] = field(default_factory=list)

    @property
    def http(self) -> list[BoundedHttp]:
        assert self.front._server is not None
        return list(self.front._server.server_state.connections)  # type: ignore[arg-type]

    async def visitor(self) -> Visitor:
        before = len(self.http)
        made = self.connected(await asyncio.open_connection("127.0.0.1", self.front.port))
        await until(lambda: len(self.http) > before)
        return made

    async def handed(self, said: bytes) -> Visitor:
        """Comes by way of another process, and has said something on it."""
        ours, theirs = socket.socketpair()
        ours.sendall(said)
        self.front.take(theirs)
        return self.connected(await asyncio.open_connection(sock=ours))

    def connected(self, streams: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> Visitor:
        self.visitors.append(Visitor(*streams))
        return self.visitors[-1]

    async def stop(self) -> None:
        for visitor in self.visitors:
            visitor.writer.transport.abort()
        await self.front.stop()


class Visitor:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def say(self, data: bytes) -> None:
        self.writer.write(data)

    async def answer(self) -> tuple[int, bytes]:
        """Status and body of one answer."""
        async with asyncio.timeout(30):
            head = await self.reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length:")[2].split()[0])
            return int(head.split()[1]), await self.reader.readexactly(length)

    async def rest(self) -> bytes:
        """What comes until the other side closes."""
        async with asyncio.timeout(30):
            return await self.reader.read()

    async def floods(self, piece: bytes) -> None:
        """Send until the other side has closed."""
        try:
            async with asyncio.timeout(60):
                while not self.reader.at_eof():
                    self.writer.write(piece)
                    await self.writer.drain()
                    await asyncio.sleep(0)
        except ConnectionError:
            pass


@pytest.fixture
async def place(request: pytest.FixtureRequest, deadlines: Deadlines) -> AsyncIterator[Place]:
    app, ears = App(), dict[str, Ear]()
    options = FrontOptions(port=0, lean=getattr(request, "param", "lean") == "lean", patience_s=PATIENCE_S)
    front = Front(app, lambda path, _signature: ears.setdefault(path, Ear()), options)
    await front.start()
    place = Place(front, app, ears)
    yield place
    await place.stop()


# Time


async def test_who_says_nothing_is_let_go_without_a_word(place: Place, deadlines: Deadlines) -> None:
    visitor = await place.visitor()
    deadlines.pass_all()
    assert await visitor.rest() == b""
    await until(lambda: not place.http)


@pytest.mark.parametrize("said", [b"G", b"GET /heal", BEGINNING, b"\r\n"])
async def test_who_does_not_finish_is_told(place: Place, deadlines: Deadlines, said: bytes) -> None:
    visitor = await place.visitor()
    [http] = place.http
    visitor.say(said)
    await until(lambda: not http._silent)
    deadlines.pass_all()
    assert (await visitor.rest()).startswith(b"HTTP/1.1 408 ")
    assert place.app.asked == 0


async def test_whose_head_is_complete_has_no_deadline(place: Place, deadlines: Deadlines) -> None:
    """However long the answer takes."""
    place.app.may_answer.clear()
    visitor = await place.visitor()
    visitor.say(WHOLE)
    await until(lambda: place.app.asked == 1)
    assert not deadlines.running
    place.app.may_answer.set()
    assert await visitor.answer() == (200, b"0")
    assert not deadlines.running  # the idle time is uvicorn's


async def test_a_head_in_pieces_is_served(place: Place, deadlines: Deadlines) -> None:
    visitor = await place.visitor()
    for byte in WHOLE:
        visitor.say(bytes([byte]))
        await visitor.writer.drain()
        await asyncio.sleep(0)
    assert await visitor.answer() == (200, b"0")
    assert not deadlines.running


@pytest.mark.parametrize("said", [b"GET /heal", b"\r\n"], ids=["half a line", "the end of a line"])
async def test_a_later_request_has_a_deadline_from_its_first_byte(
    place: Place, deadlines: Deadlines, said: bytes
) -> None:
    visitor = await place.visitor()
    visitor.say(WHOLE)
    assert await visitor.answer() == (200, b"0")
    visitor.say(WHOLE)
    assert await visitor.answer() == (200, b"0")
    visitor.say(said)
    await until(lambda: bool(deadlines.running))
    deadlines.pass_all()
    assert (await visitor.rest()).startswith(b"HTTP/1.1 408 ")


async def test_the_rest_of_a_body_that_nobody_waits_for_has_a_deadline(place: Place, deadlines: Deadlines) -> None:
    """Its first byte ends uvicorn's idle time, and no second request would ever begin."""
    place.app.reads_bodies = False
    visitor = await place.visitor()
    visitor.say(BEGINNING + b"Content-Length: 1000\r\n\r\n")
    assert await visitor.answer() == (200, b"0")
    visitor.say(b"x")
    await until(lambda: bool(deadlines.running))
    deadlines.pass_all()
    assert await visitor.rest() == b""


async def test_half_a_request_behind_another_does_not_write_into_its_answer(place: Place, deadlines: Deadlines) -> None:
    place.app.may_answer.clear()
    visitor = await place.visitor()
    visitor.say(WHOLE + b"GET /heal")
    await until(lambda: place.app.asked == 1 and bool(deadlines.running))
    deadlines.pass_all()
    assert await visitor.rest() == b""


async def test_a_request_that_is_not_read_yet_is_not_late(place: Place, deadlines: Deadlines) -> None:
    """Two wait behind the first; the third is half here, and its other half is not taken from the system."""
    place.app.reads_bodies = False  # uvicorn reads on for who asks for a body
    place.app.may_answer.clear()
    visitor = await place.visitor()
    visitor.say(WHOLE + WHOLE + WHOLE[:9])
    await until(lambda: place.app.asked == 1 and bool(deadlines.running))
    deadlines.pass_all()
    visitor.say(WHOLE[9:])
    place.app.may_answer.set()
    assert [await visitor.answer() for _ in range(3)] == [(200, b"0")] * 3
    assert not deadlines.running


# Bytes


def head_of(size: int) -> bytes:
    return BEGINNING + b"X: " + b"x" * (size - len(BEGINNING) - 7) + b"\r\n\r\n"


async def test_the_longest_head(place: Place) -> None:
    visitor = await place.visitor()
    for _ in range(2):
        visitor.say(head_of(LONGEST_HEAD))
        assert await visitor.answer() == (200, b"0")


@pytest.mark.parametrize("size", [LONGEST_HEAD + 1, 100_000, 1_000_000])
async def test_a_longer_head_is_refused(place: Place, deadlines: Deadlines, size: int) -> None:
    """The answer is not lost with the bytes that were not read."""
    visitor = await place.visitor()
    visitor.say(head_of(size))
    assert (await visitor.rest()).startswith(b"HTTP/1.1 431 ")
    assert place.app.asked == 0
    visitor.writer.close()
    await until(lambda: not place.http and not deadlines.running)


@pytest.mark.parametrize("endless", [b"X: y\r\n", b"x", b"\r\n"], ids=["many fields", "one field", "line ends"])
@pytest.mark.parametrize("earlier", [0, 1])
async def test_a_head_without_an_end(place: Place, deadlines: Deadlines, endless: bytes, earlier: int) -> None:
    visitor = await place.visitor()
    for _ in range(earlier):
        visitor.say(WHOLE)
        await visitor.answer()
    visitor.say((BEGINNING if endless != b"\r\n" else b"") + endless * (LONGEST_HEAD // len(endless)))
    assert (await visitor.rest()).startswith(b"HTTP/1.1 431 ")
    [http] = place.http
    kept = len(http.headers or ())
    visitor.say(endless * 1000)
    await visitor.writer.drain()
    deadlines.pass_all()  # who does not go by himself then goes
    await until(lambda: not place.http)
    assert len(http.headers or ()) == kept <= LONGEST_HEAD // 6


async def test_a_body_does_not_count_as_a_head(place: Place) -> None:
    visitor = await place.visitor()
    for _ in range(2):
        body = b"x" * 64 * 1024
        visitor.say(b"POST /a HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        assert await visitor.answer() == (200, b"%d" % len(body))
    visitor.say(b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 64 * 1024 + b"0\r\n\r\n")
    assert await visitor.answer() == (200, b"65536")


@pytest.mark.parametrize("endless", [b"T: x\r\n", b"x"], ids=["many fields", "one field"])
async def test_trailers_without_an_end(place: Place, endless: bytes) -> None:
    """They are kept with the head's fields, and no application sees them to refuse them."""
    visitor = await place.visitor()
    visitor.say(b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n")
    if endless == b"x":
        visitor.say(b"T: ")
    await visitor.floods(endless * 10_000)
    await until(lambda: not place.http)


# Streams


@pytest.mark.parametrize("place", ["lean", "stock"], indirect=True)
async def test_a_stream_has_no_deadline(place: Place, deadlines: Deadlines) -> None:
    raw = await Raw.open(place.front.port)
    assert raw.status == 101
    assert not any(isinstance(protocol, BoundedHttp) for protocol in place.http)  # uvicorn's own stream is among them
    assert not deadlines.running
    raw.send(frame(0x1, b"on"))
    await until(lambda: place.ears["/a"].messages == [b"on"])
    raw.writer.close()


# Connections that somebody else has accepted


@pytest.fixture
async def worker(deadlines: Deadlines) -> AsyncIterator[Place]:
    app = App()
    front = Front(app, lambda _path, _signature: None, FrontOptions(handed=True, patience_s=PATIENCE_S))
    await front.start()
    worker = Place(front, app)
    yield worker
    await worker.stop()


async def test_what_was_there_before_the_connection_was_handed_over_counts(worker: Place, deadlines: Deadlines) -> None:
    visitor = await worker.handed(BEGINNING + b"X: y\r\n" * 3000)
    assert (await visitor.rest()).startswith(b"HTTP/1.1 431 ")
    visitor.writer.close()
    await until(lambda: not worker.http and not deadlines.running)


async def test_a_connection_that_was_handed_over_has_a_deadline(worker: Place, deadlines: Deadlines) -> None:
    visitor = await worker.handed(BEGINNING)
    await until(lambda: any(not http._silent for http in worker.http))
    deadlines.pass_all()
    assert (await visitor.rest()).startswith(b"HTTP/1.1 408 ")


async def test_one_whose_request_is_whole_is_served_once(worker: Place, deadlines: Deadlines) -> None:
    visitor = await worker.handed(WHOLE)
    assert await visitor.answer() == (200, b"0")
    assert await visitor.rest() == b""
    assert not deadlines.running
