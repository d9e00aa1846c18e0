"""The line to the agent: what is made of it before somebody picks up, and the last step after.

Levels: `shortwire.call.options.Prewarm`. The signed URL and the warm connection are fetched side by side;
whatever is missing or has died when the line is opened is made then, and costs time but nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ..call.options import Prewarm
from ..clock import NS_PER_MS, NS_PER_S
from ..errors import AgentError
from ..ports import SocketListener, WarmConnection
from ..terms import AgentId, Fault, HangupCause
from .context import Context

__all__ = ["AgentLine"]

# A signed URL starts a conversation for 15 minutes (elevenlabs.md section 4.1).
_URL_GOOD_NS = 14 * 60 * NS_PER_S


class AgentLine:
    """One call's line. `prepare` any time, `open` once, `close` always."""

    def __init__(self, context: Context, agent_id: AgentId, on_api_time: Callable[[str, str, float], None]) -> None:
        self._context = context
        self._agent_id = agent_id
        self._on_api_time = on_api_time
        self._url: asyncio.Task[str] | None = None
        self.url_ns = 0
        """When the signed URL came."""
        self._warm: asyncio.Task[WarmConnection | None] | None = None
        self._opening: asyncio.Task[None] | None = None
        self.opening_ns = 0
        """When the conversation began to be opened; 0: not yet."""
        self.was_warm = False
        """Whether the conversation was opened on a connection that was there; the host may have dropped it meanwhile,
        so this is only believed until it is open."""

    def prepare(self, level: Prewarm, on_refusal: Callable[[AgentError], None]) -> None:
        """Begin what the level permits. Idempotent; returns at once.

        `on_refusal` is called when the host says no for a reason that will not go away by itself: better now
        than when somebody has picked up. Anything else is tried again then.
        """
        if level is Prewarm.OFF:
            return

        def fetched(task: asyncio.Task[str]) -> None:
            error = None if task.cancelled() else task.exception()
            if isinstance(error, AgentError) and HangupCause(error.cause).fault is Fault.CONFIG:
                on_refusal(error)

        if self._url is None:
            self._url = asyncio.create_task(self._fetch_url())
            self._url.add_done_callback(fetched)
        if level is not Prewarm.SIGNED_URL and self._warm is None:
            self._warm = asyncio.create_task(self._context.dialer.warm(self._context.agent_base_url))

    def open(self, listener: SocketListener, on_failure: Callable[[AgentError], None]) -> None:
        """Open the conversation; `listener.opened` or `on_failure` follows, unless `close` comes first."""
        if self._opening is None:
            self._opening = asyncio.create_task(self._open(listener, on_failure))

    def close(self) -> None:
        """Drop whatever is not in use. An open conversation is not touched: its socket has an owner."""
        for task in (self._opening, self._url):
            if task is not None:
                task.cancel()
        if self._warm is not None:
            self._warm.add_done_callback(_close_warm)
            self._warm.cancel()

    def part(self) -> None:
        """The call is over and told: this knows it no more."""
        self._on_api_time = _to_nobody
        self._url = self._opening = None

    async def _fetch_url(self) -> str:
        now_ns = self._context.clock.now_ns
        began = now_ns()
        url = await self._context.platform.signed_url(self._agent_id)
        self.url_ns = now_ns()
        self._on_api_time("ElevenLabs", "signed URL", (self.url_ns - began) / NS_PER_MS)
        return url

    async def _open(self, listener: SocketListener, on_failure: Callable[[AgentError], None]) -> None:
        self.opening_ns = began = self._context.clock.now_ns()
        try:
            if self._url is None or (self._url.done() and self._stale_or_failed(self._url, began)):
                self._url = asyncio.create_task(self._fetch_url())
            url = await self._url
            warm = await self._warm if self._warm is not None else None
            self._warm = None
            # Said before it is certain: the agent may be ready before `connect` returns.
            self.was_warm = warm is not None and warm.alive
            self.was_warm = await self._context.dialer.connect(url, listener, warm)
        except AgentError as error:
            on_failure(error)

    def _stale_or_failed(self, url: asyncio.Task[str], now_ns: int) -> bool:
        return url.cancelled() or url.exception() is not None or now_ns - self.url_ns > _URL_GOOD_NS


def _to_nobody(_vendor: str, _call: str, _ms: float) -> None:
    """For a request that is answered when its call is over."""


def _close_warm(task: asyncio.Task[WarmConnection | None]) -> None:
    if not task.cancelled() and task.exception() is None and (warm := task.result()) is not None:
        warm.close()
