"""A right set-up on both emulators, to be spoilt: what the tests of doctor examine.

No server runs unless a test starts one: doctor's own stand-in listens on the port. `proxy` puts a program of the
test's before it; names resolve to this machine when the test says so.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from live_house import LevelDetector
from pydantic import SecretStr

from shortwire.demo.processes import free_port
from shortwire.doctor import Examination, Finding, examine
from shortwire.doctor.bench import Bench, NetworkPlan
from shortwire.emulators.elevenlabs import ElevenLabsEmulator, EmulatorConfig
from shortwire.emulators.scenario import AgentScript
from shortwire.emulators.twilio import OwnedNumber, TwilioConfig, TwilioEmulator
from shortwire.emulators.ulaw import tone
from shortwire.net.vendor_hosts import AgentHost, CarrierPoint
from shortwire.settings import Settings

ACCOUNT = "AC" + "1" * 32
TOKEN = "0123456789abcdef0123456789abcdef"
OURS = "+14155550100"
KEY = "a-key-of-more-than-sixteen-characters"
AGENT = "agent_demo"
AGENT_KEY = "sk_emulated"
QUICK = NetworkPlan(tries=4, deadline_s=1.0, load_s=1.0, load_steps=(2, 4))


@dataclass
class Clinic:
    """The emulators, the settings, and what a test may replace on the bench."""

    twilio: TwilioEmulator
    eleven: ElevenLabsEmulator
    port: int
    folder: Path
    settings: dict[str, Any]
    bench: dict[str, Any] = field(default_factory=dict)
    exits: AsyncExitStack = field(default_factory=AsyncExitStack)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def agent(self, path: str, value: Any) -> None:
        """Change one field of the agent, by its dotted path."""
        change: dict[str, Any] = {}
        node = change
        *parents, leaf = path.split(".")
        for key in parents:
            node = node.setdefault(key, {})
        node[leaf] = value
        self.eleven.agents.patch(AGENT, change)

    def number(self, **changes: Any) -> None:
        """Change what the carrier says of our number."""
        numbers: dict[str, OwnedNumber] = self.twilio.config.numbers  # type: ignore[assignment]
        numbers[OURS] = OwnedNumber(**{"voice_url": f"{self.url}/incoming-call", **changes})

    def made_settings(self) -> Settings:
        return Settings(**{"_env_file": None, **self.settings})

    async def examine(self, *only: str) -> Examination:
        env_file = self.folder / ".env"
        # Whoever runs the tests may well have a Python that was not built for speed.
        usual = {"environment": {}, "plan": QUICK, "optimised": lambda: True}
        bench = Bench(**{"given": self.made_settings(), "env_file": env_file, **usual, **self.bench})
        return await examine(bench, only=only)

    async def finding(self, check: str) -> list[Finding]:
        return [finding for finding in (await self.examine(check)).findings if finding.check == check]


@asynccontextmanager
async def open_clinic(folder: Path, **changes: Any) -> AsyncIterator[Clinic]:
    """A right set-up. `changes` are of the settings."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    async with AsyncExitStack() as exits:
        twilio = await exits.enter_async_context(
            TwilioEmulator(
                TwilioConfig(
                    account_sid=ACCOUNT, auth_token=TOKEN, numbers={OURS: OwnedNumber(voice_url=f"{url}/incoming-call")}
                ),
                speak=lambda *_: tone(440, 300),
                detector=LevelDetector,
            )
        )
        eleven = await exits.enter_async_context(
            ElevenLabsEmulator(
                EmulatorConfig(script=AgentScript(first_message="Hello."), speak=lambda *_: tone(660, 300))
            )
        )
        settings = {
            "elevenlabs_api_key": SecretStr(AGENT_KEY),
            "elevenlabs_agent_id": AGENT,
            "elevenlabs_base_url": eleven.base_url,
            "twilio_account_sid": ACCOUNT,
            "twilio_auth_token": SecretStr(TOKEN),
            "twilio_phone_number": OURS,
            "twilio_api_base_url": twilio.base_url,
            "server_url": url,
            "shortwire_api_key": SecretStr(KEY),
            "shortwire_port": port,
            "shortwire_data_dir": folder / "data",
            "allowed_countries": frozenset({"US"}),
            **changes,
        }
        clinic = Clinic(twilio, eleven, port, folder, settings)
        await exits.enter_async_context(clinic.exits)
        yield clinic


# Stand-ins for what lies between


Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(handler: Handler, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A server of the test's own; its port."""
    tasks: set[asyncio.Task[Any]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await handler(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            tasks.discard(task)

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def answering(
    status: str = "200 OK", headers: Mapping[str, str] | None = None, body: bytes = b"<html>hello</html>"
) -> Handler:
    """Whatever is asked, one answer."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        await writer.drain()

    return answer


def proxying(
    port: int,
    *,
    request: Callable[[bytes], bytes] = lambda head: head,
    response: Callable[[bytes], bytes] = lambda head: head,
    body: Callable[[bytes], bytes] = lambda data: data,
    hold_s: float = 0.0,
    cut_after: int = 0,
) -> Handler:
    """A proxy to a port here. `request` and `response` change heads, `body` the first bytes after the request's head.

    `hold_s`: what comes back is let out in bursts. `cut_after`: the connection ends after so many bytes back.
    """

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", port)
        head = await reader.readuntil(b"\r\n\r\n")
        up_writer.write(request(head))
        up = asyncio.create_task(_pump(reader, up_writer, body))
        try:
            writer.write(response(await up_reader.readuntil(b"\r\n\r\n")))
            left = cut_after
            while data := await up_reader.read(65536):
                if hold_s:
                    await asyncio.sleep(hold_s)
                    while True:
                        try:
                            more = await asyncio.wait_for(up_reader.read(65536), 0.01)
                        except TimeoutError:
                            break
                        if not more:
                            break
                        data += more
                writer.write(data)
                await writer.drain()
                left -= len(data)
                if cut_after and left <= 0:
                    break
        finally:
            up.cancel()
            await asyncio.gather(up, return_exceptions=True)
            up_writer.close()

    return proxy


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, change: Callable[[bytes], bytes]) -> None:
    while data := await reader.read(65536):
        writer.write(change(data))
        await writer.drain()


def names_lead_here(monkeypatch: Any, *names: str) -> None:
    """DNS stand-in: these names are this machine, for everybody in this process."""
    real = socket.getaddrinfo

    def lookup(host: Any, *arguments: Any, **more: Any) -> Any:
        plain = host.decode() if isinstance(host, bytes) else host
        return real("127.0.0.1" if plain in names else host, *arguments, **more)

    monkeypatch.setattr(socket, "getaddrinfo", lookup)


def hosts_of(*ports: tuple[str, int, bool]) -> list[AgentHost]:
    """The agent platform's hosts, as given ports here: (name, port, separate)."""
    return [AgentHost(name, f"http://127.0.0.1:{port}", separate) for name, port, separate in ports]


def points_of(*ports: tuple[str, str, int]) -> list[CarrierPoint]:
    """The carrier's edges, as given ports here: (edge, region, port)."""
    return [CarrierPoint(edge, region, f"http://127.0.0.1:{port}") for edge, region, port in ports]
