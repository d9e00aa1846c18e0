"""Tools of every kind, from the request to the response, in virtual time."""

from __future__ import annotations

import pytest
from eleven_wire import QUESTION, Wire

from shortwire.emulators.elevenlabs.config import Behaviour, ScriptedTool
from shortwire.emulators.elevenlabs.turns import Turn

FAST = {"greeting_think_ms": (100, 100)}
LISTED = ("agent_tool_request", "agent_tool_response_full_payload", "mcp_tool_call")
TOLD = ("ping", "audio", "agent_response", "conversation_initiation_metadata", "user_transcript")


def asked(*tools: ScriptedTool, listed=LISTED, **options) -> Wire:
    wire = Wire(behaviour=Behaviour(**FAST, tools=tools), listed=listed, **options)
    wire.wait(1500)
    wire.hear(QUESTION)
    wire.hear(1200)
    return wire


def result_of(wire: Wire, **fields) -> dict:
    (call,) = wire.of("client_tool_call")
    answer = {"tool_call_id": call["tool_call_id"], "result": "ok", "is_error": False, **fields}
    return {"type": "client_tool_result", **answer}


def answered(wire: Wire) -> Turn:
    return wire.record.turns[1]


@pytest.mark.parametrize(
    ("fields", "outcome"),
    [
        ({}, (False, True, "success")),
        ({"is_error": True}, (True, True, "error")),
        ({"error_type": "external_client"}, (True, True, "error")),
        ({"error_type": "user_rejected"}, (True, False, "error")),
        ({"result": {"any": ["json"]}}, (False, True, "success")),
    ],
)
def test_a_client_tool_and_what_its_result_says(fields, outcome):
    wire = asked(ScriptedTool(0, "look_up", {"what": "hours"}))
    assert answered(wire).first_audio_ns is None
    (request,) = wire.of("agent_tool_request")
    assert list(request) == [
        *("tool_name", "tool_call_id", "tool_type", "event_id"),
        *("expects_response", "disable_interruptions", "response_timeout_secs", "execution_mode"),
    ]
    wire.send(result_of(wire, **fields))
    wire.wait(1000)
    (response,) = wire.of("agent_tool_response")
    assert (response["is_error"], response["is_called"], response["status"]) == outcome
    (full,) = wire.of("agent_tool_response_full_payload")
    assert full["truncated"] is False
    assert full["full_tool_result"] == ('{"any": ["json"]}' if isinstance(fields.get("result"), dict) else "ok")
    assert answered(wire).first_audio_ns is not None
    assert answered(wire).tool_names == ["look_up"]


def test_a_client_that_does_not_answer_has_its_time():
    wire = asked(ScriptedTool(0, "look_up", response_timeout_s=2.0))
    assert wire.of("agent_tool_response") == []
    wire.wait(3000)
    assert wire.of("agent_tool_response")[0]["is_error"] is True
    assert answered(wire).first_audio_ns is not None
    wire.send(result_of(wire))
    assert wire.record.notes[-1].startswith("a tool result nobody waits for")


def test_a_webhook_tool_takes_its_time_on_the_service_side():
    wire = asked(ScriptedTool(0, "crm", tool_type="webhook", result="known", duration_ms=500))
    assert wire.of("agent_tool_response") == []
    wire.wait(1500)
    assert wire.of("client_tool_call") == []
    assert wire.of("agent_tool_response")[0]["tool_type"] == "webhook"
    assert wire.of("agent_tool_response_full_payload")[0]["full_tool_result"] == "known"
    assert wire.at("agent_tool_response")[0] - wire.at("agent_tool_request")[0] == 500


def test_several_tools_run_one_after_the_other():
    tools = (
        ScriptedTool(0, "a", tool_type="webhook", duration_ms=100),
        ScriptedTool(0, "b", tool_type="system"),
        ScriptedTool(0, "c", tool_type="webhook", is_error=True),
    )
    wire = asked(*tools)
    wire.wait(1500)
    assert [event["tool_name"] for event in wire.of("agent_tool_response")] == ["a", "b", "c"]
    assert [event["is_error"] for event in wire.of("agent_tool_response")] == [False, False, True]
    assert answered(wire).first_audio_ns is not None


def test_a_blocked_tool_is_not_called():
    wire = asked(ScriptedTool(0, "a", is_blocked=True))
    wire.wait(1000)
    (response,) = wire.of("agent_tool_response")
    assert (response["is_blocked"], response["is_called"]) == (True, False)
    assert wire.of("client_tool_call") == []


