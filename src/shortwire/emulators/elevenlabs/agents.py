"""The agents of the emulated workspace, as the REST API shows and changes them.

Only what matters on the wire or for latency has a default here; other fields are kept as they come.
Vendor page: agents API, "Create agent", "Get agent", "Update agent".
"""

from __future__ import annotations

import copy
import time
import uuid
from typing import Any

from shortwire.emulators.elevenlabs.agent_rules import Wrong, wrong_in
from shortwire.emulators.elevenlabs.config import EmulatorConfig
from shortwire.emulators.elevenlabs.personalise import OVERRIDABLE, merged

__all__ = ["AgentBook", "AgentRefused"]

Json = dict[str, Any]

LIVE_CLIENT_EVENTS = ["audio", "interruption", "user_transcript", "agent_response", "agent_response_correction"]

_CONVERSATION_CONFIG: Json = {
    "asr": {
        "quality": "high",
        "provider": "scribe_realtime",
        "user_input_audio_format": "pcm_16000",
        "keywords": [],
    },
    "turn": {
        "turn_timeout": 7.0,
        "initial_wait_time": None,
        "silence_end_call_timeout": -1.0,
        "mode": "turn",
        "turn_eagerness": "normal",
        "spelling_patience": "auto",
        "speculative_turn": False,
        "turn_model": "turn_v3",
        "interruption_ignore_terms": [],
        "merge_with_default_ignore_terms": False,
        "retranscribe_on_turn_timeout": False,
        "soft_timeout_config": {
            "timeout_seconds": -1.0,
            "message": "Hhmmmm...yeah.",
            "additional_soft_timeout_messages": [],
            "use_llm_generated_message": False,
            "randomize_fillers": False,
            "disable_until_first_user_message": False,
            "max_soft_timeouts_per_generation": 1,
        },
    },
    "tts": {
        "model_id": "eleven_flash_v2",
        "voice_id": "cjVigY5qzO86Huf0OWal",
        "agent_output_audio_format": "pcm_16000",
        "optimize_streaming_latency": 3,
        "stability": 0.5,
        "similarity_boost": 0.8,
        "speed": 1.0,
    },
    "conversation": {
        "text_only": False,
        "max_duration_seconds": 600,
        "client_events": LIVE_CLIENT_EVENTS,
        "file_input": {"enabled": True, "max_files_in_memory": 10, "max_files_per_conversation": 10},
    },
    "vad": {"background_voice_detection": False},
    "language_presets": {},
    "agent": {
        "first_message": "",
        "language": "en",
        "disable_first_message_interruptions": False,
        "max_conversation_duration_message": "",
        "dynamic_variables": {"dynamic_variable_placeholders": {}},
        "prompt": {
            "prompt": "",
            "llm": "gemini-2.5-flash",
            "temperature": 0.0,
            "max_tokens": -1,
            "tool_ids": [],
            "built_in_tools": {},
            "knowledge_base": [],
            "cascade_timeout_seconds": 4.0,
        },
    },
}


def _override_tree(allowed: tuple[str, ...]) -> Json:
    tree: Json = {}
    for name in sorted(OVERRIDABLE):
        node = tree
        *path, leaf = name.split(".")
        for part in path:
            node = node.setdefault(part, {})
        node[leaf] = "*" in allowed or name in allowed
    return tree


def _platform_settings(*, enable_auth: bool, allowed: tuple[str, ...] = ()) -> Json:
    return {
        "auth": {"enable_auth": enable_auth, "allowlist": [], "require_origin_header": False},
        "call_limits": {"agent_concurrency_limit": -1, "daily_limit": 100000, "bursting_enabled": True},
        "privacy": {"record_voice": True, "retention_days": -1, "zero_retention_mode": False},
        "overrides": {
            "conversation_config_override": _override_tree(allowed),
            "custom_llm_extra_body": False,
            "enable_conversation_initiation_client_data_from_webhook": False,
            "enable_starting_workflow_node_id_from_client": False,
            "enable_procedure_ids_from_client": False,
        },
        "queueing_config": {"enabled": False, "wait_timeout_seconds": 60},
        "workspace_overrides": {"conversation_initiation_client_data_webhook": None, "webhooks": {}},
    }


class AgentRefused(ValueError):
    """A body that the service would not take: where, and why (the 422 list form)."""

    def __init__(self, *wrongs: Wrong) -> None:
        super().__init__("; ".join(f"{'.'.join(map(str, path))}: {message}" for path, message, _ in wrongs))
        self.detail = [{"loc": ["body", *path], "msg": message, "type": kind} for path, message, kind in wrongs]


_PATCHABLE = ("name", "tags", "conversation_config", "platform_settings", "workflow")


