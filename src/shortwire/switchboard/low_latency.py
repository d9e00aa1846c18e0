"""LOW_LATENCY_MODE: the per-call overrides that shorten a turn, as far as the agent permits them.

The agent's configuration is read once, beside the calls, and again when it is old; a call never waits for it.
What is sent, or why nothing is, is said at start. Fields: elevenlabs.md sections 4.3, 4.4 and 6.2; there are no
others (section 11 lists those the seed invented).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog

from ..clock import NS_PER_S, Clock
from ..errors import AgentError
from ..ports import AgentPlatform
from ..terms import AgentId

__all__ = ["LowLatency", "Plan", "merge_overrides", "plan"]

log = structlog.get_logger(__name__)

_GOOD_NS = 300 * NS_PER_S
_AGENTS = 1000
"""Whose plans are kept: a request may name any agent."""

_FLASH = frozenset({"eleven_flash_v2", "eleven_flash_v2_5", "eleven_v4_turbo"})
_QUICK_EFFORTS = frozenset({"none", "minimal"})


@dataclass(frozen=True, slots=True)
class Plan:
    """What one agent gets with every call."""

    overrides: dict[str, Any] = field(default_factory=dict)
    """``conversation_config_override`` sections."""
    reasons: tuple[str, ...] = ()
    """One line per lever: what is sent and why, or why not."""


def _at(document: Mapping[str, Any], path: str) -> Any:
    found: Any = document
    for key in path.split("."):
        found = found.get(key) if isinstance(found, Mapping) else None
    return found


def plan(agent: Mapping[str, Any]) -> Plan:
    """The levers that apply to an agent (the answer of GET agents/{id})."""
    permitted = _at(agent, "platform_settings.overrides.conversation_config_override") or {}
    config = agent.get("conversation_config") or {}
    overrides: dict[str, Any] = {}
    reasons: list[str] = []

    model = _at(config, "tts.model_id")
    flash = "eleven_flash_v2" if (_at(config, "agent.language") or "en") == "en" else "eleven_flash_v2_5"
    if model in _FLASH:
        reasons.append(f"tts.model_id: {model} is already a fast one")
    elif _at(permitted, "tts.model_id") is True:
        overrides["tts"] = {"model_id": flash}
        reasons.append(f"tts.model_id: {flash} instead of {model}; a plainer voice, about 75 ms to first sound")
    else:
        reasons.append(f"tts.model_id: {model} is slower than {flash}, but the agent does not permit the override")

    effort = _at(config, "agent.prompt.reasoning_effort")
    if effort is None or effort in _QUICK_EFFORTS:
        reasons.append("agent.prompt.reasoning_effort: nothing to lower")
    elif _at(permitted, "agent.prompt.reasoning_effort") is True:
        overrides["agent"] = {"prompt": {"reasoning_effort": "minimal"}}
        reasons.append(f"agent.prompt.reasoning_effort: minimal instead of {effort}; less thorough answers")
    else:
        reasons.append(f"agent.prompt.reasoning_effort: {effort}, but the agent does not permit the override")
    return Plan(overrides, tuple(reasons))


def merge_overrides(first: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Both trees; where they meet, `over` wins: what the user asked for beats what we would choose."""
    merged = dict(first)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = merge_overrides(below, value) if isinstance(below, dict) and isinstance(value, Mapping) else value
    return merged


class LowLatency:
    """The plans of all agents in use."""

    def __init__(self, platform: AgentPlatform, clock: Clock) -> None:
        self._platform = platform
        self._clock = clock
        self._plans: dict[AgentId, tuple[int, Plan]] = {}
        self._tasks: dict[AgentId, asyncio.Task[None]] = {}

    def overrides(self, agent_id: AgentId) -> dict[str, Any]:
        """What is known now; an old or missing plan is fetched for the next call."""
        known = self._plans.get(agent_id)
        if known is None or self._clock.now_ns() - known[0] > _GOOD_NS:
            self._fetch_soon(agent_id)
        return known[1].overrides if known is not None else {}

    async def learn(self, agent_id: AgentId) -> Plan | None:
        """Read an agent's configuration; None if it could not be read (nothing is sent then)."""
        try:
            found = plan(await self._platform.agent(agent_id))
        except AgentError as error:
            log.warning("low_latency.agent_not_read", error=str(error))
            _, known = self._plans.get(agent_id, (0, Plan()))  # what was right a while ago is the best we have
            self._keep(agent_id, known)
            return None
        self._keep(agent_id, found)
        return found

    def _keep(self, agent_id: AgentId, found: Plan) -> None:
        self._plans.pop(agent_id, None)
        self._plans[agent_id] = (self._clock.now_ns(), found)
        if len(self._plans) > _AGENTS:
            del self._plans[next(iter(self._plans))]

    def close(self) -> None:
        for task in self._tasks.values():
            task.cancel()

    def _fetch_soon(self, agent_id: AgentId) -> None:
        if agent_id not in self._tasks:
            task = asyncio.create_task(self._learn_quietly(agent_id))
            self._tasks[agent_id] = task
            task.add_done_callback(lambda _: self._tasks.pop(agent_id, None))

    async def _learn_quietly(self, agent_id: AgentId) -> None:
        await self.learn(agent_id)
