"""What the checks share: settings, clients, facts that are asked for once, and everything a test may replace.

A fact is fetched by the first check that needs it and given to all; when it cannot be had, the check that answers for
it says why, and the others say that they cannot tell.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import aiohttp

from ..clock import Clock, SystemClock
from ..errors import BridgeError, ConfigError
from ..interpreter import optimised
from ..net.elevenlabs_account import ElevenLabsAccount
from ..net.probes import AnswerTooLong, resolve
from ..net.twilio_account import AccountFacts, NumberFacts, TwilioAccount
from ..net.vendor_hosts import AGENT_HOSTS, AgentHost, CarrierPoint, carrier_points
from ..settings import Settings
from ..terms import AgentId
from .way import Way, find_way

__all__ = ["Bench", "CannotTell", "NetworkPlan", "Rehearsal"]

T = TypeVar("T")
Rehearse = Callable[[Settings, Mapping[str, Any]], Awaitable["Rehearsal"]]
"""Settings and the agent's configuration to what a whole call on the emulators was like."""


class CannotTell(Exception):
    """The check has no way to know; the text says why."""


@dataclass(frozen=True, slots=True)
class NetworkPlan:
    """How often and how patiently the network is measured."""

    tries: int = 8
    deadline_s: float = 3.0
    slow_api_ms: float = 400.0
    """A request to the carrier's API that takes longer is worth a warning."""
    worth_ms: float = 25.0
    """A better choice must save this much per turn to be worth a warning."""
    jitter_ms: float = 30.0
    load_s: float = 20.0
    load_steps: tuple[int, ...] = (10, 20, 40, 80, 120, 160, 240, 320)
    """Calls at once, in the load test."""
    load_p99_ms: float = 5.0


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """How the call on the emulators went."""

    answered: bool
    heard_agent: bool
    cause: str
    meaning: str
    detail: str
    first_word_ms: float | None
    response_gap_ms: float | None


