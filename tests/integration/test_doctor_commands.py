"""The commands as a person uses them: doctor, agent and region against the emulators, from a wrong `.env` to a call."""

from __future__ import annotations

import asyncio
import json
import os
import re
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clinic import ACCOUNT, AGENT, AGENT_KEY, KEY, OURS, TOKEN, Clinic, open_clinic
from typer.testing import CliRunner

from shortwire.app import Server
from shortwire.cli.root import app
from shortwire.demo.processes import free_port
from shortwire.emulators.twilio import PartyScript
from shortwire.net.vendor_hosts import AgentHost, CarrierPoint
from shortwire.settings import load_settings

runner = CliRunner()


class Elsewhere:
    """A clinic on a loop and a thread of its own: commands bring their own loop."""

    def __init__(self, folder: Path) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()
        self._context = open_clinic(folder)
        self.clinic: Clinic = self.run(self._context.__aenter__())

    def run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)

    def close(self) -> None:
        self.run(self._context.__aexit__(None, None, None))
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)
        self.loop.close()


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Elsewhere]:
    for name in list(os.environ):
        if name.startswith(("SHORTWIRE_", "TWILIO_", "ELEVENLABS_")) or name in ("SERVER_URL", "ALLOWED_COUNTRIES"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    made = Elsewhere(tmp_path)
    yield made
    made.close()


def right(clinic: Clinic, **changes: str | None) -> dict[str, str]:
    values = {
        "ELEVENLABS_API_KEY": AGENT_KEY,
        "ELEVENLABS_AGENT_ID": AGENT,
        "ELEVENLABS_BASE_URL": clinic.eleven.base_url,
        "TWILIO_ACCOUNT_SID": ACCOUNT,
        "TWILIO_AUTH_TOKEN": TOKEN,
        "TWILIO_PHONE_NUMBER": OURS,
        "TWILIO_API_BASE_URL": clinic.twilio.base_url,
        "SERVER_URL": clinic.url,
        "SHORTWIRE_API_KEY": KEY,
        "SHORTWIRE_PORT": str(clinic.port),
        "SHORTWIRE_DATA_DIR": str(clinic.folder / "data"),
        "ALLOWED_COUNTRIES": "US",
        **changes,  # type: ignore[dict-item]
    }
    return {name: value for name, value in values.items() if value is not None}


def write(clinic: Clinic, **changes: str | None) -> Path:
    file = clinic.folder / ".env"
    file.write_text("# mine\n" + "".join(f"{name}={value}\n" for name, value in right(clinic, **changes).items()))
    file.chmod(0o600)
    return file


def invoke(*arguments: str, given: str | None = None) -> Any:
    return runner.invoke(app, list(arguments), input=given)


# doctor


def test_doctor_passes_a_right_set_up_and_hides_every_secret(elsewhere: Elsewhere) -> None:
    write(elsewhere.clinic)
    done = invoke("doctor", "--only", "settings", "--only", "carrier", "--only", "agent", "--only", "way_in")
    assert done.exit_code == 0, done.output
    assert "pass" in done.output.splitlines()[-1]
    for secret in (AGENT_KEY, TOKEN, KEY, OURS):
        assert secret not in done.output


def test_doctor_json_is_one_object_with_an_anchor_for_each_finding(elsewhere: Elsewhere) -> None:
    elsewhere.clinic.twilio.account.type = "Trial"
    write(elsewhere.clinic)
    done = invoke("doctor", "--json", "--only", "carrier")
    found = json.loads(done.stdout)
    assert done.exit_code == found["exit_status"] == 3
    assert found["worst"] == "warn"
    trial = next(row for row in found["findings"] if row.get("problem") == "trial")
    assert trial["docs"] == "docs/reference/doctor.md#carrieraccount"
    assert "Verified Caller IDs" in trial["remedy"]


def test_an_unknown_check_is_refused(elsewhere: Elsewhere) -> None:
    done = invoke("doctor", "--only", "carier")
    assert done.exit_code == 2


def test_what_cannot_be_is_refused_before_anything_is_examined(elsewhere: Elsewhere) -> None:
    write(elsewhere.clinic)
    done = invoke("doctor", "--will-use", "prompt,first_mesage")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "overrides: prompt, first_message, language, voice_id" in done.stderr
    done = invoke("doctor", "--live-call", "123")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "not a telephone number in E.164" in done.stderr


def test_fix_asks_and_writes_nothing_without_a_yes(elsewhere: Elsewhere) -> None:
    file = write(elsewhere.clinic, SHORTWIRE_API_KEY="short")
    before = file.read_text()
    done = invoke("doctor", "--fix", "--only", "settings", given="n\n")
    assert "Nothing was written." in done.output
    assert file.read_text() == before
    assert done.exit_code == 1


def test_fix_writes_what_is_safe_and_keeps_every_other_line(elsewhere: Elsewhere) -> None:
    file = write(elsewhere.clinic, SHORTWIRE_API_KEY="short", TWILIO_PHONE_NUMBER="+1 (415) 555-0100")
    before = file.read_text().splitlines()
    done = invoke("doctor", "--fix", "--yes", "--only", "settings")
    after = file.read_text().splitlines()
    assert len(after) == len(before)
    changed = {line.split("=")[0] for line, old in zip(after, before, strict=True) if line != old}
    assert changed == {"SHORTWIRE_API_KEY", "TWILIO_PHONE_NUMBER"}
    settings = load_settings(env_file=file)
    assert settings.twilio_phone_number == OURS
    assert len(settings.shortwire_api_key.get_secret_value()) >= 16
    assert settings.shortwire_api_key.get_secret_value() not in done.output
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_nothing_is_dialled(elsewhere: Elsewhere) -> None:
    clinic = elsewhere.clinic
    write(clinic)
    invoke("doctor", "--quick")
    assert clinic.twilio.calls == {}
    assert not clinic.eleven.ledger.conversations
    methods = {(entry["method"], entry["path"]) for entry in clinic.twilio.ledger.entries("rest")}
    assert {method for method, _ in methods} == {"GET"}


def test_json_is_pure_also_when_a_call_is_played(elsewhere: Elsewhere) -> None:
    write(elsewhere.clinic)
    done = invoke("doctor", "--json", "--only", "call.emulated")
    assert json.loads(done.stdout)["worst"] == "pass", done.output


def test_a_live_call_is_placed_only_when_nothing_fails(elsewhere: Elsewhere) -> None:
    clinic = elsewhere.clinic
    write(clinic)
    clinic.twilio.config.parties["+14155550123"] = PartyScript(ring_s=0.05, hang_up_after_ms=200)  # type: ignore[index]
    clinic.twilio.account.balance = "0"
    done = invoke("doctor", "--only", "carrier.balance", "--live-call", "+14155550123")
    assert done.exit_code == 1
    assert clinic.twilio.calls == {}
    clinic.twilio.account.balance = "20"
    server = Server(clinic.made_settings(), say=lambda line: None)
    elsewhere.run(server.__aenter__())
    try:
        done = invoke("doctor", "--only", "carrier.balance", "--live-call", "+14155550123")
    finally:
        elsewhere.run(server.__aexit__(None, None, None))
    assert done.exit_code == 0, done.output
    assert len(clinic.twilio.calls) == 1
    assert "Calling +1******0123 for real. This is billed." in done.output


def test_from_a_wrong_file_to_a_working_call_by_doctors_words_alone(elsewhere: Elsewhere) -> None:
    clinic = elsewhere.clinic
    clinic.agent("conversation_config.conversation.client_events", ["audio", "user_transcript", "agent_response"])
    clinic.agent("conversation_config.asr.user_input_audio_format", "pcm_16000")
    clinic.twilio.account.low_risk = frozenset({"US"})
    file = write(
        clinic,
        SHORTWIRE_API_KEY="short",
        TWILIO_PHONE_NUMBER="+1-415-555-0199",  # a wrong form of a number that is not ours either
        ALLOWED_COUNTRIES=None,
        SERVER_URL=f"http://127.0.0.1:{free_port()}",
        TUNE_SOCKETS="false",
        MAX_CALL_SECONDS="900",
    )
    file.chmod(0o644)
    reports = []
    for _ in range(8):
        found = json.loads(invoke("doctor", "--json", "--quick", "--fix", "--yes").stdout)
        reports.append(found["exit_status"])
        # What no setting mends is not among them: how the Python that runs this was built.
        problems = [
            row
            for row in found["findings"]
            if row["outcome"] in ("warn", "fail") and row.get("problem") != "slow_build"
        ]
        if not problems:
            break
        for row in problems:
            if row.get("fix", {}).get("setting") not in found["fixed"]:
                follow(row, file, clinic)
    assert reports[0] == 1
    assert not problems, problems
    settings = load_settings(env_file=file)

    async def call() -> str:
        from shortwire.records import CallRequest

        async with Server(settings, say=lambda line: None) as server:
            placed = await server.desk.place_call(CallRequest("+14155550123"))
            async with asyncio.timeout(30):
                async for event in server.desk.follow(placed.id):
                    if event.kind == "agent.ready":
                        await server.desk.hang_up(placed.id)
            return str((await server.desk.get(placed.id)).cause)

    assert asyncio.run(call()) == "api_hangup"


def follow(row: dict[str, Any], file: Path, clinic: Clinic) -> None:
    """Do what the remedy says, as somebody does who understands nothing: NAME=value into the file, commands run."""
    remedy = row["remedy"]
    if row["check"] == "way_in.reaches_us":
        # "start the proxy or tunnel, or correct SERVER_URL": the address of this machine is what the person knows.
        assert "correct SERVER_URL" in remedy
        set_value(file, "SERVER_URL", clinic.url)
    elif "chmod 600" in remedy:
        file.chmod(0o600)
    elif "`shortwire agent tune --apply`" in remedy:
        assert invoke("agent", "tune", "--apply", "--yes").exit_code == 0
    elif match := re.search(r"take (\w+) out of the settings", remedy):
        set_value(file, match[1], None)
    elif match := re.search(r"\b([A-Z][A-Z_]+)=([^\s,;)]+)", remedy):
        set_value(file, match[1], match[2])


def set_value(file: Path, name: str, value: str | None) -> None:
    lines = [line for line in file.read_text().splitlines() if not line.startswith(f"{name}=")]
    file.write_text("\n".join([*lines, *([f"{name}={value}"] if value is not None else [])]) + "\n")


# agent


def agent_now(clinic: Clinic) -> dict[str, Any]:
    found = clinic.eleven.agents.get(AGENT)
    assert found is not None
    return found


def test_agent_show_names_value_cost_and_source(elsewhere: Elsewhere) -> None:
    elsewhere.clinic.agent("conversation_config.tts.model_id", "eleven_turbo_v2")
    write(elsewhere.clinic)
    done = invoke("agent", "show")
    assert done.exit_code == 0, done.output
    assert "costs  tts.model_id = eleven_turbo_v2  (about 175 to 225 ms per turn)" in done.output
    assert "ElevenLabs docs, models" in done.output
    rows = json.loads(invoke("agent", "show", "--json").stdout)["fields"]
    assert any(row["field"].endswith("turn.turn_eagerness") for row in rows)


def test_tune_only_shows_and_apply_restores_exactly(elsewhere: Elsewhere) -> None:
    clinic = elsewhere.clinic
    clinic.agent("conversation_config.tts.agent_output_audio_format", "pcm_24000")
    clinic.agent("conversation_config.tts.model_id", "eleven_multilingual_v2")
    write(clinic)
    before = agent_now(clinic)
    shown = invoke("agent", "tune")
    assert "+ ulaw_8000" in shown.output
    assert "price a plainer voice" in shown.output
    assert agent_now(clinic) == before

    assert invoke("agent", "tune", "--apply", given="n\n").exit_code == 0
    assert agent_now(clinic)["conversation_config"] == before["conversation_config"]

    done = invoke("agent", "tune", "--apply", "--with-risk", "--yes")
    assert done.exit_code == 0, done.output
    after = agent_now(clinic)["conversation_config"]
    assert after["tts"]["agent_output_audio_format"] == "ulaw_8000"
    assert after["tts"]["model_id"] == "eleven_flash_v2"
    assert after["turn"]["speculative_turn"] is True
    assert invoke("agent", "diff").exit_code == 1

    done = invoke("agent", "restore", "--yes")
    assert done.exit_code == 0, done.output
    assert done.output.rstrip().endswith("Restored.")
    now = agent_now(clinic)
    assert now["conversation_config"] == before["conversation_config"]
    assert now["platform_settings"] == before["platform_settings"]
    assert invoke("agent", "restore").exit_code == 2


def test_by_default_only_what_costs_no_quality_is_applied(elsewhere: Elsewhere) -> None:
    clinic = elsewhere.clinic
    clinic.agent("conversation_config.asr.user_input_audio_format", "pcm_16000")
    write(clinic)
    before = agent_now(clinic)["conversation_config"]
    assert invoke("agent", "tune", "--apply", "--yes").exit_code == 0
    after = agent_now(clinic)["conversation_config"]
    assert after["asr"]["user_input_audio_format"] == "ulaw_8000"
    assert after["turn"] == before["turn"]
    # What is left has its price, so nothing is marked.
    left = invoke("agent", "tune").output
    assert "marked" not in left
    assert left.splitlines()[-1].startswith(
        "Nothing was changed. All of it costs quality or money: --apply --with-risk"
    )
    assert after["agent"] == before["agent"]


def test_one_field_by_name_and_a_name_that_is_none(elsewhere: Elsewhere) -> None:
    write(elsewhere.clinic)
    assert invoke("agent", "tune", "--apply", "--yes", "--only", "turn.turn_eagerness").exit_code == 0
    assert agent_now(elsewhere.clinic)["conversation_config"]["turn"]["turn_eagerness"] == "eager"
    assert agent_now(elsewhere.clinic)["conversation_config"]["turn"]["spelling_patience"] == "auto"
    assert invoke("agent", "tune", "--apply", "--yes", "--only", "turn.colour").exit_code == 2


def test_what_somebody_else_changed_since_is_not_undone_without_force(elsewhere: Elsewhere) -> None:
    clinic = elsewhere.clinic
    write(clinic)
    assert invoke("agent", "tune", "--apply", "--yes", "--only", "turn.turn_eagerness").exit_code == 0
    clinic.agent("conversation_config.turn.turn_eagerness", "patient")
    done = invoke("agent", "restore", "--yes")
    assert done.exit_code == 2
    assert agent_now(clinic)["conversation_config"]["turn"]["turn_eagerness"] == "patient"
    assert invoke("agent", "restore", "--yes", "--force").exit_code == 0
    assert agent_now(clinic)["conversation_config"]["turn"]["turn_eagerness"] == "normal"


def test_a_refusal_of_the_vendor_is_one_sentence(elsewhere: Elsewhere) -> None:
    write(elsewhere.clinic, ELEVENLABS_API_KEY="sk_wrong")
    done = invoke("agent", "show")
    assert done.exit_code == 69
    assert "Traceback" not in done.output


# region


@pytest.fixture
def two_hosts(elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch) -> Clinic:
    """Two agent hosts, one of them not ours, and two edges, all on this machine."""
    clinic = elsewhere.clinic
    hosts = (
        AgentHost("global", clinic.eleven.base_url, False),
        AgentHost("eu-residency", f"http://127.0.0.1:{free_port()}", True),
    )
    points = (
        CarrierPoint("ashburn", "us1", clinic.twilio.base_url),
        CarrierPoint("dublin", "ie1", f"http://127.0.0.1:{free_port()}"),
    )
    monkeypatch.setattr("shortwire.net.vendor_hosts.AGENT_HOSTS", hosts)
    monkeypatch.setattr("shortwire.net.vendor_hosts.carrier_points", lambda: points)
    monkeypatch.setattr("shortwire.doctor.bench.carrier_points", lambda: points)
    return clinic


def test_region_ranks_what_answers(two_hosts: Clinic) -> None:
    write(two_hosts)
    found = json.loads(invoke("region", "--json", "--tries", "2").stdout)
    assert [(pair["region"], pair["edge"]) for pair in found["pairs"]] == [("us1", "ashburn")]
    assert found["agent"]["eu-residency"]["n"] == 0
    done = invoke("region", "--tries", "2")
    assert "eu-residency     no answer" in done.output
    assert "us1 (edge ashburn) with global" in done.output


def test_pin_writes_three_lines_and_keeps_the_rest(two_hosts: Clinic) -> None:
    file = write(two_hosts)
    before = file.read_text()
    done = invoke("region", "--pin", "--yes", "--tries", "2")
    assert done.exit_code == 0, done.output
    assert file.read_text() == before + "TWILIO_EDGE=ashburn\nTWILIO_REGION=us1\n"


def test_nothing_is_pinned_that_the_credentials_do_not_open(two_hosts: Clinic) -> None:
    file = write(two_hosts, TWILIO_AUTH_TOKEN="f" * 32)
    before = file.read_text()
    done = invoke("region", "--pin", "--yes", "--tries", "2")
    assert done.exit_code == 78
    assert "not usable: ashburn.us1" in done.output
    assert file.read_text() == before


def test_without_a_network_region_says_so(two_hosts: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    dead = (AgentHost("global", f"http://127.0.0.1:{free_port()}", False),)
    monkeypatch.setattr("shortwire.net.vendor_hosts.AGENT_HOSTS", dead)
    monkeypatch.setattr("shortwire.net.vendor_hosts.carrier_points", lambda: ())
    done = invoke("region", "--tries", "2")
    assert done.exit_code == 69
