"""The conversation endpoint: admission, then a `Conversation` driven over aiohttp's WebSocket.

The upgrade succeeds even for those who may not come in; the refusal is the close frame (as reported
for the service). One task reads, one writes and keeps the deadlines.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from aiohttp import WSMsgType, web

from shortwire.emulators.elevenlabs.admission import FULL, Admitted, admit, room
from shortwire.emulators.elevenlabs.conversation import Conversation, Text
from shortwire.emulators.elevenlabs.faults import Faults
from shortwire.emulators.elevenlabs.ledger import ConversationRecord
from shortwire.emulators.elevenlabs.messages import encode
from shortwire.emulators.elevenlabs.notices import queue_status
from shortwire.emulators.elevenlabs.personalise import Refused
from shortwire.emulators.elevenlabs.recording import Recording
from shortwire.emulators.elevenlabs.turns import Close, Deaf

if TYPE_CHECKING:
    from shortwire.emulators.elevenlabs.server import ElevenLabsEmulator

__all__ = ["ConversationSocket", "conversation_endpoint"]

_MOST_BYTES = 16 * 1024 * 1024


async def conversation_endpoint(request: web.Request, emulator: ElevenLabsEmulator) -> web.StreamResponse:
    """GET /v1/convai/conversation."""
    faults = emulator.faults
    if faults.upgrade_delay_ms:
        await asyncio.sleep(faults.upgrade_delay_ms / 1000)
    if faults.upgrade_status:
        return web.Response(status=faults.upgrade_status)
    ws = web.WebSocketResponse(
        protocols=("convai",), max_msg_size=_MOST_BYTES, compress=emulator.config.compression, timeout=2.0
    )
    await ws.prepare(request)
    now_ns = time.monotonic_ns()
    try:
        admitted, waited_s = await _admitted(emulator, request, ws)
    except Refused as refused:
        entry = {"at_ns": now_ns, "code": refused.code, "reason": refused.reason}
        emulator.ledger.refusals.append({**entry, "agent_id": request.query.get("agent_id", "")})
        await ws.close(code=refused.code, message=refused.reason.encode())
        return ws
    record = ConversationRecord(
        admitted.conversation_id,
        admitted.agent_id,
        admitted.method,
        time.monotonic_ns(),
        int(time.time()),
        query={key: value for key, value in request.query.items() if key != "conversation_signature"},
        subprotocol=ws.ws_protocol,
        compression=bool(ws.compress),
        burst=admitted.burst,
        queue_wait_s=waited_s,
    )
    emulator.ledger.conversations[admitted.conversation_id] = record
    await ConversationSocket(emulator, request, ws, record).run()
    return ws


async def _admitted(
    emulator: ElevenLabsEmulator, request: web.Request, ws: web.WebSocketResponse
) -> tuple[Admitted, float | None]:
    """Who came in, and how long they stood in the queue (``queueing_config``). Raises `Refused`."""
    came_ns = time.monotonic_ns()
    try:
        return admit(emulator, request, came_ns), None
    except Refused as refused:
        agent = emulator.agents.get(request.query.get("agent_id", ""))
        queueing = {} if agent is None else agent["platform_settings"].get("queueing_config") or {}
        if refused.reason != FULL or agent is None or not queueing.get("enabled"):
            raise
    await ws.send_str(encode(queue_status("waiting")))
    until_ns = came_ns + int(float(queueing.get("wait_timeout_seconds", 60)) * 1e9)
    while room(emulator, agent) == "full" and time.monotonic_ns() < until_ns:
        if ws.closed or request.transport is None:
            raise Refused(1000, "")
        await asyncio.sleep(0.05)
    try:
        admitted = admit(emulator, request, time.monotonic_ns())
    except Refused:
        await ws.send_str(encode(queue_status("timed_out")))
        raise
    await ws.send_str(encode(queue_status("admitted")))
    return admitted, (time.monotonic_ns() - came_ns) / 1e9


class ConversationSocket:
    """One live conversation."""

    def __init__(
        self,
        emulator: ElevenLabsEmulator,
        request: web.Request,
        ws: web.WebSocketResponse,
        record: ConversationRecord,
    ) -> None:
        config = emulator.config
        agent = emulator.agents.get(record.agent_id)
        assert agent is not None
        self.agent_id = record.agent_id
        self.conversation = Conversation(
            agent,
            config.script,
            config.behaviour,
            emulator.faults,
            record,
            speak=config.speak,
            seed=config.seed,
            lower_priority_ms=config.burst_think_extra_ms if record.burst else 0,
        )
        self._keeps_voice = bool(agent["platform_settings"]["privacy"].get("record_voice", True))
        if config.keep_audio and self._keeps_voice:
            parts = agent["conversation_config"]
            formats = parts["asr"]["user_input_audio_format"], parts["tts"]["agent_output_audio_format"]
            self.conversation.recording = Recording(record.opened_ns, *formats)
            emulator.recordings[record.conversation_id] = self.conversation.recording
        self._emulator = emulator
        self._request = request
        self._ws = ws
        self._record = record
        self._wake = asyncio.Event()
        self._done = asyncio.Event()
        self._deaf = False

    async def run(self) -> None:
        """Until the socket is closed."""
        live = self._emulator.live
        live[self._record.conversation_id] = self
        self.conversation.opened(time.monotonic_ns())
        writer = asyncio.create_task(self._write())
        try:
            await self._read()
        finally:
            code = self._ws.close_code
            by = "connection" if code in (None, 1006) else "client"
            self.conversation.closed(time.monotonic_ns(), code, "", by)
            self._wake.set()
            await writer
            live.pop(self._record.conversation_id, None)
            record = self._record
            record.has_audio = self._keeps_voice and not record.text_only and bool(record.turns)
            self._emulator.webhooks.conversation_ended(record)

    async def _read(self) -> None:
        async for message in self._ws:
            now_ns = time.monotonic_ns()
            if message.type is WSMsgType.TEXT:
                self.conversation.received(message.data, now_ns)
            elif message.type is WSMsgType.BINARY:
                self.conversation.received_binary(len(message.data), now_ns)
            self._wake.set()
            if self._deaf:
                await self._done.wait()
                return

    async def _write(self) -> None:
        """Send what there is to send, sleep to the next deadline, again."""
        try:
            await self._write_on()
        finally:
            self._done.set()

    async def _write_on(self) -> None:
        conversation = self.conversation
        while True:
            for output in conversation.take():
                if not await self._put(output):
                    return
            deadline_ns = conversation.next_deadline()
            if deadline_ns is None:
                return
            try:
                async with asyncio.timeout(max(0.0, (deadline_ns - time.monotonic_ns()) / 1e9)):
                    await self._wake.wait()
            except TimeoutError:
                pass  # the deadline, which is what was waited for
            self._wake.clear()
            try:
                conversation.handle_timer(time.monotonic_ns())
            except Exception as error:
                self._failed(error)

    async def _put(self, output: object) -> bool:
        """False when that was the last thing."""
        if isinstance(output, Text):
            try:
                await self._ws.send_str(str(output))
            except (ConnectionError, RuntimeError):
                return False  # the client has gone; reading notices, and records it
            return True
        if isinstance(output, Deaf):
            self._deaf = True
            if self._request.transport is not None:
                self._request.transport.pause_reading()
            return True
        if isinstance(output, Close) and not self._deaf:
            reason = output.reason.encode()[:123]
            self.conversation.closed(time.monotonic_ns(), output.code, output.reason, "emulator")
            await self._ws.close(code=output.code, message=reason)
            return False
        self.conversation.closed(time.monotonic_ns(), None, "", "emulator")
        self._cut()
        return False

    def _cut(self) -> None:
        """The end of the connection without a word."""
        if self._request.transport is not None:
            self._request.transport.abort()

    def _failed(self, error: Exception) -> None:
        """An emulator that cannot go on (a text without speech, say) says so, like a service that crashed."""
        self._record.notes.append(f"emulator error: {error}")
        self.conversation.end(1011, f"emulator: {error}")

    def end(self, code: int, reason: str) -> None:
        """Close it from outside. A half-open connection is cut."""
        if self._deaf or self.conversation.muted:
            self.conversation.drop()
        else:
            self.conversation.end(code, reason)
        self._wake.set()

    def set_faults(self, faults: Faults) -> None:
        """These faults for this conversation, from now on."""
        self.conversation.set_faults(faults, time.monotonic_ns())
        self._wake.set()
