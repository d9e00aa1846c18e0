"""What an agent's configuration changes about its turns, in virtual time."""

from __future__ import annotations

import pytest
from eleven_wire import LONG, QUESTION, SCRIPT, Wire

from shortwire.emulators.elevenlabs.config import Behaviour
from shortwire.emulators.scenario import AgentScript, Reply

FAST = {"greeting_think_ms": (100, 100)}


def turn(**settings) -> dict:
    return {"turn": settings}


def test_eagerness_moves_the_end_of_the_turn():
    certain = {}
    for eagerness in ("patient", "normal", "eager"):
        wire = Wire(agent=turn(turn_eagerness=eagerness))
        wire.wait(1500)
        wire.hear(QUESTION)
        wire.hear(2000)
        answered = wire.record.turns[1]
        certain[eagerness] = (answered.turn_certain_ns - answered.speech_ended_ns) // 1_000_000
        assert wire.record.end_of_turn_ms == certain[eagerness]
    assert certain == {"patient": 800, "normal": 500, "eager": 300}


SLOW = AgentScript(first_message="Hello.", replies=(Reply("Yes.", (3000, 3000)),), transcripts=(QUESTION,))
SOFT = {"timeout_seconds": 1.0, "message": "Hello.", "additional_soft_timeout_messages": ["Goodbye."]}


def slow(**soft) -> Wire:
    wire = Wire(script=SLOW, agent=turn(soft_timeout_config={**SOFT, **soft}))
    wire.wait(1500)
    wire.hear(QUESTION)
    return wire


def test_a_filler_bridges_a_long_thought_once():
    wire = slow()
    wire.hear(4500)
    greeting, answered = wire.record.turns
    assert answered.fillers == ["Hello."]
    assert greeting.fillers == []
    certain_ms = answered.turn_certain_ns // 1_000_000
    audio_ms = [at for at in wire.at("audio") if at > certain_ms]
    assert audio_ms == [certain_ms + 1000, certain_ms + 3000]
    ids = [event["event_id"] for event in wire.of("audio")]
    assert ids[1] == ids[2] == answered.event_id
    assert [event["agent_response"] for event in wire.of("agent_response")] == ["Hello.", "Yes."]


def test_fillers_follow_each_other_up_to_their_number():
    wire = slow(max_soft_timeouts_per_generation=2)
    wire.hear(4500)
    assert wire.record.turns[1].fillers == ["Hello.", "Goodbye."]


def test_random_fillers_are_the_same_every_time():
    def said() -> list[str]:
        wire = slow(max_soft_timeouts_per_generation=2, randomize_fillers=True)
        wire.hear(4500)
        return wire.record.turns[1].fillers

    assert said() == said()


def test_no_filler_without_a_timeout_or_for_a_quick_answer():
    wire = slow(timeout_seconds=-1)
    wire.hear(4500)
    assert wire.record.turns[1].fillers == []
    quick = Wire(agent=turn(soft_timeout_config=SOFT))
    quick.wait(1500)
    quick.hear(QUESTION)
    quick.hear(2000)
    assert quick.record.turns[1].fillers == []


def test_who_goes_on_speaking_into_a_filler_stops_it_and_gets_one_answer():
    wire = slow()
    wire.hear(1600)  # 500 of silence, 1000 of thought: the filler has begun
    assert wire.record.turns[1].fillers == ["Hello."]
    wire.hear("No, thank you.")
    (stopped,) = wire.of("interruption")
    wire.hear(4500)
    _, answered = wire.record.turns
    assert answered.event_id > stopped["event_id"]
    last = wire.of("audio")[-1]
    assert last["event_id"] == answered.event_id
    assert [event["agent_response"] for event in wire.of("agent_response")] == ["Hello.", "Yes."]


@pytest.mark.parametrize(
    ("settings", "interrupted"),
    [
        ({"interruption_ignore_terms": ["no thank you", "NO, thank you"]}, False),
        ({"interruption_ignore_terms": ["thank you"]}, True),
        ({"merge_with_default_ignore_terms": True}, True),
        ({}, True),
    ],
)
def test_a_backchannel_does_not_interrupt(settings, interrupted):
    wire = Wire(agent=turn(**settings))
    wire.wait(1500)
    wire.hear(QUESTION)
    wire.hear(1000)
    wire.hear("No, thank you.")  # over the long answer
    wire.hear(1500)
    assert bool(wire.of("interruption")) is interrupted
    assert bool(wire.record.backchannels) is not interrupted
    if not interrupted:
        assert [text for text, _ in wire.record.backchannels] == ["No, thank you."]
        assert len(wire.record.turns) == 2
        assert wire.record.turns[1].audio_ms > 3000


