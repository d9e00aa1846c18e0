"""No false alarm: a right set-up in twenty variants, the whole examination, no network, and the slow checks."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from clinic import Clinic, open_clinic
from pydantic import SecretStr
from test_doctor_mistakes import network

from shortwire.app import Server
from shortwire.demo.processes import free_port
from shortwire.doctor import Outcome, load_checks
from shortwire.doctor.rehearsal import rehearsal
from shortwire.emulators.twilio import OwnedNumber

GROUPS = ("settings", "machine", "carrier", "agent", "way_in", "network")


def vary(clinic: Clinic, dice: random.Random) -> None:
    """Change what may be changed without harm."""
    settings: dict[str, Any] = {
        "allowed_countries": frozenset(dice.sample(["US", "CA", "GB", "DE", "AU", "JP"], dice.randint(1, 4))),
        "max_call_seconds": dice.choice([60, 300, 600]),
        "ring_timeout_seconds": dice.choice([15, 30, 60]),
        "shortwire_tape": dice.random() < 0.5,
        "log_json": dice.random() < 0.5,
        "shortwire_profile": dice.choice(["optimized", "optimized", "baseline"]),
        "shortwire_api_key": SecretStr("".join(dice.choices("abcdefghijkmnpqrstuvwxyz23456789-_", k=32))),
        "prewarm": dice.choice([None, "tls", "conversation"]),
        "low_latency_mode": dice.choice([None, True]),
    }
    if settings["shortwire_profile"] == "baseline":
        settings |= {"prewarm": None, "low_latency_mode": None}
    clinic.settings |= settings
    config = "conversation_config."
    clinic.agent(config + "agent.first_message", dice.choice(["Hello.", "Hi {{name}}!", "Grüß Gott, {{ name }}."]))
    clinic.agent(config + "agent.dynamic_variables.dynamic_variable_placeholders", {"name": "you"})
    clinic.agent(config + "agent.prompt.prompt", "Be brief. " * dice.randint(1, 300) + "{{system__caller_id}}")
    clinic.agent(config + "agent.prompt.llm", dice.choice(["gemini-2.5-flash", "gpt-4o-mini", "qwen3-30b-a3b"]))
    clinic.agent(config + "agent.prompt.reasoning_effort", dice.choice([None, "none", "minimal"]))
    clinic.agent(config + "tts.model_id", dice.choice(["eleven_flash_v2", "eleven_flash_v2_5"]))
    clinic.agent(config + "turn.turn_eagerness", dice.choice(["normal", "eager"]))
    clinic.agent(config + "turn.silence_end_call_timeout", dice.choice([-1.0, 30.0]))
    clinic.agent("platform_settings.call_limits.agent_concurrency_limit", dice.choice([-1, 10]))
    clinic.agent("platform_settings.overrides.conversation_config_override.agent.first_message", True)
    clinic.bench["will_use"] = frozenset(dice.choice([(), ("first_message",)]))
    clinic.twilio.account.balance = f"{dice.uniform(6, 900):.2f}"
    clinic.twilio.account.owner_account_sid = dice.choice(["", "AC" + "2" * 32])
    clinic.number(
        voice_url=f"{clinic.url}/incoming-call{dice.choice(['', '/'])}", voice_method=dice.choice(["GET", "POST"])
    )
    others: dict[str, OwnedNumber] = clinic.twilio.config.numbers  # type: ignore[assignment]
    for index in range(dice.randint(0, 3)):
        others[f"+1415555020{index}"] = OwnedNumber()


@pytest.mark.parametrize("seed", range(20))
async def test_a_right_set_up_raises_no_alarm(seed: int, tmp_path: Path) -> None:
    async with open_clinic(tmp_path) as clinic:
        vary(clinic, random.Random(seed))
        # The loop's lateness is this machine's, whose cores are shared with other tests.
        names = [name for name in load_checks() if name.split(".")[0] in GROUPS and name != "machine.event_loop"]
        found = await clinic.examine(*names)
    alarms = [(f.check, f.problem or f.text) for f in found.findings if f.outcome is not Outcome.PASS]
    assert alarms == []
    assert found.exit_status == 0
    assert {finding.check for finding in found.findings} == set(names)


@pytest.mark.parametrize("seed", range(20))
async def test_the_best_choice_raises_no_alarm_wherever_the_server_stands(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dice = random.Random(seed)
    near, far = sorted((dice.uniform(1, 60), dice.uniform(1, 60)))
    # The chosen host and region are the nearest, or so little farther that it is not worth a word.
    times = {
        "global": near,
        "us": near + dice.uniform(-15, 200),
        "eu-residency": dice.uniform(1, 200),
        "ashburn.us1": far,
        "dublin.us1": far + dice.uniform(-15, 200),
        "dublin.ie1": far + dice.uniform(-20, 200),
    }
    async with open_clinic(tmp_path) as clinic:
        await network(clinic, monkeypatch, {name: max(0.5, ms) for name, ms in times.items()})
        found = await clinic.examine("network")
    assert [(f.check, f.text) for f in found.findings if f.outcome is not Outcome.PASS] == []


async def test_without_any_network_everything_ends_in_readable_words(tmp_path: Path) -> None:
    async with open_clinic(tmp_path) as clinic:
        dead = f"http://127.0.0.1:{free_port()}"
        clinic.settings |= {"elevenlabs_base_url": dead, "twilio_api_base_url": dead}

        async def nothing(host: str, port: int) -> list[str]:
            raise OSError("Temporary failure in name resolution")

        clinic.settings["server_url"] = "https://calls.example.invalid"
        clinic.bench["resolve"] = nothing
        found = await clinic.examine(*GROUPS)
    by_check = {finding.check: finding for finding in found.findings}
    assert by_check["carrier.credentials"].problem == "unreachable"
    assert by_check["agent.credentials"].problem == "unreachable"
    assert by_check["way_in.dns"].problem == "no_such_name"
    assert by_check["carrier.balance"].outcome is Outcome.UNKNOWN
    assert by_check["carrier.balance"].text.endswith("(see carrier.credentials)")
    assert found.exit_status == 1
    for finding in found.findings:
        assert finding.text
        assert "Traceback" not in finding.text
        assert "a mistake in" not in finding.text, finding


async def test_the_right_values_of_recent_calls_count(tmp_path: Path) -> None:
    """A running server's own calls tell which overrides and variables are used."""
    async with open_clinic(tmp_path) as clinic, Server(clinic.made_settings(), say=lambda line: None) as server:
        from shortwire.records import CallRequest

        clinic.agent("conversation_config.agent.first_message", "Hello {{name}}")
        placed = await server.desk.place_call(
            CallRequest("+14155550123", first_message="Hi", dynamic_variables={"name": "Ann"})
        )
        await server.desk.hang_up(placed.id)
        found = await clinic.examine("agent.overrides", "agent.dynamic_variables")
    by_check = {finding.check: finding for finding in found.findings}
    assert by_check["agent.overrides"].problem == "not_permitted"
    assert by_check["agent.dynamic_variables"].outcome is Outcome.PASS