@dataclass(slots=True, kw_only=True)
class Bench:
    """Made once per examination; closed by the runner."""

    given: Settings | None
    problems: ConfigError | None = None
    """Why there are no settings."""
    env_file: Path = Path(".env")
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    clock: Clock = field(default_factory=SystemClock)
    agent_hosts: Sequence[AgentHost] = AGENT_HOSTS
    carrier_points: Sequence[CarrierPoint] = field(default_factory=carrier_points)
    plan: NetworkPlan = field(default_factory=NetworkPlan)
    patience: float = 1.0
    """Factor on every deadline."""
    will_use: frozenset[str] = frozenset()
    """Overrides that calls will carry, as fields of a request, such as ``first_message``."""
    variables: frozenset[str] = frozenset()
    """Dynamic variables that every call will carry."""
    rehearse: Rehearse | None = None
    resolve: Callable[[str, int], Awaitable[list[str]]] = resolve
    """A name and a port to addresses; raises `OSError` or `TimeoutError`."""
    version_of: Callable[[str], str | None] | None = None
    """A package to its installed version; None: ask the interpreter."""
    optimised: Callable[[], bool] = optimised
    """How this Python was built."""
    vendor_file: Path = Path("/sys/class/dmi/id/sys_vendor")
    """Where Linux names the maker of this (virtual) machine."""
    metadata_url: str = "http://169.254.169.254"
    _facts: dict[str, asyncio.Future[Any]] = field(default_factory=dict)
    _clients: dict[str, Any] = field(default_factory=dict)
    _closers: list[Callable[[], Awaitable[None]]] = field(default_factory=list)

    @property
    def has_settings(self) -> bool:
        return self.given is not None

    @property
    def settings(self) -> Settings:
        assert self.given is not None, "the runner keeps checks that need settings from running without"
        return self.given

    @property
    def on_emulators(self) -> bool:
        """Whether the carrier is on this machine: an emulator, where public addresses are not needed."""
        return (urlsplit(self.settings.twilio_api_base_url).hostname or "") in ("127.0.0.1", "localhost", "::1")

    @property
    def at_twilio(self) -> bool:
        """Whether the carrier's API is at an address of Twilio's own."""
        host = urlsplit(self.settings.twilio_api_base_url).hostname or ""
        return host.endswith(".twilio.com") or any(
            point.url == self.settings.twilio_api_base_url for point in self.carrier_points
        )

    # Clients, made on first use

    @property
    def carrier(self) -> TwilioAccount:
        return self._client("carrier", self._make_carrier)

    @property
    def platform(self) -> ElevenLabsAccount:
        return self._client("platform", lambda: self.platform_at(self.settings.elevenlabs_base_url))

    def platform_at(self, url: str) -> ElevenLabsAccount:
        """The same key at another host of the vendor's."""
        made = ElevenLabsAccount(
            self.settings.elevenlabs_api_key.get_secret_value(), base_url=url, deadline_s=6.0 * self.patience
        )
        self._closers.append(made.close)
        return made

    def carrier_at(self, url: str) -> TwilioAccount:
        """The same credentials at another host of the vendor's."""
        made = TwilioAccount(
            self.settings.twilio_account_sid,
            self.settings.twilio_auth_token.get_secret_value(),
            base_url=url,
            deadline_s=6.0 * self.patience,
            retries=1,
        )
        self._closers.append(made.close)
        return made

    @property
    def http(self) -> aiohttp.ClientSession:
        def make() -> aiohttp.ClientSession:
            connector = aiohttp.TCPConnector(ssl=ssl.create_default_context(), limit=0)
            session = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None))
            self._closers.append(session.close)
            return session

        return self._client("http", make)

    # Facts

    async def account(self) -> AccountFacts:
        return await self._fact("account", self.carrier.account, "carrier.credentials")

    async def numbers(self) -> Sequence[NumberFacts]:
        await self.account()
        return await self._fact("numbers", self.carrier.numbers, "carrier.number")

    async def our_number(self) -> NumberFacts:
        """Our number among the account's."""
        for number in await self.numbers():
            if number.number == self.settings.twilio_phone_number:
                return number
        raise CannotTell("the number is not the account's (see carrier.number)")

    async def agent(self) -> Mapping[str, Any]:
        agent_id = AgentId(self.settings.elevenlabs_agent_id)
        return await self._fact("agent", lambda: self.platform.agent(agent_id), "agent.exists")

    async def recent_calls(self) -> Sequence[Mapping[str, Any]]:
        """The newest calls of the running server, newest first; empty without a server."""

        async def ask() -> Sequence[Mapping[str, Any]]:
            way = await self.way()
            return [] if way.stand_in else await way.recent_calls(self.http)

        try:
            return await self._fact("recent", ask, "")
        except AnswerTooLong as error:
            raise CannotTell(f"the newest calls could not be read: {error}") from error
        except (BridgeError, CannotTell, OSError, aiohttp.ClientError, TimeoutError):
            return []

    async def way(self) -> Way:
        """The running server, or a stand-in of ours on its port."""

        async def find() -> Way:
            way = await find_way(self.settings, self.http, 3.0 * self.patience)
            self._closers.insert(0, way.close)
            return way

        return await self._fact("way", find, "way_in.server")

    async def shared(self, name: str, ask: Callable[[], Awaitable[T]]) -> T:
        """A measurement that several checks use, made once."""
        return await self._fact(name, ask, "")

    async def close(self) -> None:
        for fact in self._facts.values():
            if not fact.done():
                fact.cancel()
        await asyncio.gather(*self._facts.values(), return_exceptions=True)
        for closer in self._closers:
            await closer()
        self._closers.clear()

    def _make_carrier(self) -> TwilioAccount:
        edge, region = self.settings.carrier_edge
        made = TwilioAccount(
            self.settings.twilio_account_sid,
            self.settings.twilio_auth_token.get_secret_value(),
            base_url=self.settings.twilio_api_base_url,
            edge=edge,
            region=region,
            deadline_s=8.0 * self.patience,
            retries=2,
        )
        self._closers.append(made.close)
        return made

    def _client(self, name: str, make: Callable[[], T]) -> T:
        if name not in self._clients:
            self._clients[name] = make()
        made: T = self._clients[name]
        return made

    async def _fact(self, name: str, ask: Callable[[], Awaitable[T]], owner: str) -> T:
        """Once for all. A failure is raised as it is to the owner's check (`first_hand`), else as `CannotTell`."""
        if name not in self._facts:
            self._facts[name] = asyncio.ensure_future(ask())
            # Somebody must have looked at its failure, even if every check has run out of time.
            self._facts[name].add_done_callback(lambda done: done.cancelled() or done.exception())
        try:
            found: T = await asyncio.shield(self._facts[name])
        except BridgeError as error:
            if not owner:
                raise
            raise CannotTell(f"{error.message} (see {owner})") from error
        return found

    async def first_hand(self, wait: Callable[[], Awaitable[T]]) -> T:
        """Wait for a fact as the check that answers for it: raises what really happened."""
        try:
            return await wait()
        except CannotTell as reason:
            if isinstance(reason.__cause__, BridgeError):
                raise reason.__cause__ from None
            raise
