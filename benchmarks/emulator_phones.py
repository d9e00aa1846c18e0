"""How late are the Twilio emulator's phones? Many calls in one process, and a bridge that talks to all of them.

    python benchmarks/emulator_phones.py --calls 200 --seconds 30

Three processes: the emulator (as a user starts it), a bridge side (picows: it answers every 100 ms of audio heard
with as much of a tone, and a mark every second), and this one, which places the calls over REST and reads
``/_emulator/stats``. A frame is due 20 ms after the one before, counted from the answer; lateness is how much later
the emulator got to it. Prints the figures as JSON; exit status 1 when p99 is not under 5 ms or a call broke.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import random
import re
import sys
import time
from typing import Any

import aiohttp
import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server

from shortwire.emulators.ulaw import tone

ACCOUNT, TOKEN, OURS = "AC" + "1" * 32, "load", "+15005550006"
LIMIT_MS = 5.0
_FRAMES_PER_CHUNK = 5
_CHUNK = base64.b64encode(tone(440, 100)).decode()


class Bridge(WSListener):
    """Counts frames without parsing them; speaks as long as it is spoken to."""

    def __init__(self) -> None:
        self.frames = 0
        self.audio = self.mark = ""

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(1000)
            transport.disconnect()
        elif frame.msg_type == WSMsgType.TEXT:
            if not self.audio:
                message = json.loads(frame.get_payload_as_bytes())
                if message["event"] != "start":
                    return
                sid = message["streamSid"]
                self.audio = json.dumps({"event": "media", "streamSid": sid, "media": {"payload": _CHUNK}})
                self.mark = json.dumps({"event": "mark", "streamSid": sid, "mark": {"name": "second"}})
                return
            self.frames += 1
            if self.frames % _FRAMES_PER_CHUNK == 0:
                transport.send(WSMsgType.TEXT, self.audio.encode())
            if self.frames % 50 == 0:
                transport.send(WSMsgType.TEXT, self.mark.encode())


async def serve_bridge() -> None:
    def listener(_: WSUpgradeRequest) -> Bridge:
        return Bridge()

    server = await ws_create_server(listener, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


async def child(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=asyncio.subprocess.PIPE)


async def line_with(process: asyncio.subprocess.Process, pattern: str) -> str:
    assert process.stdout is not None
    while line := (await process.stdout.readline()).decode():
        if match := re.search(pattern, line):
            return match[1]
    raise SystemExit("a child process ended before it was ready")


async def place(session: aiohttp.ClientSession, base_url: str, twiml: str, calls: int, over_s: float) -> None:
    """Spread over `over_s`, unevenly (seeded): phones are not answered in step."""
    dice = random.Random(1)
    instants = sorted(dice.uniform(0, over_s) for _ in range(calls))
    url = f"{base_url}/2010-04-01/Accounts/{ACCOUNT}/Calls.json"
    began = time.monotonic()
    for n, instant_s in enumerate(instants):
        await asyncio.sleep(max(0.0, began + instant_s - time.monotonic()))
        form = {"To": f"+1415555{n:04d}", "From": OURS, "Twiml": twiml}
        async with session.post(url, data=form) as response:
            if response.status != 201:
                raise SystemExit(f"a call was refused: {await response.text()}")


async def get(session: aiohttp.ClientSession, url: str) -> Any:
    async with session.get(url) as response:
        return await response.json()


def cpu_s(pid: int) -> float:
    with open(f"/proc/{pid}/stat") as file:  # noqa: PTH123
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def measure(calls: int, seconds: float) -> dict[str, Any]:
    bridge = await child(__file__, "--bridge")
    emulator = await child(
        *("-m", "shortwire.emulators.twilio", "--port=0", f"--account={ACCOUNT}", f"--token={TOKEN}"),
        *("--cps=0", "--stats"),
    )
    try:
        port = await line_with(bridge, r"^(\d+)$")
        base_url = await line_with(emulator, r"(http://127\.0\.0\.1:\d+)")
        twiml = f'<Response><Connect><Stream url="ws://127.0.0.1:{port}/media"/></Connect></Response>'
        headers = {"Authorization": aiohttp.encode_basic_auth(ACCOUNT, TOKEN)}
        async with aiohttp.ClientSession(headers=headers) as session:
            await place(session, base_url, twiml, calls, over_s=max(3.0, calls / 20))
            await asyncio.sleep(3)
            async with session.post(f"{base_url}/_emulator/stats/reset") as response:
                response.raise_for_status()
            cpu, began = cpu_s(emulator.pid), time.monotonic()
            await asyncio.sleep(seconds)
            cpu, elapsed = cpu_s(emulator.pid) - cpu, time.monotonic() - began
            stats = await get(session, f"{base_url}/_emulator/stats")
            found = (await get(session, f"{base_url}/_emulator/calls"))["calls"]
        talking = sum(1 for call in found if call["status"] == "in-progress" and call["streams"][0]["open_ms"])
        return {
            "calls": calls,
            "talking_at_the_end": talking,
            "seconds": round(elapsed, 1),
            "lateness": stats["lateness"],
            "histogram_ms": stats["histogram"],
            "frames_discarded": sum(s["dropped_frames"] for call in found for s in call["streams"]),
            "warnings": sum(len(s["warnings"]) for call in found for s in call["streams"]),
            "emulator_cpu_share": round(cpu / elapsed, 2),
            "load_average": [round(x, 2) for x in os.getloadavg()],
        }
    finally:
        for process in (emulator, bridge):
            if process.returncode is None:
                process.terminate()
            await process.communicate()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--bridge", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.bridge:
        uvloop.run(serve_bridge())
        return 0
    result = asyncio.run(measure(options.calls, options.seconds))
    print(json.dumps(result, indent=2))
    whole = result["talking_at_the_end"] == options.calls and not result["frames_discarded"] and not result["warnings"]
    return 0 if whole and result["lateness"]["p99_ms"] < LIMIT_MS else 1


if __name__ == "__main__":
    sys.exit(main())
