"""What one conversation's agent is, out of its configuration and the client's data.

Overrides are refused unless the agent permits that field; dynamic variables are put into the texts.
Vendor pages: agents API, "Overrides" and "Dynamic variables".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from shortwire.emulators.elevenlabs.agent_rules import wrong_value
from shortwire.emulators.elevenlabs.scripted import ScriptedTool

__all__ = ["INVALID", "OVERRIDABLE", "Personality", "Refused", "filled_tools", "merged", "personality"]

INVALID = "Invalid message received"
"""What a value of the wrong kind is answered with. UNCONFIRMED for values; reported for whole messages."""

_PLACEHOLDER = re.compile(r"\{\{\s*([A-Za-z0-9_]+)\s*\}\}")

OVERRIDABLE = frozenset(
    {
        "asr.keywords",
        "turn.soft_timeout_config.message",
        "turn.soft_timeout_config.additional_soft_timeout_messages",
        "tts.model_id",
        "tts.voice_id",
        "tts.stability",
        "tts.speed",
        "tts.similarity_boost",
        "tts.pronunciation_dictionary_locators",
        "conversation.text_only",
        "conversation.max_duration_seconds",
        "agent.first_message",
        "agent.language",
        "agent.max_conversation_duration_message",
        "agent.prompt.prompt",
        "agent.prompt.llm",
        "agent.prompt.tool_ids",
        "agent.prompt.native_mcp_server_ids",
        "agent.prompt.knowledge_base",
        "turn.noisy_environment_message",
        "tts.supported_voices",
        "tts.clone_strength",
        "agent.prompt.reasoning_effort",
        "agent.prompt.tool_ids_strict",
    }
)

_TABLES = frozenset(name.rpartition(".")[0] for name in OVERRIDABLE)


class Refused(Exception):
    """The service closes the socket with this code and reason."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code} {reason}")
        self.code = code
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Personality:
    """The agent of one conversation."""

    first_message: str
    prompt: str
    language: str
    voice_id: str
    text_only: bool
    max_duration_s: int
    config: Mapping[str, Any]
    """The ``conversation_config`` with the language's preset and the overrides in it."""
    variables: Mapping[str, Any]
    """What ``{{name}}`` stands for; ``secret__`` ones are not among them."""


