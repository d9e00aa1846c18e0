"""A conversation as the REST API shows it afterwards: list item and detail, transcript with metrics.

Vendor page: agents API, "Get conversation details". ``elapsed_time`` is in seconds there.
"""

from __future__ import annotations

from typing import Any

from shortwire.emulators.elevenlabs.ledger import ConversationRecord
from shortwire.emulators.elevenlabs.turns import Turn

__all__ = ["detail", "duration_s", "list_item", "successful"]

Json = dict[str, Any]


def _status(record: ConversationRecord) -> str:
    if record.closed_ns is not None:
        return "done" if record.close_code in (None, 1000, 1001, 1005, 1006) else "failed"
    return "in-progress" if record.started_ns is not None else "initiated"


def duration_s(record: ConversationRecord) -> int:
    """Whole seconds; 0 while it lasts."""
    return 0 if record.closed_ns is None else round((record.closed_ns - record.opened_ns) / 1e9)


def successful(record: ConversationRecord) -> str:
    """success, failure or unknown. The service lets a model judge; here it is how the socket ended."""
    if record.closed_ns is None:
        return "unknown"
    return "failure" if _status(record) == "failed" else "success"


def _reason(record: ConversationRecord) -> str:
    if record.closed_ns is None:
        return ""
    if any(turn.end_call for turn in record.turns):
        return "end_call tool was called."
    return record.close_reason or f"Closed by the {record.closed_by}."


def _metrics(turn: Turn, record: ConversationRecord) -> Json:
    """The thinking time, told as the service tells it (the split between its parts is invented)."""
    think_s = turn.think_ms / 1000
    parts = {"convai_llm_service_ttfb": think_s * 0.6, "convai_llm_service_ttf_sentence": think_s * 0.75}
    parts["convai_tts_service_ttfb"] = think_s * 0.25
    if turn.kind == "voice":
        parts["convai_ttf_audio_since_silence"] = think_s + record.end_of_turn_ms / 1000
    return {
        "metrics": {key: {"elapsed_time": round(value, 4)} for key, value in parts.items()},
        "convai_asr_provider": "scribe_realtime",
        "convai_tts_model": "eleven_flash_v2",
    }


def _entry(role: str, message: str, at_s: int, turn: Turn) -> Json:
    return {
        "role": role,
        "message": message,
        "tool_calls": [],
        "tool_results": [],
        "feedback": None,
        "time_in_call_secs": at_s,
        "conversation_turn_metrics": None,
        "interrupted": False,
        "ignored_as_backchannel": False,
        "original_message": None,
        "source_medium": "text" if role == "user" and turn.kind == "text" else "audio",
        "source_event_id": turn.event_id,
    }


def _transcript(record: ConversationRecord) -> list[Json]:
    entries: list[Json] = []

    def seconds(at_ns: int | None) -> int:
        return 0 if at_ns is None else max(0, round((at_ns - record.opened_ns) / 1e9))

    for turn in record.turns:
        if turn.user_text:
            entries.append(_entry("user", turn.user_text, seconds(turn.speech_began_ns or turn.turn_certain_ns), turn))
        spoken = _entry("agent", turn.spoken_text or turn.agent_text, seconds(turn.first_audio_ns), turn)
        spoken["tool_calls"] = [
            _tool_call(name, kind) for name, kind in zip(turn.tool_names, turn.tool_types, strict=True)
        ]
        spoken["feedback"] = _feedback(record, turn)
        spoken["conversation_turn_metrics"] = _metrics(turn, record)
        if turn.interrupted_ns is not None:
            spoken["interrupted"], spoken["original_message"] = True, turn.agent_text
        entries.append(spoken)
    for text, at_ns in record.backchannels:
        ignored = _entry("user", text, seconds(at_ns), Turn("voice"))
        entries.append({**ignored, "ignored_as_backchannel": True, "source_event_id": None})
    entries.sort(key=lambda entry: entry["time_in_call_secs"])  # stable: turns stay in their order
    return entries


def _tool_call(name: str, kind: str) -> Json:
    return {
        "type": kind,
        "request_id": "",
        "tool_name": name,
        "params_as_json": "{}",
        "tool_has_been_called": True,
        "tool_details": None,
    }


def _feedback(record: ConversationRecord, turn: Turn) -> Json | None:
    score = record.feedback.get(str(turn.event_id))
    return None if score is None else {"score": score, "time_in_call_secs": 0}


def list_item(record: ConversationRecord, agent_name: str | None, *, summary: bool = False) -> Json:
    """One row of GET /v1/convai/conversations."""
    return {
        "agent_id": record.agent_id,
        "agent_name": agent_name,
        "conversation_id": record.conversation_id,
        "start_time_unix_secs": record.started_unix_s,
        "call_duration_secs": duration_s(record),
        "message_count": sum(1 + bool(turn.user_text) for turn in record.turns),
        "status": _status(record),
        "termination_reason": _reason(record),
        "call_successful": successful(record),
        "transcript_summary": _summary(record) if summary else None,
        "call_summary_title": None,
        "main_language": record.language or "en",
        "conversation_initiation_source": ((record.client_data or {}).get("source_info") or {}).get("source"),
        "tool_names": sorted({name for turn in record.turns for name in turn.tool_names}),
        "direction": None,
        "rating": (record.overall_feedback or {}).get("rating"),
        "tag_ids": [],
    }


def _summary(record: ConversationRecord) -> str:
    return f"An emulated conversation of {len(record.turns)} agent turns."


def detail(record: ConversationRecord, agent_name: str | None) -> Json:
    """GET /v1/convai/conversations/{id}."""
    data = record.client_data or {}
    failed = _status(record) == "failed"
    return {
        "agent_id": record.agent_id,
        "agent_name": agent_name,
        "status": _status(record),
        "user_id": data.get("user_id"),
        "conversation_id": record.conversation_id,
        "has_audio": record.has_audio and record.closed_ns is not None,
        "has_user_audio": record.has_audio and record.audio_in.messages > 0,
        "has_response_audio": record.has_audio and any(turn.audio_ms for turn in record.turns),
        "has_auxiliary_audio": False,
        "branch_id": None,
        "version_id": None,
        "environment": record.query.get("environment", "production"),
        "visited_agents": [{"agent_id": record.agent_id, "branch_id": None}],
        "tag_ids": [],
        "transcript": _transcript(record),
        "metadata": {
            "start_time_unix_secs": record.started_unix_s,
            "accepted_time_unix_secs": record.started_unix_s,
            "call_duration_secs": duration_s(record),
            "queue_wait_secs": record.queue_wait_s,
            "cost": None,
            "text_only": record.text_only,
            "authorization_method": record.authorization_method,
            "termination_reason": _reason(record),
            "error": {"code": record.close_code, "reason": record.close_reason} if failed else None,
            "main_language": record.language or "en",
            "phone_call": None,
            "warnings": [],
        },
        "analysis": None,
        "conversation_initiation_client_data": {
            "conversation_config_override": data.get("conversation_config_override") or {},
            "custom_llm_extra_body": data.get("custom_llm_extra_body") or {},
            "dynamic_variables": data.get("dynamic_variables") or {},
            "user_id": data.get("user_id"),
            "source_info": data.get("source_info"),
        },
    }
