"""A public address for a laptop: the ngrok agent inside this process (extra `tunnel`).

For trying things out. It adds a hop to every frame; a server that answers customers has an
address of its own. Whatever is missing is said in one sentence. A tunnel that is lost is opened
again, and whoever must know of a new address is told; calls in progress are left alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from ..errors import ConfigError

__all__ = ["NgrokTunnel", "Recheck"]

log = structlog.get_logger(__name__)

Recheck = Callable[[str], Awaitable[bool]]
"""Whether a public address still leads here."""

_FIRST_WAIT_S = 1.0
_LONGEST_WAIT_S = 30.0


class NgrokTunnel:
    """`Tunnel` over the ngrok SDK. `stop` is safe to call at any time, also twice."""

    def __init__(self, authtoken: str, *, host: str = "127.0.0.1", deadline_s: float = 15.0) -> None:
        """`host` is where our server listens, as this machine reaches it."""
        self._authtoken = authtoken
        self._host = host
        self._deadline_s = deadline_s
        self._listener: Any = None
        self._port = 0
        self._watching: asyncio.Task[None] | None = None
        self.url = ""
        """The address that leads here now."""

    async def start(self, port: int) -> str:
        """The public https URL of the port. Raises `ConfigError`."""
        if not self._authtoken:
            raise ConfigError("the ngrok tunnel needs NGROK_AUTHTOKEN: copy it from https://dashboard.ngrok.com")
        self._port = port
        self.url = await self._open()
        return self.url

    def watch(
        self,
        moved: Callable[[str], Awaitable[None]],
        alive: Recheck,
        *,
        every_s: float = 10.0,
        first_wait_s: float = _FIRST_WAIT_S,
    ) -> None:
        """From now on: ask `alive` whether the address still leads here, and open the tunnel again when it does not.

        `moved` is awaited with the address after every reopening, also when it is the same one. Two failures in a row
        count, one may be a hiccup. Ended by `stop`.
        """
        if self._watching is None:
            self._watching = asyncio.create_task(self._watch(moved, alive, every_s, first_wait_s))

    async def stop(self) -> None:
        if self._watching is not None:
            watching, self._watching = self._watching, None
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        await self._close()

    async def _open(self) -> str:
        try:
            ngrok = importlib.import_module("ngrok")
        except ImportError:
            raise ConfigError("the ngrok tunnel needs its extra: pip install 'shortwire[tunnel]'") from None
        try:
            async with asyncio.timeout(self._deadline_s):
                self._listener = await ngrok.forward(
                    f"{self._host}:{self._port}", authtoken=self._authtoken, proto="http"
                )
            url = str(self._listener.url())
        except TimeoutError:
            raise ConfigError(f"ngrok opened no tunnel within {self._deadline_s:g} s: check the network") from None
        except Exception as error:  # the SDK raises plain exceptions of several kinds
            # Its texts run over several lines and may repeat the token.
            text = (str(error) or type(error).__name__).splitlines()[0].replace(self._authtoken, "***")
            raise ConfigError(f"ngrok opened no tunnel: {text}") from error
        if not url.startswith("https://"):
            await self._close()
            raise ConfigError(f"ngrok gave an address that is not https: {url}")
        return url.rstrip("/")

    async def _close(self) -> None:
        if self._listener is not None:
            listener, self._listener = self._listener, None
            await listener.close()

    async def _watch(
        self, moved: Callable[[str], Awaitable[None]], alive: Recheck, every_s: float, first_wait_s: float
    ) -> None:
        failures = 0
        while True:
            await asyncio.sleep(every_s)
            if await self._is_alive(alive):
                failures = 0
                continue
            failures += 1
            if failures >= 2:
                failures = 0
                await self._reopen(first_wait_s)
                try:
                    await moved(self.url)
                except Exception:
                    log.exception("tunnel.moved_failed")

    async def _is_alive(self, alive: Recheck) -> bool:
        try:
            return await alive(self.url)
        except Exception as error:  # whatever keeps it from being known keeps it from being relied on
            log.warning("tunnel.not_reached", error=str(error))
            return False

    async def _reopen(self, wait_s: float) -> None:
        """Until there is a tunnel again: a network that is gone may be gone for hours."""
        old = self.url
        log.warning("tunnel.lost", url=old)
        # The old agent may hang as the network does; its end is not waited for long.
        with contextlib.suppress(Exception):
            async with asyncio.timeout(self._deadline_s):
                await self._close()
        while True:
            try:
                self.url = await self._open()
                break
            except ConfigError as error:
                log.warning("tunnel.not_reopened", error=str(error), again_in_s=wait_s)
                await asyncio.sleep(wait_s)
                wait_s = min(wait_s * 2, _LONGEST_WAIT_S)
        log.warning("tunnel.reopened", url=self.url, same=self.url == old)
