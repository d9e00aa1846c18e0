"""The levers: what is read, what is proposed, and that nothing is proposed for an agent that is at its best."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from shortwire.agent_tuning import MISSING, change_of, differences, proposals, read_levers, value_at
from shortwire.agent_tuning.levers import NEEDED_EVENTS, WANTED_EVENTS, Verdict
from shortwire.emulators.elevenlabs import EmulatorConfig
from shortwire.emulators.elevenlabs.agents import AgentBook

C = "conversation_config."


def merged(base: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in change.items():
        old = result.get(key)
        result[key] = merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return result


@pytest.fixture
def agent() -> dict[str, Any]:
    """The emulator's first agent, which has the vendor's defaults."""
    found = AgentBook(EmulatorConfig()).get("agent_demo")
    assert found is not None
    return found


def with_value(agent: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    return merged(copy.deepcopy(agent), change_of({C + path: value}))


def reading(agent: dict[str, Any], path: str) -> Any:
    return next(found for found in read_levers(agent) if found.path == C + path)


@pytest.mark.parametrize(
    ("path", "value", "new"),
    [
        ("asr.user_input_audio_format", "pcm_16000", "ulaw_8000"),
        ("tts.agent_output_audio_format", "pcm_44100", "ulaw_8000"),
        ("tts.model_id", "eleven_multilingual_v2", "eleven_flash_v2"),
        ("turn.turn_eagerness", "patient", "eager"),
        ("turn.spelling_patience", "auto", "off"),
        ("turn.speculative_turn", False, True),
        ("turn.soft_timeout_config.timeout_seconds", -1, 3.0),
        ("agent.prompt.llm", "claude-opus-4-8", "gemini-2.5-flash"),
        ("agent.prompt.reasoning_effort", "high", "minimal"),
        ("agent.prompt.thinking_budget", 2048, 0),
        ("agent.prompt.enable_reasoning_summary", True, False),
        ("agent.prompt.cascade_timeout_seconds", 4.0, 2.0),
        ("tts.text_normalisation_type", "elevenlabs", "system_prompt"),
    ],
)
def test_a_costly_value_is_answered_with_a_better_one(agent: dict[str, Any], path: str, value: Any, new: Any) -> None:
    found = reading(with_value(agent, path, value), path)
    assert found.verdict is Verdict.COSTS
    assert found.source.startswith("ElevenLabs ")
    assert found.proposal.old == value
    assert found.proposal.new == new
    assert found.proposal.effect
    after = reading(with_value(agent, path, new), path)
    assert after.verdict is Verdict.GOOD
    assert after.proposal is None


def test_another_language_needs_the_other_flash_model(agent: dict[str, Any]) -> None:
    german = with_value(with_value(agent, "agent.language", "de"), "tts.model_id", "eleven_multilingual_v2")
    assert reading(german, "tts.model_id").proposal.new == "eleven_flash_v2_5"


def test_missing_events_are_added_and_none_is_lost(agent: dict[str, Any]) -> None:
    few = with_value(agent, "conversation.client_events", ["audio", "vad_score"])
    found = reading(few, "conversation.client_events")
    assert found.verdict is Verdict.BROKEN
    assert set(found.proposal.new) == {"vad_score", *NEEDED_EVENTS, *WANTED_EVENTS}
    assert not found.proposal.risk


def test_the_published_times_are_the_cost(agent: dict[str, Any]) -> None:
    assert reading(with_value(agent, "tts.model_id", "eleven_turbo_v2"), "tts.model_id").cost_ms == (175, 225)
    assert reading(with_value(agent, "tts.model_id", "eleven_v3_conversational"), "tts.model_id").cost_ms is None


def test_a_conversion_is_measured_not_guessed(agent: dict[str, Any]) -> None:
    found = reading(with_value(agent, "tts.agent_output_audio_format", "pcm_24000"), "tts.agent_output_audio_format")
    from shortwire.audio.convert import converters

    _, down = converters("ulaw_8000", "pcm_24000")
    assert down is not None
    assert f"adds {down.delay_ms:.1f} ms" in found.effect


def test_safe_proposals_cost_no_quality(agent: dict[str, Any]) -> None:
    costly = with_value(
        with_value(agent, "asr.user_input_audio_format", "pcm_16000"), "tts.model_id", "eleven_turbo_v2"
    )
    assert [p.path for p in proposals(costly, risky=False)] == [C + "asr.user_input_audio_format"]
    assert len(proposals(costly)) > 1


def test_a_configuration_without_the_fields_is_no_mistake() -> None:
    assert read_levers({}) == []
    assert read_levers({"conversation_config": None}) == []


def test_paths_and_differences() -> None:
    before = {"a": {"b": 1, "c": [1, 2]}, "metadata": {"updated": 1}, "gone": None}
    after = {"a": {"b": 1.0, "c": [1, 3]}, "metadata": {"updated": 2}, "new": True}
    assert differences(before, after) == [("a.c", [1, 2], [1, 3]), ("gone", None, MISSING), ("new", MISSING, True)]
    assert differences({"a": 1}, {"a": True}) == [("a", 1, True)]
    assert value_at(before, "a.x") is MISSING
    assert value_at(before, "gone") is None
    assert change_of({"a.b": 1, "a.c": 2}) == {"a": {"b": 1, "c": 2}}
