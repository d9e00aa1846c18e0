"""The overrides that calls carried: which call is named, and when an old one is no longer held against a set-up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from shortwire.doctor import Finding, Outcome, load_checks
from shortwire.doctor.check import Tell
from shortwire.doctor.overrides import named
from shortwire.errors import UsageError

AGENT = {"platform_settings": {"overrides": {"conversation_config_override": {"agent": {"first_message": False}}}}}


def call(name: str, fault: str = "none", **request: Any) -> dict[str, Any]:
    cause = {"slug": "agent_ended", "fault": fault}
    disposition = "answered" if fault == "none" else "failed"
    return {"id": name, "created_at": 1.8e9, "request": request, "cause": cause, "disposition": disposition}


async def findings(calls: Sequence[Mapping[str, Any]], *will_use: str) -> list[Finding]:
    """What the check says; `calls` are newest first."""

    async def agent() -> Mapping[str, Any]:
        return AGENT

    async def recent_calls() -> Sequence[Mapping[str, Any]]:
        return calls

    toggles = SimpleNamespace(toggles=SimpleNamespace(low_latency_mode=False))
    bench: Any = SimpleNamespace(agent=agent, recent_calls=recent_calls, will_use=frozenset(will_use), settings=toggles)
    check = load_checks()["agent.overrides"]
    tell = Tell(check)
    await check.run(bench, tell)
    return tell.findings


async def test_the_call_that_carried_it_is_named() -> None:
    (found,) = await findings([call("call_new", "config", first_message="Hi"), call("call_good")])
    assert found.problem == "not_permitted"
    assert "call call_new of 20" in found.text
    assert "leave first_message out" in found.remedy


async def test_a_newer_good_call_makes_it_a_warning() -> None:
    (found,) = await findings([call("call_good"), call("call_old", "config", first_message="Hi")])
    assert (found.problem, found.outcome) == ("was_not_permitted", Outcome.WARN)
    assert "call call_old of" in found.text
    assert "call call_good of" in found.text


async def test_a_newer_call_that_failed_proves_nothing() -> None:
    (found,) = await findings([call("call_bad", "agent"), call("call_old", "config", first_message="Hi")])
    assert found.problem == "not_permitted"


async def test_what_calls_will_carry_fails_whatever_went_well() -> None:
    (found,) = await findings([call("call_good"), call("call_old", "config", first_message="Hi")], "first_message")
    assert found.problem == "not_permitted"


async def test_calls_without_overrides_raise_no_alarm() -> None:
    (found,) = await findings([call("call_good"), {"id": "call_odd", "request": None}])
    assert found.outcome is Outcome.PASS


def test_only_overrides_that_exist_can_be_named() -> None:
    assert named(" prompt,tts.voice_id, ") == {"prompt", "voice_id"}
    with pytest.raises(UsageError, match="first_mesage") as caught:
        named("prompt,first_mesage")
    assert "first_message" in caught.value.details
