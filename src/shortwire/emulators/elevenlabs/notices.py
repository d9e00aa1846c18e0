"""The server messages an agent sends only when its ``client_events`` list them.

Key order as in the captures where there are any (payload object first, ``type`` last); the others follow the
published schemas in the same manner. Vendor page: agents API, "Client events".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

__all__ = [
    "KEYS",
    "asr_initiation_metadata",
    "context_usage",
    "error",
    "mcp_connection_status",
    "mcp_tool_call",
    "notice",
    "queue_status",
    "response_complete",
    "response_metadata",
    "tentative_response",
    "tentative_transcript",
    "tool_request",
    "tool_response_full",
    "turn_probability",
    "vad_score",
]

Message = dict[str, Any]

KEYS: Mapping[str, str | None] = {
    "agent_reasoning_response_part": "reasoning_response_part",
    "agent_response_metadata": "agent_response_metadata_event",
    "agent_typing": "agent_typing_event",
    "client_error": "error_event",
    "dtmf_request": "dtmf_request",  # no schema is published: the key is a guess, so it is only sent when scripted
    "error": "error_event",
    "external_agent_connected": "external_agent_connected_event",
    "external_agent_disconnected": "external_agent_disconnected_event",
    "guardrail_triggered": "guardrail_triggered_event",
    "queue_status": "queue_status_event",
    "rich_content": "rich_content",
}
"""Messages a scenario may send, with the key of their payload."""

_NUMBERED = frozenset({"agent_response_metadata", "rich_content"})
_NUMBERED_BY_TEXT = frozenset({"agent_reasoning_response_part"})

_FULL_RESULT_BYTES = 64 * 1024


def notice(kind: str, payload: Mapping[str, Any], event_id: int) -> Message:
    """A scripted message; ``event_id`` is put in where that message has one and the script gave none."""
    body = dict(payload)
    if kind in _NUMBERED:
        body.setdefault("event_id", event_id)
    elif kind in _NUMBERED_BY_TEXT:
        body.setdefault("event_id", str(event_id))
    return {str(KEYS[kind]): body, "type": kind}


def vad_score(score: float) -> Message:
    return {"vad_score_event": {"vad_score": score}, "type": "vad_score"}


def tentative_transcript(text: str, event_id: int) -> Message:
    event = {"user_transcript": text, "event_id": event_id}
    return {"tentative_user_transcription_event": event, "type": "tentative_user_transcript"}


def turn_probability(value: float) -> Message:
    return {"turn_probability_internal_event": {"turn_probability": value}, "type": "internal_turn_probability"}


def tentative_response(text: str) -> Message:
    event = {"tentative_agent_response": text}
    return {"tentative_agent_response_internal_event": event, "type": "internal_tentative_agent_response"}


def response_metadata(metadata: Mapping[str, Any], event_id: int) -> Message:
    event = {"metadata": dict(metadata), "event_id": event_id}
    return {"agent_response_metadata_event": event, "type": "agent_response_metadata"}


def response_complete(event_id: int) -> Message:
    return {"agent_response_complete_event": {"event_id": event_id}, "type": "agent_response_complete"}


def context_usage(event_id: int, model: str, tokens: int, limit: int) -> Message:
    event = {"event_id": event_id, "model": model, "context_tokens": tokens, "context_limit_tokens": limit}
    return {"context_usage_event": event, "type": "context_usage"}


def asr_initiation_metadata() -> Message:
    """Its contents are not specified anywhere."""
    return {"asr_initiation_metadata_event": {}, "type": "asr_initiation_metadata"}


def tool_request(name: str, call_id: str, tool_type: str, event_id: int, more: Mapping[str, Any]) -> Message:
    """``more``: expects_response, disable_interruptions, response_timeout_secs, execution_mode."""
    event = {"tool_name": name, "tool_call_id": call_id, "tool_type": tool_type, "event_id": event_id, **more}
    return {"agent_tool_request": event, "type": "agent_tool_request"}


def tool_response_full(response: Message, result: str) -> Message:
    """The same as an ``agent_tool_response``, with the result: 64 KB of it at most."""
    data = result.encode()
    body = dict(response["agent_tool_response"])
    body["full_tool_result"] = data[:_FULL_RESULT_BYTES].decode(errors="ignore")
    body["truncated"] = len(data) > _FULL_RESULT_BYTES
    return {"agent_tool_response_full_payload": body, "type": "agent_tool_response_full_payload"}


def mcp_tool_call(call: Mapping[str, Any], timestamp: str, state: Mapping[str, Any]) -> Message:
    """``call``: service_id to parameters. ``state``: the field ``state`` and what belongs to it."""
    return {"mcp_tool_call": {**call, "timestamp": timestamp, **state}, "type": "mcp_tool_call"}


def mcp_connection_status(integrations: Iterable[Mapping[str, Any]]) -> Message:
    event = {"integrations": [dict(integration) for integration in integrations]}
    return {"mcp_connection_status": event, "type": "mcp_connection_status"}


def queue_status(status: str) -> Message:
    """waiting, admitted or timed_out (seen in the vendor's widget code only)."""
    return {"queue_status_event": {"status": status}, "type": "queue_status"}


_ERROR_TYPES: Mapping[str, str] = {
    "max_duration_exceeded": "max_duration_exceeded",
    "transport_receive_timeout": "transport_receive_timeout",
    "Invalid message received": "invalid_message",
}


def _error_type(code: int, reason: str) -> str:
    if reason in _ERROR_TYPES:
        return _ERROR_TYPES[reason]
    if reason.startswith("Override for field"):
        return "override_error"
    if reason.startswith("Missing required dynamic variables"):
        return "missing_dynamic_variable"
    return {1002: "websocket_disconnect", 1011: "unknown_websocket_crash"}.get(code, "unknown")


def error(form: str, code: int, reason: str) -> Message:
    """What announces a close in-band, in one of the three published forms: ``error``, ``client_error``, ``flat``."""
    kind = _error_type(code, reason)
    if form == "client_error":
        event: Message = {"code": code, "error_name": kind, "message": reason}
        return {"error_event": event, "type": "client_error"}
    if form == "flat":
        return {"type": "error", "message": f"received {code} {reason}"}
    event = {"code": code, "message": reason, "error_type": kind, "reason": reason, "debug_message": None}
    return {"error_event": {**event, "details": {}}, "type": "error"}
