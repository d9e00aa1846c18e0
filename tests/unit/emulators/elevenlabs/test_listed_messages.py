"""What an agent sends only when its client_events list it: content, order, keys; and that nothing else comes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from eleven_wire import LIVE, LONG, QUESTION, Wire

from shortwire.emulators.elevenlabs.agent_rules import CLIENT_EVENTS
from shortwire.emulators.elevenlabs.config import Behaviour, McpServer, ScriptedEvent, ScriptedTool
from shortwire.emulators.elevenlabs.notices import KEYS, error
from shortwire.emulators.elevenlabs.scripted import AT_START

FAST = {"greeting_think_ms": (100, 100)}


def asked(**options) -> Wire:
    """One question, answered."""
    wire = Wire(**options)
    wire.wait(1500)
    wire.hear(QUESTION)
    wire.hear(1500)
    return wire


def test_nothing_comes_that_is_not_listed():
    wire = asked(
        behaviour=Behaviour(
            **FAST,
            mcp_servers=(McpServer("m"),),
            events=(ScriptedEvent(0, "guardrail_triggered", {"guardrail_name": "g"}),),
            tools=(ScriptedTool(0, "t", tool_type="mcp"),),
        )
    )
    kinds = {message["type"] for message in wire.messages()}
    assert kinds <= {*LIVE, "conversation_initiation_metadata", "ping", "client_tool_call", "agent_tool_response"}


def test_every_event_that_can_be_listed_can_be_had():
    events = tuple(ScriptedEvent(0, kind, {"note": 1}) for kind in sorted(KEYS) if kind != "queue_status")
    tools = (ScriptedTool(0, "m", tool_type="mcp", needs_approval=True, approval_timeout_s=0.1), ScriptedTool(0, "c"))
    behaviour = Behaviour(
        **FAST,
        events=events,
        tools=tools,
        mcp_servers=(McpServer("m"),),
        tentative_interval_ms=60,
        response_metadata={"k": "v"},
    )
    wire = Wire(listed=tuple(CLIENT_EVENTS), behaviour=behaviour)
    wire.wait(2000)
    wire.hear(QUESTION)
    wire.hear(1500)
    (call,) = wire.of("client_tool_call")
    wire.send({"type": "client_tool_result", "tool_call_id": call["tool_call_id"], "result": "ok", "is_error": False})
    wire.wait(1000)
    wire.hear("No, thank you.")  # over the long answer
    wire.wait(100)
    assert set(CLIENT_EVENTS) <= {message["type"] for message in wire.messages()}


def test_messages_have_the_key_order_of_the_live_ones():
    wire = asked(listed=tuple(CLIENT_EVENTS), behaviour=Behaviour(**FAST, mcp_servers=(McpServer("m"),)))
    for message in wire.messages():
        assert list(message)[-1] == "type"
        assert len(message) == 2
    (usage,) = wire.of("context_usage")
    assert list(usage) == ["event_id", "model", "context_tokens", "context_limit_tokens"]
    assert usage["event_id"] == wire.record.turns[1].event_id
    assert wire.of("asr_initiation_metadata") == [{}]
    (status,) = wire.of("mcp_connection_status")
    assert list(status["integrations"][0]) == ["integration_id", "integration_type", "is_connected", "tool_count"]


def test_the_metadata_is_first_whatever_is_listed():
    wire = Wire(listed=tuple(CLIENT_EVENTS), behaviour=Behaviour(**FAST, mcp_servers=(McpServer("m"),)))
    assert wire.story() == ["conversation_initiation_metadata", "asr_initiation_metadata", "mcp_connection_status"]


def test_scores_follow_the_voice():
    wire = asked(listed=("vad_score",))
    scores = [event["vad_score"] for event in wire.of("vad_score")]
    assert all(0 <= score <= 1 for score in scores)
    assert scores[0] > 0.5
    assert scores[-1] < 0.05
    assert len(scores) == pytest.approx(wire.record.audio_in.messages / 5, abs=1)


def test_half_heard_words_grow_and_carry_the_number_of_the_turn_they_become():
    wire = asked(listed=("tentative_user_transcript",), behaviour=Behaviour(**FAST, tentative_interval_ms=100))
    heard = wire.of("tentative_user_transcript")
    texts = [event["user_transcript"] for event in heard]
    assert texts == sorted(texts, key=len)
    assert len(set(texts)) == len(texts) >= 3
    assert all(QUESTION.startswith(text) for text in texts)
    (final,) = wire.of("user_transcript")
    assert {event["event_id"] for event in heard} == {final["event_id"]}


def test_ids_never_go_down_when_a_half_heard_turn_is_interrupted():
    wire = asked(listed=("tentative_user_transcript",), behaviour=Behaviour(**FAST, tentative_interval_ms=60))
    wire.hear("No, thank you.")
    wire.hear(1500)
    answered, stopped = wire.record.turns[1:]
    assert answered.event_id < answered.interruption_id < stopped.event_id
    ids = [event["event_id"] for event in wire.of("tentative_user_transcript")]
    assert ids == sorted(ids)
    assert ids[-1] == stopped.event_id


def test_the_end_of_a_turn_becomes_ever_more_probable():
    wire = asked(listed=("internal_turn_probability",))
    values = [event["turn_probability"] for event in wire.of("internal_turn_probability")]
    tail = values[-4:]
    assert tail == sorted(tail)
    assert 0.6 < tail[-1] <= 1


def test_the_beside_messages_come_after_the_response_and_a_greeting_uses_no_context():
    listed = ("context_usage", "agent_response_complete", "agent_response_metadata")
    wire = asked(listed=listed, behaviour=Behaviour(**FAST, response_metadata={"k": "v"}))
    assert wire.story("ping")[1:] == [
        *("audio", "agent_response", "agent_response_metadata", "agent_response_complete", "user_transcript"),
        *("audio", "agent_response", "agent_response_metadata", "context_usage", "agent_response_complete"),
    ]


def test_response_metadata_needs_a_custom_llm_or_something_to_say():
    custom = {"agent": {"prompt": {"llm": "custom-llm", "custom_llm": {"url": "http://127.0.0.1/x"}}}}
    assert asked(listed=("agent_response_metadata",)).of("agent_response_metadata") == []
    assert [
        e["metadata"] for e in asked(listed=("agent_response_metadata",), agent=custom).of("agent_response_metadata")
    ] == [
        {},
        {},
    ]


def test_a_tentative_response_comes_when_thinking_begins():
    wire = asked(listed=("internal_tentative_agent_response",))
    assert wire.of("internal_tentative_agent_response") == [{"tentative_agent_response": LONG}]
    assert wire.at("internal_tentative_agent_response")[0] + 400 == wire.at("user_transcript")[0]


def test_scripted_events_come_before_their_reply_and_some_whatever_is_listed():
    events = (
        ScriptedEvent(AT_START, "external_agent_connected", always=True),
        ScriptedEvent(0, "rich_content", {"rich_content_id": "r", "component": "card", "props": {}}, always=True),
        ScriptedEvent(0, "agent_reasoning_response_part", {"text": "hm", "type": "delta"}),
        ScriptedEvent(0, "guardrail_triggered", {"guardrail_name": "g"}),
    )
    wire = asked(behaviour=Behaviour(**FAST, events=events), listed=("agent_reasoning_response_part",))
    assert wire.story("ping")[1:] == [
        *("external_agent_connected", "audio", "agent_response", "user_transcript"),
        *("rich_content", "agent_reasoning_response_part", "audio", "agent_response"),
    ]
    event_id = wire.record.turns[1].event_id
    assert wire.of("rich_content")[0]["event_id"] == event_id
    assert wire.of("agent_reasoning_response_part")[0]["event_id"] == str(event_id)
    with pytest.raises(ValueError, match="cannot be scripted"):
        ScriptedEvent(0, "audio")


def test_alignment_covers_the_text_when_chosen():
    wire = Wire(behaviour=Behaviour(**FAST, alignment=True, chunk_ms=(200,)))
    wire.wait(1500)
    events = wire.of("audio")
    assert "".join("".join(event["alignment"]["chars"]) for event in events) == "Hello."
    assert all(list(event) == ["audio_base_64", "event_id", "alignment"] for event in events)
    starts = events[0]["alignment"]["char_start_times_ms"]
    assert starts == sorted(starts)


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("error", {"type": "error", "kind": "override_error"}),
        ("client_error", {"type": "client_error", "kind": "override_error"}),
        ("flat", {"type": "error", "kind": None}),
    ],
)
def test_errors_are_announced_in_band_only_when_chosen(form, expected):
    data = {"conversation_config_override": {"tts": {"voice_id": "x"}}}
    wire = Wire(client_data=data, behaviour=Behaviour(**FAST, in_band_errors=form), listed=("client_error",))
    wire.wait(500)
    announced = wire.messages()[-1]
    assert announced["type"] == expected["type"]
    event = announced.get("error_event", {})
    assert event.get("error_type", event.get("error_name")) == expected["kind"]
    assert wire.story()[-1] == "1008 Override for field 'voice_id' is not allowed by config."
    quiet = Wire(client_data=data)
    quiet.wait(500)
    assert len(quiet.messages()) == 1
    unlisted = Wire(client_data=data, behaviour=Behaviour(**FAST, in_band_errors=form))
    unlisted.wait(500)
    assert len(unlisted.messages()) == (1 if form == "client_error" else 2)


def test_error_types_are_the_published_ones():
    assert error("error", 1000, "max_duration_exceeded")["error_event"]["error_type"] == "max_duration_exceeded"
    assert error("error", 1011, "x")["error_event"]["error_type"] == "unknown_websocket_crash"
    reason = "Missing required dynamic variables in tools: {'a'}"
    assert error("client_error", 1008, reason)["error_event"]["error_name"] == "missing_dynamic_variable"


CORPUS = Path(__file__).parents[3] / "fixtures" / "corpus" / "elevenlabs-server.jsonl"


def test_the_keys_are_those_of_the_captures():
    """Every message type seen live has, here, the same keys in the same order."""
    live: dict[str, set[tuple[str, ...]]] = {}
    for line in CORPUS.read_text().splitlines():
        row = json.loads(line)
        if row["kind"] == "capture":
            message = json.loads(row["raw"])
            payload = next(iter(message.values()))
            live.setdefault(message["type"], set()).add((*message, *payload))
    behaviour = Behaviour(**FAST, tools=(ScriptedTool(0, "t"),))
    wire = asked(listed=tuple(CLIENT_EVENTS), behaviour=behaviour)
    (call,) = wire.of("client_tool_call")
    wire.send({"type": "client_tool_result", "tool_call_id": call["tool_call_id"], "result": "ok", "is_error": False})
    wire.wait(1500)
    wire.hear("No, thank you.")
    compared = set()
    for message in wire.messages():
        if message["type"] in live:
            compared.add(message["type"])
            assert (*message, *next(iter(message.values()))) in live[message["type"]]
    assert compared == set(live)
