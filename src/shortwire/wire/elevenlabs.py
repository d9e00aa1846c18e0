"""The ElevenLabs conversation socket as typed messages (protocols/elevenlabs.md sections 1, 6 and 8).

Unknown message types and unknown keys are ignored, as both vendor clients do. Messages are told
apart by ``type`` here; the media path (`splice`) tells audio by its first key.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from .twilio import WireError

__all__ = [
    "USER_AUDIO_HEAD",
    "USER_AUDIO_TAIL",
    "AgentMessage",
    "AgentResponse",
    "Audio",
    "ClientToolCall",
    "Correction",
    "Interruption",
    "Metadata",
    "Other",
    "Ping",
    "ServerError",
    "ToolResponse",
    "UserTranscript",
    "audio_plain",
    "client_data",
    "decode",
    "event_number",
    "pong",
    "tool_refusal",
]


class _Event(msgspec.Struct, kw_only=True):
    event_id: int = 0


class MetadataEvent(msgspec.Struct):
    conversation_id: str
    agent_output_audio_format: str = "pcm_16000"
    user_input_audio_format: str = "pcm_16000"


class Metadata(msgspec.Struct):
    conversation_initiation_metadata_event: MetadataEvent


class Ping(msgspec.Struct):
    ping_event: _Event


class AudioEvent(msgspec.Struct):
    audio_base_64: str
    event_id: int


class Audio(msgspec.Struct):
    audio_event: AudioEvent


class Interruption(msgspec.Struct):
    interruption_event: _Event


class TranscriptEvent(_Event, kw_only=True):
    user_transcript: str


class UserTranscript(msgspec.Struct):
    user_transcription_event: TranscriptEvent


class ResponseEvent(_Event, kw_only=True):
    agent_response: str


class AgentResponse(msgspec.Struct):
    agent_response_event: ResponseEvent


class CorrectionEvent(_Event, kw_only=True):
    corrected_agent_response: str


class Correction(msgspec.Struct):
    agent_response_correction_event: CorrectionEvent


class ToolCall(msgspec.Struct):
    tool_name: str
    tool_call_id: str


class ClientToolCall(msgspec.Struct):
    client_tool_call: ToolCall


class ToolResult(msgspec.Struct):
    tool_name: str
    is_error: bool = False


class ToolResponse(msgspec.Struct):
    agent_tool_response: ToolResult


class ErrorEvent(msgspec.Struct):
    code: int | None = None
    message: str | None = None
    error_type: str | None = None
    error_name: str | None = None
    reason: str | None = None


class ServerError(msgspec.Struct):
    """Either in-band form, and the flat one of section 8; the close that follows decides the cause."""

    error_event: ErrorEvent | None = None
    message: str | None = None

    def text(self) -> str:
        event = self.error_event
        parts = [event.error_type or event.error_name, event.message or event.reason] if event else [self.message]
        return ": ".join(p for p in parts if p) or "error without a text"


class Other(msgspec.Struct):
    """A type we have no use for, or do not know."""

    type: str = ""


AgentMessage = (
    Metadata
    | Ping
    | Audio
    | Interruption
    | UserTranscript
    | AgentResponse
    | Correction
    | ClientToolCall
    | ToolResponse
    | ServerError
    | Other
)

_FURTHEST_EVENT: Final = (1 << 62) - 1

_DECODERS: Final[dict[str, Callable[[bytes], AgentMessage]]] = {
    name: msgspec.json.Decoder(kind).decode
    for name, kind in {
        "conversation_initiation_metadata": Metadata,
        "ping": Ping,
        "audio": Audio,
        "interruption": Interruption,
        "user_transcript": UserTranscript,
        "agent_response": AgentResponse,
        "agent_response_correction": Correction,
        "client_tool_call": ClientToolCall,
        "agent_tool_response": ToolResponse,
        "error": ServerError,
        "client_error": ServerError,
    }.items()
}
_decode_type = msgspec.json.Decoder(Other).decode


def decode(message: bytes) -> AgentMessage:
    """A message of the agent. Raises `WireError` for no JSON object, or a known type of an unknown shape."""
    try:
        other = _decode_type(message)
        decoder = _DECODERS.get(other.type)
        return decoder(message) if decoder is not None else other
    except RecursionError:
        raise WireError("not an agent message: nested too deeply") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise WireError(f"not an agent message: {error}") from None


USER_AUDIO_HEAD: Final = b'{"user_audio_chunk":"'
USER_AUDIO_TAIL: Final = b'"}'


def pong(event_id: int) -> bytes:
    return b'{"type":"pong","event_id":%d}' % event_id


def client_data(
    *,
    overrides: Mapping[str, Any],
    dynamic_variables: Mapping[str, Any],
    version: str,
) -> bytes:
    """The first client message (section 6.2). Empty sections are left out, as the documentation wants."""
    message: dict[str, Any] = {"type": "conversation_initiation_client_data"}
    if overrides:
        message["conversation_config_override"] = overrides
    if dynamic_variables:
        message["dynamic_variables"] = dynamic_variables
    message["source_info"] = {"source": "twilio", "version": f"shortwire {version}"[:50]}
    return msgspec.json.encode(message)


def tool_refusal(tool_call_id: str, tool_name: str) -> bytes:
    """The answer to a client tool nobody has registered: an error, so that the agent need not wait."""
    return msgspec.json.encode(
        {
            "type": "client_tool_result",
            "tool_call_id": tool_call_id,
            "result": f"Client tool '{tool_name}' is not available on this line.",
            "is_error": True,
        }
    )


def event_number(event_id: int) -> int:
    """An agent may number its events as it likes (section 1 names no bound); what is kept of them has 64 bits and no
    sign."""
    return max(0, min(event_id, _FURTHEST_EVENT))


def audio_plain(message: bytes) -> tuple[bytes, int] | None:
    """The other side of OPTIMIZE_AUDIO_PARSING (see `twilio.media_plain`), for agent audio."""
    try:
        parsed = json.loads(message)
        if not isinstance(parsed, dict) or parsed.get("type") != "audio":
            return None
        event = parsed["audio_event"]
        payload, event_id = event["audio_base_64"], event["event_id"]
        if type(event_id) is not int:  # JSON's true is an int to Python, and 1e999 is infinite
            return None
        return base64.b64encode(base64.b64decode(payload, validate=True)), event_number(event_id)
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