def test_after_a_backchannel_the_next_words_are_a_turn_again():
    wire = Wire(agent=turn(interruption_ignore_terms=["no, thank you."]))
    wire.wait(1500)
    wire.hear(QUESTION)
    wire.hear(1000)
    wire.hear("No, thank you.")
    wire.hear(6000)
    wire.hear("Goodbye.")
    wire.hear(1500)
    assert [event["user_transcript"] for event in wire.of("user_transcript")] == [QUESTION, "Goodbye."]


def test_the_last_words_are_said_when_the_time_is_up():
    words = {"agent": {"max_conversation_duration_message": "Goodbye."}}
    wire = Wire(agent=words, max_duration_s=3)
    wire.wait(4000)
    assert wire.story("ping")[-3:] == ["audio", "agent_response", "1000 max_duration_exceeded"]
    assert wire.record.turns[-1].kind == "farewell"
    assert wire.at("audio")[-1] == 3000
    plain = Wire(max_duration_s=3)
    plain.wait(4000)
    assert plain.story("ping")[-2:] == ["agent_response", "1000 max_duration_exceeded"]


def test_the_last_words_interrupt_the_agent_itself_and_cannot_be_interrupted():
    words = {"agent": {"max_conversation_duration_message": LONG}}
    behaviour = Behaviour(**FAST, close_after_playout=True)
    wire = Wire(agent=words, max_duration_s=5, behaviour=behaviour)
    wire.wait(1500)
    wire.hear(QUESTION)
    wire.hear(3000)
    assert len(wire.of("interruption")) == 1
    wire.hear("No, thank you.")
    wire.wait(20_000)
    assert len(wire.of("interruption")) == 1
    assert wire.story("ping")[-1] == "1000 max_duration_exceeded"


def test_a_close_can_wait_for_the_playout():
    script = AgentScript(first_message="Hello.", replies=(Reply(LONG, (100, 100), end_call=True),), transcripts=("x",))
    closes = {}
    for waits in (False, True):
        wire = Wire(script=script, behaviour=Behaviour(**FAST, close_after_playout=waits))
        wire.wait(1500)
        wire.send({"type": "user_message", "text": "Hm?"})
        wire.wait(10_000)
        closes[waits] = wire.log[-1][0]
        assert wire.story("ping")[-1] == "1000"
    assert closes[True] - closes[False] == pytest.approx(wire.record.turns[1].audio_ms, abs=1)


def test_an_agent_without_a_first_message_waits_or_begins_after_a_while():
    script = AgentScript(first_message="", replies=SCRIPT.replies, transcripts=SCRIPT.transcripts)
    behaviour = Behaviour(**FAST, re_engagement="Hello.")
    wire = Wire(script=script, behaviour=behaviour)
    wire.wait(10_000)
    assert wire.of("audio") == []
    wire = Wire(script=script, behaviour=behaviour, agent=turn(initial_wait_time=2))
    wire.wait(10_000)
    assert wire.at("audio") == [2000]


def test_the_first_message_can_be_protected_from_interruption():
    script = AgentScript(first_message=LONG, replies=(Reply("Yes.", (100, 100)),), transcripts=(QUESTION,))
    for protected in (False, True):
        wire = Wire(script=script, agent={"agent": {"disable_first_message_interruptions": protected}})
        wire.wait(600)
        wire.hear(QUESTION)
        assert bool(wire.of("interruption")) is not protected


PRESETS = {
    "language_presets": {
        "de": {
            "overrides": {"agent": {"first_message": "Goodbye."}, "tts": {"voice_id": "v", "speed": None}},
            "first_message_translation": {"source_hash": "h", "text": "Yes."},
        },
        "fr": {"overrides": {}, "first_message_translation": {"source_hash": "h", "text": "Yes."}},
    }
}


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ({"language": "de"}, "Goodbye."),
        ({"language": "fr"}, "Yes."),
        ({"language": "en"}, "Hello."),
        ({}, "Hello."),
        ({"language": "de", "first_message": "No, thank you."}, "No, thank you."),
    ],
)
def test_a_language_brings_its_preset_and_the_client_comes_last(override, said):
    data = {"conversation_config_override": {"agent": override}}
    wire = Wire(agent=PRESETS, client_data=data, allow_overrides=("agent.language", "agent.first_message"))
    wire.wait(1500)
    assert [event["agent_response"] for event in wire.of("agent_response")] == [said]
    assert wire.record.language == override.get("language", "en")


def test_an_unsupported_language_closes_or_is_ignored():
    data = {"conversation_config_override": {"agent": {"language": "xx"}}}
    wire = Wire(client_data=data, allow_overrides=("agent.language",))
    wire.wait(1000)
    assert wire.story()[-1] == "1008 Language 'xx' is not supported by this agent."
    behaviour = Behaviour(**FAST, unsupported_language="keep")
    wire = Wire(client_data=data, allow_overrides=("agent.language",), behaviour=behaviour)
    wire.wait(1000)
    assert wire.of("agent_response")[0]["agent_response"] == "Hello."
    assert wire.record.language == "en"
