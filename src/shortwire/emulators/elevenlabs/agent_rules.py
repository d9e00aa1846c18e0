"""What an agent's configuration may hold: one rule per documented path, as the service validates it.

The same rules judge the values of per-call overrides. Paths without a rule are kept as they come. Vendor page:
agents API, "Create agent" (ranges and enums of ``conversation_config``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from shortwire.emulators.elevenlabs.formats import FORMATS
from shortwire.emulators.elevenlabs.llms import LLMS

__all__ = ["CLIENT_EVENTS", "Wrong", "wrong_in", "wrong_value"]

Wrong = tuple[list[str | int], str, str]
"""(path, message, type) of one entry in a 422 body."""

Rule = Callable[[Any], tuple[str, str] | None]

CLIENT_EVENTS = (
    "conversation_initiation_metadata",
    "asr_initiation_metadata",
    "ping",
    "audio",
    "interruption",
    "user_transcript",
    "tentative_user_transcript",
    "agent_response",
    "agent_response_correction",
    "client_tool_call",
    "mcp_tool_call",
    "mcp_connection_status",
    "agent_tool_request",
    "agent_tool_response",
    "agent_tool_response_full_payload",
    "agent_response_metadata",
    "vad_score",
    "agent_chat_response_part",
    "client_error",
    "guardrail_triggered",
    "dtmf_request",
    "agent_response_complete",
    "context_usage",
    "internal_turn_probability",
    "internal_tentative_agent_response",
    # in the client SDKs' schema only:
    "agent_reasoning_response_part",
    "rich_content",
    "agent_typing",
    "external_agent_connected",
    "external_agent_disconnected",
)


def _number(low: float, high: float, *, off: float | None = None) -> Rule:
    def check(value: Any) -> tuple[str, str] | None:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return "Input should be a valid number", "float_type"
        if off is not None and value == off:
            return None
        if value < low:
            return f"Input should be greater than or equal to {low:g}", "greater_than_equal"
        if value > high:
            return f"Input should be less than or equal to {high:g}", "less_than_equal"
        return None

    return check


def _whole(low: int, high: int, *, off: int | None = None) -> Rule:
    number = _number(low, high, off=off)

    def check(value: Any) -> tuple[str, str] | None:
        if isinstance(value, bool) or not isinstance(value, int):
            return "Input should be a valid integer", "int_type"
        return number(value)

    return check


def _one_of(*allowed: str) -> Rule:
    listed = " or ".join(f"'{name}'" for name in allowed)

    def check(value: Any) -> tuple[str, str] | None:
        return None if value in allowed else (f"Input should be {listed}", "enum")

    return check


def _text(longest: int | None = None, shortest: int = 0) -> Rule:
    def check(value: Any) -> tuple[str, str] | None:
        if not isinstance(value, str):
            return "Input should be a valid string", "string_type"
        if longest is not None and len(value) > longest:
            return f"String should have at most {longest} characters", "string_too_long"
        if len(value) < shortest:
            return f"String should have at least {shortest} characters", "string_too_short"
        return None

    return check


def _flag(value: Any) -> tuple[str, str] | None:
    return None if isinstance(value, bool) else ("Input should be a valid boolean", "bool_type")


def _table(value: Any) -> tuple[str, str] | None:
    return None if isinstance(value, dict) else ("Input should be a valid dictionary", "dict_type")


def _list(item: Rule, longest: int | None = None) -> Rule:
    def check(value: Any) -> tuple[str, str] | None:
        if not isinstance(value, list):
            return "Input should be a valid list", "list_type"
        if longest is not None and len(value) > longest:
            return f"List should have at most {longest} items after validation, not {len(value)}", "too_long"
        return next((wrong for wrong in map(item, value) if wrong is not None), None)

    return check


def _or_null(rule: Rule) -> Rule:
    return lambda value: None if value is None else rule(value)


_anything: Rule = lambda _: None  # noqa: E731

_RULES: Mapping[str, Rule] = {
    "asr": _table,
    "asr.quality": _one_of("high"),
    "asr.provider": _one_of("elevenlabs", "scribe_realtime", "scribe_v2_turbo"),
    "asr.user_input_audio_format": _one_of(*FORMATS),
    "asr.keywords": _list(_text(), 50),
    "turn": _table,
    "turn.turn_timeout": _number(1, 30, off=-1),
    "turn.initial_wait_time": _or_null(_number(0, 300)),
    "turn.silence_end_call_timeout": _number(0, 7200, off=-1),
    "turn.mode": _one_of("turn", "silence"),
    "turn.turn_eagerness": _one_of("patient", "normal", "eager"),
    "turn.spelling_patience": _one_of("auto", "off"),
    "turn.speculative_turn": _flag,
    "turn.retranscribe_on_turn_timeout": _flag,
    "turn.turn_model": _one_of("turn_v2", "turn_v3"),
    "turn.interruption_ignore_terms": _list(_text()),
    "turn.merge_with_default_ignore_terms": _flag,
    "turn.soft_timeout_config": _table,
    "turn.soft_timeout_config.timeout_seconds": _number(0.5, 8, off=-1),
    "turn.soft_timeout_config.message": _text(200, 1),
    "turn.soft_timeout_config.additional_soft_timeout_messages": _list(_text(200, 1), 7),
    "turn.soft_timeout_config.randomize_fillers": _flag,
    "turn.soft_timeout_config.max_soft_timeouts_per_generation": _whole(1, 8),
    "tts": _table,
    "tts.model_id": _one_of(
        "eleven_turbo_v2",
        "eleven_turbo_v2_5",
        "eleven_flash_v2",
        "eleven_flash_v2_5",
        "eleven_multilingual_v2",
        "eleven_v3_conversational",
        "eleven_v4",
        "eleven_v4_turbo",
    ),
    "tts.voice_id": _text(),
    "tts.agent_output_audio_format": _one_of(*FORMATS),
    "tts.optimize_streaming_latency": _whole(0, 4),
    "tts.stability": _number(0, 1),
    "tts.similarity_boost": _number(0, 1),
    "tts.speed": _number(0.7, 1.2),
    "tts.text_normalisation_type": _one_of("system_prompt", "elevenlabs"),
    "tts.pronunciation_dictionary_locators": _list(_anything),
    "conversation": _table,
    "conversation.text_only": _flag,
    "conversation.max_duration_seconds": _whole(60, 7200),
    "conversation.client_events": _list(_one_of(*CLIENT_EVENTS)),
    "vad": _table,
    "language_presets": _table,
    "agent": _table,
    "agent.first_message": _text(),
    "agent.language": _text(),
    "agent.disable_first_message_interruptions": _flag,
    "agent.max_conversation_duration_message": _text(),
    "agent.dynamic_variables": _table,
    "agent.prompt": _table,
    "agent.prompt.prompt": _text(),
    "agent.prompt.llm": _one_of(*sorted(LLMS)),
    "agent.prompt.reasoning_effort": _or_null(_one_of("none", "minimal", "low", "medium", "high", "xhigh", "max")),
    "agent.prompt.temperature": _or_null(_number(0, 2)),
    "agent.prompt.max_tokens": _whole(-1, 1_000_000),
    "agent.prompt.cascade_timeout_seconds": _number(2, 15),
    "agent.prompt.tool_ids": _list(_text()),
    "agent.prompt.native_mcp_server_ids": _list(_text()),
    "agent.prompt.knowledge_base": _list(_table),
    "agent.prompt.custom_llm": _or_null(_table),
}


def wrong_value(path: str, value: Any) -> tuple[str, str] | None:
    """(message, type) when the value may not stand at this dotted path of ``conversation_config``."""
    rule = _RULES.get(path)
    return None if rule is None else rule(value)


def wrong_in(config: Mapping[str, Any], prefix: str = "") -> Iterator[Wrong]:
    """Everything wrong in a (partial) ``conversation_config``."""
    for key, value in config.items():
        path = f"{prefix}{key}"
        wrong = wrong_value(path, value)
        if wrong is not None:
            yield [*path.split(".")], *wrong
        elif isinstance(value, dict) and path not in ("language_presets", "agent.dynamic_variables"):
            yield from wrong_in(value, f"{path}.")
    if not prefix:
        yield from _contradictions(config)


def _contradictions(config: Mapping[str, Any]) -> Iterator[Wrong]:
    agent = config.get("agent")
    prompt = agent.get("prompt") if isinstance(agent, dict) else None
    if not isinstance(prompt, dict):
        return
    if prompt.get("tools") and prompt.get("tool_ids"):
        yield ["agent", "prompt"], "Value error, give either tools or tool_ids, not both", "value_error"
    custom = prompt.get("custom_llm")
    if isinstance(custom, dict) and not custom.get("url"):
        yield ["agent", "prompt", "custom_llm", "url"], "Field required", "missing"
    if prompt.get("llm") == "custom-llm" and not custom:
        yield ["agent", "prompt", "custom_llm"], "Value error, llm custom-llm needs a custom_llm", "value_error"
