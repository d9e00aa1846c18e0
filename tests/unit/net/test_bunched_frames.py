"""Frames that come two at once were held back by a peer that waits for our acknowledgement: it is hurried then, and
not before."""

from __future__ import annotations

import asyncio
import socket
import sys
from array import array

import pytest
from raw_websocket import TEXT, Ear, Raw, frame

from shortwire import native
from shortwire.audio.ear import new_recorder
from shortwire.net.front import Front, FrontOptions
from shortwire.ports import MessageSocket

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="TCP_QUICKACK is of Linux")

_ENDING = b'"},"streamSid":"MZ1"}'
MEDIA = b'{"event":"media","sequenceNumber":"4","media":{"track":"inbound","chunk":"3","timestamp":"60","payload":"'


class Relay(Ear):
    """Relays all audio: nowhere, or by the compiled shortcut to another socket."""

    def __init__(self, *, compiled: bool) -> None:
        super().__init__()
        self.compiled = compiled
        self.seen = 0
        if compiled:
            recorder = new_recorder([], keeps=False)
            assert recorder is not None
            self.shortcut = native.media.UplinkShortcut(recorder, native.media.Delays(array("Q", [0] * 2048)))

    def relay_to(self, other: MessageSocket) -> None:
        self.shortcut.begin(_ENDING, b'{"user_audio_chunk":"', b'"}')
        self.shortcut.aim(other.send)

    def media(self, data: bytes, read_ns: int) -> bool | None:
        self.seen += 1
        return True

    @property
    def relayed_count(self) -> int:
        return self.shortcut.relayed if self.compiled else self.seen


@pytest.mark.parametrize("compiled", [pytest.param(True, id="compiled"), pytest.param(False, id="python")])
async def test_acknowledgements_are_hurried_where_frames_bunch(compiled: bool) -> None:
    if compiled and not native.AVAILABLE:
        pytest.skip("the compiled modules are not built")
    ear, other = Relay(compiled=compiled), Ear()

    async def _app(scope, receive, send) -> None:  # type: ignore[no-untyped-def]
        raise AssertionError

    front = Front(
        _app, lambda path, _signature: ear if path == "/a" else other, FrontOptions(port=0, lean=True, max_message=4096)
    )
    await front.start()
    try:
        raw, beside = await Raw.open(front.port), await Raw.open(front.port, "/b")
        if compiled:
            assert other.socket is not None
            ear.relay_to(other.socket)
        ours = ear.socket._socket  # type: ignore[union-attr]

        async def send(count: int) -> bool:
            """So many frames in one write; whether acknowledgements are at once afterwards."""
            wanted = ear.relayed_count + count
            raw.send(frame(TEXT, MEDIA + b"/" * 216 + _ENDING) * count)
            while ear.relayed_count < wanted:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
            return bool(ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK))

        def delay() -> None:
            """As a connection is once both sides talk."""
            ours.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)

        async with asyncio.timeout(20):
            delay()
            for _ in range(20):
                await asyncio.sleep(0.01)
                assert not await send(1)
            assert await send(2)
            hurried = 0
            for _ in range(40):  # for a while after, now and then: the system falls back by itself
                delay()
                await asyncio.sleep(0.005)
                hurried += await send(1)
            assert 4 <= hurried <= 6
        raw.writer.close()
        beside.writer.close()
    finally:
        await front.stop()
