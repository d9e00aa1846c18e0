"""The installed command as a child process, beside emulators that are children, too."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from shortwire.demo.processes import free_port
from shortwire.emulators.elevenlabs import ElevenLabsEmulator, EmulatorConfig
from shortwire.emulators.scenario import AgentScript, PartyScript
from shortwire.emulators.twilio import OwnedNumber, TwilioConfig, TwilioEmulator
from shortwire.emulators.ulaw import level, tone

ACCOUNT = "AC" + "1" * 32
TOKEN = "0123456789abcdef0123456789abcdef"
KEY = "a-key-of-more-than-sixteen-characters"
OURS = "+14155550100"
SHORTWIRE = [str(Path(sys.executable).parent / "shortwire")]
_INHERITED = ("PATH", "PYTHONPATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV")


class LevelDetector:
    def feed(self, ulaw_frame: bytes) -> bool:
        return level(ulaw_frame) > 500


def speak(text: str, voice: str) -> bytes:
    return tone(440 if voice == "party" else 660, int(text)) if text else b""


@dataclass
class Ran:
    """A command that has ended."""

    status: int
    out: str
    err: str


@dataclass
class Scene:
    """Emulators in this process, servers and commands as children."""

    folder: Path
    twilio: TwilioEmulator
    eleven: ElevenLabsEmulator
    port: int = field(default_factory=free_port)
    children: list[asyncio.subprocess.Process] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def settings(self) -> dict[str, str]:
        return {
            "ELEVENLABS_API_KEY": "sk_emulated",
            "ELEVENLABS_AGENT_ID": "agent_demo",
            "ELEVENLABS_BASE_URL": self.eleven.base_url,
            "TWILIO_ACCOUNT_SID": ACCOUNT,
            "TWILIO_AUTH_TOKEN": TOKEN,
            "TWILIO_PHONE_NUMBER": OURS,
            "TWILIO_API_BASE_URL": self.twilio.base_url,
            "SERVER_URL": self.url,
            "SHORTWIRE_API_KEY": KEY,
            "SHORTWIRE_PORT": str(self.port),
            "SHORTWIRE_DATA_DIR": str(self.folder / "data"),
            "ALLOWED_COUNTRIES": "US",
        }

    async def start(
        self,
        *arguments: str,
        changes: Mapping[str, str | None] | None = None,
        stdout: int = asyncio.subprocess.PIPE,
    ) -> Child:
        changed = {**self.settings(), "SHORTWIRE_URL": self.url, **(changes or {})}
        inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        environment = {**inherited, **{name: text for name, text in changed.items() if text is not None}}
        process = await asyncio.create_subprocess_exec(
            *SHORTWIRE,
            *arguments,
            env={**environment, "PYTHONUNBUFFERED": "1", "NO_COLOR": "1"},
            cwd=self.folder,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=stdout,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        self.children.append(process)
        return Child(process)

    async def run(self, *arguments: str, changes: Mapping[str, str | None] | None = None) -> Ran:
        return await (await self.start(*arguments, changes=changes)).ended()

    async def serving(
        self,
        *arguments: str,
        changes: Mapping[str, str | None] | None = None,
        stdout: int = asyncio.subprocess.PIPE,
    ) -> Child:
        """A server that is ready."""
        child = await self.start("serve", *arguments, changes=changes, stdout=stdout)
        deadline = time.monotonic() + 30
        async with aiohttp.ClientSession() as http:
            while True:
                assert child.process.returncode is None, await child.ended()
                assert time.monotonic() < deadline, "the server did not become ready"
                with contextlib.suppress(aiohttp.ClientError):
                    async with http.get(f"{self.url}/readyz") as answer:
                        if answer.status == 200:
                            return child
                await asyncio.sleep(0.05)

    async def until(self, check, what: str, within_s: float = 30.0) -> None:  # type: ignore[no-untyped-def]
        deadline = time.monotonic() + within_s
        while not check():
            assert time.monotonic() < deadline, f"waited {within_s:g} s for {what}"
            await asyncio.sleep(0.02)

    async def talking(self) -> None:
        await self.until(
            lambda: any(call.streams and call.streams[-1].first_audio_ms for call in self.twilio.calls.values()),
            "the agent to be heard",
        )


@dataclass
class Child:
    process: asyncio.subprocess.Process

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def ended(self, within_s: float = 60.0) -> Ran:
        async with asyncio.timeout(within_s):
            out, err = await self.process.communicate()
        assert self.process.returncode is not None
        return Ran(self.process.returncode, (out or b"").decode(), err.decode())


@asynccontextmanager
async def scene(
    folder: Path, *, party: PartyScript | None = None, agent: AgentScript | None = None
) -> AsyncIterator[Scene]:
    async with (
        TwilioEmulator(
            TwilioConfig(
                account_sid=ACCOUNT,
                auth_token=TOKEN,
                numbers={OURS: OwnedNumber()},
                scenario=party or PartyScript(ring_s=0.1),
                calls_per_second=0,
                dial_s=0.05,
            ),
            speak=speak,
            detector=LevelDetector,
        ) as twilio,
        ElevenLabsEmulator(EmulatorConfig(script=agent or AgentScript(first_message="300"), speak=speak)) as eleven,
    ):
        made = Scene(folder, twilio, eleven)
        try:
            yield made
        finally:
            for process in made.children:
                if process.returncode is None:
                    process.kill()
                    await process.wait()
