"""The messages of the conversation socket: what the agent sends, and what a client may send.

Server messages have the key order of the captures of 2026 (payload object first, ``type`` last;
`encode` writes them compact). Client messages are checked strictly: the emulator refuses what the
published schemas do not name. Vendor page: agents API, WebSocket, "Agent WebSockets".
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from typing import Any

__all__ = [
    "ALWAYS",
    "InvalidMessage",
    "Message",
    "agent_response",
    "audio",
    "client_tool_call",
    "correction",
    "encode",
    "file_ids",
    "interruption",
    "kind_of",
    "metadata",
    "parse_client",
    "ping",
    "text_part",
    "tool_response",
    "user_transcript",
    "written_text",
]

Message = dict[str, Any]

ALWAYS = frozenset({"conversation_initiation_metadata", "ping", "client_tool_call"})
"""Sent whatever ``client_events`` says (every client depends on them)."""


def encode(message: Message) -> str:
    """Compact JSON. Non-ASCII as UTF-8 (undecided by the captures, which have none)."""
    return json.dumps(message, separators=(",", ":"), ensure_ascii=False)


def metadata(conversation_id: str, output_format: str, input_format: str) -> Message:
    event = {
        "conversation_id": conversation_id,
        "agent_output_audio_format": output_format,
        "user_input_audio_format": input_format,
        "persistent_session_token": None,
    }
    return {"conversation_initiation_metadata_event": event, "type": "conversation_initiation_metadata"}


def ping(event_id: int, ping_ms: int | None) -> Message:
    return {"ping_event": {"event_id": event_id, "ping_ms": ping_ms}, "type": "ping"}


def audio(data: bytes, event_id: int) -> Message:
    event = {"audio_base_64": base64.b64encode(data).decode(), "event_id": event_id, "is_final": False}
    return {"audio_event": event, "type": "audio"}


def interruption(event_id: int) -> Message:
    return {"interruption_event": {"event_id": event_id}, "type": "interruption"}


def user_transcript(text: str, event_id: int) -> Message:
    event = {"user_transcript": text, "event_id": event_id}
    return {"user_transcription_event": event, "type": "user_transcript"}


def agent_response(text: str, event_id: int, response_id: str, in_response_to: list[str]) -> Message:
    event = {
        "agent_response": text,
        "event_id": event_id,
        "response_id": response_id,
        "in_response_to_ids": in_response_to,
        "response_type": "text",
        "attachments": [],
    }
    return {"agent_response_event": event, "type": "agent_response"}


def text_part(text: str, part: str, event_id: int, response_id: str) -> Message:
    event = {"text": text, "type": part, "event_id": event_id, "response_id": response_id}
    return {"text_response_part": event, "type": "agent_chat_response_part"}


def correction(original: str, corrected: str, event_id: int, response_id: str) -> Message:
    event = {
        "original_agent_response": original,
        "corrected_agent_response": corrected,
        "event_id": event_id,
        "response_id": response_id,
    }
    return {"agent_response_correction_event": event, "type": "agent_response_correction"}


def client_tool_call(name: str, call_id: str, parameters: Mapping[str, Any], event_id: int, expects: bool) -> Message:
    event = {
        "tool_name": name,
        "tool_call_id": call_id,
        "parameters": dict(parameters),
        "event_id": event_id,
        "expects_response": expects,
    }
    return {"client_tool_call": event, "type": "client_tool_call"}


def tool_response(name: str, call_id: str, tool_type: str, event_id: int, *, is_error: bool = False) -> Message:
    event = {
        "tool_name": name,
        "tool_call_id": call_id,
        "tool_type": tool_type,
        "is_error": is_error,
        "is_blocked": False,
        "event_id": event_id,
        "is_called": True,
        "status": "error" if is_error else "success",
    }
    return {"agent_tool_response": event, "type": "agent_tool_response"}


class InvalidMessage(ValueError):
    """The service closes with 1008 ``Invalid message received``; the text is for the ledger."""


def kind_of(message: Mapping[str, Any]) -> str:
    """The message's type; ``user_audio_chunk`` for the one that has none."""
    return "user_audio_chunk" if "user_audio_chunk" in message else str(message.get("type"))


def _string(value: Any) -> bool:
    return isinstance(value, str)


def _integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _table(value: Any) -> bool:
    return isinstance(value, dict)


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


def _anything(_: Any) -> bool:
    return True


def _score(value: Any) -> bool:
    return value in ("like", "dislike", None)


def _optional_string(value: Any) -> bool:
    return value is None or isinstance(value, str)


def _optional_table(value: Any) -> bool:
    return value is None or isinstance(value, dict)


def _optional_list(value: Any) -> bool:
    return value is None or isinstance(value, list)


