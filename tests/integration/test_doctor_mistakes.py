"""Every mistake on the list is put into a right set-up, found, called by its name, and answered with what to change."""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from clinic import ACCOUNT, AGENT, KEY, OURS, QUICK, Clinic, answering, hosts_of, listening, open_clinic
from pydantic import SecretStr
from test_doctor_way_in import MISTAKES as ON_THE_WAY_IN

from shortwire.clock import SystemClock
from shortwire.demo.processes import free_port
from shortwire.doctor import Outcome, load_checks
from shortwire.doctor import measure as measuring
from shortwire.doctor.bench import Rehearsal
from shortwire.doctor.groups import machine
from shortwire.emulators.elevenlabs import ElevenLabsEmulator, EmulatorConfig, Faults
from shortwire.emulators.network import LegNetwork, NetworkRelay
from shortwire.emulators.twilio import NumberFacts
from shortwire.errors import ConfigError
from shortwire.net.probes import Series
from shortwire.net.vendor_hosts import AgentHost, CarrierPoint
from shortwire.settings import load_settings

Spoil = Callable[[Clinic, pytest.MonkeyPatch], Awaitable[None]]


@dataclass(frozen=True)
class Mistake:
    name: str
    check: str
    problem: str
    remedy: str
    """Must be in the words of what to change."""
    spoil: Spoil


MISTAKES: list[Mistake] = []


def mistake(check: str, problem: str, remedy: str, name: str = "") -> Callable[[Spoil], Spoil]:
    def register(spoil: Spoil) -> Spoil:
        MISTAKES.append(Mistake(name or spoil.__name__, check, problem, remedy, spoil))
        return spoil

    return register


