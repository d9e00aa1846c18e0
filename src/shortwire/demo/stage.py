"""One performance: the vendors' emulators behind a network, our server before them, one call.

Everything runs in child processes, as it would in life, so that neither side's work is counted as the
other's; the stage starts them, plays the call through the product's API, collects what each of them
knows, and ends them whatever happens.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from .backstage import ACCOUNT_SID, AGENT_ID, AGENT_KEY, AUTH_TOKEN, OUR_NUMBER, PARTY_NUMBER
from .client import ApiError, CallApi, settled
from .narrator import Narrator
from .processes import Child, cpu_ns, free_port

__all__ = ["Played", "Stage"]

_START_S = 30.0
_CALL_S = 90.0
_INHERITED = (
    "PATH",
    "PYTHONPATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TMPDIR",
    "TEMP",
    "TMP",
    "SYSTEMROOT",
    "LD_LIBRARY_PATH",
    "VIRTUAL_ENV",
)
"""All the children see of our environment: somebody's real keys must not reach a demonstration."""


@dataclass(slots=True)
class Played:
    """Everything that is known about a call that was played."""

    profile: str
    call: dict[str, Any]
    events: list[dict[str, Any]]
    carrier: dict[str, Any]
    """What the carrier's emulator knows of it."""
    agent: dict[str, Any]
    """What the agent's emulator knows of it."""
    recording: bytes
    health: dict[str, Any]
    """The server's own view after the call."""
    cpu_ns: int
    """CPU time of the server process between answer and end."""
    server_exit: int | None = None
    server_log: list[str] = field(default_factory=list)
    backstage_log: list[str] = field(default_factory=list)
    """What the emulators' process said beside its answers: nothing, or there is a mistake in an emulator."""


class Stage:
    """An async context manager: entered, everything stands and waits for the call."""

    def __init__(self, profile: str, *, network: str, scenario: Path, folder: Path) -> None:
        self.profile = profile
        self.folder = folder
        self.log: list[str] = []
        self._complaints: list[str] = []
        self.narrator: Narrator | None = None
        self.facts: dict[str, Any] = {}
        """What the backstage said of itself: addresses, the network's delays."""
        self._network = network
        self._scenario = scenario
        self._exits = AsyncExitStack()
        self._backstage: Child
        self._server: Child
        self._api: CallApi
        self._answers: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def __aenter__(self) -> Self:
        try:
            await self._rise()
        except BaseException:
            await self._exits.aclose()
            raise
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._exits.aclose()

    async def _rise(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        port = free_port()
        self._backstage = await self._start(
            "the emulators", ["-m", "shortwire.demo.backstage"], {}, self._on_backstage_line
        )
        self.facts = await self._ask(
            {"do": "open", "server_port": port, "network": self._network, "scenario": str(self._scenario)}
        )
        key = secrets.token_urlsafe(24)
        self._server = await self._start(
            f"the {self.profile} server",
            ["-c", "from shortwire.cli import main; main()", "serve", "--profile", self.profile],
            self._settings(port, key),
            self._on_server_line,
        )
        self._api = await self._exits.enter_async_context(CallApi(f"http://127.0.0.1:{port}", key))
        await self._until(self._api.ready, self._server, "did not become ready")

    async def _start(
        self, name: str, arguments: list[str], settings: Mapping[str, str], on_line: Callable[[str], None]
    ) -> Child:
        environment = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        child = await Child.start(
            name,
            [sys.executable, *arguments],
            environment={**environment, "PYTHONUNBUFFERED": "1", "NO_COLOR": "1", **settings},
            folder=self.folder,
            on_line=on_line,
        )
        self._exits.push_async_callback(child.stop)
        return child

    def _settings(self, port: int, key: str) -> dict[str, str]:
        return {
            "ELEVENLABS_API_KEY": AGENT_KEY,
            "ELEVENLABS_AGENT_ID": AGENT_ID,
            "ELEVENLABS_BASE_URL": self.facts["agent_url"],
            "TWILIO_ACCOUNT_SID": ACCOUNT_SID,
            "TWILIO_AUTH_TOKEN": AUTH_TOKEN,
            "TWILIO_PHONE_NUMBER": OUR_NUMBER,
            "TWILIO_API_BASE_URL": self.facts["carrier_url"],
            "SERVER_URL": self.facts["public_url"],
            "SSL_CERT_FILE": self.facts["ca_file"],
            "SHORTWIRE_API_KEY": key,
            "SHORTWIRE_HOST": "127.0.0.1",
            "SHORTWIRE_PORT": str(port),
            "SHORTWIRE_DATA_DIR": str(self.folder / "data"),
            "SHORTWIRE_TAPE": "1",
            "ALLOWED_COUNTRIES": "US",
            "LATENCY_LOGGING": "true",
        }

    async def play(self, narrator: Narrator) -> Played:
        """Place the call, follow it to its end, and gather what everybody knows. Raises `ChildDied`, `ApiError`."""
        self.narrator = narrator
        try:
            async with asyncio.timeout(_CALL_S):
                return await self._play(narrator)
        except ApiError as error:
            await asyncio.sleep(0.2)
            if self._server.returncode is not None:
                raise self._server.death("broke off") from error
            raise

    async def _play(self, narrator: Narrator) -> Played:
        cpu = {"answered": 0, "ended": 0}
        events: list[dict[str, Any]] = []
        placed = await self._api.place({"number": PARTY_NUMBER})
        async for event in self._api.follow(placed["id"]):
            events.append(event)
            if event["kind"] == "call.state" and event["data"].get("state") == "answered":
                cpu["answered"] = cpu_ns(self._server.pid)
            elif event["kind"] == "call.ended":
                cpu["ended"] = cpu_ns(self._server.pid)
            narrator.event(event)
        call = await settled(self._api, placed["id"])
        truth = await self._ask({"do": "tell", "call_sid": call.get("call_sid")})
        played = Played(
            profile=self.profile,
            call=call,
            events=events,
            carrier=truth["carrier"],
            agent=truth["agent"],
            recording=await asyncio.to_thread(Path(truth["recording"]).read_bytes) if truth["recording"] else b"",
            health=await self._api.health(),
            cpu_ns=max(0, cpu["ended"] - cpu["answered"]) if cpu["answered"] else 0,
            server_log=self.log,
            backstage_log=self._complaints,
        )
        played.server_exit = await self._server.stop()
        return played

    def _on_server_line(self, line: str) -> None:
        self.log.append(line)
        if self.narrator is not None:
            self.narrator.server_line(line)

    def _on_backstage_line(self, line: str) -> None:
        if line.startswith("{"):
            self._answers.put_nowait(json.loads(line))
        elif line:
            self._complaints.append(line)

    async def _ask(self, question: Mapping[str, Any]) -> dict[str, Any]:
        self._backstage.ask(json.dumps({**question, "folder": str(self.folder)}))
        answer: dict[str, Any] = {}

        async def answered() -> bool:
            nonlocal answer
            if self._answers.empty():
                return False
            answer = self._answers.get_nowait()
            return True

        await self._until(answered, self._backstage, f"did not answer to {question['do']!r}")
        return answer

    @staticmethod
    async def _until(condition: Callable[[], Awaitable[bool]], child: Child, otherwise: str) -> None:
        deadline = asyncio.get_running_loop().time() + _START_S
        while not await condition():
            if child.returncode is not None or asyncio.get_running_loop().time() > deadline:
                await asyncio.sleep(0.2)  # its last words may still be on their way
                raise child.death(otherwise)
            await asyncio.sleep(0.05)