def _source_info(value: Any) -> bool:
    return value is None or (isinstance(value, dict) and len(str(value.get("version") or "")) <= 50)


def _mock_config(value: Any) -> bool:
    return value is None or (
        isinstance(value, dict) and value.get("mocking_strategy", "none") in ("none", "all", "selected")
    )


def _written(value: Any) -> bool:
    return value is None or (
        isinstance(value, dict) and value.get("type") == "user_message" and isinstance(value.get("text"), str)
    )


def _file(value: Any) -> bool:
    return value is None or (
        isinstance(value, dict) and value.get("type") == "file_input" and isinstance(value.get("file_id"), str)
    )


def _files(value: Any) -> bool:
    return value is None or (isinstance(value, list) and all(item is not None and _file(item) for item in value))


def _error_type(value: Any) -> bool:
    return value in (
        None,
        "user_rejected",
        "external_server",
        "external_client",
        "customer_auth",
        "client_timeout",
        "unknown",
    )


Check = Callable[[Any], bool]

_CLIENT: Mapping[str, tuple[Mapping[str, Check], Mapping[str, Check]]] = {
    # type: (required fields, optional fields)
    "conversation_initiation_client_data": (
        {},
        {
            "conversation_config_override": _optional_table,
            "custom_llm_extra_body": _optional_table,
            "dynamic_variables": _optional_table,
            "user_id": _optional_string,
            "source_info": _source_info,
            "tool_mock_config": _mock_config,
            "environment": _optional_string,  # the Node SDK sends it
            "branch_id": _optional_string,
            "starting_workflow_node_id": _optional_string,
            "procedure_ids": _optional_list,
        },
    ),
    "pong": ({"event_id": _integer}, {}),
    "client_tool_result": (
        # `result` is a string by the schema; the Python SDK sends whatever the tool returned
        {"tool_call_id": _string, "result": _anything, "is_error": _flag},
        {"error_type": _error_type},
    ),
    "contextual_update": ({"text": _string}, {"context_id": _optional_string}),
    "user_message": (
        {},
        {"text": _optional_string, "user_identifier": _optional_string, "rich_content_id": _optional_string},
    ),
    "user_activity": ({}, {}),
    "feedback": ({"event_id": _integer, "score": _score}, {}),
    "multimodal_message": ({}, {"text": _written, "file": _file, "files": _files}),
    "mcp_tool_approval_result": ({"tool_call_id": _string, "is_approved": _flag}, {}),
}


def parse_client(text: str) -> tuple[str, Message, bytes]:
    """(kind, message, decoded audio or nothing). Raises `InvalidMessage`."""
    try:
        message = json.loads(text)
    except ValueError as error:
        raise InvalidMessage(f"not JSON: {error}") from None
    if not isinstance(message, dict):
        raise InvalidMessage("not a JSON object")
    if "user_audio_chunk" in message and message.get("type", "user_audio_chunk") == "user_audio_chunk":
        return "user_audio_chunk", message, _audio_of(message)
    kind = message.get("type")
    if not isinstance(kind, str) or kind not in _CLIENT:
        raise InvalidMessage(f"unknown type {kind!r}")
    required, optional = _CLIENT[kind]
    for name, check in required.items():
        if name not in message:
            raise InvalidMessage(f"{kind}: {name} is missing")
        if not check(message[name]):
            raise InvalidMessage(f"{kind}: {name} has the wrong type")
    for name in message.keys() - required.keys() - {"type"}:
        if name not in optional:
            raise InvalidMessage(f"{kind}: unknown field {name!r}")
        if not optional[name](message[name]):
            raise InvalidMessage(f"{kind}: {name} has the wrong type")
    if kind == "multimodal_message" and not any(message.get(name) for name in ("text", "file", "files")):
        raise InvalidMessage(f"{kind}: neither text nor file")
    return kind, message, b""


def _audio_of(message: Message) -> bytes:
    payload = message["user_audio_chunk"]
    if not isinstance(payload, str):
        raise InvalidMessage("user_audio_chunk is not a string")
    if strangers := message.keys() - {"user_audio_chunk", "type"}:
        raise InvalidMessage(f"user_audio_chunk: unknown field {min(strangers)!r}")
    try:
        return base64.b64decode(payload, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidMessage(f"user_audio_chunk is not base64: {error}") from None


def written_text(message: Message) -> str:
    """The words of a ``user_message`` or ``multimodal_message``."""
    text = message.get("text")
    if isinstance(text, dict):  # multimodal_message wraps it
        text = text.get("text")
    return text if isinstance(text, str) else ""


def file_ids(message: Message) -> set[str]:
    """The files a ``multimodal_message`` names."""
    named = [message.get("file"), *(message.get("files") or ())]
    return {file["file_id"] for file in named if isinstance(file, dict)}
