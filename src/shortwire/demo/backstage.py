"""Both vendors and the network between, in one process: ``python -m shortwire.demo.backstage``.

Takes questions as JSON lines on standard input and answers on standard output; ends when its input ends,
so that it cannot outlive the demonstration. Knows the emulators and nothing of the product.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from ..emulators.elevenlabs import ElevenLabsEmulator, EmulatorConfig
from ..emulators.network import NETWORKS, NetworkRelay
from ..emulators.scenario import load
from ..emulators.twilio import OwnedNumber, TwilioConfig, TwilioEmulator, describe

__all__ = ["ACCOUNT_SID", "AGENT_ID", "AGENT_KEY", "AUTH_TOKEN", "OUR_NUMBER", "PARTY_NUMBER", "Backstage", "main"]

ACCOUNT_SID = "AC" + "5" * 32
AUTH_TOKEN = "0123456789abcdef" * 2
AGENT_KEY = "sk_emulated"
AGENT_ID = "agent_harbour_grill"
OUR_NUMBER = "+14155550100"
PARTY_NUMBER = "+14155550123"

_LAST_CALLBACKS_S = 5.0


class Backstage:
    """The emulators of one performance. `open` once, then `tell` what happened."""

    def __init__(self) -> None:
        self._exits = AsyncExitStack()
        self._carrier: TwilioEmulator
        self._agent: ElevenLabsEmulator

    async def open(self, question: Mapping[str, Any]) -> dict[str, Any]:
        """Start both vendors and the three ways between them and a server on `server_port`."""
        scenario = load(question["scenario"])
        network = NETWORKS[question["network"]]
        self._carrier = await self._exits.enter_async_context(
            TwilioEmulator(
                TwilioConfig(
                    account_sid=ACCOUNT_SID,
                    auth_token=AUTH_TOKEN,
                    numbers={OUR_NUMBER: OwnedNumber()},
                    scenario=scenario.party,
                    seed=scenario.seed,
                )
            )
        )
        self._agent = await self._exits.enter_async_context(
            ElevenLabsEmulator(
                EmulatorConfig(
                    script=scenario.agent,
                    seed=scenario.seed,
                    agent_id=AGENT_ID,
                    agent_name="Harbour Grill",
                    api_keys=(AGENT_KEY,),
                    tls_dir=Path(question["folder"]) / "tls",
                )
            )
        )
        ways = {
            "carrier": self._carrier.port,
            "agent": self._agent.port,
            "server": int(question["server_port"]),
        }
        ports = {}
        for seed, (name, port) in enumerate(ways.items(), scenario.seed):
            relay = NetworkRelay("127.0.0.1", port, network.way(name), seed=seed, faults=scenario.faults_on(name))
            ports[name] = (await self._exits.enter_async_context(relay)).port
        return {
            "carrier_url": f"http://127.0.0.1:{ports['carrier']}",
            "agent_url": f"https://127.0.0.1:{ports['agent']}",
            "public_url": f"http://127.0.0.1:{ports['server']}",
            "ca_file": str(self._agent.ca_pem),
            "scenario": scenario.name,
            "network": {
                "carrier": {"one_way_ms": network.carrier.one_way_ms, "jitter_ms": network.carrier.jitter_ms},
                "agent": {"one_way_ms": network.agent.one_way_ms, "jitter_ms": network.agent.jitter_ms},
            },
        }

    async def tell(self, question: Mapping[str, Any]) -> dict[str, Any]:
        """Everything known of a call, once its last callback is through; the recording goes to `folder`."""
        call = self._carrier.calls[question["call_sid"]]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_CALLBACKS_S):
                await call.finished.wait()
        recording = Path(question["folder"]) / "call.wav"
        if call.line is not None:
            await asyncio.to_thread(recording.write_bytes, call.line.wav())
        timeline = self._carrier.ledger.entries(call_sid=call.sid)
        return {
            "carrier": {**describe(call), "timeline": timeline},
            "agent": self._agent.ledger.as_json(),
            "recording": str(recording) if call.line is not None else None,
        }

    async def close(self) -> None:
        await self._exits.aclose()


async def _serve() -> None:
    reader = asyncio.StreamReader(limit=2**20)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    backstage = Backstage()
    try:
        while line := await reader.readline():
            question = json.loads(line)
            answer = await (backstage.open if question["do"] == "open" else backstage.tell)(question)
            print(json.dumps(answer, default=str), flush=True)
    finally:
        await backstage.close()


def main() -> None:
    """Run until standard input ends (or SIGTERM ends the process: nothing here outlives it).

    On the standard loop: the vendors must not share the event loop's implementation with the product either.
    """
    asyncio.run(_serve())


if __name__ == "__main__":
    main()