def simple(check: str, problem: str, remedy: str, name: str, do: Callable[[Clinic], Any]) -> None:
    async def spoil(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
        do(clinic)

    MISTAKES.append(Mistake(name, check, problem, remedy, spoil))


def setting(check: str, problem: str, remedy: str, name: str, /, **values: Any) -> None:
    simple(check, problem, remedy, name, lambda clinic: clinic.settings.update(values))


def agent_field(check: str, problem: str, remedy: str, path: str, value: Any, name: str = "") -> None:
    simple(check, problem, remedy, name or f"{path}={value}", lambda clinic: clinic.agent(path, value))


def in_file(check: str, problem: str, remedy: str, name: str, text: str, **environment: str) -> None:
    def write(clinic: Clinic) -> None:
        (clinic.folder / ".env").write_text(text)
        (clinic.folder / ".env").chmod(0o600)
        clinic.bench["environment"] = environment

    simple(check, problem, remedy, name, write)


# Settings


def wrong_settings(name: str, problem: str, remedy: str, label: str, value: str | None) -> None:
    @mistake("settings.valid", problem, remedy, label)
    async def spoil(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
        right = {
            "ELEVENLABS_API_KEY": "sk_emulated",
            "ELEVENLABS_AGENT_ID": AGENT,
            "TWILIO_ACCOUNT_SID": ACCOUNT,
            "TWILIO_AUTH_TOKEN": "0" * 32,
            "TWILIO_PHONE_NUMBER": OURS,
            "SERVER_URL": "https://calls.example.com",
            "SHORTWIRE_API_KEY": KEY,
        }
        lines = {**right, name: value} if value is not None else {k: v for k, v in right.items() if k != name}
        file = clinic.folder / ".env"
        file.write_text("".join(f"{key}={text}\n" for key, text in lines.items()))
        for key in list(os.environ):
            if key in right or key.startswith(("TWILIO_", "SHORTWIRE_", "ELEVENLABS_")):
                monkeypatch.delenv(key)
        with pytest.raises(ConfigError) as caught:
            load_settings(env_file=file)
        clinic.bench |= {"given": None, "problems": caught.value}


wrong_settings("ELEVENLABS_AGENT_ID", "wrong", "ELEVENLABS_AGENT_ID=agent_", "no agent id", None)
wrong_settings("ELEVENLABS_API_KEY", "own_value", "elevenlabs.io", "no API key of ElevenLabs", None)
wrong_settings("TWILIO_AUTH_TOKEN", "own_value", "console.twilio.com", "no auth token", None)
wrong_settings("TWILIO_ACCOUNT_SID", "own_value", "AC and 32", "an API key's sid as account", "SK" + "1" * 32)
wrong_settings("TWILIO_PHONE_NUMBER", "own_value", "digits only", "a number with blanks", "+1 (415) 555-0100")
wrong_settings(
    "SERVER_URL", "wrong", "SERVER_URL=https://", "an address with a path", "https://a.example/incoming-call"
)
wrong_settings("SERVER_URL", "wrong", "SERVER_URL=https://", "an http address", "http://calls.example.com")
wrong_settings("SHORTWIRE_API_KEY", "own_value", "--fix", "a short API key", "short")
wrong_settings("ALLOWED_COUNTRIES", "wrong", "ALLOWED_COUNTRIES=", "UK for GB", "US,UK")
wrong_settings("PREWARM", "wrong", "PREWARM=tls", "a level of prewarming that is none", "sometimes")

in_file("settings.names", "misspelt", "ELEVENLABS_API_KEY", "a misspelt variable", "ELEVENLABS_APIKEY=sk_x\n")
in_file("settings.names", "unknown", "SHORTWIRE_COLOUR", "a variable nobody reads", "SHORTWIRE_COLOUR=blue\n")
in_file("settings.overruled", "overruled", "unset TWILIO_PHONE_NUMBER", "the environment wins over .env",
        "TWILIO_PHONE_NUMBER=+14155550100\n", TWILIO_PHONE_NUMBER="+14155550199")  # fmt: skip
setting(
    "settings.secrets", "exchanged", "ELEVENLABS_AGENT_ID", "the API key as agent id", elevenlabs_agent_id="sk_0123"
)
setting("settings.secrets", "exchanged", "ELEVENLABS_API_KEY", "the agent id as API key",
        elevenlabs_api_key=SecretStr("agent_0123"))  # fmt: skip
setting("settings.secrets", "exchanged", "TWILIO_AUTH_TOKEN", "an API key's sid as token",
        twilio_auth_token=SecretStr("SK" + "0" * 32))  # fmt: skip
setting("settings.secrets", "reused", "SHORTWIRE_API_KEY", "one secret twice",
        shortwire_api_key=SecretStr("0123456789abcdef0123456789abcdef"))  # fmt: skip
setting("settings.secrets", "odd_shape", "TWILIO_AUTH_TOKEN", "half a token",
        twilio_api_base_url="https://api.twilio.com", twilio_auth_token=SecretStr("0123456789abcdef"))  # fmt: skip
setting("settings.secrets", "odd_shape", "ELEVENLABS_API_KEY", "half a key",
        elevenlabs_base_url="https://api.elevenlabs.io", elevenlabs_api_key=SecretStr("sk_0123"))  # fmt: skip
setting("settings.dialling", "off", "ALLOWED_COUNTRIES=US", "no country allowed", allowed_countries=frozenset())
setting("settings.dialling", "not_a_number", "TWILIO_PHONE_NUMBER", "a number that cannot be",
        twilio_phone_number="+11234567890")  # fmt: skip
setting("settings.toggles", "off", "TUNE_SOCKETS", "socket tuning off", tune_sockets=False)
setting("settings.toggles", "off", "INLINE_TWIML", "TwiML by webhook", inline_twiml=False)
setting("settings.toggles", "prewarm_off", "PREWARM=tls", "nothing prewarmed", prewarm="off")
setting("settings.edge", "unknown_edge", "TWILIO_EDGE=dublin", "a misspelt edge",
        twilio_api_base_url="https://api.twilio.com", twilio_edge="dubln", twilio_region="ie1")  # fmt: skip
setting("settings.edge", "no_media", "us1, ie1 or au1", "a region without media",
        twilio_api_base_url="https://api.twilio.com", twilio_edge="tokyo", twilio_region="jp1")  # fmt: skip
setting("settings.edge", "region_only", "TWILIO_EDGE=dublin", "a region without an edge",
        twilio_api_base_url="https://api.twilio.com", twilio_region="ie1")  # fmt: skip
setting("settings.edge", "ignored", "TWILIO_EDGE and TWILIO_REGION", "an edge beside a base URL",
        twilio_edge="dublin", twilio_region="ie1")  # fmt: skip


@mistake("settings.file_private", "readable", "chmod 600")
async def a_settings_file_for_everybody(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    (clinic.folder / ".env").write_text("A=1\n")
    (clinic.folder / ".env").chmod(0o644)


# The machine


def versions(package: str, version: str | None) -> Callable[[Clinic], Any]:
    def installed(name: str) -> str | None:
        return version if name == package else importlib.metadata.version(name)

    return lambda clinic: clinic.bench.update(version_of=installed)


simple("machine.versions", "missing", "pip install 'picows", "a library is missing", versions("picows", None))
simple("machine.versions", "too_old", "pip install 'twilio", "a library is too old", versions("twilio", "8.1"))
simple("machine.versions", "too_old", "pip install 'websockets", "a library is too new", versions("websockets", "99.0"))
simple("machine.extras", "slow_loop", "pip install uvloop", "no fast event loop", versions("uvloop", None))
simple("machine.python", "slow_build", "make clean", "a slow Python",
       lambda clinic: clinic.bench.update(optimised=lambda: False))  # fmt: skip


@mistake("machine.extras", "missing", "shortwire[tunnel]")
async def a_tunnel_without_its_package(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    clinic.settings["shortwire_tunnel"] = "ngrok"
    versions("ngrok", None)(clinic)


@mistake("machine.extras", "missing", "shortwire[postgres]")
async def postgres_without_its_driver(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    clinic.settings["shortwire_database_url"] = SecretStr("postgresql://u:p@127.0.0.1/x")
    versions("psycopg", None)(clinic)


@mistake("machine.database", "unreachable", "SHORTWIRE_DATABASE_URL")
async def no_database_there(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"postgresql://user:s3cret-word@127.0.0.1:{free_port()}/x"
    clinic.settings["shortwire_database_url"] = SecretStr(url)


@mistake("machine.hand_over", "fallback", "pip install --force-reinstall picows")
async def no_lean_sockets(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise ImportError("picows changed")

    monkeypatch.setattr("shortwire.net.lean_phone.self_test", broken)


@mistake("machine.data_dir", "is_a_file", "SHORTWIRE_DATA_DIR")
async def a_file_as_data_directory(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    (clinic.folder / "data").write_text("")


@mistake("machine.data_dir", "not_writable", "writable")
async def a_data_directory_of_somebody_else(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(**_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(machine.tempfile, "NamedTemporaryFile", refused)


@mistake("machine.disk", "low", "free space")
async def a_full_disk(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_free_bytes", lambda path: 5_000_000)


@mistake("machine.descriptors", "few", "ulimit -n")
async def few_descriptors(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_descriptor_limit", lambda: 256)


simple("machine.proxy_variables", "proxy", "HTTPS_PROXY", "a proxy in the environment",
       lambda clinic: clinic.bench.update(environment={"HTTPS_PROXY": "http://proxy:3128"}))  # fmt: skip


def clock_off(seconds: float) -> Callable[[Clinic], Any]:
    class Skewed(SystemClock):
        def wall_s(self) -> float:  # type: ignore[override]
            return SystemClock.wall_s() + seconds

    return lambda clinic: clinic.bench.update(clock=Skewed())


simple("machine.clock", "wrong", "timedatectl set-ntp true", "the clock an hour ahead", clock_off(3600))
simple("machine.clock", "off", "timedatectl set-ntp true", "the clock half a minute behind", clock_off(-30))


@mistake("machine.event_loop", "late", "another core")
async def a_machine_that_wakes_late(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow:
        """Every second reading is 30 ms later than it should be."""

        readings = 0

        def now_ns(self) -> int:
            self.readings += 1
            return SystemClock.now_ns() + 30_000_000 * (self.readings // 2)

        def wall_s(self) -> float:
            return SystemClock.wall_s()

    clinic.bench["clock"] = Slow()


# The telephone line

setting(
    "carrier.credentials", "wrong_token", "TWILIO_AUTH_TOKEN", "a wrong token", twilio_auth_token=SecretStr("f" * 32)
)
setting("carrier.credentials", "wrong_token", "TWILIO_ACCOUNT_SID", "a wrong account",
        twilio_account_sid="AC" + "9" * 32)  # fmt: skip


@mistake("carrier.credentials", "unreachable", "TWILIO_API_BASE_URL")
async def nobody_at_the_carriers_address(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    clinic.settings["twilio_api_base_url"] = f"http://127.0.0.1:{free_port()}"


@mistake("carrier.credentials", "not_twilio", "https://api.twilio.com")
async def another_server_as_carrier(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    port = await clinic.exits.enter_async_context(listening(answering()))
    clinic.settings["twilio_api_base_url"] = f"http://127.0.0.1:{port}"


@mistake("carrier.credentials", "wrong_region", "take out TWILIO_EDGE")
async def credentials_of_another_region(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shortwire.settings.model.TWILIO_API", clinic.twilio.base_url)
    clinic.settings |= {"twilio_edge": "dublin", "twilio_region": "ie1", "twilio_auth_token": SecretStr("f" * 32)}
    # The SDK would put the region into the host's name; the emulator has only one.
    monkeypatch.setattr("twilio.base.client_base.ClientBase.get_hostname", lambda self, uri: uri)


def account(check: str, problem: str, remedy: str, name: str, /, **facts: Any) -> None:
    def change(clinic: Clinic) -> None:
        for field, value in facts.items():
            setattr(clinic.twilio.account, field, value)

    simple(check, problem, remedy, name, change)


account("carrier.account", "trial", "Verified Caller IDs", "a trial account", type="Trial")
account("carrier.account", "suspended", "console.twilio.com", "a suspended account", status="suspended")
account("carrier.account", "closed", "TWILIO_ACCOUNT_SID", "a closed account", status="closed")
account("carrier.balance", "empty", "top up", "no money", balance="-0.50")
account("carrier.balance", "low", "auto-recharge", "little money", balance="2.10")
account("carrier.geo_permissions", "not_permitted", "tick US", "a country not permitted", low_risk=frozenset({"GB"}))
account("carrier.geo_permissions", "toll_fraud", "untick", "toll fraud ranges open", toll_fraud=frozenset({"US"}))
account("carrier.number", "no_voice", "with Voice", "a number without voice", numbers={OURS: NumberFacts(voice=False)})
account("carrier.number", "fax", "Voice Calls", "a fax number", numbers={OURS: NumberFacts(voice_receive_mode="fax")})
account("carrier.webhook", "application", "Webhook", "an application on the number",
        numbers={OURS: NumberFacts(voice_application_sid="AP" + "0" * 32)})  # fmt: skip
account("carrier.webhook", "trunk", "Webhook", "a trunk on the number",
        numbers={OURS: NumberFacts(trunk_sid="TK" + "0" * 32)})  # fmt: skip
setting("carrier.number", "not_owned", "TWILIO_PHONE_NUMBER to +1******0100", "somebody else's number",
        twilio_phone_number="+14155550177")  # fmt: skip


@mistake("carrier.number", "caller_id_only", "buy a number")
async def a_verified_number_of_ones_own(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    clinic.settings["twilio_phone_number"] = "+14155550177"
    clinic.twilio.account.caller_ids = ("+14155550177",)


@mistake("carrier.number_region", "far", "TWILIO_REGION=ie1")
async def a_european_number_in_the_american_region(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    clinic.settings |= {"twilio_phone_number": "+442079460000", "twilio_api_base_url": "https://api.twilio.com"}


def webhook(problem: str, name: str, url: str) -> None:
    simple("carrier.webhook", problem, "/incoming-call", name,
           lambda clinic: clinic.number(voice_url=url.format(port=clinic.port)))  # fmt: skip


webhook("unset", "no webhook", "")
webhook("unset", "Twilio's demo as webhook", "https://demo.twilio.com/welcome/voice/")
webhook("elsewhere", "the webhook of an old tunnel", "https://abcd.ngrok-free.app/incoming-call")
webhook("elsewhere", "the webhook on another port", "http://127.0.0.1:1/incoming-call")
webhook("wrong_path", "the webhook with another path", "http://127.0.0.1:{port}/voice")


@mistake("carrier.webhook", "http", "https://calls.example.com/incoming-call")
async def a_webhook_over_http(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    clinic.settings["server_url"] = "https://calls.example.com"
    clinic.number(voice_url="http://calls.example.com/incoming-call")


@mistake("carrier.call_rate", "queued", "calls per second")
async def calls_that_had_to_wait(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    async def recent(self: Any, limit: int = 50) -> list[Any]:
        return [SimpleNamespace(status="completed", queue_ms=9000)]

    monkeypatch.setattr("shortwire.net.twilio_account.TwilioAccount.recent_calls", recent)


@mistake("carrier.round_trip", "slow", "shortwire region")
async def a_carrier_far_away(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    relay = await clinic.exits.enter_async_context(NetworkRelay("127.0.0.1", clinic.twilio.port, LegNetwork(15)))
    clinic.settings["twilio_api_base_url"] = f"http://127.0.0.1:{relay.port}"
    clinic.bench["plan"] = replace(QUICK, slow_api_ms=20.0)


# The agent

setting("agent.credentials", "wrong_key", "ELEVENLABS_API_KEY", "a wrong key",
        elevenlabs_api_key=SecretStr("sk_somebody_elses"))  # fmt: skip
setting(
    "agent.exists", "not_found", "ELEVENLABS_AGENT_ID", "an agent that is not there", elevenlabs_agent_id="agent_gone"
)


@mistake("agent.credentials", "unreachable", "ELEVENLABS_BASE_URL")
async def nobody_at_the_agents_address(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    clinic.settings["elevenlabs_base_url"] = f"http://127.0.0.1:{free_port()}"


@mistake("agent.credentials", "missing_permission", "permission")
async def a_key_without_permission(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    clinic.eleven.faults = Faults(rest_status=401, error_code="missing_permissions", rest_path="/v1/convai/agents")


async def another_residency(clinic: Clinic, config: EmulatorConfig) -> str:
    """The host that is set is the global one; the agent lives at the European one."""
    there = await clinic.exits.enter_async_context(ElevenLabsEmulator(config))
    clinic.bench["agent_hosts"] = hosts_of(
        ("global", clinic.eleven.port, False), ("eu-residency", there.port, True), ("in-residency", free_port(), True)
    )
    return there.base_url


@mistake("agent.exists", "elsewhere", "ELEVENLABS_BASE_URL=http://127.0.0.1:")
async def an_agent_of_another_residency(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    await another_residency(clinic, EmulatorConfig(agent_id="agent_eu"))
    clinic.settings["elevenlabs_agent_id"] = "agent_eu"


@mistake("agent.credentials", "residency", "ELEVENLABS_BASE_URL=http://127.0.0.1:")
async def a_key_of_another_residency(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    await another_residency(clinic, EmulatorConfig(agent_id=AGENT, api_keys=("sk_of_europe",)))
    clinic.settings["elevenlabs_api_key"] = SecretStr("sk_of_europe")


_C = "conversation_config."
agent_field("agent.audio_in", "converted", "mu-law 8000 Hz", _C + "asr.user_input_audio_format", "pcm_16000")
agent_field("agent.audio_out", "converted", "mu-law 8000 Hz", _C + "tts.agent_output_audio_format", "pcm_24000")
EVENTS = ["audio", "interruption", "user_transcript", "agent_response", "agent_response_correction"]
agent_field("agent.client_events", "no_interruption", "add `interruption`", _C + "conversation.client_events",
            [event for event in EVENTS if event != "interruption"], "no interruption event")  # fmt: skip
agent_field("agent.client_events", "no_audio", "add `audio`", _C + "conversation.client_events", EVENTS[1:],
            "no audio event")  # fmt: skip
agent_field("agent.client_events", "no_words", "add user_transcript", _C + "conversation.client_events", EVENTS[:2],
            "no transcript events")  # fmt: skip
agent_field("agent.first_message", "empty", "first message", _C + "agent.first_message", "")
agent_field("agent.dynamic_variables", "unset", "--var name=", _C + "agent.first_message", "Hello {{ name }}!",
            "a variable in the first message")  # fmt: skip
agent_field("agent.dynamic_variables", "unset", "--variables", _C + "agent.prompt.prompt", "Speak to {{customer_id}}.",
            "a variable in the prompt")  # fmt: skip
agent_field("agent.tts_model", "slow", "eleven_flash_v2", _C + "tts.model_id", "eleven_multilingual_v2")
agent_field("agent.tts_model", "slow", "eleven_flash_v2", _C + "tts.model_id", "eleven_turbo_v2")
agent_field("agent.llm", "slow", "agent.prompt.llm", _C + "agent.prompt.llm", "claude-opus-4-8")
agent_field("agent.llm", "slow", "reasoning_effort", _C + "agent.prompt.reasoning_effort", "high")
agent_field("agent.llm", "slow", "thinking_budget", _C + "agent.prompt.thinking_budget", 4096)
agent_field("agent.llm", "slow", "rag.enabled", _C + "agent.prompt.rag", {"enabled": True})
agent_field("agent.llm", "slow", "agent.prompt.prompt", _C + "agent.prompt.prompt", "long " * 3000, "a long prompt")
agent_field("agent.turn_taking", "patient", "Eager", _C + "turn.turn_eagerness", "patient")
agent_field("agent.turn_taking", "ends_on_silence", "-1", _C + "turn.silence_end_call_timeout", 4.0)
agent_field("agent.voice", "text_only", "text only", _C + "conversation.text_only", True)
agent_field("agent.duration", "shorter", "MAX_CALL_SECONDS=120", _C + "conversation.max_duration_seconds", 120)
agent_field("agent.access", "public", "authentication", "platform_settings.auth.enable_auth", False)
agent_field("agent.access", "origin", "require_origin_header", "platform_settings.auth",
            {"require_origin_header": True, "allowlist": [{"hostname": "example.com"}]}, "an allowlist")  # fmt: skip
agent_field("agent.limits", "few", "concurrency limit", "platform_settings.call_limits.agent_concurrency_limit", 1)
agent_field("agent.limits", "full", "concurrency limit", "platform_settings.call_limits.agent_concurrency_limit", 0)
agent_field("agent.limits", "daily", "daily limit", "platform_settings.call_limits.daily_limit", 10)
simple("agent.overrides", "not_permitted", "agent.first_message", "an override that is not permitted",
       lambda clinic: clinic.bench.update(will_use=frozenset({"first_message"})))  # fmt: skip
simple("agent.overrides", "not_permitted", "tts.voice_id", "a voice that may not be chosen",
       lambda clinic: clinic.bench.update(will_use=frozenset({"voice_id"})))  # fmt: skip
simple("agent.quota", "used_up", "credits", "no credits",
       lambda clinic: setattr(clinic.eleven.subscription, "character_count", 100_000))  # fmt: skip
simple("agent.quota", "low", "credits", "few credits",
       lambda clinic: setattr(clinic.eleven.subscription, "character_count", 99_000))  # fmt: skip


@mistake("agent.overrides", "was_not_permitted", "agent.first_message")
async def an_old_call_with_an_override(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    good = {"id": "call_2", "request": {}, "disposition": "answered", "cause": {"fault": "none"}}

    async def recent(self: Any) -> list[Any]:
        return [good, {"id": "call_1", "request": {"first_message": "Hi"}}]

    monkeypatch.setattr("shortwire.doctor.bench.Bench.recent_calls", recent)


@mistake("agent.audio_in", "impossible", "mu-law 8000 Hz")
async def a_format_that_cannot_be_made(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    clinic.agent(_C + "asr.user_input_audio_format", "pcm_16000")
    monkeypatch.setattr("shortwire.doctor.groups.agent.conversion_delay_ms", lambda name, downlink: None)


@mistake("agent.audio_out", "impossible", "mu-law 8000 Hz")
async def a_format_that_cannot_be_converted(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    clinic.agent(_C + "tts.agent_output_audio_format", "pcm_44100")
    monkeypatch.setattr("shortwire.doctor.groups.agent.conversion_delay_ms", lambda name, downlink: None)


@mistake("agent.signed_url", "refused", "concurrent")
async def no_signed_urls(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    clinic.eleven.faults = Faults(signed_url_status=429)


@mistake("agent.signed_url", "slow", "PREWARM=tls")
async def slow_signed_urls(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    clinic.eleven.faults = Faults(signed_url_delay_ms=1600)


# The network: distances as if measured, because loopback has none


async def network(clinic: Clinic, monkeypatch: pytest.MonkeyPatch, times: dict[str, float], **ours: str) -> None:
    async def fake(url: str, tries: int, **_: Any) -> Series:
        ms = times[url.rpartition("/")[2]]
        return Series((ms, ms + 1, ms, ms + 1)) if ms >= 0 else Series((), tries, "nothing within 1 s")

    monkeypatch.setattr(measuring, "tcp_series", fake)
    hosts = {"global": False, "us": False, "eu-residency": True}
    clinic.bench["agent_hosts"] = [AgentHost(name, f"https://{name}", separate) for name, separate in hosts.items()]
    edges = [("ashburn", "us1"), ("dublin", "us1"), ("dublin", "ie1")]
    clinic.bench["carrier_points"] = [CarrierPoint(e, r, f"https://{e}.{r}") for e, r in edges]
    clinic.settings |= {
        "elevenlabs_base_url": "https://global",
        "twilio_api_base_url": "https://api.twilio.com",
        **ours,
    }


NEAR = {"global": 10.0, "us": 12.0, "eu-residency": 90.0, "ashburn.us1": 5.0, "dublin.us1": 80.0, "dublin.ie1": 80.0}


def distance(check: str, problem: str, remedy: str, name: str, times: dict[str, float], **ours: str) -> None:
    @mistake(check, problem, remedy, name)
    async def spoil(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
        await network(clinic, monkeypatch, {**NEAR, **times}, **ours)


distance("network.best_pair", "agent_host", "ELEVENLABS_BASE_URL=https://us", "a nearer agent host", {"global": 90.0})
distance(
    "network.best_pair", "edge", "TWILIO_EDGE=ashburn", "a far edge", {}, twilio_edge="dublin", twilio_region="us1"
)
distance("network.best_pair", "region", "TWILIO_REGION=ie1", "a far region", {"ashburn.us1": 90.0, "dublin.ie1": 5.0,
         "dublin.us1": 5.0})  # fmt: skip
distance("network.agent", "loss", "packet loss", "the agent's host does not answer", {"global": -1.0})
distance("network.carrier", "loss", "packet loss", "the region's edge does not answer", {"ashburn.us1": -1.0})


@mistake("network.agent", "jitter", "wired or cloud")
async def an_unsteady_way(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    await network(clinic, monkeypatch, NEAR)

    async def shaky(url: str, tries: int, **_: Any) -> Series:
        return Series((10.0, 90.0, 12.0, 100.0))

    monkeypatch.setattr(measuring, "tcp_series", shaky)


@mistake("network.carrier", "jitter", "wired or cloud")
async def an_unsteady_way_to_the_carrier(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    await an_unsteady_way(clinic, monkeypatch)


# A whole call


def played(problem: str, name: str, **changes: Any) -> None:
    async def rehearse(settings: Any, agent: Any) -> Rehearsal:
        went = {"answered": True, "heard_agent": True, "cause": "agent_lost", "meaning": "the agent went away"}
        return Rehearsal(**{**went, "detail": "", "first_word_ms": None, "response_gap_ms": None, **changes})

    simple("call.emulated", problem, "agent_lost", name, lambda clinic: clinic.bench.update(rehearse=rehearse))


played("broke_off", "a call that breaks off")
played("not_heard", "a call in which nothing is heard", heard_agent=False)
simple("call.capacity", "few", "more or quicker cores", "a machine without strength",
       lambda clinic: clinic.bench.update(plan=replace(QUICK, load_p99_ms=0.0)))  # fmt: skip


@mistake("settings.valid", "unreadable", "one that is there with --env-file")
async def a_settings_file_that_is_not_there(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings(env_file=clinic.folder / "nowhere.env")
    clinic.bench |= {"given": None, "problems": caught.value}


@pytest.mark.parametrize("case", MISTAKES, ids=lambda case: case.name.replace(" ", "-")[:60])
async def test_a_mistake_is_found(case: Mistake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_clinic(tmp_path) as clinic:
        await case.spoil(clinic, monkeypatch)
        findings = await clinic.finding(case.check)
    problems = {finding.problem: finding for finding in findings}
    assert case.problem in problems, [(f.outcome, f.problem, f.text) for f in findings]
    found = problems[case.problem]
    assert found.outcome in (Outcome.WARN, Outcome.FAIL)
    assert case.remedy in found.remedy
    assert found.effect
    assert found.text


def test_every_problem_that_doctor_can_name_is_on_a_list() -> None:
    listed = {(case.check, case.problem) for case in (*MISTAKES, *ON_THE_WAY_IN)}
    known = {(check.id, slug) for check in load_checks().values() for slug in check.problems}
    assert listed == known
    assert len(MISTAKES) + len(ON_THE_WAY_IN) >= 150
