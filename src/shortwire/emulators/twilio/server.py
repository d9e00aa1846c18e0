"""`TwilioEmulator`: the exchange behind a real HTTP server on loopback.

For tests and for people; `docs/reference/emulator-twilio.md` says first what it does not know.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

from aiohttp import web

from ..scenario import PartyScript
from .account import AccountFacts
from .call import Call
from .config import TwilioConfig
from .control import Control
from .exchange import Exchange, Speak
from .faults import Faults
from .frame_clock import Lateness
from .ledger import Ledger
from .party import Detector
from .recording import Recording
from .rest import RestApi

__all__ = ["TwilioEmulator"]

_LOOPBACK = ("127.0.0.1", "localhost")


class TwilioEmulator:
    """``async with TwilioEmulator(config) as twilio: client.api.base_url = twilio.base_url``.

    `speak` makes mu-law of a text and a voice; `detector` makes a voice activity detector per call.
    Both default to the emulators' own. Raises `ValueError` for a host that is not loopback.
    """

    def __init__(
        self,
        config: TwilioConfig,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        speak: Speak | None = None,
        detector: Callable[[], Detector] | None = None,
    ) -> None:
        if host not in _LOOPBACK:
            raise ValueError(f"the emulator listens on 127.0.0.1 only, not on {host}: it is no telephone company")
        self.config = config
        self.account = AccountFacts()
        """What the account's own pages answer; change it at any time."""
        self.port = port
        """The real one after the start."""
        self._exchange = Exchange(config, speak, detector)
        self._runner: web.AppRunner | None = None

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ledger(self) -> Ledger:
        return self._exchange.ledger

    @property
    def calls(self) -> dict[str, Call]:
        """By sid, oldest first."""
        return self._exchange.calls

    async def start(self) -> None:
        await self._exchange.open()
        app = web.Application(client_max_size=1 << 20)
        app.add_routes(Control(self._exchange).routes())
        app.router.add_route("*", "/{path:.*}", RestApi(self._exchange, self.account).handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        except OSError:
            await self.stop()
            raise
        self.port = self._runner.addresses[0][1]
        self._exchange.base_url = self.base_url

    async def stop(self) -> None:
        """Hang up every call, then stop listening."""
        await self._exchange.close()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def call_in(self, to: str, sender: str, script: PartyScript | None = None) -> Call:
        """A party calls one of the account's numbers. Raises `ValueError` with what to change."""
        return self._exchange.receive(to, sender, script)

    @property
    def faults(self) -> Faults:
        """What goes wrong on purpose; set it at any time."""
        return self._exchange.faults.on

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self._exchange.faults.set(faults)

    @property
    def lateness(self) -> Lateness:
        """Of every frame of every call."""
        return self._exchange.lateness

    @property
    def recordings(self) -> dict[str, Recording]:
        """By sid, oldest first."""
        return self._exchange.recordings

    async def reset(self) -> None:
        """Hang up and forget everything."""
        await self._exchange.reset()

    async def __aenter__(self) -> TwilioEmulator:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()
