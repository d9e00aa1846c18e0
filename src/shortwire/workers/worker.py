"""One of several workers: an `app.Server` that listens on nothing, and does what its parent says.

It ends when it is told to, when it gets SIGTERM (one worker alone can so be started afresh), and at once when its
parent is gone: nobody would bring it callbacks any more. Ctrl-C is the parent's business.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import socket
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from ..app import Place, Server, until_told_to_stop
from ..errors import BridgeError
from ..fast_loop import run_promptly
from ..settings import Settings
from ..telemetry.outputs import outputs
from .figures import together
from .messages import Line, settings_from
from .passing import received_sockets

__all__ = ["run"]

log = structlog.get_logger(__name__)

_FIGURES_S = 1.0
_LOOK_S = 0.25


def run(line: int, channel: int) -> int:
    """Be a worker; the exit status. `line` and `channel` are the descriptors of our ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return run_promptly(_work(socket.socket(fileno=line), socket.socket(fileno=channel)))


async def _work(line_end: socket.socket, channel: socket.socket) -> int:
    line_end.setblocking(False)
    channel.setblocking(False)
    line = await Line.open(line_end)
    begin = await line.heard()
    if begin is None:
        return 1
    settings = settings_from(begin["settings"])
    structlog.contextvars.bind_contextvars(worker=begin["worker"])
    with outputs(settings) as lines:
        try:
            await _Worker(line, channel, begin, settings, lines.put).serve()
        except BridgeError as error:
            line.say("failed", message=error.message, details=error.details, exit_status=error.exit_status)
            return error.exit_status
        finally:
            await line.close()
            channel.close()
    return 0


class _Worker:
    def __init__(
        self,
        line: Line,
        channel: socket.socket,
        begin: Mapping[str, Any],
        settings: Settings,
        out: Callable[[str], None],
    ) -> None:
        self._line = line
        self._channel = channel
        self._worker: int = begin["worker"]
        self._say = out if begin["speaks"] else _say_nothing
        self._others: list[dict[str, Any]] = []
        self._taken = 0
        self._told: asyncio.Queue[int] = asyncio.Queue()
        self._stopping = False
        place = Place(self._worker, begin["of"], begin["base"], self._figures_of_all)
        self._server = Server(settings, say=self._say, out=out, place=place)

    async def serve(self) -> None:
        """Until told to stop. Raises `BridgeError` if it cannot begin."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._on_sigterm)
        listening = asyncio.create_task(self._listen())
        async with self._server as server:
            telling = asyncio.create_task(self._tell_for_ever())
            loop.add_reader(self._channel.fileno(), self._take)
            self._line.say("ready")
            try:
                await until_told_to_stop(server.desk, self._told, _say_nothing)
            finally:
                self._line.say("leaving")
                telling.cancel()
                # What is on its way was handed over before the parent knew; it is served as far as can be.
                self._take()
                loop.remove_reader(self._channel.fileno())
        listening.cancel()

    def _on_sigterm(self) -> None:
        # Whoever stops a whole group of processes tells us as well as our parent: that is not asking twice.
        self._stop_once()

    def _stop_once(self) -> None:
        if not self._stopping:
            self._stopping = True
            self._told.put_nowait(1)

    async def _listen(self) -> None:
        told = 0
        while (message := await self._line.heard()) is not None:
            match message["is"]:
                case "figures":
                    self._others = message["figures"]
                case "moved":
                    self._server.move(message["public_url"])
                case "stop":
                    told += 1
                    if told == 1:
                        self._stop_once()
                    else:
                        self._told.put_nowait(told)
        log.error("worker.parent_gone")
        self._stop_once()
        self._told.put_nowait(told + 1)

    def _take(self) -> None:
        """Connections that have been handed over."""
        try:
            for sock in received_sockets(self._channel):
                self._taken += 1
                if sock is None:
                    log.error("worker.no_descriptors", fix="raise the limit of open files")
                else:
                    self._server.take(sock)
        except EOFError:
            # The line tells the end of the parent; this only ends the reading.
            asyncio.get_running_loop().remove_reader(self._channel.fileno())

    async def _tell_for_ever(self) -> None:
        """Every second, and soon after a call has come or gone: whoever chooses goes by it."""
        said, said_at = -1, 0
        for look in itertools.count():
            own = self._own()
            if own["calls"] != said or look - said_at >= _FIGURES_S / _LOOK_S:
                said, said_at = own["calls"], look
                self._line.say("figures", may_drop=True, figures=own)
            await asyncio.sleep(_LOOK_S)

    def _own(self) -> dict[str, Any]:
        return {
            **self._server.desk.health(),
            "worker": self._worker,
            "connections": self._server.connections,
            "taken": self._taken,
        }

    def _figures_of_all(self, own: Mapping[str, Any]) -> Mapping[str, Any]:
        """Our own as they are now, those of the others as they were a moment ago."""
        others = [figures for figures in self._others if figures["worker"] != self._worker]
        return together([{**self._own(), **own, "pid": os.getpid(), "alive": True}, *others])


def _say_nothing(_line: str) -> None: ...
