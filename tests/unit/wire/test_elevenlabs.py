"""The conversation's messages: whatever the corpus holds is understood or harmlessly unknown."""

from __future__ import annotations

import json

import pytest
from wire_corpus import AGENT, Row

from shortwire.wire import elevenlabs as el
from shortwire.wire.twilio import WireError

KNOWN = {
    "conversation_initiation_metadata": el.Metadata,
    "ping": el.Ping,
    "audio": el.Audio,
    "interruption": el.Interruption,
    "user_transcript": el.UserTranscript,
    "agent_response": el.AgentResponse,
    "agent_response_correction": el.Correction,
    "client_tool_call": el.ClientToolCall,
    "agent_tool_response": el.ToolResponse,
    "error": el.ServerError,
    "client_error": el.ServerError,
}


@pytest.mark.parametrize("row", AGENT, ids=repr)
def test_every_message_of_the_corpus(row: Row) -> None:
    message = el.decode(row.raw)
    assert type(message) is KNOWN.get(row.parsed["type"], el.Other)
    match message:
        case el.Other():
            assert message.type == row.parsed["type"]
        case el.Ping():
            assert message.ping_event.event_id == row.parsed["ping_event"]["event_id"]
        case el.Interruption():
            assert message.interruption_event.event_id == row.parsed["interruption_event"]["event_id"]
        case el.UserTranscript():
            said = row.parsed["user_transcription_event"]["user_transcript"]
            assert message.user_transcription_event.user_transcript == said
        case el.Metadata():
            event = row.parsed["conversation_initiation_metadata_event"]
            known = message.conversation_initiation_metadata_event
            assert known.conversation_id == event["conversation_id"]
            assert known.agent_output_audio_format == event["agent_output_audio_format"]


def test_the_corpus_has_most_of_what_we_know() -> None:
    assert KNOWN.keys() - {row.parsed["type"] for row in AGENT} == {"error"}


def test_a_nested_type_is_not_the_messages_type() -> None:
    part = b'{"text_response_part":{"text":"x","type":"ping","event_id":1},"type":"agent_chat_response_part"}'
    assert el.decode(part) == el.Other("agent_chat_response_part")


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (
            b'{"type":"error","error_event":{"code":1000,"message":"over","error_type":"max_duration_exceeded"}}',
            "max_duration_exceeded: over",
        ),
        (b'{"type":"error","error_event":{"code":1011,"reason":"crash","debug_message":null}}', "crash"),
        (b'{"type":"client_error","error_event":{"error_name":"override_error","message":"no"}}', "override_error: no"),
        (b'{"type":"error","message":"received 1002 (protocol error) quota"}', "received 1002 (protocol error) quota"),
        (b'{"type":"error"}', "error without a text"),
        (b'{"type":"error","error_event":{}}', "error without a text"),
    ],
)
def test_every_form_of_an_in_band_error_has_a_text(message: bytes, text: str) -> None:
    error = el.decode(message)
    assert isinstance(error, el.ServerError)
    assert error.text() == text


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"null",
        b"[]",
        b'{"type":5}',
        b'{"type":"audio"}',
        b'{"type":"audio","audio_event":{"audio_base_64":"AAAA"}}',
        b'{"type":"audio","audio_event":{"audio_base_64":null,"event_id":1}}',
        b'{"type":"ping"}',
        b'{"type":"ping","ping_event":{"event_id":"3"}}',
        b'{"type":"conversation_initiation_metadata","conversation_initiation_metadata_event":{}}',
        b'{"type":"user_transcript","user_transcription_event":{"user_transcript":null}}',
        b'{"type":"ping","ping_event":{"event_id":1}}}',
        b'{"type":"\xff"}',
        b'{"type":"ping","x":' + b"[" * 100_000,
        b"[" * 100_000,
    ],
)
def test_what_is_no_message_is_a_wire_error_with_words(message: bytes) -> None:
    with pytest.raises(WireError) as caught:
        el.decode(message)
    assert str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("event_id", [0, 1, 123456, 2**40, -1])
def test_pong(event_id: int) -> None:
    assert json.loads(el.pong(event_id)) == {"type": "pong", "event_id": event_id}


# elevenlabs.md 6.2: the keys of the client data, and of its overrides
DOCUMENTED = {
    "type",
    "conversation_config_override",
    "custom_llm_extra_body",
    "dynamic_variables",
    "user_id",
    "source_info",
    "tool_mock_config",
}


def test_client_data_has_only_documented_sections() -> None:
    overrides = {"agent": {"first_message": "Grüß Gott", "prompt": {"prompt": 'say "hi"'}}, "tts": {"voice_id": "v"}}
    message = json.loads(
        el.client_data(overrides=overrides, dynamic_variables={"name": "Ann", "vip": True}, version="1")
    )
    assert message.keys() <= DOCUMENTED
    assert message["type"] == "conversation_initiation_client_data"
    assert message["conversation_config_override"] == overrides
    assert message["dynamic_variables"] == {"name": "Ann", "vip": True}
    assert message["source_info"] == {"source": "twilio", "version": "shortwire 1"}


def test_client_data_leaves_out_what_is_empty() -> None:
    message = json.loads(el.client_data(overrides={}, dynamic_variables={}, version="9" * 80))
    assert message.keys() == {"type", "source_info"}
    assert len(message["source_info"]["version"]) == 50


def test_tool_refusal() -> None:
    message = json.loads(el.tool_refusal("tc_1", 'evil"}'))
    assert message.keys() == {"type", "tool_call_id", "result", "is_error"}
    assert (message["type"], message["tool_call_id"], message["is_error"]) == ("client_tool_result", "tc_1", True)
    assert 'evil"}' in message["result"]