class AgentBook:
    """Agents by id. What it hands out are copies."""

    def __init__(self, config: EmulatorConfig) -> None:
        for name in config.allow_overrides:
            if name != "*" and name not in OVERRIDABLE:
                raise ValueError(
                    f"allow_overrides: {name!r} cannot be overridden; known: {', '.join(sorted(OVERRIDABLE))}"
                )
        self._config = config
        self._agents: dict[str, Json] = {}
        self.reset()

    def reset(self) -> None:
        """Only the first agent, as configured."""
        config = self._config
        change: Json = {
            "asr": {"user_input_audio_format": config.user_input_audio_format},
            "turn": {
                "turn_timeout": config.turn_timeout_s,
                "silence_end_call_timeout": config.silence_end_call_s,
            },
            "tts": {"agent_output_audio_format": config.agent_output_audio_format},
            "conversation": {
                "max_duration_seconds": config.max_duration_s,
                "client_events": list(config.client_events),
            },
            "agent": {
                "first_message": config.script.first_message,
                "dynamic_variables": {"dynamic_variable_placeholders": dict(config.placeholders)},
            },
        }
        settings = _platform_settings(enable_auth=config.enable_auth, allowed=config.allow_overrides)
        self._agents = {}
        self._add(config.agent_id, config.agent_name, change, settings, [])

    def _add(self, agent_id: str, name: str, change: Json, settings: Json, tags: list[str]) -> None:
        now_s = int(time.time())
        agent = {
            "agent_id": agent_id,
            "name": name,
            "conversation_config": merged(copy.deepcopy(_CONVERSATION_CONFIG), change),
            "metadata": {"created_at_unix_secs": now_s, "updated_at_unix_secs": now_s},
            "platform_settings": settings,
            "phone_numbers": [],
            "whatsapp_accounts": [],
            "workflow": None,
            "access_info": {
                "is_creator": True,
                "creator_name": "Emulated",
                "creator_email": "emulated@example.com",
                "role": "admin",
            },
            "tags": tags,
            "version_id": f"agtvrsn_{uuid.uuid4().hex[:26]}",
            "branch_id": None,
            "main_branch_id": None,
        }
        _check(agent)
        self._agents[agent_id] = agent

    def get(self, agent_id: str) -> Json | None:
        found = self._agents.get(agent_id)
        return None if found is None else copy.deepcopy(found)

    def all(self) -> list[Json]:
        return [copy.deepcopy(agent) for agent in self._agents.values()]

    def create(self, body: Json) -> str:
        """A new public agent (``enable_auth`` is false by default). Raises `AgentRefused`."""
        if "conversation_config" not in body:
            raise AgentRefused((["conversation_config"], "Field required", "missing"))
        _check_body(body)
        agent_id = f"agent_{uuid.uuid4().hex[:28]}"
        settings = merged(_platform_settings(enable_auth=False), body.get("platform_settings") or {})
        name, tags = body.get("name") or "New Agent", body.get("tags") or []
        self._add(agent_id, name, copy.deepcopy(body["conversation_config"]), settings, tags)
        return agent_id

    def patch(self, agent_id: str, body: Json) -> Json | None:
        """Deep merge; None for an unknown agent. Raises `AgentRefused`, and then nothing has changed."""
        old = self.get(agent_id)
        if old is None:
            return None
        _check_body(body)
        change = {key: copy.deepcopy(body[key]) for key in _PATCHABLE if body.get(key) is not None}
        agent = merged(old, change)
        _check(agent)
        agent["metadata"]["updated_at_unix_secs"] = int(time.time())
        agent["version_id"] = f"agtvrsn_{uuid.uuid4().hex[:26]}"
        self._agents[agent_id] = agent
        return copy.deepcopy(agent)

    def delete(self, agent_id: str) -> bool:
        return self._agents.pop(agent_id, None) is not None


_TABLES = ("conversation_config", "platform_settings", "workflow")


def _check_body(body: Json) -> None:
    """What the API refuses in a create or patch."""
    wrongs: list[Wrong] = [
        ([key], "Input should be a valid dictionary", "dict_type")
        for key in _TABLES
        if body.get(key) is not None and not isinstance(body[key], dict)
    ]
    if body.get("name") is not None and not isinstance(body["name"], str):
        wrongs.append((["name"], "Input should be a valid string", "string_type"))
    tags = body.get("tags")
    if tags is not None and not (isinstance(tags, list) and all(isinstance(tag, str) for tag in tags)):
        wrongs.append((["tags"], "Input should be a valid list", "list_type"))
    if not wrongs:
        config = body.get("conversation_config") or {}
        wrongs = [(["conversation_config", *path], message, kind) for path, message, kind in wrong_in(config)]
        wrongs += _wrong_settings(body.get("platform_settings") or {})
    if wrongs:
        raise AgentRefused(*wrongs)


def _wrong_settings(settings: Json) -> list[Wrong]:
    auth = settings.get("auth") or {}
    allowlist = auth.get("allowlist") if isinstance(auth, dict) else None
    if allowlist is None:
        return []
    path: list[str | int] = ["platform_settings", "auth", "allowlist"]
    if not isinstance(allowlist, list) or not all(isinstance(x, dict) and x.get("hostname") for x in allowlist):
        return [(path, "Input should be a valid list", "list_type")]
    if len(allowlist) > 10:
        message = f"List should have at most 10 items after validation, not {len(allowlist)}"
        return [(path, message, "too_long")]
    return []


def _check(agent: Json) -> None:
    """What a later conversation would stumble over. Short maximum durations are left alone: tests want them."""
    wrongs = [wrong for wrong in wrong_in(agent["conversation_config"]) if wrong[0][-1] != "max_duration_seconds"]
    if wrongs:
        raise AgentRefused(*((["conversation_config", *path], message, kind) for path, message, kind in wrongs))
