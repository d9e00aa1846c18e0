"""Work beside the media path takes turns with the frames."""

from __future__ import annotations

import asyncio
import itertools
import socket

import pytest

from shortwire import beside
from shortwire.beside import give_way, resting


class Rounds:
    """Counts the rounds of the running loop."""

    def __init__(self) -> None:
        self.number = 0
        self._next()

    def _next(self) -> None:
        self.number += 1
        self._handle = asyncio.get_running_loop().call_soon(self._next)

    def stop(self) -> None:
        self._handle.cancel()


async def test_each_goes_on_in_a_round_of_its_own_and_in_order() -> None:
    rounds = Rounds()
    went: list[tuple[str, int]] = []

    async def work(name: str) -> None:
        await give_way()
        went.append((name, rounds.number))

    await asyncio.gather(*(work(name) for name in "abcde"))
    rounds.stop()
    assert [name for name, _ in went] == list("abcde")
    numbers = [number for _, number in went]
    assert len(set(numbers)) == 5, f"some went on together: {numbers}"


async def test_a_socket_that_is_ready_comes_first() -> None:
    here, there = socket.socketpair()
    here.setblocking(False)
    told: list[str] = []
    loop = asyncio.get_running_loop()
    loop.add_reader(here, lambda: told.append(f"frame {here.recv(1).decode()}"))
    try:

        async def work() -> None:
            for piece in "123":
                there.send(piece.encode())
                await give_way()
                told.append(f"piece {piece}")

        await asyncio.gather(work(), work())
    finally:
        loop.remove_reader(here)
        here.close()
        there.close()
    # Both write at once, so two frames wait for the first piece; from then on there is one before each.
    assert told[0].startswith("frame")
    for before, after in itertools.pairwise(told):
        assert not (before.startswith("piece") and after.startswith("piece")), told


async def test_who_stops_waiting_keeps_nobody() -> None:
    leaving = [asyncio.ensure_future(give_way()) for _ in range(3)]
    staying = asyncio.ensure_future(give_way())
    await asyncio.sleep(0)
    for task in leaving:
        task.cancel()
    await asyncio.wait_for(staying, 5)
    assert all(task.cancelled() for task in leaving)


def test_a_second_loop_has_a_lane_of_its_own() -> None:
    async def work() -> str:
        await give_way()
        await give_way()
        return "done"

    for _ in range(2):
        assert asyncio.run(work()) == "done"


def test_a_loop_that_ended_with_somebody_waiting_is_left_behind() -> None:
    async def leave() -> None:
        asyncio.ensure_future(give_way())  # noqa: RUF006 - nobody waits for it, that is the point
        await asyncio.sleep(0)

    asyncio.run(leave())
    assert asyncio.run(asyncio.wait_for(give_way(), 5)) is None


@pytest.mark.parametrize(("portions", "rests_before"), [("", []), ("a", []), ("ab", [1]), ("abc", [1, 2])])
def test_a_thread_rests_between_portions(
    monkeypatch: pytest.MonkeyPatch, portions: str, rests_before: list[int]
) -> None:
    taken: list[str] = []
    rests: list[int] = []
    monkeypatch.setattr(beside.time, "sleep", lambda _seconds: rests.append(len(taken)))
    for portion in resting(portions):
        taken.append(portion)
    assert taken == list(portions)
    assert rests == rests_before
