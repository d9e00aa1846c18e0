"""The emulator as a program: banner, exit statuses, a clean stop."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
import sys
from pathlib import Path

import aiohttp
import pytest

from shortwire.emulators.twilio.__main__ import run


async def test_it_says_that_it_is_an_emulator_serves_and_stops() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "shortwire.emulators.twilio",
        "--port=0",
        "--number=+15005550007",
        "--voice-url=http://127.0.0.1:9/voice",
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        banner = b""
        async with asyncio.timeout(60):
            while b"Ctrl-C" not in banner:
                line = await process.stdout.readline()
                assert line, "it ended instead of serving"
                banner += line
        text = banner.decode()
        assert text.startswith("This is an EMULATOR of Twilio")
        assert "+15005550007" in text
        match = re.search(r"http://127\.0\.0\.1:\d+", text)
        assert match is not None
        async with aiohttp.ClientSession() as session, session.get(f"{match[0]}/_emulator/calls") as response:
            assert await response.json() == {"calls": []}
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 60) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def test_a_bad_scenario_or_account_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = tmp_path / "wrong.toml"
    wrong.write_text('[party]\noutcome = "maybe"\n')
    for argv, text in (
        (["--scenario", str(wrong)], "outcome must be one of"),
        (["--scenario", str(tmp_path / "none.toml")], "none.toml"),
        (["--account", "AC1"], "account_sid"),
        (["--number", "123"], "E.164"),
    ):
        assert run(argv) == 2
        error = capsys.readouterr().err
        assert text in error
        assert error.count("\n") == 1


def test_a_taken_port_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert run(["--port", str(taken.getsockname()[1])]) == 1
    assert "choose another --port" in capsys.readouterr().err
