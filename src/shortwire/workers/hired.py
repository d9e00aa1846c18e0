"""One worker as its parent sees it: a process, a line to talk on, and a channel on which connections go over."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from ..clock import NS_PER_S, SystemClock
from .choosing import Asked, Seat
from .messages import Line
from .passing import pass_socket

__all__ = ["Hired", "hire"]

log = structlog.get_logger(__name__)

_now_ns = SystemClock.now_ns
_FRESH_S = 5.0
"""Figures come every second; a worker that has sent none for so long gets no new calls if somebody else can."""
_MOST_PENDING = 1000
"""Connections that wait for a worker whose channel is full; more are closed."""
_BUSY = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"


class Hired:
    """Made by `hire`. `begun` is set when it is ready; `gone` when it has ended."""

    def __init__(
        self,
        worker: int,
        process: asyncio.subprocess.Process,
        line: Line,
        channel: socket.socket,
        *,
        heard: _Heard,
        left_over: _LeftOver,
    ) -> None:
        self.worker = worker
        self.process = process
        self.line = line
        self.begun = asyncio.Event()
        self.failure: Mapping[str, Any] | None = None
        """What it said when it could not begin."""
        self.figures: dict[str, Any] = {}
        self._channel = channel
        self._pending: deque[tuple[socket.socket, Asked]] = deque()
        self._handed = 0
        self._heard = heard
        self._left_over = left_over
        self._heard_ns = 0
        self._takes = False
        self._listening = asyncio.create_task(self._listen(), name=f"worker {worker}")

    @property
    def takes(self) -> bool:
        """Whether connections can go to it."""
        return self._takes

    @property
    def seat(self) -> Seat:
        """How it looks to whoever chooses: its calls and connections, and what it cannot know of yet."""
        on_the_way = self._handed - self.figures.get("taken", 0)
        load = self.figures.get("calls", 0) + self.figures.get("connections", 0) + on_the_way + len(self._pending)
        fresh = _now_ns() - self._heard_ns < _FRESH_S * NS_PER_S and bool(self.figures.get("ready", True))
        return Seat(self.worker, load, fresh)

    def hand(self, sock: socket.socket, asked: Asked) -> None:
        """Give it a connection. If it turns out to be gone, the connection is left over; one that is already on its
        channel then goes with it."""
        if len(self._pending) >= _MOST_PENDING:
            refuse(sock)
            return
        self._pending.append((sock, asked))
        if len(self._pending) == 1:
            self._flush()

    def _flush(self) -> None:
        loop = asyncio.get_running_loop()
        while self._pending and self._takes:
            try:
                passed = pass_socket(self._channel, self._pending[0][0])
            except OSError as error:
                log.warning("worker.does_not_take", worker=self.worker, error=str(error))
                self.leave()
                return
            if not passed:
                loop.add_writer(self._channel.fileno(), self._flush)
                return
            self._handed += 1
            self._pending.popleft()[0].close()
        loop.remove_writer(self._channel.fileno())

    def leave(self) -> None:
        """It takes no more connections; those that wait for it are somebody else's."""
        if self._channel.fileno() >= 0:
            asyncio.get_running_loop().remove_writer(self._channel.fileno())
            self._channel.close()
        self._takes = False
        while self._pending:
            self._left_over(*self._pending.popleft())

    async def _listen(self) -> None:
        while (message := await self.line.heard()) is not None:
            match message["is"]:
                case "figures":
                    self.figures = message["figures"]
                    self._heard_ns = _now_ns()
                    self._heard()
                case "ready":
                    self._takes = True
                    self._heard_ns = _now_ns()
                    self.begun.set()
                case "failed":
                    self.failure = message
                case "leaving":
                    self.leave()
        self.leave()

    async def gone(self) -> int:
        """Wait for its end; the exit status."""
        status = await self.process.wait()
        # What it said last is still on the line.
        await self._listening
        await self.line.close()
        return status

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()


_Heard = Callable[[], None]
_LeftOver = Callable[[socket.socket, Asked], None]


async def hire(worker: int, instructions: Mapping[str, Any], heard: _Heard, left_over: _LeftOver) -> Hired:
    """Start a worker and tell it what it needs to know.

    `heard` is called after each of its figures, `left_over` with each connection it did not get before it left.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    channel, their_channel = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with theirs, their_channel:
        descriptors = (theirs.fileno(), their_channel.fileno())
        try:
            # A fresh interpreter: a copy of this one would hold its loop, its threads and its listener.
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",  # the working directory is no place to import from
                "-m",
                "shortwire.workers",
                *map(str, descriptors),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=descriptors,
                env=dict(os.environ),
            )
        except BaseException:
            ours.close()
            channel.close()
            raise
    ours.setblocking(False)
    channel.setblocking(False)
    made = Hired(worker, process, await Line.open(ours), channel, heard=heard, left_over=left_over)
    made.line.say("begin", worker=worker, **instructions)
    return made


def refuse(sock: socket.socket) -> None:
    """Nobody can take it: say so, and close it."""
    with sock, contextlib.suppress(OSError):
        sock.setblocking(False)
        sock.send(_BUSY)
