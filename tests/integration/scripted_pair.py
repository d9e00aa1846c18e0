"""An agent and a telephone that do exactly what a script says, on real sockets, and keep what they were sent.

The emulators behave like their originals; these two do not: audio comes in any order, marks come back whenever the
script says so. Wire shapes: Twilio, "Media Streams - WebSocket Messages"; ElevenLabs, "Agent WebSockets".
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html import unescape
from typing import Any

import aiohttp
from aiohttp import web
from live_house import OURS, THEIRS, TOKEN, House

from shortwire.emulators.twilio.signature import sign
from shortwire.emulators.ulaw import decode

__all__ = ["AgentEnd", "Host", "PhoneEnd", "name_of", "open_host", "open_pair"]

FRAME = base64.b64encode(b"\xff" * 160).decode()


def name_of(reply: int) -> bytes:
    """A reply's number in two samples; only codes that linear samples and back leave as they are."""
    return bytes(divmod(reply, 127))


class AgentEnd:
    """One conversation, from the vendor's side."""

    def __init__(self, ws: web.WebSocketResponse, audio_format: str) -> None:
        self._ws = ws
        self._pcm = audio_format != "ulaw_8000"
        self.over = asyncio.Event()

    async def say(self, reply: int, ms: int, *, odd: bool = False) -> bytes:
        """Audio of a reply, its event id the reply's number; what a telephone should hear of it.

        `odd`: not as the vendor writes it.
        """
        ulaw = name_of(reply) * (4 * ms)
        audio = decode(ulaw).tobytes() if self._pcm else ulaw
        event = {"audio_base_64": base64.b64encode(audio).decode(), "event_id": reply}
        message = {"type": "audio", "audio_event": event} if odd else {"audio_event": event, "type": "audio"}
        await self.send(message)
        return ulaw

    async def interrupt(self, event_id: int) -> None:
        await self.send({"interruption_event": {"event_id": event_id}, "type": "interruption"})

    async def send(self, message: dict[str, Any]) -> None:
        await self._ws.send_str(json.dumps(message, separators=(",", ":")))


class Host:
    """The vendor's host: hands out signed URLs and takes whoever comes."""

    def __init__(self, audio_format: str) -> None:
        self.audio_format = audio_format
        self.url = ""
        self.arrived: asyncio.Queue[AgentEnd] = asyncio.Queue()

    async def signed_url(self, _request: web.Request) -> web.Response:
        return web.json_response({"signed_url": f"ws{self.url[4:]}/v1/convai/conversation?token=1"})

    async def conversation(self, request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse(protocols=("convai",), compress=False)
        await ws.prepare(request)
        end = AgentEnd(ws, self.audio_format)
        told = {
            "conversation_id": "conv_scripted",
            "agent_output_audio_format": self.audio_format,
            "user_input_audio_format": "ulaw_8000",
        }
        kind = "conversation_initiation_metadata"
        await end.send({f"{kind}_event": told, "type": kind})
        self.arrived.put_nowait(end)
        async for _message in ws:  # what the party says is of no interest here
            pass
        end.over.set()
        return ws


@asynccontextmanager
async def open_host(audio_format: str = "ulaw_8000") -> AsyncIterator[Host]:
    """`audio_format`: ulaw_8000 or pcm_8000 (little-endian, where this runs)."""
    host, app = Host(audio_format), web.Application()
    app.router.add_get("/v1/convai/conversation/get-signed-url", host.signed_url)
    app.router.add_get("/v1/convai/conversation", host.conversation)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert site._server is not None
    host.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"  # type: ignore[attr-defined]
    try:
        yield host
    finally:
        await runner.cleanup()


class PhoneEnd:
    """One media stream, from the carrier's side."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse, number: int) -> None:
        self._ws = ws
        self._sid = f"MZ{number:032x}"
        self._call_sid = f"CA{number:032x}"
        self._sequence = 0
        self.heard: list[bytes | None] = []
        """What came: audio, joined where nothing came between; None for a `clear`."""
        self.marks: list[str] = []
        """Names that wait to be returned."""
        self.more = asyncio.Event()
        """Something was heard since somebody looked."""
        self.over = False

    async def start(self) -> None:
        await self._ws.send_str('{"event":"connected","protocol":"Call","version":"1.0.0"}')
        told = {
            "accountSid": "AC" + "1" * 32,
            "streamSid": self._sid,
            "callSid": self._call_sid,
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": {},
        }
        await self._send({"event": "start", "start": told})

    async def frame(self) -> None:
        media = {"track": "inbound", "chunk": "1", "timestamp": "20", "payload": FRAME}
        await self._send({"event": "media", "media": media})

    async def return_mark(self, name: str) -> None:
        await self._send({"event": "mark", "mark": {"name": name}})

    async def hang_up(self) -> None:
        await self._send({"event": "stop", "stop": {"accountSid": "AC" + "1" * 32, "callSid": self._call_sid}})
        await self._ws.close()

    async def listen(self) -> None:
        async for message in self._ws:
            told = json.loads(message.data)
            assert told["streamSid"] == self._sid
            if told["event"] == "media":
                ulaw = base64.b64decode(told["media"]["payload"], validate=True)
                if self.heard and (last := self.heard[-1]) is not None:
                    self.heard[-1] = last + ulaw
                else:
                    self.heard.append(ulaw)
            elif told["event"] == "clear":
                self.heard.append(None)
            else:
                assert told["event"] == "mark", told
                self.marks.append(told["mark"]["name"])
            self.more.set()
        self.over = True
        self.more.set()

    async def _send(self, message: dict[str, Any]) -> None:
        self._sequence += 1
        numbered = {**message, "sequenceNumber": str(self._sequence), "streamSid": self._sid}
        await self._ws.send_str(json.dumps(numbered, separators=(",", ":")))


@asynccontextmanager
async def open_pair(house: House, host: Host, number: int) -> AsyncIterator[tuple[AgentEnd, PhoneEnd]]:
    """One call with both ends in hand, the agent ready; one at a time, so that the ends are of the same call."""
    fields = {"CallSid": f"CA{number:032x}", "From": THEIRS, "To": OURS, "CallStatus": "ringing"}
    twiml = await house.desk.answer_incoming(fields)
    found = re.search(r'<Stream[^>]*\burl="([^"]+)"', twiml)
    assert found, twiml
    url = unescape(found[1])
    ws = await house.http.ws_connect(url, headers={"X-Twilio-Signature": sign(TOKEN, url)}, compress=0)
    phone = PhoneEnd(ws, number)
    listening = asyncio.create_task(phone.listen())
    try:
        await phone.start()
        agent = await asyncio.wait_for(host.arrived.get(), 20)
        yield agent, phone
        await phone.hang_up()
        await asyncio.wait_for(agent.over.wait(), 20)
    finally:
        await ws.close()
        await asyncio.wait_for(listening, 20)