def test_an_async_tool_does_not_hold_the_reply_back():
    wire = asked(ScriptedTool(0, "a", execution_mode="async"))
    assert answered(wire).first_audio_ns is not None
    assert len(wire.of("client_tool_call")) == 1


@pytest.mark.parametrize(
    ("approve", "states", "called"),
    [
        (True, ["loading", "awaiting_approval", "loading", "success"], True),
        (False, ["loading", "awaiting_approval", "failure"], False),
        (None, ["loading", "awaiting_approval", "failure"], False),
    ],
)
def test_an_mcp_tool_waits_for_approval(approve, states, called):
    tool = ScriptedTool(0, "search", tool_type="mcp", result="fish", needs_approval=True, approval_timeout_s=5)
    wire = asked(tool)
    call = wire.of("mcp_tool_call")[0]
    assert list(call)[:7] == [
        *("service_id", "tool_call_id", "tool_name", "tool_description", "parameters", "timestamp", "state")
    ]
    decision = {"type": "mcp_tool_approval_result", "tool_call_id": call["tool_call_id"], "is_approved": bool(approve)}
    wire.send({**decision, "tool_call_id": "another"})
    assert wire.record.notes[-1] == "an approval nobody waits for: another"
    if approve is not None:
        wire.send(decision)
    wire.wait(6000)
    calls = wire.of("mcp_tool_call")
    assert [event["state"] for event in calls] == states
    assert calls[1]["approval_timeout_secs"] == 5
    assert wire.of("agent_tool_response")[0]["is_called"] is called
    if approve:
        assert calls[-1]["result"] == [{"type": "text", "text": "fish"}]
    else:
        assert calls[-1]["error_message"]
    assert answered(wire).first_audio_ns is not None


@pytest.mark.parametrize(
    ("mocks", "called"),
    [
        ({"mocking_strategy": "all"}, False),
        ({"mocking_strategy": "selected", "mocked_tool_names": ["look_up"]}, False),
        ({"mocking_strategy": "selected", "mocked_tool_names": ["another"]}, True),
        ({"mocking_strategy": "none"}, True),
    ],
)
def test_a_mocked_tool_is_not_called(mocks, called):
    wire = asked(ScriptedTool(0, "look_up"), client_data={"tool_mock_config": mocks})
    assert bool(wire.of("client_tool_call")) is called
    assert bool(wire.of("agent_tool_response")) is not called


def test_variables_are_put_into_the_parameters():
    tool = ScriptedTool(0, "look_up", {"who": "{{name}}", "id": "{{system__conversation_id}}", "n": 3})
    wire = asked(tool, client_data={"dynamic_variables": {"name": "Ann"}})
    assert wire.of("client_tool_call")[0]["parameters"] == {"who": "Ann", "id": "conv_1", "n": 3}


@pytest.mark.parametrize("mode", ["allow", "disable_during_tool"])
def test_who_speaks_while_a_tool_works_is_listened_to_only_if_allowed(mode):
    wire = asked(ScriptedTool(0, "look_up", interruption_mode=mode))
    wire.hear("No, thank you.")
    speaking = wire.conversation.mind.hearing.speaking
    assert speaking is (mode == "allow")
    wire.send(result_of(wire))
    assert answered(wire).first_audio_ns is None
    wire.hear(2000)
    assert answered(wire).first_audio_ns is not None
    assert len(wire.record.turns) == 2


def test_a_long_result_is_cut_at_64_kb():
    wire = asked(ScriptedTool(0, "a", tool_type="webhook", result="é" * 40_000))
    wire.wait(1000)
    (full,) = wire.of("agent_tool_response_full_payload")
    assert full["truncated"] is True
    assert len(full["full_tool_result"].encode()) == 65536


def test_a_tool_that_makes_no_sense_is_refused():
    with pytest.raises(ValueError, match="only mcp tools"):
        ScriptedTool(0, "a", needs_approval=True)
    with pytest.raises(ValueError, match="needs a tool_name"):
        ScriptedTool(0, "")


def test_end_call_is_a_system_tool():
    wire = Wire(listed=LISTED)
    wire.wait(1000)
    for _ in range(3):
        wire.send({"type": "user_message", "text": "Hm?"})
        wire.wait(8000)
    assert wire.story(*TOLD)[-4:] == [
        "agent_tool_request",
        "agent_tool_response",
        "agent_tool_response_full_payload",
        "1000",
    ]
    assert {event["tool_name"] for event in wire.of("agent_tool_response")} == {"end_call"}
