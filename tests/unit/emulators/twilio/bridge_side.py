"""The other side for the emulator's tests: a small web and media server that keeps everything it is sent."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import aiohttp
from aiohttp import web

from shortwire.emulators.twilio import OwnedNumber, TwilioConfig, TwilioEmulator
from shortwire.emulators.ulaw import level, tone

ACCOUNT = "AC" + "1" * 32
TOKEN = "a-token"
OURS = "+15005550006"
THEIRS = "+14155550123"


class LevelDetector:
    """Loud is voiced: exact on tones."""

    def feed(self, ulaw_frame: bytes) -> bool:
        assert len(ulaw_frame) == 160
        return level(ulaw_frame) > 500


def speak(text: str, voice: str) -> bytes:
    """A tone; "800" is 800 ms of it. No other text can be spoken here."""
    del voice
    if not text.isdecimal():
        raise LookupError(text)
    return tone(440, int(text))


@dataclass
class Hook:
    method: str
    path: str
    raw: str
    params: dict[str, str]
    headers: Any
    url: str
    at_ns: int


@dataclass
class Stream:
    """One media socket as the bridge sees it."""

    ws: web.WebSocketResponse
    request: web.Request
    texts: list[str] = field(default_factory=list)
    at_ns: list[int] = field(default_factory=list)
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    sid: str = ""

    @property
    def messages(self) -> list[dict[str, Any]]:
        return [json.loads(text) for text in self.texts]

    def of(self, event: str) -> list[dict[str, Any]]:
        return [m for m in self.messages if m["event"] == event]

    def when(self, event: str) -> list[int]:
        return [ns for m, ns in zip(self.messages, self.at_ns, strict=True) if m["event"] == event]

    async def play(self, ulaw: bytes) -> None:
        await self.send({"event": "media", "media": {"payload": base64.b64encode(ulaw).decode()}})

    async def mark(self, name: str) -> None:
        await self.send({"event": "mark", "mark": {"name": name}})

    async def clear(self) -> None:
        await self.send({"event": "clear"})

    async def send(self, message: dict[str, Any]) -> None:
        await self.ws.send_str(json.dumps({**message, "streamSid": self.sid}))

    async def until(self, check: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not check():  # noqa: ASYNC110  any fact may be waited for
                await asyncio.sleep(0.005)


class Bridge:
    """Answers every POST to /voice with `twiml`, every other one with 204; keeps hooks and streams."""

    def __init__(self) -> None:
        self.hooks: list[Hook] = []
        self.streams: list[Stream] = []
        self.twiml = ""
        self.on_stream: Callable[[Stream], Awaitable[None]] | None = None
        self.hook_answer: Callable[[web.Request], Awaitable[web.StreamResponse | None]] | None = None
        self.new_stream = asyncio.Event()
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def media_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/media/abc"

    def connect_twiml(self, inside: str = "", after: str = "<Hangup/>") -> str:
        return f'<Response><Connect><Stream url="{self.media_url}">{inside}</Stream></Connect>{after}</Response>'

    def of(self, path: str) -> list[Hook]:
        return [hook for hook in self.hooks if hook.path == path]

    async def stream(self) -> Stream:
        async with asyncio.timeout(20):
            await self.new_stream.wait()
        return self.streams[-1]

    async def hook(self, request: web.Request) -> web.StreamResponse:
        raw = await request.text()
        text = raw if request.method == "POST" else request.query_string
        self.hooks.append(
            Hook(
                request.method,
                request.path,
                raw,
                dict(parse_qsl(text, keep_blank_values=True)),
                request.headers,
                f"{self.url}{request.path_qs}",
                time.monotonic_ns(),
            )
        )
        if self.hook_answer is not None and (answer := await self.hook_answer(request)) is not None:
            return answer
        if request.path.startswith("/voice"):
            return web.Response(text=self.twiml or self.connect_twiml(), content_type="text/xml")
        return web.Response(status=204)

    async def media(self, request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse(compress=False)
        await ws.prepare(request)
        stream = Stream(ws, request)
        self.streams.append(stream)
        worker = None
        async for message in ws:
            if message.type is aiohttp.WSMsgType.TEXT:
                stream.texts.append(message.data)
                stream.at_ns.append(time.monotonic_ns())
                parsed = json.loads(message.data)
                if parsed["event"] == "start":
                    stream.sid = parsed["streamSid"]
                    self.new_stream.set()
                    if self.on_stream is not None:
                        worker = asyncio.ensure_future(self.on_stream(stream))
        stream.closed.set()
        if worker is not None:
            await worker
        return ws


@asynccontextmanager
async def bridge_running() -> AsyncIterator[Bridge]:
    bridge = Bridge()
    app = web.Application()
    app.router.add_get("/media/{tail:.*}", bridge.media)
    app.router.add_route("*", "/{tail:.*}", bridge.hook)
    runner = web.AppRunner(app, shutdown_timeout=0.5)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    bridge.port = runner.addresses[0][1]
    try:
        yield bridge
    finally:
        await runner.cleanup()


def config(bridge: Bridge | None = None, **changes: Any) -> TwilioConfig:
    voice_url = f"{bridge.url}/voice" if bridge else ""
    defaults: dict[str, Any] = {
        "account_sid": ACCOUNT,
        "auth_token": TOKEN,
        "numbers": {OURS: OwnedNumber(voice_url=voice_url)},
        "calls_per_second": 0,
        "dial_s": 0.01,
    }
    return TwilioConfig(**{**defaults, **changes})


def emulator(settings: TwilioConfig) -> TwilioEmulator:
    return TwilioEmulator(settings, speak=speak, detector=LevelDetector)


async def rest(
    twilio: TwilioEmulator, method: str, path: str, form: Any = None, auth: tuple[str, str] = (ACCOUNT, TOKEN)
) -> tuple[int, Any, str]:
    headers = {"Authorization": aiohttp.encode_basic_auth(*auth)}
    async with (
        aiohttp.ClientSession() as session,
        session.request(
            method, f"{twilio.base_url}/2010-04-01/Accounts/{ACCOUNT}/{path}", data=form, headers=headers
        ) as response,
    ):
        text = await response.text()
        return response.status, json.loads(text) if text else None, text


async def create(twilio: TwilioEmulator, **form: Any) -> str:
    status, body, text = await rest(twilio, "POST", "Calls.json", {"To": THEIRS, "From": OURS, **form})
    assert status == 201, text
    return str(body["sid"])
