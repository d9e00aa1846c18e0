"""Several addresses of one host, some of which do not answer: which is tried when, and nothing left of those that lose.

On both event loops (conftest).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from shortwire.clock import SystemClock
from shortwire.net.reach import reach

Names = dict[str, list[tuple[str, int]]]

SOON_S, NEVER_S = 0.01, 600.0
"""When the next address is tried. Never: only a failure can have begun it."""


class Network:
    """Connects to what is `there`, and keeps account; refuses, or swallows everything else, as it is told."""

    def __init__(self, there: dict[str, int], *refused: str) -> None:
        self.there = there
        self.refused = refused
        self.tried: list[str] = []
        self.sockets: list[socket.socket] = []
        self.answered = asyncio.Event()
        self.answered.set()

    async def connect(self, loop: asyncio.AbstractEventLoop, system: socket.socket, address: Any) -> None:
        self.tried.append(address[0])
        self.sockets.append(system)
        if address[0] in self.refused:
            raise ConnectionRefusedError(errno.ECONNREFUSED, f"refused by {address[0]}")
        if address[0] not in self.there:
            await asyncio.Event().wait()
        await self.answered.wait()
        system.connect_ex(("127.0.0.1", self.there[address[0]]))

    @property
    def open(self) -> list[socket.socket]:
        return [system for system in self.sockets if system.fileno() != -1]

    async def left_with(self, *kept: socket.socket) -> None:
        """Until nothing but these is open: who lost is told a round of the loop later."""
        async with asyncio.timeout(30):
            while self.open != list(kept):  # noqa: ASYNC110
                await asyncio.sleep(0)


@pytest.fixture
async def complaints() -> AsyncIterator[list[dict[str, Any]]]:
    """What the loop was told and nobody had asked about."""
    heard: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: heard.append(context))
    yield heard
    gc.collect()
    await asyncio.sleep(0)
    assert heard == []


async def test_an_address_that_swallows_everything_is_passed_by(
    door: int, names: Names, complaints: list[dict[str, Any]]
) -> None:
    names["agent.example"] = [("10.0.0.1", 443), ("10.0.0.2", 443), ("10.0.0.3", 443)]
    network = Network({"10.0.0.2": door})
    before = SystemClock.now_ns()
    reached = await reach("agent.example", 443, connect=network.connect, next_s=SOON_S)
    with reached.system:
        assert reached.system.getpeername() == ("127.0.0.1", door)
        assert network.tried[:2] == ["10.0.0.1", "10.0.0.2"]
        assert before < reached.looked_up_ns < reached.tcp_ns <= SystemClock.now_ns()
        await network.left_with(reached.system)


async def test_the_next_one_waits_for_its_turn(door: int, names: Names) -> None:
    names["agent.example"] = [("10.0.0.1", 443), ("10.0.0.2", 443)]
    network = Network({"10.0.0.1": door, "10.0.0.2": door})
    with (await reach("agent.example", 443, connect=network.connect, next_s=NEVER_S)).system:
        assert network.tried == ["10.0.0.1"]


async def test_a_refusal_begins_the_next_at_once(door: int, names: Names) -> None:
    names["agent.example"] = [("10.0.0.1", 443), ("10.0.0.2", 443), ("10.0.0.3", 443)]
    network = Network({"10.0.0.3": door}, "10.0.0.1", "10.0.0.2")
    with (await reach("agent.example", 443, connect=network.connect, next_s=NEVER_S)).system as system:
        assert network.tried == ["10.0.0.1", "10.0.0.2", "10.0.0.3"]
        assert network.open == [system]


async def test_of_two_that_answer_at_once_one_is_kept(
    door: int, names: Names, complaints: list[dict[str, Any]]
) -> None:
    names["agent.example"] = [("10.0.0.1", 443), ("10.0.0.2", 443)]
    network = Network({"10.0.0.1": door, "10.0.0.2": door})
    network.answered.clear()
    reaching = asyncio.create_task(reach("agent.example", 443, connect=network.connect, next_s=SOON_S))
    async with asyncio.timeout(30):
        while len(network.tried) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0)
    network.answered.set()
    with (await reaching).system as system:
        await network.left_with(system)


async def test_the_families_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        socket.socket(socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has one family")
    v4 = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"10.0.0.{n}", 443)) for n in (1, 2)]
    v6 = [(socket.AF_INET6, socket.SOCK_STREAM, 6, "", (f"2001:db8::{n}", 443, 0, 0)) for n in (1, 2, 3)]

    async def resolve(*_arguments: Any, **_more: Any) -> list[Any]:
        return [*v6, *v4]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
    order = ["2001:db8::1", "10.0.0.1", "2001:db8::2", "10.0.0.2", "2001:db8::3"]
    network = Network({}, *order)
    with pytest.raises(OSError, match="refused by"):
        await reach("agent.example", 443, connect=network.connect, next_s=NEVER_S)
    assert network.tried == order


async def test_when_all_fail_the_error_tells_of_each(names: Names, complaints: list[dict[str, Any]]) -> None:
    names["agent.example"] = [("10.0.0.1", 443), ("10.0.0.2", 443)]
    network = Network({}, "10.0.0.1", "10.0.0.2")
    with pytest.raises(OSError, match=r"refused by 10\.0\.0\.1; .*refused by 10\.0\.0\.2"):
        await reach("agent.example", 443, connect=network.connect, next_s=SOON_S)
    assert network.open == []


async def test_who_gives_up_leaves_nothing_open(names: Names, complaints: list[dict[str, Any]]) -> None:
    names["agent.example"] = [("10.0.0.1", 443), ("10.0.0.2", 443), ("10.0.0.3", 443)]
    network = Network({}, "10.0.0.2")
    reaching = asyncio.create_task(reach("agent.example", 443, connect=network.connect, next_s=SOON_S))
    async with asyncio.timeout(30):
        while len(network.tried) < 3:  # noqa: ASYNC110
            await asyncio.sleep(0)
    reaching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reaching
    await network.left_with()


async def test_who_gives_up_just_as_it_answers_leaves_nothing_open(door: int, names: Names) -> None:
    names["agent.example"] = [("10.0.0.1", 443), ("10.0.0.2", 443)]
    network = Network({"10.0.0.1": door, "10.0.0.2": door})
    network.answered.clear()
    for rounds in range(6):
        reaching = asyncio.create_task(reach("agent.example", 443, connect=network.connect, next_s=NEVER_S))
        tried = len(network.tried)
        async with asyncio.timeout(30):
            while len(network.tried) == tried:  # noqa: ASYNC110
                await asyncio.sleep(0)
        network.answered.set()
        for _ in range(rounds):
            await asyncio.sleep(0)
        reaching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            (await reaching).system.close()
        await network.left_with()
        network.answered.clear()


async def test_a_mistake_is_not_taken_for_a_dead_address(names: Names, complaints: list[dict[str, Any]]) -> None:
    names["agent.example"] = [("10.0.0.1", 443), ("10.0.0.2", 443)]
    network = Network({})

    async def mistaken(loop: asyncio.AbstractEventLoop, system: socket.socket, address: Any) -> None:
        if address[0] == "10.0.0.2":
            raise OverflowError("port must be 0-65535")
        await network.connect(loop, system, address)

    with pytest.raises(OverflowError):
        await reach("agent.example", 443, connect=mistaken, next_s=SOON_S)
    await network.left_with()
