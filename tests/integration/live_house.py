"""Both vendors' emulators and our server in one process and on one loop: what the integration tests play in.

Speech is tones ("800" is 800 ms of one), hearing is by level, so nothing depends on a synthesiser. Everything
that a call may leave behind is counted before and after: tasks, descriptors, calls, conversations.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
from pydantic import SecretStr

from shortwire.app import Server
from shortwire.call.options import Limits
from shortwire.demo.processes import free_port
from shortwire.emulators.elevenlabs import ElevenLabsEmulator, EmulatorConfig, Faults
from shortwire.emulators.scenario import AgentScript, PartyScript, Reply, Say
from shortwire.emulators.twilio import OwnedNumber, TwilioConfig, TwilioEmulator
from shortwire.emulators.ulaw import level, tone
from shortwire.settings import Settings

ACCOUNT = "AC" + "1" * 32
TOKEN = "0123456789abcdef0123456789abcdef"
OURS = "+14155550100"
THEIRS = "+14155550123"
KEY = "a-key-of-more-than-sixteen-characters"
AGENT = "agent_demo"

QUIET = PartyScript(ring_s=0.05)
"""Picks up, says nothing, hangs up never."""
POLITE = PartyScript(ring_s=0.05, says=(Say("300", delay_ms=100),))
"""Picks up, says one thing when the greeting is over."""
GREETS = AgentScript(first_message="300", end_of_turn_ms=200, replies=(Reply("300", think_ms=(20, 40)),))
SAYS_GOODBYE = AgentScript(
    first_message="300", end_of_turn_ms=200, replies=(Reply("900", think_ms=(20, 40), end_call=True),)
)


class LevelDetector:
    """Loud is voiced: exact on tones."""

    def feed(self, ulaw_frame: bytes) -> bool:
        return level(ulaw_frame) > 500


def speak(text: str, voice: str) -> bytes:
    """``800`` is 800 ms of a tone, ``800@1000`` of 1000 Hz."""
    length, _, hz = text.partition("@")
    return tone(float(hz or (440 if voice == "party" else 660)), int(length)) if length else b""


class House:
    """One server between both vendors. `open_house` makes one."""

    def __init__(self, twilio: TwilioEmulator, eleven: ElevenLabsEmulator, folder: Path) -> None:
        self.twilio = twilio
        self.eleven = eleven
        self.folder = folder
        self.said: list[str] = []
        self.server: Server
        self.http: aiohttp.ClientSession
        self.url = ""

    @property
    def desk(self) -> Any:
        return self.server.desk

    # The API

    async def api(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        async with self.http.request(method, self.url + path, json=body, headers=headers) as answer:
            text = await answer.text()
            return answer.status, (await answer.json() if text else None)

    async def place(self, number: str = THEIRS, **fields: Any) -> str:
        """Place a call; its id."""
        status, body = await self.api("POST", "/v1/calls", {"number": number, **fields})
        assert status == 201, body
        return str(body["id"])

    async def call(self, call_id: str) -> dict[str, Any]:
        status, body = await self.api("GET", f"/v1/calls/{call_id}")
        assert status == 200, body
        cause = body["cause"] or {}
        return {**body, **cause, "cause": cause.get("slug")}

    async def events(self, call_id: str) -> list[Any]:
        return [event async for event in self.desk.follow(call_id)]

    async def ended(self, call_id: str, within_s: float = 30.0) -> dict[str, Any]:
        """The call once it is stored as ended, and both vendors have forgotten it."""
        await self.until(lambda: call_id not in self.desk._live, f"{call_id} to end", within_s)
        call = await self.call(call_id)
        assert call["state"] == "ended", call
        return call

    @property
    def kept_connections(self) -> int:
        """Idle connections in the pools of this process's REST clients."""
        carrier = self.desk.context.carrier._client
        sessions = [self.http, self.desk.context.platform._session, carrier and carrier.http_client.session]
        return sum(len(pool) for s in sessions if s is not None for pool in s.connector._conns.values())

    # What both vendors know

    def live_call(self, call_id: str) -> Any:
        return self.desk._live[call_id]

    def carrier_call(self, index: int = -1) -> Any:
        return list(self.twilio.calls.values())[index]

    @property
    def conversations(self) -> list[Any]:
        return list(self.eleven.ledger.conversations.values())

    def requests(self, method: str, path_end: str = "") -> list[dict[str, Any]]:
        """What the carrier's REST side was asked."""
        return [
            entry
            for entry in self.twilio.ledger.entries("rest")
            if entry["method"] == method and entry["path"].partition("?")[0].endswith(path_end)
        ]

    async def state(self, call_id: str, state: str) -> None:
        await self.until(lambda: self.live_call(call_id).record.state == state, f"{call_id} to be {state}")

    async def talking(self, call_id: str) -> None:
        """Until the agent was heard."""
        await self.until(lambda: self.live_call(call_id).session.downlink.playout.confirmed_ms > 0, "the agent")

    @staticmethod
    async def until(check: Callable[[], Any], what: str = "something", within_s: float = 20.0) -> None:
        deadline = time.monotonic() + within_s
        while not check():
            assert time.monotonic() < deadline, f"waited {within_s:g} s for {what}"
            await asyncio.sleep(0.01)

    async def nothing_is_left(self) -> None:
        """Both vendors hold every call and conversation for over."""
        await self.until(
            lambda: all(call.ending is not None for call in self.twilio.calls.values()), "the carrier's calls to end"
        )
        await self.until(lambda: not self.eleven.live, "the conversations to end")
        for call in self.twilio.calls.values():
            await asyncio.wait_for(call.finished.wait(), 20)
            for stream in call.streams:
                assert stream.open_ms is None or stream.closed_ms is not None
        await self.until(lambda: not self.desk._tickets, "the tickets to be forgotten")
        assert not self.desk._live
        assert not self.desk._by_sid
        assert not self.twilio.ledger.entries("emulator_error")


