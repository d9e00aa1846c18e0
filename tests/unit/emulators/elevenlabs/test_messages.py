"""Server messages have the captured key order and are compact; client messages are refused strictly."""

from __future__ import annotations

import base64
import json

import pytest

from shortwire.emulators.elevenlabs import messages
from shortwire.emulators.elevenlabs.messages import InvalidMessage, encode, parse_client

# Key orders as captured from live conversations in 2026-09 (audio shortened).
CAPTURED = [
    (
        messages.metadata("conv_1", "pcm_16000", "ulaw_8000"),
        '{"conversation_initiation_metadata_event":{"conversation_id":"conv_1","agent_output_audio_format":"pcm_16000",'
        '"user_input_audio_format":"ulaw_8000","persistent_session_token":null},"type":"conversation_initiation_metadata"}',
    ),
    (messages.ping(2, None), '{"ping_event":{"event_id":2,"ping_ms":null},"type":"ping"}'),
    (
        messages.audio(b"\x03\x00", 10),
        '{"audio_event":{"audio_base_64":"AwA=","event_id":10,"is_final":false},"type":"audio"}',
    ),
    (messages.interruption(39), '{"interruption_event":{"event_id":39},"type":"interruption"}'),
    (
        messages.user_transcript("My name is Roberto.", 10),
        '{"user_transcription_event":{"user_transcript":"My name is Roberto.","event_id":10},"type":"user_transcript"}',
    ),
    (
        messages.agent_response("You're welcome.", 2, "r", ["q"]),
        '{"agent_response_event":{"agent_response":"You\'re welcome.","event_id":2,"response_id":"r",'
        '"in_response_to_ids":["q"],"response_type":"text","attachments":[]},"type":"agent_response"}',
    ),
    (
        messages.correction("It is sunny.", "It...", 1, "r"),
        '{"agent_response_correction_event":{"original_agent_response":"It is sunny.",'
        '"corrected_agent_response":"It...","event_id":1,"response_id":"r"},"type":"agent_response_correction"}',
    ),
    (
        messages.client_tool_call("get_weather", "get_weather_1", {"city": "Berlin"}, 1, True),
        '{"client_tool_call":{"tool_name":"get_weather","tool_call_id":"get_weather_1","parameters":{"city":"Berlin"},'
        '"event_id":1,"expects_response":true},"type":"client_tool_call"}',
    ),
    (
        messages.tool_response("get_weather", "get_weather_1", "client", 1),
        '{"agent_tool_response":{"tool_name":"get_weather","tool_call_id":"get_weather_1","tool_type":"client",'
        '"is_error":false,"is_blocked":false,"event_id":1,"is_called":true,"status":"success"},"type":"agent_tool_response"}',
    ),
    (
        messages.text_part("", "stop", 1, "r"),
        '{"text_response_part":{"text":"","type":"stop","event_id":1,"response_id":"r"},"type":"agent_chat_response_part"}',
    ),
]


@pytest.mark.parametrize(("message", "captured"), CAPTURED, ids=[m["type"] for m, _ in CAPTURED])
def test_the_text_is_the_captured_one(message, captured):
    assert encode(message) == captured


GOOD = [
    {"user_audio_chunk": base64.b64encode(b"\xff" * 160).decode()},
    {"type": "conversation_initiation_client_data"},
    {"type": "pong", "event_id": 0},
    {"type": "client_tool_result", "tool_call_id": "t", "result": "ok", "is_error": False},
    {
        "type": "client_tool_result",
        "tool_call_id": "t",
        "result": {"any": 1},
        "is_error": True,
        "error_type": "unknown",
    },
    {"type": "contextual_update", "text": "x", "context_id": "crm"},
    {"type": "user_message", "text": "x"},
    {"type": "user_message", "rich_content_id": "r"},
    {"type": "user_activity"},
    {"type": "feedback", "event_id": 8, "score": "like"},
    {"type": "feedback", "event_id": 8, "score": None},
    {
        "type": "multimodal_message",
        "text": {"type": "user_message", "text": "x"},
        "file": {"type": "file_input", "file_id": "f"},
    },
    {"type": "mcp_tool_approval_result", "tool_call_id": "t", "is_approved": True},
]


@pytest.mark.parametrize("message", GOOD, ids=lambda m: m.get("type", "user_audio_chunk"))
def test_every_documented_client_message_is_taken(message):
    kind, parsed, audio = parse_client(json.dumps(message))
    assert kind == message.get("type", "user_audio_chunk")
    assert parsed == message
    assert audio == (b"\xff" * 160 if kind == "user_audio_chunk" else b"")


BAD = [
    "",
    "no json",
    "[]",
    "null",
    '"text"',
    "{}",
    '{"type":"unheard_of"}',
    '{"type":7}',
    '{"type":"pong"}',
    '{"type":"pong","event_id":"3"}',
    '{"type":"pong","event_id":true}',
    '{"type":"pong","event_id":3,"more":1}',
    '{"type":"contextual_update","text":null}',
    '{"type":"feedback","event_id":1,"score":"great"}',
    '{"type":"client_tool_result","tool_call_id":"t","result":"x"}',
    '{"type":"conversation_initiation_client_data","overrides":{}}',
    '{"type":"conversation_initiation_client_data","dynamic_variables":[]}',
    '{"user_audio_chunk":7}',
    '{"user_audio_chunk":"not base64!"}',
    '{"user_audio_chunk":"YQ"}',
    '{"user_audio_chunk":"YQ==","event_id":1}',
]


@pytest.mark.parametrize("text", BAD)
def test_everything_else_is_refused(text):
    with pytest.raises(InvalidMessage):
        parse_client(text)
