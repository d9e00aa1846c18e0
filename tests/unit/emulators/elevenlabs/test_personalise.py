"""Overrides need permission, variables need values; the reasons are those that were captured."""

from __future__ import annotations

import pytest

from shortwire.emulators.elevenlabs.agents import AgentBook, AgentRefused, merged
from shortwire.emulators.elevenlabs.config import EmulatorConfig
from shortwire.emulators.elevenlabs.personalise import Refused, personality
from shortwire.emulators.scenario import AgentScript


def agent(first_message="Hello.", allow=(), **settings):
    config = EmulatorConfig(script=AgentScript(first_message=first_message), allow_overrides=allow, **settings)
    return AgentBook(config).get("agent_demo")


SYSTEM = {"system__conversation_id": "conv_1"}


def personal(who, override=None, variables=None):
    data = {"conversation_config_override": override, "dynamic_variables": variables}
    return personality(who, {k: v for k, v in data.items() if v is not None}, SYSTEM)


def test_nothing_given_is_the_agent_as_configured():
    assert personal(agent()).first_message == "Hello."


@pytest.mark.parametrize(
    ("override", "field"),
    [
        ({"tts": {"voice_id": "x"}}, "voice_id"),
        ({"agent": {"prompt": {"prompt": "x"}}}, "prompt"),
        ({"agent": {"first_message": ""}}, "first_message"),
        ({"conversation": {"max_duration_seconds": 60}}, "max_duration_seconds"),
        ({"turn": {"soft_timeout_config": {"message": "x"}}}, "message"),
        ({"tts": {"optimize_streaming_latency": 4}}, "optimize_streaming_latency"),
        ({"audio": {"optimize_latency": 4}}, "optimize_latency"),
        ({"audio": 4}, "audio"),
        ({"agent": "x"}, "agent"),
    ],
)
def test_an_override_without_permission_is_refused_by_the_field_s_name(override, field):
    with pytest.raises(Refused) as refused:
        personal(agent(), override)
    assert (refused.value.code, refused.value.reason) == (
        1008,
        f"Override for field '{field}' is not allowed by config.",
    )


def test_even_with_every_permission_unknown_sections_are_refused():
    with pytest.raises(Refused, match="stream_chunk_size"):
        personal(agent(allow=("*",)), {"audio": {"stream_chunk_size": 1}})


@pytest.mark.parametrize(
    "override",
    [{"asr": {"keywords": ["Acme"]}}, {"text_only": True}, {"agent": {"first_message": None}}, {"agent": {}}, {}],
    ids=["keywords are ignored", "the Python SDK's text_only", "null is not set", "empty", "none"],
)
def test_what_is_tolerated_without_permission(override):
    who = personal(agent(), override)
    assert who.first_message == "Hello."
    assert who.text_only is False


def test_permitted_overrides_are_taken():
    who = personal(
        agent(allow=("*",)),
        {
            "agent": {"first_message": "Hi.", "language": "en", "prompt": {"prompt": "Be brief."}},
            "tts": {"voice_id": "v"},
            "conversation": {"text_only": True, "max_duration_seconds": 90},
        },
    )
    assert (who.first_message, who.language, who.prompt, who.voice_id) == ("Hi.", "en", "Be brief.", "v")
    assert (who.text_only, who.max_duration_s) == (True, 90)


def test_variables_are_put_into_the_texts():
    who = personal(agent("Hi {{name}}, {{ vip }}, {{n}}!"), variables={"name": "Ann", "vip": True, "n": 3})
    assert who.first_message == "Hi Ann, true, 3!"
    assert personal(agent("It is {{system__conversation_id}}.")).first_message == "It is conv_1."
    assert personal(agent("Hi {{name}}.", placeholders={"name": "you"})).first_message == "Hi you."


@pytest.mark.parametrize(
    ("text", "variables", "reason"),
    [
        ("Hi {{username}}", {}, "Missing required dynamic variables in first message: {'username'}"),
        ("{{b}} {{a}}", {"c": 1}, "Missing required dynamic variables in first message: {'a', 'b'}"),
        (
            "Hi {{secret__key}}",
            {"secret__key": "x"},
            "Missing required dynamic variables in first message: {'secret__key'}",
        ),
        ("Hi", {"name": ["a list"]}, "Invalid message received"),
        ("Hi", {"system__agent_id": "forged"}, "Invalid message received"),
    ],
)
def test_variables_that_are_missing_or_cannot_be(text, variables, reason):
    with pytest.raises(Refused) as refused:
        personal(agent(text), variables=variables)
    assert (refused.value.code, refused.value.reason) == (1008, reason)


def test_a_patch_is_a_deep_merge_that_changes_nothing_when_refused():
    book = AgentBook(EmulatorConfig())
    before = book.get("agent_demo")
    with pytest.raises(AgentRefused):
        book.patch("agent_demo", {"conversation_config": {"tts": {"agent_output_audio_format": "mp3"}}})
    assert book.get("agent_demo") == before
    after = book.patch("agent_demo", {"conversation_config": {"turn": {"turn_eagerness": "eager"}}, "name": "New"})
    assert after["conversation_config"]["turn"]["turn_eagerness"] == "eager"
    assert after["conversation_config"]["turn"]["turn_timeout"] == 7.0
    assert after["conversation_config"]["tts"] == before["conversation_config"]["tts"]
    assert book.patch("nobody", {}) is None
    assert merged({"a": {"b": 1, "c": [1]}}, {"a": {"c": [2]}}) == {"a": {"b": 1, "c": [2]}}


def test_an_impossible_configuration_is_an_error_at_once():
    with pytest.raises(ValueError, match="cannot be overridden"):
        AgentBook(EmulatorConfig(allow_overrides=("agent.firstmessage",)))
    with pytest.raises(ValueError, match="Input should be"):
        AgentBook(EmulatorConfig(user_input_audio_format="opus"))
