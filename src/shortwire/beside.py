"""Work beside the media path takes turns: one piece of it between two looks at the sockets.

An event loop runs everything that has become ready before it looks at its sockets again. What a ringing call sets off
at once (a signed URL, a connection to the agent, the answer to the carrier), and ten calls that end together, are
several milliseconds then, and frames of all calls wait for them.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from typing import TypeVar

__all__ = ["give_way", "resting"]

Portion = TypeVar("Portion")

_REST_S = 0.0003


def resting(portions: Iterable[Portion]) -> Iterator[Portion]:
    """The same portions of work, for a thread beside the loop: it rests before each but the first.

    Each socket that the loop serves asks for the interpreter anew, and waits for its switch interval while a thread
    computes: ten sockets, ten times. A thread that rests has none of them wait for longer than one portion takes.
    """
    for number, portion in enumerate(portions):
        if number:
            time.sleep(_REST_S)
        yield portion


class _Lane:
    """Whoever waits here goes on one after the other, each in a round of the loop of its own."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._waiting: deque[asyncio.Future[None]] = deque()

    def join(self) -> asyncio.Future[None]:
        turn = self.loop.create_future()
        if not self._waiting:
            self.loop.call_soon(self._next)
        self._waiting.append(turn)
        return turn

    def _next(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():  # somebody may have stopped waiting
                turn.set_result(None)
                break
        if self._waiting:
            self.loop.call_soon(self._next)


class _Here(threading.local):
    lane: _Lane | None = None


_here = _Here()


async def give_way() -> None:
    """Frames first: go on when the loop has looked at its sockets, and nobody else goes on from here in that round.

    For what takes longer than a tenth of a millisecond, at points where anything may happen meanwhile to whatever it
    works on.
    """
    loop, lane = asyncio.get_running_loop(), _here.lane
    if lane is None or lane.loop is not loop:
        lane = _here.lane = _Lane(loop)
    await lane.join()