def merged(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """A deep merge: tables into tables, everything else replaced."""
    result = dict(base)
    for key, value in change.items():
        old = result.get(key)
        result[key] = merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return result


def _leaves(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted names of everything that is set (null counts as not set)."""
    for key, value in table.items():
        name = f"{prefix}{key}"
        if value is None:
            continue
        if isinstance(value, dict) and (name in _TABLES or not prefix):
            yield from _leaves(value, f"{name}.")
        else:
            yield name, value


def _permitted(agent: Mapping[str, Any], name: str) -> bool:
    node: Any = agent["platform_settings"]["overrides"]["conversation_config_override"]
    for part in name.split("."):
        node = node.get(part, False) if isinstance(node, dict) else False
    return node is True


def _overrides(agent: Mapping[str, Any], override: Mapping[str, Any]) -> dict[str, Any]:
    taken: dict[str, Any] = {}
    for name, value in _leaves(override):
        if name == "text_only":
            continue  # the Python SDK without an audio interface puts it at the top, where it means nothing
        if name == "asr.keywords" and not _permitted(agent, name):
            continue  # ignored without a word (published as a soft override)
        if name not in OVERRIDABLE or not _permitted(agent, name):
            field = name.rpartition(".")[2]
            raise Refused(1008, f"Override for field '{field}' is not allowed by config.")
        # A shorter maximum than the service's 60 s is useful in tests.
        short = name == "conversation.max_duration_seconds" and type(value) is int and 1 <= value < 60
        if wrong_value(name, value) is not None and not short:
            raise Refused(1008, INVALID)
        taken[name] = value
    return taken


def _fill(text: str, values: Mapping[str, Any], where: str) -> str:
    missing = {name for name in _PLACEHOLDER.findall(text) if name not in values}
    if missing:
        names = ", ".join(repr(name) for name in sorted(missing))
        raise Refused(1008, f"Missing required dynamic variables in {where}: {{{names}}}")
    return _PLACEHOLDER.sub(lambda match: _as_text(values[match.group(1)]), text)


def _as_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _variables(agent: Mapping[str, Any], given: Mapping[str, Any], system: Mapping[str, Any]) -> dict[str, Any]:
    for name, value in given.items():
        if not isinstance(value, str | int | float | bool):
            raise Refused(1008, INVALID)
        if name.startswith("system__"):
            raise Refused(1008, INVALID)
    placeholders = agent["conversation_config"]["agent"]["dynamic_variables"]["dynamic_variable_placeholders"]
    spoken = {name: value for name, value in given.items() if not name.startswith("secret__")}
    return {**placeholders, **spoken, **system}


def _at(dotted: Mapping[str, Any]) -> dict[str, Any]:
    """A tree out of dotted names."""
    tree: dict[str, Any] = {}
    for name, value in dotted.items():
        node = tree
        *path, leaf = name.split(".")
        for part in path:
            node = node.setdefault(part, {})
        node[leaf] = value
    return tree


def _with_preset(config: Mapping[str, Any], language: str, *, keep_unknown: bool) -> tuple[dict[str, Any], str]:
    """The configuration in another language, and the language it is in. Raises `Refused`."""
    own = config["agent"]["language"]
    presets = config.get("language_presets") or {}
    if language == own:
        return dict(config), own
    preset = presets.get(language)
    if preset is None:
        if keep_unknown:
            return dict(config), own
        raise Refused(1008, f"Language '{language}' is not supported by this agent.")
    result = merged(config, _set_only(preset.get("overrides") or {}))
    translated = preset.get("first_message_translation") or {}
    if translated.get("text") and "first_message" not in ((preset.get("overrides") or {}).get("agent") or {}):
        result = merged(result, {"agent": {"first_message": translated["text"]}})
    filler = preset.get("soft_timeout_translation") or {}
    if filler.get("text"):
        result = merged(result, {"turn": {"soft_timeout_config": {"message": filler["text"]}}})
    return merged(result, {"agent": {"language": language}}), language


def _set_only(table: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is null: the API shows a preset's unset fields like that."""
    cleaned = {key: _set_only(value) if isinstance(value, dict) else value for key, value in table.items()}
    return {key: value for key, value in cleaned.items() if value is not None}


_FLAGGED = {
    "custom_llm_extra_body": "custom_llm_extra_body",
    "starting_workflow_node_id": "enable_starting_workflow_node_id_from_client",
    "procedure_ids": "enable_procedure_ids_from_client",
}
"""Fields of the client data beside the overrides, with the flag that permits each."""


def filled_tools(tools: tuple[ScriptedTool, ...], values: Mapping[str, Any]) -> tuple[ScriptedTool, ...]:
    """The tools with the variables in their parameters. Raises `Refused`."""

    def filled(value: Any) -> Any:
        return _fill(value, values, "tools") if isinstance(value, str) else value

    return tuple(
        replace(tool, parameters={name: filled(value) for name, value in tool.parameters.items()}) for tool in tools
    )


def personality(
    agent: Mapping[str, Any],
    client_data: Mapping[str, Any],
    system: Mapping[str, Any],
    *,
    keep_unknown_language: bool = False,
) -> Personality:
    """Apply the client's data to the agent.

    Args:
        agent: the agent as the API shows it.
        client_data: ``conversation_initiation_client_data``, or nothing.
        system: the ``system__`` variables.
        keep_unknown_language: ignore a language the agent does not speak, instead of refusing it.

    Raises:
        Refused: an override without permission, a variable without a value.
    """
    config = agent["conversation_config"]
    taken = _overrides(agent, client_data.get("conversation_config_override") or {})
    permitted = agent["platform_settings"]["overrides"]
    for field, flag in _FLAGGED.items():
        if client_data.get(field) and not permitted.get(flag, False):
            raise Refused(1008, f"Override for field '{field}' is not allowed by config.")
    wanted = taken.pop("agent.language", None)
    config, language = _with_preset(config, wanted or config["agent"]["language"], keep_unknown=keep_unknown_language)
    config = merged(config, _at(taken))
    values = _variables(agent, client_data.get("dynamic_variables") or {}, system)
    agent_part, conversation = config["agent"], config["conversation"]
    return Personality(
        first_message=_fill(agent_part["first_message"], values, "first message"),
        prompt=_fill(agent_part["prompt"]["prompt"], values, "prompt"),
        language=language,
        voice_id=config["tts"]["voice_id"],
        text_only=conversation["text_only"] is True,
        max_duration_s=int(conversation["max_duration_seconds"]),
        config=config,
        variables=values,
    )
