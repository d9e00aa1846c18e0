"""What one conversation's agent is, out of its configuration and the client's data.

Overrides are refused unless the agent permits that field; dynamic variables are put into the texts.
Vendor pages: agents API, "Overrides" and "Dynamic variables".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Personality", "Refused", "personality"]

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
            raise Refused(1008, "Invalid message received")
        if name.startswith("system__"):
            raise Refused(1008, "Invalid message received")
    placeholders = agent["conversation_config"]["agent"]["dynamic_variables"]["dynamic_variable_placeholders"]
    spoken = {name: value for name, value in given.items() if not name.startswith("secret__")}
    return {**placeholders, **spoken, **system}


def personality(agent: Mapping[str, Any], client_data: Mapping[str, Any], system: Mapping[str, Any]) -> Personality:
    """Apply the client's data to the agent.

    Args:
        agent: the agent as the API shows it.
        client_data: ``conversation_initiation_client_data``, or nothing.
        system: the ``system__`` variables.

    Raises:
        Refused: an override without permission, a variable without a value.
    """
    config = agent["conversation_config"]
    taken = _overrides(agent, client_data.get("conversation_config_override") or {})
    if (
        client_data.get("custom_llm_extra_body")
        and not agent["platform_settings"]["overrides"]["custom_llm_extra_body"]
    ):
        raise Refused(1008, "Override for field 'custom_llm_extra_body' is not allowed by config.")
    values = _variables(agent, client_data.get("dynamic_variables") or {}, system)
    first_message = taken.get("agent.first_message", config["agent"]["first_message"])
    prompt = taken.get("agent.prompt.prompt", config["agent"]["prompt"]["prompt"])
    if not isinstance(first_message, str) or not isinstance(prompt, str):
        raise Refused(1008, "Invalid message received")
    return Personality(
        first_message=_fill(first_message, values, "first message"),
        prompt=_fill(prompt, values, "prompt"),
        language=taken.get("agent.language", config["agent"]["language"]),
        voice_id=taken.get("tts.voice_id", config["tts"]["voice_id"]),
        text_only=taken.get("conversation.text_only", config["conversation"]["text_only"]) is True,
        max_duration_s=int(
            taken.get("conversation.max_duration_seconds", config["conversation"]["max_duration_seconds"])
        ),
    )