async def test_a_whole_call_is_played_with_the_users_settings(tmp_path: Path) -> None:
    async with open_clinic(tmp_path) as clinic:
        clinic.bench["rehearse"] = rehearsal(lambda settings: Server(settings, say=lambda line: None))
        (found,) = await clinic.finding("call.emulated")
    assert found.outcome is Outcome.PASS, found
    assert "first word after" in found.text


async def test_a_call_that_cannot_work_is_found_by_playing_it(tmp_path: Path) -> None:
    async with open_clinic(tmp_path) as clinic:
        clinic.agent("conversation_config.agent.first_message", "Hello {{name}}")
        clinic.bench["rehearse"] = rehearsal(lambda settings: Server(settings, say=lambda line: None))
        (found,) = await clinic.finding("call.emulated")
    assert found.problem == "not_heard"
    assert found.values["cause"] == "agent_variable_missing"
    assert "agent_variable_missing" in found.remedy


async def test_the_load_test_names_a_number_of_calls(tmp_path: Path) -> None:
    async with open_clinic(tmp_path) as clinic:
        (found,) = await clinic.finding("call.capacity")
    assert found.outcome in (Outcome.PASS, Outcome.WARN)
    assert found.values["steps"][0]["calls"] == 2
    assert found.values["steps"][0]["p99_ms"] > 0
