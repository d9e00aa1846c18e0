"""Vendor faults on the wire, in virtual time; and that the same seed makes the same call."""

from __future__ import annotations

import json

import pytest
from eleven_wire import QUESTION, Wire

from shortwire.emulators.elevenlabs.config import Behaviour, FaultError, Faults
from shortwire.emulators.elevenlabs.conversation import Text
from shortwire.emulators.elevenlabs.turns import Deaf, Drop

FAST = {"greeting_think_ms": (100, 100)}


def call(faults: Faults | None = None, **options) -> Wire:
    """A question, an interruption, an answer."""
    wire = Wire(faults=faults, **options)
    wire.wait(1500)
    wire.hear(QUESTION)
    wire.hear(1500)
    wire.hear("No, thank you.")
    wire.hear(2000)
    return wire


def test_the_metadata_twice():
    wire = Wire(faults=Faults(duplicate_metadata=True))
    wire.wait(500)
    assert len(wire.of("conversation_initiation_metadata")) == 2


def test_the_response_overtakes_the_transcript():
    wire = call(Faults(response_before_transcript=True))
    kinds = [message["type"] for message in wire.messages() if message["type"] in ("user_transcript", "agent_response")]
    assert kinds == ["agent_response", *["agent_response", "user_transcript"] * 2]
    assert [event["user_transcript"] for event in wire.of("user_transcript")] == [QUESTION, "No, thank you."]


def test_late_audio_of_the_interrupted_turn():
    wire = call(Faults(late_audio_ms=300))
    asked, stopped = wire.record.turns[1:]
    at_ms = wire.at("interruption")[0] + 300
    late = [
        json.loads(output)["audio_event"]["event_id"]
        for at, output in wire.log
        if at == at_ms and isinstance(output, Text) and '"audio"' in output
    ]
    assert late == [asked.event_id]
    assert asked.event_id < asked.interruption_id < stopped.event_id
    assert len(wire.of("audio")) == len(call().of("audio")) + 1


def test_audio_stops_and_texts_go_on():
    wire = call(Faults(audio_stops_after_ms=1000))
    assert wire.at("audio") == [100]
    assert len(wire.of("agent_response")) == 3


def test_nothing_at_all_any_more():
    wire = Wire(faults=Faults(mute_after_ms=1000))
    wire.wait(120_000)
    assert max(at for at, _ in wire.log) <= 1000
    assert wire.record.closed_ns is None
    wire.conversation.drop()
    wire.take()
    assert isinstance(wire.log[-1][1], Drop)


def test_deaf_and_mute_at_once_is_half_open():
    wire = Wire(faults=Faults(mute_after_ms=1000, deaf_after_ms=1000))
    wire.wait(120_000)
    assert [type(output) for at, output in wire.log if at >= 1000] == [Deaf]


def test_pings_can_stop_and_come_back_while_it_runs():
    wire = Wire(faults=Faults(withhold_pings=True))
    wire.wait(10_000)
    assert wire.of("ping") == []
    wire.conversation.set_faults(Faults(), wire.now)
    wire.wait(4000)
    assert wire.of("ping")[0]["event_id"] == 2


def test_missing_pongs_are_tolerated_or_not():
    wire = Wire()
    wire.wait(20_000)
    assert wire.story()[-1] == "ping"
    wire = Wire(faults=Faults(unanswered_pings=2))
    wire.wait(20_000)
    assert wire.story()[-1] == "1002"
    assert len(wire.of("ping")) == 2


def test_unknown_messages_never_come_first():
    wire = call(Faults(unknown_messages=True))
    kinds = [message["type"] for message in wire.messages()]
    assert kinds[0] == "conversation_initiation_metadata"
    assert kinds[1::2] == ["emulated_novelty"] * len(kinds[1::2])


def test_unknown_keys_are_everywhere_and_the_known_ones_are_unchanged():
    plain, odd = call(), call(Faults(extra_keys=True))
    for before, after in zip(plain.messages(), odd.messages(), strict=True):
        assert set(after) == {*before, "emulated_key"}
        payload = next(iter(before.values()))
        assert {key: value for key, value in after[next(iter(before))].items() if key in payload} == payload


def test_faults_for_one_conversation_count_from_their_setting():
    wire = Wire()
    wire.wait(5000)
    wire.conversation.set_faults(Faults(close_after_ms=(1011, "crash", 700)), wire.now)
    wire.wait(5000)
    assert wire.log[-1][0] == 5700
    assert wire.story()[-1] == "1011 crash"


def test_every_fault_can_be_set_as_json_and_nothing_else():
    values = {
        "close_after_ms": [1011, "x", 5],
        "send_after_ms": ["x", 5],
        "error_shape": "legacy",
        "error_code": "c",
        "rest_path": "/",
    }
    for name in Faults.__dataclass_fields__:
        default = getattr(Faults(), name)
        value = values.get(name, True if isinstance(default, bool) else 7)
        parsed = getattr(Faults.parse({name: value}), name)
        assert parsed == (tuple(value) if isinstance(value, list) else value)
        for bad in ([], {}, -1, 1.5):
            with pytest.raises(FaultError, match=name):
                Faults.parse({name: bad})
    assert Faults.parse({"drop_after_ms": None, "close_after_ms": None, "retry_after_s": None}) == Faults()
    with pytest.raises(FaultError):
        Faults.parse({"signed_url_status": None})


# -- the same seed, the same call -------------------------------------------------------------------------------------


def told(wire: Wire) -> list[tuple[int, str]]:
    """Everything that left, without what is drawn from the clock or for this conversation alone."""
    return [(at_ms, str(output)) for at_ms, output in wire.log]


def test_the_same_scenario_seed_and_audio_make_the_same_call_to_the_byte():
    listed = ("vad_score", "tentative_user_transcript", "context_usage", "agent_tool_request")
    behaviour = Behaviour(chunk_gap_ms=15)  # thinking times are drawn
    first, again = (call(listed=listed, behaviour=behaviour, seed=7) for _ in range(2))
    assert told(first) == told(again)
    assert len(told(first)) > 20


def test_another_seed_makes_another_call():
    first, other = (call(behaviour=Behaviour(), seed=seed) for seed in (7, 8))
    assert told(first) != told(other)
    assert first.story("ping", "audio") == other.story("ping", "audio")
