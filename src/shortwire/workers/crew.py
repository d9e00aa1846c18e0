"""All workers: starts them, hands connections to them, starts the ones that die again, and drains them together."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Mapping
from typing import Any

import structlog

from ..clock import NS_PER_S, SystemClock
from ..errors import BridgeError
from ..settings import Settings
from .choosing import Asked, Chooser
from .figures import together
from .hired import Hired, hire, refuse
from .messages import settings_said

__all__ = ["Crew", "WorkerFailed"]

log = structlog.get_logger(__name__)

_now_ns = SystemClock.now_ns
_BACKOFF_S = (0.5, 30.0)
"""First and longest pause before a worker that died is started again."""
_STEADY_S = 60.0
"""A worker that has lived so long starts with the first pause again."""
_FIGURES_S = 0.5
_END_S = 40.0
"""Beyond the time for draining: hanging up, last writes, the listener's end. Who is not gone then is killed."""


class WorkerFailed(BridgeError):
    """A worker could not begin; what it said is what the server says."""

    code = "worker_failed"


class Crew:
    """`start`, then `drain`; `stop` in any case."""

    def __init__(self, settings: Settings, base: str) -> None:
        """`base`: the server's name in the store (`app.node_base`)."""
        self._settings = settings
        self._base = base
        self._of = settings.shortwire_workers
        self._chooser = Chooser()
        self._hired: dict[int, Hired] = {}
        self._keeping: list[asyncio.Task[None]] = []
        self._telling: asyncio.Task[None] | None = None
        self._stopping = False
        self._news = asyncio.Event()

    @property
    def public_url(self) -> str:
        return self._settings.server_url

    def move(self, public_url: str) -> None:
        """The public address has changed: for the workers that are, and for those that come."""
        self._settings = self._settings.with_server_url(public_url)
        for hired in self._hired.values():
            hired.line.say("moved", public_url=public_url)

    async def start(self) -> None:
        """Return when all are ready. Raises `WorkerFailed`."""
        self._telling = asyncio.create_task(self._tell_for_ever())
        first = await asyncio.gather(*(self._hire(worker, speaks=worker == 0) for worker in range(self._of)))
        await asyncio.gather(*(_ready(hired) for hired in first))
        self._keeping = [asyncio.create_task(self._keep(hired), name=f"keep worker {hired.worker}") for hired in first]

    async def stop(self) -> None:
        """End whoever is still there."""
        self._stopping = True
        if self._telling is not None:
            self._telling.cancel()
        for hired in self._hired.values():
            hired.kill()
        await asyncio.gather(*(hired.gone() for hired in self._hired.values()))
        for task in self._keeping:
            task.cancel()
        await asyncio.gather(*self._keeping, return_exceptions=True)

    def take(self, sock: socket.socket, asked: Asked) -> None:
        """Hand a connection to the worker it belongs to."""
        takers = {worker: hired for worker, hired in self._hired.items() if hired.takes}
        chosen = self._chooser.choose(asked, [hired.seat for hired in takers.values()])
        if chosen is None:
            refuse(sock)
        else:
            takers[chosen].hand(sock, asked)

    def health(self) -> Mapping[str, Any]:
        """As of a desk: of all of them."""
        return together(self._all_figures())

    async def drain(self, deadline_s: float) -> None:
        """Let every worker end its calls and itself. Told again, they hang up."""
        self._stopping = True
        for hired in self._hired.values():
            hired.line.say("stop")
        try:
            async with asyncio.timeout(deadline_s + _END_S):
                await asyncio.gather(*(asyncio.shield(task) for task in self._keeping))
        except TimeoutError:
            log.error("workers.left", workers=[h.worker for h in self._hired.values() if h.process.returncode is None])

    # Parts

    async def _hire(self, worker: int, *, speaks: bool = False) -> Hired:
        instructions = {
            "of": self._of,
            "base": self._base,
            "speaks": speaks,
            "settings": settings_said(self._settings),
        }
        hired = await hire(worker, instructions, self._news.set, self.take)
        self._hired[worker] = hired
        return hired

    async def _keep(self, hired: Hired) -> None:
        """One seat: whoever sits there, and whoever comes after."""
        worker, pause_s = hired.worker, _BACKOFF_S[0]
        while True:
            began_ns = _now_ns()
            status = await hired.gone()
            if self._stopping:
                if status:
                    log.error("worker.ended_badly", worker=worker, status=_status(status))
                return
            if _now_ns() - began_ns > _STEADY_S * NS_PER_S:
                pause_s = _BACKOFF_S[0]
            if status:
                lost = hired.figures.get("calls", 0)
                why = {"said": hired.failure["message"]} if hired.failure else {}
                log.error(
                    "worker.died", worker=worker, status=_status(status), calls_lost=lost, again_in_s=pause_s, **why
                )
            else:
                log.warning("worker.told_to_stop", worker=worker, again_in_s=pause_s)
            self._news.set()
            await asyncio.sleep(pause_s)
            if self._stopping:
                return
            pause_s = min(pause_s * 2, _BACKOFF_S[1])
            try:
                hired = await self._hire(worker)
            except OSError as error:  # no memory, no descriptors: it may pass
                log.error("worker.not_started", worker=worker, error=str(error))
                continue
            if self._stopping:
                hired.line.say("stop")

    async def _tell_for_ever(self) -> None:
        """Everybody's figures to everybody: any worker may be asked for them."""
        while True:
            await self._news.wait()
            self._news.clear()
            figures = self._all_figures()
            for hired in self._hired.values():
                hired.line.say("figures", may_drop=True, figures=figures)
            await asyncio.sleep(_FIGURES_S)

    def _all_figures(self) -> list[dict[str, Any]]:
        """A seat that is empty at this moment is told as such."""
        return [
            {**(hired.figures if hired.takes else {}), "worker": worker, "pid": hired.process.pid, "alive": hired.takes}
            for worker, hired in self._hired.items()
        ]


async def _ready(hired: Hired) -> None:
    """Raises `WorkerFailed` with its own words."""
    begun = asyncio.create_task(hired.begun.wait())
    gone = asyncio.create_task(hired.process.wait())
    await asyncio.wait((begun, gone), return_when=asyncio.FIRST_COMPLETED)
    if not begun.done():
        status = await hired.gone()
        begun.cancel()
        said = hired.failure or {"message": f"worker {hired.worker} ended with {_status(status)} before it was ready"}
        error = WorkerFailed(said["message"], details=said.get("details", "see the log"))
        error.exit_status = said.get("exit_status", 1)
        raise error
    gone.cancel()


def _status(status: int) -> str:
    """An exit status for a person."""
    if status < 0:
        try:
            return signal.Signals(-status).name
        except ValueError:
            return f"signal {-status}"
    return f"exit status {status}"
