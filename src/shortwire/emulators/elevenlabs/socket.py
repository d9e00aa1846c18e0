"""The conversation endpoint: admission, then a `Conversation` driven over aiohttp's WebSocket.

The upgrade succeeds even for those who may not come in; the refusal is the close frame (as reported
for the service). One task reads, one writes and keeps the deadlines.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from aiohttp import WSMsgType, web

from shortwire.emulators.elevenlabs.conversation import Conversation, Text
from shortwire.emulators.elevenlabs.ledger import ConversationRecord
from shortwire.emulators.elevenlabs.personalise import Refused
from shortwire.emulators.elevenlabs.signing import new_conversation_id
from shortwire.emulators.elevenlabs.turns import Close

if TYPE_CHECKING:
    from shortwire.emulators.elevenlabs.server import ElevenLabsEmulator

__all__ = ["ConversationSocket", "conversation_endpoint"]

_MOST_BYTES = 16 * 1024 * 1024


def _admit(emulator: ElevenLabsEmulator, request: web.Request, now_ns: int) -> tuple[str, str, str]:
    """(agent id, conversation id, authorization method). Raises `Refused`."""
    query, config = request.query, emulator.config
    agent_id = query.get("agent_id", "")
    agent = emulator.agents.get(agent_id)
    if not agent_id:
        raise Refused(3000, "Request error")
    if agent is None:
        raise Refused(3000, "The AI agent you are trying to reach does not exist.")
    live = sum(socket.agent_id == agent_id for socket in emulator.live.values())
    limit = agent["platform_settings"]["call_limits"]["agent_concurrency_limit"]
    everywhere = config.concurrency_limit
    full = 0 <= limit <= live or 0 <= everywhere <= len(emulator.live)
    signature = query.get("conversation_signature")
    if signature is not None:
        conversation_id = None
        if not full:  # a URL is not used up by a conversation that found no room
            conversation_id = emulator.signed_urls.redeem(signature, agent_id, query.get("conversation_id"), now_ns)
        if conversation_id is None and not full:
            raise Refused(3000, "Could not authorize the conversation.")
        method = "signed_url"
    elif not agent["platform_settings"]["auth"]["enable_auth"]:
        conversation_id, method = new_conversation_id(), "public"
    elif config.accept_api_key_header and request.headers.get("xi-api-key") in config.api_keys:
        conversation_id, method = new_conversation_id(), "authorization_header"
    else:
        raise Refused(3000, "Could not authorize the conversation.")
    if full or conversation_id is None:
        raise Refused(config.concurrency_close_code, "too many concurrent connections")
    return agent_id, conversation_id, method


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
        agent_id, conversation_id, method = _admit(emulator, request, now_ns)
    except Refused as refused:
        entry = {"at_ns": now_ns, "code": refused.code, "reason": refused.reason}
        emulator.ledger.refusals.append({**entry, "agent_id": request.query.get("agent_id", "")})
        await ws.close(code=refused.code, message=refused.reason.encode())
        return ws
    record = ConversationRecord(
        conversation_id,
        agent_id,
        method,
        now_ns,
        int(time.time()),
        query={key: value for key, value in request.query.items() if key != "conversation_signature"},
        subprotocol=ws.ws_protocol,
        compression=bool(ws.compress),
    )
    emulator.ledger.conversations[conversation_id] = record
    await ConversationSocket(emulator, request, ws, record).run()
    return ws


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
            agent, config.script, config.behaviour, emulator.faults, record, speak=config.speak, seed=config.seed
        )
        self._emulator = emulator
        self._request = request
        self._ws = ws
        self._record = record
        self._wake = asyncio.Event()

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

    async def _read(self) -> None:
        async for message in self._ws:
            now_ns = time.monotonic_ns()
            if message.type is WSMsgType.TEXT:
                self.conversation.received(message.data, now_ns)
            elif message.type is WSMsgType.BINARY:
                self.conversation.received_binary(len(message.data), now_ns)
            self._wake.set()

    async def _write(self) -> None:
        """Send what there is to send, sleep to the next deadline, again."""
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
        if isinstance(output, Close):
            reason = output.reason.encode()[:123]
            self.conversation.closed(time.monotonic_ns(), output.code, output.reason, "emulator")
            await self._ws.close(code=output.code, message=reason)
            return False
        self.conversation.closed(time.monotonic_ns(), None, "", "emulator")
        if self._request.transport is not None:
            self._request.transport.abort()
        return False

    def _failed(self, error: Exception) -> None:
        """An emulator that cannot go on (a text without speech, say) says so, like a service that crashed."""
        self._record.notes.append(f"emulator error: {error}")
        self.conversation.end(1011, f"emulator: {error}")

    def end(self, code: int, reason: str) -> None:
        """Close it from outside."""
        self.conversation.end(code, reason)
        self._wake.set()
