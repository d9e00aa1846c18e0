"""The other commands: what they pass on, what they import, and that nobody sees a traceback."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

import shortwire
import shortwire.cli
from shortwire.cli.root import app
from shortwire.errors import BridgeError

runner = CliRunner()
HEAVY = (
    "sqlalchemy",
    "alembic",
    "fastapi",
    "starlette",
    "twilio",
    "numpy",
    "rich",
    "aiohttp",
    "pydantic_settings",
    "picows",
    "phonenumbers",
)
REQUIRED = {
    "ELEVENLABS_API_KEY": "sk_test",
    "ELEVENLABS_AGENT_ID": "agent_1",
    "TWILIO_ACCOUNT_SID": "AC" + "1" * 32,
    "TWILIO_AUTH_TOKEN": "s3cret-token",
    "TWILIO_PHONE_NUMBER": "+14155550100",
    "SERVER_URL": "https://calls.example.com",
    "SHORTWIRE_API_KEY": "k" * 32,
}


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["version"],
        ["call", "--help"],
        ["calls", "--help"],
        ["calls", "list", "--help"],
        ["serve", "--help"],
        ["demo", "--help"],
        ["emulate", "--help"],
    ],
)
def test_light_commands_import_nothing_heavy(arguments: list[str]) -> None:
    program = (
        "import sys, json\n"
        "from shortwire.cli import main\n"
        f"sys.argv = ['shortwire', *{arguments!r}]\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "print('\\n' + json.dumps(sorted({name.split('.')[0] for name in sys.modules})))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    loaded = json.loads(done.stdout.splitlines()[-1])
    assert "typer" in loaded and not set(loaded) & set(HEAVY)


def test_the_version_is_printed() -> None:
    for asked in ("version", "--version"):
        assert runner.invoke(app, [asked]).stdout == f"shortwire {shortwire.__version__}\n"


def test_no_command_shows_the_help() -> None:
    result = runner.invoke(app, [])
    for command in ("serve", "call", "calls", "demo", "emulate", "version"):
        assert command in result.output


@pytest.mark.parametrize("name", ["twilio", "elevenlabs"])
def test_emulators_get_everything_behind_their_name(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    given: list[list[str]] = []

    def run(arguments: list[str]) -> int:
        given.append(arguments)
        return 3

    monkeypatch.setitem(sys.modules, f"shortwire.emulators.{name}", SimpleNamespace(run=run))
    result = runner.invoke(app, ["emulate", name, "--port", "0", "--help", "-v", "scenario.toml"])
    assert result.exit_code == 3 and given == [["--port", "0", "--help", "-v", "scenario.toml"]]


@pytest.mark.parametrize("name", ["twilio", "elevenlabs"])
def test_the_emulators_are_there(name: str) -> None:
    program = (
        f"import sys; sys.argv = ['shortwire', 'emulate', {name!r}, '--help']; from shortwire.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0 and "--port" in done.stdout, done.stderr


def test_the_demo_gets_its_options(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[tuple[Any, ...]] = []

    def run(*arguments: Any) -> int:
        given.append(arguments)
        return 4

    monkeypatch.setitem(sys.modules, "shortwire.demo.cli", SimpleNamespace(run=run))
    result = runner.invoke(app, ["demo", "--out", "x", "--network", "lan", "--profile", "baseline", "--json"])
    assert result.exit_code == 4 and given == [("x", "lan", "baseline", True)]
    assert runner.invoke(app, ["demo", "--profile", "other"]).exit_code == 2


def pretend_app(monkeypatch: pytest.MonkeyPatch, answer: int | Exception = 0) -> list[Any]:
    served: list[Any] = []

    async def serve(settings: Any) -> int:
        served.append(settings)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setitem(sys.modules, "shortwire.app", SimpleNamespace(serve=serve))
    return served


def set_required(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in REQUIRED.items():
        monkeypatch.setenv(name, value)


def test_serve_shows_its_posture_and_starts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    set_required(monkeypatch)
    monkeypatch.setenv("SHORTWIRE_PROT", "1")
    monkeypatch.setenv("INLINE_TWIML", "true")
    served = pretend_app(monkeypatch)
    flags = [
        "--profile", "baseline", "--port", "9", "--host", "0.0.0.0", "--prewarm", "tls", "--no-inline-twiml",
        "--tune-sockets", "--tape", "--allowed-countries", "US", "--data-dir", str(tmp_path), "--server-url", "https://other.example",
        "--log-level", "warning",
    ]  # fmt: skip
    result = runner.invoke(app, ["serve", *flags])
    assert result.exit_code == 0, result.output
    settings = served[0]
    assert (
        settings.shortwire_profile.value == "baseline" and settings.port == 9 and settings.shortwire_host == "0.0.0.0"
    )
    assert (
        settings.toggles.prewarm.value == "tls" and not settings.toggles.inline_twiml and settings.toggles.tune_sockets
    )
    assert settings.shortwire_tape and settings.allowed_countries == {"US"} and settings.log_level == "warning"
    assert settings.server_url == "https://other.example" and settings.shortwire_data_dir == tmp_path
    assert "baseline" in result.stdout and "allowed: US" in result.stdout and "https://other.example" in result.stdout
    assert not any(secret in result.output for secret in ("sk_test", "s3cret-token", "k" * 32))
    assert "SHORTWIRE_PROT is not a setting" in result.stderr


def test_every_toggle_has_flags_for_both_sides(monkeypatch: pytest.MonkeyPatch) -> None:
    set_required(monkeypatch)
    served = pretend_app(monkeypatch)
    names = [n for n in shortwire.call.options.Toggles.__dataclass_fields__ if n != "prewarm"]  # type: ignore[attr-defined]
    for side, prefix in ((True, "--"), (False, "--no-")):
        flags = [prefix + name.replace("_", "-") for name in names]
        assert runner.invoke(app, ["serve", *flags]).exit_code == 0
        assert all(getattr(served[-1].toggles, name) is side for name in names)


def test_serve_names_every_missing_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    served = pretend_app(monkeypatch)
    result = runner.invoke(app, ["serve"])
    assert result.exit_code == 78 and not served
    assert all(f"  {name} is not set" in result.stderr for name in REQUIRED)


def test_serve_reads_the_file_it_is_given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    served = pretend_app(monkeypatch)
    file = tmp_path / "my.env"
    file.write_text("\n".join(f"{name}={value}" for name, value in REQUIRED.items()))
    assert runner.invoke(app, ["serve", "--env-file", str(file)]).exit_code == 0 and served
    missing = runner.invoke(app, ["serve", "--env-file", "nope.env"])
    assert missing.exit_code == 78 and "nope.env" in missing.stderr


@pytest.mark.parametrize(
    ("flags", "status", "words"),
    [
        (["--host", "foo.invalid"], 78, "there is no address foo.invalid to listen on: set --host"),
        (["--port", "99999"], 2, "--port"),
        (["--data-dir", ""], 2, "--data-dir is empty"),
    ],
)
def test_serve_blames_the_flag_that_is_wrong(
    monkeypatch: pytest.MonkeyPatch, flags: list[str], status: int, words: str
) -> None:
    set_required(monkeypatch)
    served = pretend_app(monkeypatch)
    result = runner.invoke(app, ["serve", *flags])
    assert (result.exit_code, served) == (status, [])
    assert words in result.stderr
    assert "other server" not in result.stderr


def test_the_status_of_the_server_is_the_status_of_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    set_required(monkeypatch)
    pretend_app(monkeypatch, 7)
    assert runner.invoke(app, ["serve"]).exit_code == 7
    pretend_app(monkeypatch, BridgeError("port 8001 is taken", details="choose another with --port"))
    result = runner.invoke(app, ["serve"])
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == "shortwire: port 8001 is taken: choose another with --port"


def test_a_mistake_of_ours_is_one_sentence_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    set_required(monkeypatch)
    pretend_app(monkeypatch, ZeroDivisionError("inside"))
    monkeypatch.setattr(sys, "argv", ["shortwire", "serve"])
    with pytest.raises(SystemExit) as caught:
        shortwire.cli.main()
    assert caught.value.code == 1
    error = capsys.readouterr().err
    assert "ZeroDivisionError: inside" in error and "LOG_LEVEL=debug" in error and "Traceback" not in error


def test_the_help_says_where_a_toggle_has_no_effect() -> None:
    from typer.main import get_command

    from shortwire.call.options import Toggles

    serve = get_command(app).get_command(None, "serve")  # type: ignore[attr-defined]
    help_of = {option.name: option.help or "" for option in serve.params}
    assert set(Toggles.__dataclass_fields__) <= set(help_of)
    silent = [
        name
        for name in Toggles.__dataclass_fields__
        if not re.search(r"No effect|no more than|Saves only|is the same", help_of[name])
    ]
    assert silent == []


def test_a_reader_who_leaves_is_no_error() -> None:
    program = "from shortwire.cli import main; main()"
    child = subprocess.Popen(
        [sys.executable, "-c", program, "serve", "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert child.stdout and child.stderr
    child.stdout.close()
    errors = child.stderr.read()
    child.stderr.close()
    child.wait(60)
    assert "Traceback" not in errors


ROOT = Path(__file__).resolve().parents[3]


def test_the_start_scripts_say_what_is_missing(tmp_path: Path) -> None:
    script = tmp_path / "start-optimized.sh"
    script.write_bytes((ROOT / "start-optimized.sh").read_bytes())
    environment = {"PATH": "/usr/bin:/bin"}
    first = subprocess.run(["sh", str(script)], capture_output=True, text=True, env=environment, check=False)
    assert first.returncode == 78 and ".env.example" in first.stderr
    (tmp_path / ".env").touch()
    second = subprocess.run(["sh", str(script)], capture_output=True, text=True, env=environment, check=False)
    assert second.returncode == 69 and "make demo" in second.stderr
    fake = tmp_path / ".venv/bin/shortwire"
    fake.parent.mkdir(parents=True)
    fake.write_text('#!/bin/sh\necho "$PWD: $@"\n')
    fake.chmod(0o755)
    third = subprocess.run(
        ["sh", str(script), "--port", "9"], capture_output=True, text=True, env=environment, check=True
    )
    assert third.stdout.strip() == f"{tmp_path}: serve --profile optimized --port 9"
    assert b"\r\n" in (ROOT / "start-optimized.bat").read_bytes()
