"""A public address for a laptop: the ngrok agent inside this process (extra `tunnel`).

For trying things out. It adds a hop to every frame; a server that answers customers has an
address of its own. Whatever is missing is said in one sentence.
"""

from __future__ import annotations

import asyncio
import importlib
from typing import Any

from ..errors import ConfigError

__all__ = ["NgrokTunnel"]


class NgrokTunnel:
    """`Tunnel` over the ngrok SDK. `stop` is safe to call at any time, also twice."""

    def __init__(self, authtoken: str, *, host: str = "127.0.0.1", deadline_s: float = 15.0) -> None:
        """`host` is where our server listens, as this machine reaches it."""
        self._authtoken = authtoken
        self._host = host
        self._deadline_s = deadline_s
        self._listener: Any = None

    async def start(self, port: int) -> str:
        """The public https URL of the port. Raises `ConfigError`."""
        if not self._authtoken:
            raise ConfigError("the ngrok tunnel needs NGROK_AUTHTOKEN: copy it from https://dashboard.ngrok.com")
        try:
            ngrok = importlib.import_module("ngrok")
        except ImportError:
            raise ConfigError("the ngrok tunnel needs its extra: pip install 'shortwire[tunnel]'") from None
        try:
            async with asyncio.timeout(self._deadline_s):
                self._listener = await ngrok.forward(f"{self._host}:{port}", authtoken=self._authtoken, proto="http")
            url = str(self._listener.url())
        except TimeoutError:
            raise ConfigError(f"ngrok opened no tunnel within {self._deadline_s:g} s: check the network") from None
        except Exception as error:  # the SDK raises plain exceptions of several kinds
            # Its texts run over several lines and may repeat the token.
            text = (str(error) or type(error).__name__).splitlines()[0].replace(self._authtoken, "***")
            raise ConfigError(f"ngrok opened no tunnel: {text}") from error
        if not url.startswith("https://"):
            await self.stop()
            raise ConfigError(f"ngrok gave an address that is not https: {url}")
        return url.rstrip("/")

    async def stop(self) -> None:
        if self._listener is not None:
            listener, self._listener = self._listener, None
            await listener.close()
