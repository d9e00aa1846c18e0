"""The relay as a program: its banner, its refusals, its end."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path

import aiohttp
import pytest

from shortwire.emulators.network import run


async def test_relays_until_interrupted_and_takes_orders(tmp_path: Path) -> None:
    scenario = tmp_path / "s.toml"
    scenario.write_text(
        'seed = 5\n[network]\nprofile = "lossy-wifi"\n[[faults]]\nrelay = "agent"\nkind = "reset"\nat_s = 60\n'
        '[[faults]]\nrelay = "server"\nkind = "blackhole"\nat_s = 60\n'
    )
    greeter = await asyncio.start_server(greet, "127.0.0.1", 0)
    port = greeter.sockets[0].getsockname()[1]
    arguments = ["--listen", "0", "--to", f"127.0.0.1:{port}", "--way", "agent", "--control", "0"]
    more = ["--scenario", str(scenario), "--fault", 'kind="slicer", size_bytes=2']
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "shortwire.emulators.network", *arguments, *more, stdout=asyncio.subprocess.PIPE
    )
    assert program.stdout is not None
    async with asyncio.timeout(60):
        banner = [(await program.stdout.readline()).decode().strip() for _ in range(6)]
        assert banner[0].startswith("EMULATOR")
        said = dict(line.split(None, 1) for line in banner[1:])
        assert said["faults"] == "leg-latency, leg-jitter, wifi-retries, reset, slicer"
        assert "seed 5" in said["network"]
        listens = said["listens"].split()[0]
        reader, writer = await asyncio.open_connection(*listens.split(":"))
        assert await reader.read() == b"welcome"
        writer.close()
        async with aiohttp.ClientSession() as http, http.get(said["control"]) as answer:
            faults = {fault["name"]: fault for fault in json.loads(await answer.text())["faults"]}
        assert faults["slicer"]["counters"]["slices"] == 4
        assert faults["reset"]["state"] == "waiting"
        program.send_signal(signal.SIGTERM)
        assert await program.wait() == 0
    greeter.close()


async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"welcome")
    await writer.drain()
    writer.close()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--listen", "0.0.0.0:9100", "--to", "127.0.0.1:1"], "127.0.0.1 only"),
        (["--to", "127.0.0.1"], "--to must end in a port"),
        (["--to", "127.0.0.1:99999"], "--to must end in a port"),
        (["--to", "127.0.0.1:1", "--fault", "stall"], "--fault must be like"),
        (["--to", "127.0.0.1:1", "--fault", 'kind="stall"'], "stall needs for_ms"),
        (["--to", "127.0.0.1:1", "--scenario", "/nowhere.toml"], "/nowhere.toml"),
    ],
)
def test_refusals(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 2
    assert words in capsys.readouterr().err
