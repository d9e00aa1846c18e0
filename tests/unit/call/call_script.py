"""Messages of both wires as live ones are shaped, and ends to write to, for the tests of the call core."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from typing import Any

__all__ = ["SID", "Halver", "Wire", "agent_audio", "agent_says", "doubled", "media", "metadata", "phone_says", "start"]

SID = "MZ5174584e1127285e2b015e720b3d9e68"


@dataclass
class Wire:
    """One socket's far end: what was written to it."""

    raw: list[bytes] = field(default_factory=list)

    def send(self, message: bytes) -> None:
        self.raw.append(message)

    @property
    def messages(self) -> list[dict[str, Any]]:
        return [json.loads(message) for message in self.raw]

    @property
    def audio(self) -> list[bytes]:
        """Payloads, of either vendor's audio."""
        found = []
        for message in self.messages:
            if message.get("event") == "media":
                found.append(message["media"]["payload"].encode())
            elif "user_audio_chunk" in message:
                found.append(message["user_audio_chunk"].encode())
        return found

    @property
    def decoded(self) -> bytes:
        return b"".join(base64.b64decode(payload) for payload in self.audio)

    def events(self) -> list[str]:
        return [message.get("event") or message.get("type") or "user_audio_chunk" for message in self.messages]


def start(sid: str = SID, call_sid: str = "CA1", **more: Any) -> bytes:
    """The stream's start, in the order of the captures."""
    body = {
        "accountSid": "AC1",
        "streamSid": sid,
        "callSid": call_sid,
        "tracks": ["inbound"],
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        "customParameters": {},
        **more,
    }
    body = {key: value for key, value in body.items() if value is not ...}
    return phone_says({"event": "start", "sequenceNumber": "1", "start": body, "streamSid": sid})


def media(ulaw: bytes, number: int = 1, *, sid: str = SID, track: str = "inbound") -> bytes:
    """A frame of the phone."""
    payload = base64.b64encode(ulaw).decode()
    body = {"track": track, "chunk": str(number), "timestamp": str(number * 20), "payload": payload}
    return phone_says({"event": "media", "sequenceNumber": str(number + 1), "media": body, "streamSid": sid})


def phone_says(message: dict[str, Any]) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode()


def agent_audio(audio: bytes, event_id: int) -> bytes:
    """Audio of the agent, in the order of the captures."""
    payload = base64.b64encode(audio).decode()
    return agent_says("audio", audio_event={"audio_base_64": payload, "event_id": event_id, "is_final": False})


def agent_says(kind: str, **body: Any) -> bytes:
    """Payload first, type last, as all captures."""
    return json.dumps({**body, "type": kind}, separators=(",", ":")).encode()


def metadata(output: str = "ulaw_8000", user_input: str = "ulaw_8000", conversation_id: str = "conv_1") -> bytes:
    return agent_says(
        "conversation_initiation_metadata",
        conversation_initiation_metadata_event={
            "conversation_id": conversation_id,
            "agent_output_audio_format": output,
            "user_input_audio_format": user_input,
        },
    )


def doubled(ulaw: bytes) -> bytes:
    """Audio that `Halver` makes into this."""
    return bytes(byte for byte in ulaw for _ in (0, 1))


class Halver:
    """A converter that can be checked by eye: of each two bytes the first; keeps an odd one for later."""

    def __init__(self) -> None:
        self._odd = b""
        self.longest = 0

    def convert(self, data: bytes) -> bytes:
        self.longest = max(self.longest, len(data))
        data = self._odd + data
        self._odd = data[len(data) // 2 * 2 :]
        return data[: len(data) // 2 * 2 : 2]

    def reset(self) -> None:
        self._odd = b""