@asynccontextmanager
async def open_house(
    folder: Path,
    *,
    party: PartyScript = QUIET,
    agent: AgentScript = GREETS,
    limits: Mapping[str, Any] | None = None,
    carrier: Mapping[str, Any] | None = None,
    eleven: Mapping[str, Any] | None = None,
    faults: Faults | None = None,
    **settings: Any,
) -> AsyncIterator[House]:
    """A house; `settings` are Settings' fields, `limits` those of `Limits`, `carrier` and `eleven` the emulators'."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    async with AsyncExitStack() as exits:
        twilio = await exits.enter_async_context(
            TwilioEmulator(
                TwilioConfig(
                    **{
                        "account_sid": ACCOUNT,
                        "auth_token": TOKEN,
                        "numbers": {OURS: OwnedNumber(voice_url=f"{url}/incoming-call")},
                        "scenario": party,
                        "calls_per_second": 0,
                        "dial_s": 0.02,
                        **(carrier or {}),
                    }
                ),
                speak=speak,
                detector=LevelDetector,
            )
        )
        emulator = await exits.enter_async_context(
            ElevenLabsEmulator(EmulatorConfig(**{"script": agent, "speak": speak, **(eleven or {})}))
        )
        if faults is not None:
            emulator.faults = faults
        house = House(twilio, emulator, folder)
        house.url = url
        house.http = await exits.enter_async_context(aiohttp.ClientSession(headers={"Authorization": f"Bearer {KEY}"}))
        async with server_of(house, port, limits or {}, settings) as server:
            house.server = server
            yield house


@asynccontextmanager
async def server_of(
    house: House, port: int, limits: Mapping[str, Any], changes: Mapping[str, Any]
) -> AsyncIterator[Server]:
    """A server for a house's vendors."""
    made = settings_of(house, port, **changes)
    options = made.bridge_options()
    options = replace(options, limits=replace(options.limits, **limits))
    assert isinstance(options.limits, Limits)
    async with Server(made, options=options, say=house.said.append) as server:
        yield server


def settings_of(house: House, port: int, **changes: Any) -> Settings:
    given: dict[str, Any] = {
        "elevenlabs_api_key": SecretStr("sk_emulated"),
        "elevenlabs_agent_id": AGENT,
        "elevenlabs_base_url": house.eleven.base_url,
        "twilio_account_sid": ACCOUNT,
        "twilio_auth_token": SecretStr(TOKEN),
        "twilio_phone_number": OURS,
        "twilio_api_base_url": house.twilio.base_url,
        "server_url": f"http://127.0.0.1:{port}",
        "shortwire_api_key": SecretStr(KEY),
        "shortwire_port": port,
        "shortwire_host": "127.0.0.1",
        "shortwire_data_dir": house.folder / "data",
        "allowed_countries": frozenset({"US"}),
    }
    return Settings(**{"_env_file": None, **given, **changes})


class Leftovers:
    """Tasks and descriptors now, to be compared with later.

    Connections that REST clients keep for their next request are no leftovers; both of their ends are in this
    process, and the emulators' server has a task for each.
    """

    def __init__(self, house: House) -> None:
        self.house = house
        self.tasks = set(asyncio.all_tasks())
        self.descriptors = descriptors() - 2 * house.kept_connections

    async def none(self, within_s: float = 10.0) -> None:
        """Until there is nothing that was not there before."""
        deadline = time.monotonic() + within_s
        while True:
            new = {task for task in asyncio.all_tasks() - self.tasks if not task.done()}
            tasks = {task for task in new if "RequestHandler.start" not in repr(task.get_coro())}
            files = descriptors() - 2 * self.house.kept_connections - self.descriptors
            if not tasks and files <= 0:
                return
            assert time.monotonic() < deadline, f"left open: {tasks}, {files} descriptors: {open_files()}"
            await asyncio.sleep(0.02)


def open_files() -> list[str]:
    """What they are."""
    names = []
    if not os.path.isdir("/proc/self/fd"):  # noqa: PTH112
        return []
    for number in os.listdir("/proc/self/fd"):  # noqa: PTH208
        try:
            names.append(os.readlink(f"/proc/self/fd/{number}"))  # noqa: PTH115
        except OSError:
            continue
    return sorted(names)


def descriptors() -> int:
    """How many sockets this process has open. Files are not counted: the store's readers come and stay by pool."""
    return sum(name.startswith("socket:") for name in open_files())
