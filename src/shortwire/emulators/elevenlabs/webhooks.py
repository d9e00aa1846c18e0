"""Post-call webhooks: signed, delivered, repeated, and disabled when nobody takes them.

``ElevenLabs-Signature: t=<unix seconds>,v0=<hex>`` is an HMAC-SHA256 over ``t.body``. Only loopback addresses are
called. Vendor pages: agents platform, "Post-call webhooks"; "Webhooks" of the API resources (retries).
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp

from shortwire.emulators.elevenlabs.config import PostCallWebhook
from shortwire.emulators.elevenlabs.ledger import ConversationRecord, WebhookEntry
from shortwire.emulators.elevenlabs.recording import silent_mp3
from shortwire.emulators.elevenlabs.summary import detail, duration_s

if TYPE_CHECKING:
    from shortwire.emulators.elevenlabs.server import ElevenLabsEmulator

__all__ = ["Webhooks", "signature"]

Json = dict[str, Any]

_EVENT = {
    "post_call_transcription": "transcript",
    "post_call_audio": "audio",
    "call_initiation_failure": "call_initiation_failure",
}

_PIECE = 64 * 1024
_WEEK_S = 7 * 24 * 3600
_MOST_PENDING = 100


def signature(secret: str, body: bytes, unix_s: int) -> str:
    """The header's value for this body."""
    digest = hmac.new(secret.encode(), f"{unix_s}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={unix_s},v0={digest}"


@dataclass(slots=True)
class _Health:
    """Of one webhook."""

    failures: int = 0
    last_success_s: float | None = None
    disabled: bool = False


class Webhooks:
    """The workspace's outgoing mail."""

    def __init__(self, emulator: ElevenLabsEmulator) -> None:
        self._emulator = emulator
        self._tasks: set[asyncio.Task[None]] = set()
        self._health = {hook.url: _Health() for hook in emulator.config.webhooks}

    # -- what there is to tell -------------------------------------------------------------------------------------

    def conversation_ended(self, record: ConversationRecord) -> None:
        """The transcript, and the audio if there is any."""
        emulator = self._emulator
        if not emulator.config.webhooks or record.started_ns is None:
            return
        self.send("post_call_transcription", detail(record, emulator.agent_name(record.agent_id)))
        if record.has_audio:
            recording = emulator.recordings.get(record.conversation_id)
            audio = silent_mp3(duration_s(record)) if recording is None else recording.wav()
            data = {"agent_id": record.agent_id, "conversation_id": record.conversation_id}
            self.send("post_call_audio", {**data, "full_audio": base64.b64encode(audio).decode()})

    def send(self, kind: str, data: Json) -> int:
        """To every webhook that wants this kind. Returns how many that are."""
        body = json.dumps({"type": kind, "event_timestamp": int(time.time()), "data": data}, ensure_ascii=False)
        wanted = [hook for hook in self._emulator.config.webhooks if _EVENT[kind] in hook.events]
        if self._emulator.faults.webhook_lost:
            return len(wanted)
        for hook in wanted:
            for _ in range(2 if self._emulator.faults.webhook_twice else 1):
                if self._health[hook.url].disabled or len(self._tasks) >= _MOST_PENDING:
                    continue
                work = self._deliver(hook, kind, str(data.get("conversation_id", "")), body.encode())
                task = asyncio.get_running_loop().create_task(work)
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        return len(wanted)

    async def stop(self) -> None:
        """Give up what is under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # -- delivery --------------------------------------------------------------------------------------------------

    async def _deliver(self, hook: PostCallWebhook, kind: str, conversation_id: str, body: bytes) -> None:
        faults = self._emulator.faults
        repeats = hook.retry_delays_s if hook.retries and kind == "post_call_transcription" else ()
        waits_s = (hook.after_close_ms / 1000 + faults.webhook_delay_ms / 1000, *repeats)
        headers = self._headers(hook, body)
        for attempt, wait_s in enumerate(waits_s, start=1):
            await asyncio.sleep(wait_s)
            if hook.resign or attempt == 1:
                headers = self._headers(hook, body)
            entry = WebhookEntry(time.monotonic_ns(), kind, conversation_id, hook.url, attempt)
            self._emulator.ledger.webhooks.append(entry)
            again = await self._post(hook, kind, body, headers, entry)
            self._note(hook, entry)
            if not again:
                return

    def _headers(self, hook: PostCallWebhook, body: bytes) -> dict[str, str]:
        faults = self._emulator.faults
        secret = f"not {hook.secret}" if faults.webhook_bad_signature else hook.secret
        signed = signature(secret, body, int(time.time()) - faults.webhook_age_s)
        return {"Content-Type": "application/json", "ElevenLabs-Signature": signed}

    async def _post(
        self, hook: PostCallWebhook, kind: str, body: bytes, headers: dict[str, str], entry: WebhookEntry
    ) -> bool:
        """Whether it is worth another try."""

        async def pieces() -> AsyncIterator[bytes]:
            for at in range(0, len(body), _PIECE):
                yield body[at : at + _PIECE]

        data: Any = pieces() if kind == "post_call_audio" else body  # audio is sent chunked
        timeout = aiohttp.ClientTimeout(total=hook.timeout_s)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.post(hook.url, data=data, headers=headers, allow_redirects=False) as answer,
            ):
                entry.status = answer.status
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            entry.error = str(error) or type(error).__name__
            return True
        return entry.status in (408, 429) or entry.status >= 500

    def _note(self, hook: PostCallWebhook, entry: WebhookEntry) -> None:
        health, now_s = self._health[hook.url], time.time()
        if entry.status is not None and 200 <= entry.status < 300:
            health.failures, health.last_success_s = 0, now_s
            return
        health.failures += 1
        long_ago = health.last_success_s is None or now_s - health.last_success_s > _WEEK_S
        health.disabled = health.disabled or (health.failures >= hook.disable_after_failures and long_ago)
