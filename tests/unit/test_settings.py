"""Settings: which source wins, and that every problem is named at once with what to write."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shortwire.call.options import Prewarm, Toggles
from shortwire.errors import ConfigError
from shortwire.settings import GROUPS, Settings, load_settings
from shortwire.terms import Profile

ROOT = Path(__file__).resolve().parents[2]
GOOD = {
    "ELEVENLABS_API_KEY": "sk_test",
    "ELEVENLABS_AGENT_ID": "agent_1",
    "TWILIO_ACCOUNT_SID": "AC" + "1" * 32,
    "TWILIO_AUTH_TOKEN": "s3cret-token",
    "TWILIO_PHONE_NUMBER": "+14155550100",
    "SERVER_URL": "https://calls.example.com",
    "SHORTWIRE_API_KEY": "k" * 32,
}
SECRETS = ("sk_test", "s3cret-token", "k" * 32)
TOGGLES = list(Toggles.__dataclass_fields__)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.lower() in Settings.model_fields or name.startswith("SHORTWIRE_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def load(**changes: Any) -> Settings:
    return load_settings({**GOOD, **changes})


def problems(**changes: Any) -> dict[str, str]:
    """Lines of the error by variable."""
    with pytest.raises(ConfigError) as caught:
        load(**changes)
    return {line.split(" ", 1)[0]: line for line in caught.value.details.splitlines()}


def test_everything_that_is_missing_is_named_at_once_with_an_example() -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings()
    lines = caught.value.details.splitlines()
    assert [line.split(" ", 1)[0] for line in lines] == list(GOOD)
    assert all(f"write for example {line.split(' ', 1)[0]}=" in line for line in lines)
    assert caught.value.exit_status == 78


def test_the_suggested_key_is_a_good_one_and_fresh() -> None:
    suggested = []
    for _ in range(2):
        with pytest.raises(ConfigError) as caught:
            load_settings({**GOOD, "SHORTWIRE_API_KEY": None})
        suggested.append(caught.value.details.rsplit("=", 1)[1])
    assert suggested[0] != suggested[1]
    assert load(SHORTWIRE_API_KEY=suggested[0]).shortwire_api_key.get_secret_value() == suggested[0]


def test_wrong_and_missing_ones_are_told_together() -> None:
    found = problems(
        ELEVENLABS_API_KEY=None, SERVER_URL="http://x.example", MAX_CALL_SECONDS="soon", ALLOWED_COUNTRIES="UK,US"
    )
    assert list(found) == ["ELEVENLABS_API_KEY", "SERVER_URL", "ALLOWED_COUNTRIES", "MAX_CALL_SECONDS"]
    assert "GB" in found["ALLOWED_COUNTRIES"]


BAD = [
    ("ELEVENLABS_API_KEY", "sk_ test"),
    ("ELEVENLABS_API_KEY", "sk_..."),
    ("ELEVENLABS_AGENT_ID", "agent/1"),
    ("ELEVENLABS_BASE_URL", "ftp://x"),
    ("ELEVENLABS_BASE_URL", "http://api.elevenlabs.io"),
    ("TWILIO_ACCOUNT_SID", "SK" + "1" * 32),
    ("TWILIO_ACCOUNT_SID", "AC123"),
    ("TWILIO_AUTH_TOKEN", "tok\nen"),
    ("TWILIO_PHONE_NUMBER", "4155550100"),
    ("TWILIO_API_BASE_URL", "https://api.twilio.com?x=1"),
    ("TWILIO_EDGE", "dublin.evil.example/"),
    ("SERVER_URL", "calls.example.com"),
    ("SERVER_URL", "https://calls.example.com/path"),
    ("SERVER_URL", "https://calls.example.com?x"),
    ("SERVER_URL", "https://calls.example.com/#"),
    ("SERVER_URL", "https://me:secret@calls.example.com"),
    ("SERVER_URL", "https://calls.example.com:port"),
    ("SERVER_URL", "http://192.168.1.5"),
    ("SERVER_URL", "http://localhost.evil.example"),
    ("SHORTWIRE_API_KEY", "tiny"),
    ("SHORTWIRE_API_KEY", "long enough but with blanks"),
    ("ALLOWED_COUNTRIES", "USA"),
    ("SHORTWIRE_PROFILE", "fast"),
    ("SHORTWIRE_PORT", "65536"),
    ("SHORTWIRE_PORT", "-1"),
    ("SHORTWIRE_TUNNEL", "other"),
    ("SHORTWIRE_DATABASE_URL", "mysql://x"),
    ("SHORTWIRE_DATA_DIR", "~nobody-of-this-name/calls"),
    ("MAX_CALL_SECONDS", "0"),
    ("MAX_CALL_SECONDS", "14401"),
    ("RING_TIMEOUT_SECONDS", "601"),
    ("SHORTWIRE_TAPE", "perhaps"),
    ("PREWARM", "warm"),
    ("INLINE_TWIML", "2"),
    ("LOG_LEVEL", "loud"),
]


@pytest.mark.parametrize(("name", "value"), BAD)
def test_a_wrong_value_is_named_and_not_repeated(name: str, value: str) -> None:
    found = problems(**{name: value})
    assert list(found) == [name]
    complaint, _, advice = found[name].partition("; write for example ")
    assert advice.startswith(f"{name}=") and len(complaint) > len(name) + 5
    if "KEY" in name or "TOKEN" in name or "secret" in value:
        assert value not in complaint.removeprefix(name)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("https://calls.example.com/", "https://calls.example.com"),
        ("https://calls.example.com:8443", "https://calls.example.com:8443"),
        ("http://127.0.0.1:8001", "http://127.0.0.1:8001"),
        ("http://localhost:8001/", "http://localhost:8001"),
        ("http://[::1]:8001", "http://[::1]:8001"),
    ],
)
def test_public_addresses(given: str, kept: str) -> None:
    assert load(SERVER_URL=given).server_url == kept


def test_command_line_over_environment_over_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    lines = [f"{name}={value}" for name, value in GOOD.items()]
    (tmp_path / ".env").write_text("\n".join([*lines, "SHORTWIRE_PORT=1", "MAX_CALL_SECONDS=1", "LOG_LEVEL=error"]))
    monkeypatch.setenv("SHORTWIRE_PORT", "2")
    monkeypatch.setenv("MAX_CALL_SECONDS", "2")
    settings = load_settings({"SHORTWIRE_PORT": 3, "LOG_LEVEL": None})
    assert (settings.port, settings.max_call_seconds, settings.log_level) == (3, 2, "error")


def test_another_file_can_be_named_and_must_exist(tmp_path: Path) -> None:
    file = tmp_path / "other.env"
    with pytest.raises(ConfigError, match="no such settings file"):
        load_settings(GOOD, env_file=file)
    file.write_text("RING_TIMEOUT_SECONDS=7\n")
    assert load_settings(GOOD, env_file=file).ring_timeout_seconds == 7


def test_an_empty_value_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAX_CALL_SECONDS", "")
    monkeypatch.setenv("PREWARM", "")
    assert load().max_call_seconds == 600 and load().prewarm is None


def test_a_tunnel_takes_the_place_of_the_public_address() -> None:
    settings = load_settings({**GOOD, "SERVER_URL": None, "SHORTWIRE_TUNNEL": "ngrok"})
    assert settings.server_url == ""
    assert dict(settings.banner())["public address"] == "(from the ngrok tunnel)"
    opened = settings.with_server_url("https://abc.ngrok.app/")
    assert opened.server_url == opened.bridge_options().public_url == "https://abc.ngrok.app"


def test_the_profiles_differ_in_their_port_and_in_every_toggle_but_the_log() -> None:
    optimized, baseline = load(), load(SHORTWIRE_PROFILE="Baseline")
    assert (optimized.port, baseline.port) == (8001, 8000)
    assert optimized.toggles == Toggles() and baseline.toggles == Toggles.baseline()
    assert baseline.shortwire_profile is Profile.BASELINE
    assert load(SHORTWIRE_PORT=0).port == 0


@pytest.mark.parametrize("name", [name for name in TOGGLES if name != "prewarm"])
@pytest.mark.parametrize("profile", ["optimized", "baseline"])
@pytest.mark.parametrize(("text", "side"), [("true", True), ("false", False), ("1", True), ("off", False)])
def test_each_toggle_can_be_set_to_each_side_on_each_profile(
    monkeypatch: pytest.MonkeyPatch, name: str, profile: str, text: str, side: bool
) -> None:
    monkeypatch.setenv(name.upper(), text)
    settings = load(SHORTWIRE_PROFILE=profile)
    assert getattr(settings.toggles, name) is side
    base = Toggles() if profile == "optimized" else Toggles.baseline()
    assert all(getattr(settings.toggles, n) == getattr(base, n) for n in TOGGLES if n != name)


@pytest.mark.parametrize("level", list(Prewarm))
def test_each_prewarm_level_can_be_set(level: Prewarm) -> None:
    assert load(PREWARM=level.value).toggles.prewarm is level


def test_bridge_options_hold_what_was_set(tmp_path: Path) -> None:
    settings = load(
        ALLOWED_COUNTRIES=" us , de,", MAX_CALL_SECONDS="120", RING_TIMEOUT_SECONDS=20, SHORTWIRE_TAPE=True,
        SHORTWIRE_DATA_DIR=str(tmp_path),
    )  # fmt: skip
    options = settings.bridge_options()
    assert options.public_url == "https://calls.example.com" and options.our_number == "+14155550100"
    assert options.allowed_countries == frozenset({"US", "DE"})
    assert (options.limits.max_call_s, options.limits.ring_timeout_s) == (120, 20)
    assert options.tape_dir == str(tmp_path / "tapes") and options.profile == "optimized"
    assert load().bridge_options().tape_dir is None and load().allowed_countries == frozenset()


def test_the_data_directory_may_begin_with_a_tilde() -> None:
    assert load().shortwire_data_dir == Path("~/.shortwire").expanduser()


def test_the_banner_tells_the_posture_and_no_secret() -> None:
    banner = dict(load(SHORTWIRE_DATABASE_URL="postgresql://u:pw-secret@h/d", NGROK_AUTHTOKEN="ngrok-secret").banner())
    text = " ".join(banner.values())
    assert not any(secret in text for secret in (*SECRETS, "pw-secret", "ngrok-secret"))
    assert banner["dialling"] == "outbound dialling off: set ALLOWED_COUNTRIES"
    assert dict(load(ALLOWED_COUNTRIES="US,DE").banner())["dialling"] == "allowed: DE, US"
    assert banner["profile"] == "optimized" and banner["public address"] == "https://calls.example.com"
    assert banner["data"] == "PostgreSQL"
    for name in TOGGLES:
        assert name.upper() in banner["optimizations on"]
    off = dict(load(SHORTWIRE_PROFILE="baseline").banner())
    assert "PREWARM=off" in off["optimizations on"] and "TUNE_SOCKETS" in off["optimizations off"]


def test_settings_never_print_a_secret() -> None:
    assert not any(secret in text for secret in SECRETS for text in (repr(load()), str(load())))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"SHORTWIRE_PROFILE": "baseline"}, ["listens on port 8000", "write SERVER_URL=http://127.0.0.1:8000"]),
        ({"SHORTWIRE_PORT": 9000}, ["listens on port 9000"]),
        ({"SHORTWIRE_PORT": 0}, ["a free port"]),
        ({"SERVER_URL": "http://[::1]:9"}, ["write SERVER_URL=http://[::1]:8001"]),
        ({"SERVER_URL": "http://localhost"}, ["write SERVER_URL=http://localhost:8001"]),
        ({}, []),
        ({"SERVER_URL": "https://calls.example.com", "SHORTWIRE_PORT": 9000}, []),
        ({"SERVER_URL": "https://localhost", "SHORTWIRE_PORT": 9000}, []),
        ({"SHORTWIRE_TUNNEL": "ngrok", "SHORTWIRE_PORT": 9000}, []),
    ],
)
def test_an_address_of_this_machine_that_leads_elsewhere_is_pointed_out(
    changes: dict[str, Any], words: list[str]
) -> None:
    warnings = load(**{"SERVER_URL": "http://127.0.0.1:8001", **changes}).warnings
    assert len(warnings) == (1 if words else 0)
    for word in words:
        assert word in warnings[0]


def test_what_was_given_on_the_command_line_is_to_be_changed_there(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="on the command line") as caught:
        load(SHORTWIRE_HOST="127.0.0.1", SHORTWIRE_TUNNEL="other")
    assert caught.value.details.startswith("SHORTWIRE_TUNNEL (--tunnel) should be")
    monkeypatch.setenv("SHORTWIRE_PORT", "99999")
    with pytest.raises(ConfigError, match=r"in the environment or in \.env") as caught:
        load()
    assert caught.value.details.startswith("SHORTWIRE_PORT should be")


def test_the_banner_names_no_port_that_is_not_known_yet() -> None:
    assert dict(load().banner())["listening"] == "http://127.0.0.1:8001"
    assert ":0" not in dict(load(SHORTWIRE_PORT=0).banner())["listening"]


def test_a_misspelt_variable_of_ours_is_pointed_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SHORTWIRE_APIKEY", "x")
    monkeypatch.setenv("SHORTWIRE_URL", "http://127.0.0.1:1")
    (tmp_path / ".env").write_text("SHORTWIRE_QQQQ=1\n")
    first, second = load().warnings
    assert first == "SHORTWIRE_APIKEY is not a setting and does nothing; did you mean SHORTWIRE_API_KEY?"
    assert second == "SHORTWIRE_QQQQ is not a setting and does nothing"


def test_an_edge_is_ignored_aloud_beside_a_base_url_of_its_own() -> None:
    both = load(TWILIO_EDGE="dublin", TWILIO_REGION="ie1")
    assert both.carrier_edge == ("dublin", "ie1") and both.warnings == ()
    bent = load(TWILIO_EDGE="dublin", TWILIO_REGION="ie1", TWILIO_API_BASE_URL="http://127.0.0.1:9")
    assert bent.carrier_edge == ("", "")
    text = "TWILIO_EDGE and TWILIO_REGION ignored: TWILIO_API_BASE_URL already names the host"
    assert bent.warnings == (text,)


@given(st.sampled_from(sorted(Settings.model_fields)), st.text(max_size=40))
def test_whatever_is_written_settings_or_a_list_of_problems_come_out(name: str, value: str) -> None:
    try:
        settings = load_settings({**{k.lower(): v for k, v in GOOD.items()}, name: value})
    except ConfigError as error:
        assert error.details.startswith(name.upper() + " ")
    else:
        assert settings.bridge_options().public_url.startswith(("https://", "http://"))


def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_settings_page", ROOT / "scripts/make_settings_page.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_and_the_example_are_current() -> None:
    made = script()
    assert (ROOT / "docs/reference/settings.md").read_text("utf-8") == made.settings_page()
    assert (ROOT / ".env.example").read_text("utf-8") == made.env_example()


def test_every_variable_is_described_with_an_example_in_a_group() -> None:
    for name, info in Settings.model_fields.items():
        extra = info.json_schema_extra
        assert info.description and info.description.endswith("."), name
        assert info.examples and isinstance(extra, dict) and extra["group"] in GROUPS, name
        assert f"{name.upper()}=" in (ROOT / ".env.example").read_text("utf-8")


def test_the_example_as_it_is_names_what_is_to_be_filled_in() -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings(env_file=ROOT / ".env.example")
    assert [line.split(" ", 1)[0] for line in caught.value.details.splitlines()] == list(GOOD)
