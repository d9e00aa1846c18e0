"""The plan of LOW_LATENCY_MODE: what was read stays good while it cannot be read again, and not for any agent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from shortwire.errors import AgentError
from shortwire.switchboard import low_latency
from shortwire.switchboard.low_latency import LowLatency
from shortwire.terms import AgentId, HangupCause

SLOW = {
    "conversation_config": {"tts": {"model_id": "eleven_multilingual_v2"}},
    "platform_settings": {"overrides": {"conversation_config_override": {"tts": {"model_id": True}}}},
}


class Platform:
    busy = False

    async def agent(self, agent_id: AgentId) -> Mapping[str, Any]:
        if self.busy:
            raise AgentError("too many requests", cause=HangupCause.AGENT_BUSY)
        return SLOW


class Clock:
    ns = 0

    def now_ns(self) -> int:
        return self.ns

    def wall_s(self) -> float:
        return 0.0


async def test_a_failure_keeps_what_was_known() -> None:
    platform, agent = Platform(), AgentId("agent_a")
    plans = LowLatency(platform, Clock())  # type: ignore[arg-type]
    assert await plans.learn(agent) is not None
    before = plans.overrides(agent)
    assert before == {"tts": {"model_id": "eleven_flash_v2"}}
    platform.busy = True
    assert await plans.learn(agent) is None
    assert plans.overrides(agent) == before


async def test_only_so_many_agents_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(low_latency, "_AGENTS", 2)
    plans = LowLatency(Platform(), Clock())  # type: ignore[arg-type]
    for name in ("a", "b", "a", "c"):
        await plans.learn(AgentId(name))
    assert list(plans._plans) == ["a", "c"]
