"""What a worker that is gone leaves over: its connections go to somebody else, whole."""

from __future__ import annotations

import asyncio
import socket
from typing import Any, cast

from shortwire.workers.choosing import Asked
from shortwire.workers.hired import Hired
from shortwire.workers.messages import Line


async def hired(left_over: list[tuple[socket.socket, Asked]]) -> tuple[Hired, Line, socket.socket]:
    """One that is ready, its own end of the line, and its end of the channel."""
    ours, theirs = socket.socketpair()
    channel, its_channel = socket.socketpair()
    for sock in (ours, theirs, channel):
        sock.setblocking(False)
    process = cast(asyncio.subprocess.Process, None)  # nobody waits for it here
    made = Hired(
        0,
        process,
        await Line.open(ours),
        channel,
        heard=lambda: None,
        left_over=lambda *both: left_over.append(both),
    )
    line = await Line.open(theirs)
    line.say("ready")
    await made.begun.wait()
    return made, line, its_channel


async def test_a_connection_that_finds_nobody_is_left_over() -> None:
    left_over: list[Any] = []
    made, line, its_channel = await hired(left_over)
    caller, ours = socket.socketpair()
    with caller, ours:
        its_channel.close()
        asked = Asked(worker=0)
        made.hand(ours, asked)
        assert left_over == [(ours, asked)]
        assert not made.takes
        # Nothing was said to the caller, and the connection is open.
        caller.setblocking(False)
        ours.send(b"x")
        assert caller.recv(10) == b"x"
    await line.close()
    await made.line.close()


async def test_connections_that_wait_are_left_over_in_order_when_it_leaves() -> None:
    left_over: list[Any] = []
    made, line, its_channel = await hired(left_over)
    pairs = [socket.socketpair() for _ in range(900)]
    for at, (_, ours) in enumerate(pairs):
        made.hand(ours, Asked(worker=at))
    # Those on the channel are its own; the others wait for room on it.
    waiting = [(ours, Asked(worker=at)) for at, (_, ours) in enumerate(pairs) if ours.fileno() >= 0]
    assert 0 < len(waiting) < len(pairs)
    line.say("leaving")
    await line.close()
    await made._listening  # it hears "leaving", then the end of the line
    assert left_over == waiting
    for pair in pairs:
        for sock in pair:
            sock.close()
    its_channel.close()
    await made.line.close()
