"""Run the emulator by hand: ``python -m shortwire.emulators.elevenlabs --port 9002 --scenario FILE``."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from shortwire.emulators.elevenlabs.config import EmulatorConfig
from shortwire.emulators.elevenlabs.formats import FORMATS
from shortwire.emulators.elevenlabs.server import ElevenLabsEmulator
from shortwire.emulators.scenario import ScenarioError, load

__all__ = ["DEFAULT_SCENARIO", "run"]

DEFAULT_SCENARIO = Path(__file__).parent.parent / "scenarios" / "reservation.toml"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m shortwire.emulators.elevenlabs",
        description="EMULATOR of the ElevenLabs Agents service, on 127.0.0.1 only. Not affiliated with the vendor.",
    )
    parser.add_argument("--port", type=int, default=9002, help="0: any free port (default: 9002)")
    parser.add_argument("--tls", type=Path, metavar="DIR", help="serve TLS; its authority is written to DIR/ca.pem")
    parser.add_argument("--agent", default="agent_demo", metavar="ID", help="id of the agent (default: agent_demo)")
    parser.add_argument("--api-key", default="sk_emulated", help="the key to ask for (default: sk_emulated)")
    parser.add_argument("--scenario", type=Path, default=DEFAULT_SCENARIO, help="TOML file (default: reservation)")
    parser.add_argument("--public", action="store_true", help="the agent needs no signed URL")
    parser.add_argument("--format", choices=FORMATS, default="ulaw_8000", help="audio both ways (default: ulaw_8000)")
    parser.add_argument(
        "--allow-override", action="append", default=[], metavar="FIELD", help="e.g. agent.first_message; * for all"
    )
    parser.add_argument("--idle-connection", type=float, metavar="S", help="close connections idle before a request")
    return parser


async def _serve(config: EmulatorConfig, scenario: str) -> int:
    emulator = ElevenLabsEmulator(config)
    try:
        await emulator.start()
    except OSError as error:
        print(f"cannot listen on 127.0.0.1:{config.port}: {error.strerror}; choose another --port", file=sys.stderr)  # noqa: T201
        return 1
    lines = [
        "EMULATOR: this imitates the ElevenLabs Agents service. Nothing here reaches the vendor.",
        f"  base URL   {emulator.base_url}   (ELEVENLABS_BASE_URL)",
        f"  agent      {config.agent_id}   ({'private' if config.enable_auth else 'public'}, scenario {scenario})",
        f"  API key    {config.api_keys[0]}",
        f"  overrides  {', '.join(config.allow_overrides) or 'none allowed'}",
        f"  ledger     {emulator.base_url}/_emulator/ledger",
    ]
    if emulator.ca_pem is not None:
        lines.append(f"  trust it   SSL_CERT_FILE={emulator.ca_pem}")
    print("\n".join(lines), flush=True)  # noqa: T201
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # Windows: Ctrl-C arrives as KeyboardInterrupt
            loop.add_signal_handler(number, stopped.set)
    try:
        await stopped.wait()
    finally:
        await emulator.stop()
    return 0


def run(argv: Sequence[str] | None = None) -> int:
    """Serve until interrupted. Returns the exit status."""
    args = _parser().parse_args(argv)
    try:
        scenario = load(args.scenario)
        config = EmulatorConfig(
            script=scenario.agent,
            seed=scenario.seed,
            agent_id=args.agent,
            api_keys=(args.api_key,),
            port=args.port,
            tls_dir=args.tls,
            enable_auth=not args.public,
            user_input_audio_format=args.format,
            agent_output_audio_format=args.format,
            allow_overrides=tuple(args.allow_override),
            idle_connection_s=args.idle_connection,
        )
        return asyncio.run(_serve(config, scenario.name))
    except (ScenarioError, ValueError) as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 2
    except KeyboardInterrupt:
        return 0
