"""The heartbeat: in made-up time, and with a host on a real socket that gives pongs, or none."""

from __future__ import annotations

import asyncio
import ssl
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from raw_websocket import CLOSE, PING, PONG, Ear, serving, shake_hands

from shortwire.clock import NS_PER_S
from shortwire.net import heartbeat
from shortwire.net.agent_host import AgentSocketOptions
from shortwire.net.heartbeat import Heartbeat
from shortwire.net.lean_agent import LeanAgentDialer

S = NS_PER_S


class Socket:
    """Says what is done with it."""

    def __init__(self, *, pongs: bool = False) -> None:
        self.heard = False
        self.bytes_come = False
        self.log: list[str] = []
        self._pongs = pongs

    def came_within(self, ns: int) -> bool:
        assert ns == heartbeat.LOOK_NS
        return self.bytes_come

    def ping(self) -> None:
        self.log.append("ping")
        self.heard = self._pongs

    def lost(self) -> None:
        self.log.append("lost")


def seconds(beat: Heartbeat, first: int, last: int, each: Callable[[int], None] = lambda _s: None) -> None:
    for at in range(first, last + 1):
        each(at)
        beat.look(at * S)


async def test_who_says_nothing_is_asked_and_then_lost() -> None:
    beat, socket = Heartbeat(), Socket()
    beat.watch(socket, 0)
    seconds(beat, 1, 4)
    assert socket.log == []
    seconds(beat, 5, 9)
    assert socket.log == ["ping"]
    seconds(beat, 10, 60)
    assert socket.log == ["ping", "lost"]


async def test_who_speaks_is_left_alone() -> None:
    beat, socket = Heartbeat(), Socket()
    beat.watch(socket, 0)
    seconds(beat, 1, 60, lambda _s: setattr(socket, "heard", True))
    assert socket.log == []


async def test_a_pong_is_an_answer_for_one_ping() -> None:
    beat, socket = Heartbeat(), Socket(pongs=True)
    beat.watch(socket, 0)
    seconds(beat, 1, 60)
    assert set(socket.log) == {"ping"}
    assert len(socket.log) >= 6


async def test_a_long_message_is_no_silence() -> None:
    """Nothing can be told of it before its end, and no pong can come in the middle of it."""
    beat, socket = Heartbeat(), Socket()
    socket.bytes_come = True
    beat.watch(socket, 0)
    seconds(beat, 1, 60)
    assert socket.log == []
    socket.bytes_come = False
    seconds(beat, 61, 80)
    assert socket.log == ["ping", "lost"]


async def test_a_socket_that_fails_is_its_own_affair() -> None:
    class Broken(Socket):
        def ping(self) -> None:
            raise OSError("a mistake")

    beat, broken, socket = Heartbeat(), Broken(), Socket()
    beat.watch(broken, 0)
    beat.watch(socket, 0)
    seconds(beat, 1, 20)
    assert socket.log == ["ping", "lost"]
    assert broken.log == ["lost"]


async def test_who_has_ended_is_not_looked_at() -> None:
    beat, first, second = Heartbeat(), Socket(), Socket()
    beat.watch(first, 0)
    beat.watch(second, S)
    beat.forget(first)
    beat.forget(first)
    seconds(beat, 1, 20)
    assert first.log == []
    assert second.log == ["ping", "lost"]


@asynccontextmanager
async def host(*, pongs: bool) -> AsyncIterator[tuple[str, list[int]]]:
    """A host that says nothing but, perhaps, pong; what it was sent, by opcode."""
    opcodes: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await shake_hands(reader, writer)
        try:
            while True:
                first, second = await reader.readexactly(2)
                await reader.readexactly((second & 0x7F) + 4)
                opcodes.append(first & 0xF)
                if pongs and first & 0xF == PING:
                    writer.write(bytes((0x80 | PONG, 0)))
        except asyncio.IncompleteReadError:
            writer.close()

    async with serving(serve) as port:
        yield f"ws://127.0.0.1:{port}/", opcodes


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "LOOK_NS", S // 20)
    monkeypatch.setattr(heartbeat, "_STEP_S", 0.01)


def dialer(*, tuned: bool) -> LeanAgentDialer:
    return LeanAgentDialer(AgentSocketOptions(tuned=tuned), ssl.create_default_context())


@pytest.mark.usefixtures("hurried")
async def test_a_silent_host_that_gives_pongs_is_kept() -> None:
    ear = Ear()
    async with host(pongs=True) as (url, opcodes), asyncio.timeout(20):
        await dialer(tuned=True).connect(url, ear)
        while opcodes.count(PING) < 3:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        assert not ear.ended
        assert ear.socket is not None
        ear.socket.close(1000, "")
        await ear.over()


@pytest.mark.usefixtures("hurried")
async def test_a_silent_host_that_gives_none_is_lost() -> None:
    ear = Ear()
    async with host(pongs=False) as (url, opcodes):
        await dialer(tuned=True).connect(url, ear)
        assert await ear.over() == (1001, "no pong within 5 s")
        assert opcodes == [PING, CLOSE]
        assert ear.socket is not None
        assert ear.socket.ours


@pytest.mark.usefixtures("hurried")
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says when bytes came")
async def test_a_message_that_comes_slowly_is_no_silence() -> None:
    ear = Ear()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await shake_hands(reader, writer)
        writer.write(bytes((0x81, 100)))
        for _ in range(100):  # one second: ten times as long as silence may last here
            writer.write(b"x")
            await asyncio.sleep(0.01)
        await reader.read()
        writer.close()

    async with serving(serve) as port, asyncio.timeout(20):
        await dialer(tuned=True).connect(f"ws://127.0.0.1:{port}/", ear)
        while not ear.messages and not ear.ended:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        assert ear.messages == [b"x" * 100]
        assert ear.socket is not None
        ear.socket.close(1000, "")
        await ear.over()


@pytest.mark.usefixtures("hurried")
async def test_without_tuned_sockets_nobody_asks() -> None:
    ear = Ear()
    async with host(pongs=False) as (url, opcodes):
        await dialer(tuned=False).connect(url, ear)
        await asyncio.sleep(0.5)
        assert not opcodes
        assert not ear.ended
        assert ear.socket is not None
        ear.socket.close(1000, "")
        await ear.over()
