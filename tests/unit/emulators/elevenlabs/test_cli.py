"""The emulator as a program: says what it is, serves, stops; and says in one sentence why it cannot."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest

from shortwire.emulators.elevenlabs import run


def test_it_runs_says_that_it_is_an_emulator_and_stops_on_a_signal():
    command = [sys.executable, "-m", "shortwire.emulators.elevenlabs", "--port", "0", "--api-key", "k", "--agent", "a"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            first = process.stdout.readline()
            base_url = re.search(r"http://127\.0\.0\.1:\d+", process.stdout.readline()).group()
            request = urllib.request.Request(f"{base_url}/v1/convai/agents/a", headers={"xi-api-key": "k"})
            with urllib.request.urlopen(request, timeout=20) as answer:
                assert b"Harbour Grill" in answer.read()
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0
    assert first.startswith("EMULATOR")


def test_a_taken_port_is_one_sentence_and_status_1(capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert run(["--port", str(taken.getsockname()[1])]) == 1
    assert "choose another --port" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["--scenario", "none.toml"], "none.toml"), (["--allow-override", "agent.voice"], "cannot be overridden")],
)
def test_what_cannot_be_played_is_said_and_status_2(capsys, arguments, words):
    assert run(["--port", "0", *arguments]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--host", "0.0.0.0"], "loopback only"),
        (["--webhook", "https://example.com/hook"], "stays on this machine"),
        (["--behaviour", "none.toml"], "none.toml"),
        (["--client-event", "everything"], "Input should be"),
    ],
)
def test_what_would_leave_this_machine_or_means_nothing_is_refused(capsys, arguments, words):
    assert run(["--port", "0", *arguments]) == 2
    assert words in capsys.readouterr().err
