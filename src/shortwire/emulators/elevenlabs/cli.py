"""Run the emulator by hand: ``python -m shortwire.emulators.elevenlabs --port 9002 --scenario FILE``."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from shortwire.emulators.elevenlabs.behaviour_file import load_behaviour
from shortwire.emulators.elevenlabs.config import Behaviour, EmulatorConfig, PostCallWebhook
from shortwire.emulators.elevenlabs.formats import FORMATS
from shortwire.emulators.elevenlabs.server import ElevenLabsEmulator
from shortwire.emulators.scenario import ScenarioError, load

__all__ = ["DEFAULT_SCENARIO", "run"]

DEFAULT_SCENARIO = Path(__file__).parent.parent / "scenarios" / "reservation.toml"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="shortwire emulate elevenlabs",
        description="EMULATOR of the ElevenLabs Agents service, on 127.0.0.1 only. Not affiliated with the vendor.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="a loopback address; others are refused")
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
    parser.add_argument("--behaviour", type=Path, metavar="FILE", help="TOML: timing, tools, events (see the docs)")
    parser.add_argument("--client-event", action="append", default=[], metavar="NAME", help="list one more event")
    parser.add_argument("--webhook", metavar="URL", help="send post-call webhooks there (this machine only)")
    parser.add_argument("--webhook-secret", default="wsec_emulated", help="to sign them (default: wsec_emulated)")
    parser.add_argument("--concurrency", type=int, default=-1, help="conversations at once (default: no limit)")
    parser.add_argument("--keep-audio", action="store_true", help="keep both sides of conversations as WAV files")
    parser.add_argument("--idle-connection", type=float, metavar="S", help="close connections idle before a request")
    return parser


async def _serve(config: EmulatorConfig, scenario: str) -> int:
    emulator = ElevenLabsEmulator(config)
    try:
        await emulator.start()
    except OSError as error:
        print(f"cannot listen on {config.host}:{config.port}: {error.strerror}; choose another --port", file=sys.stderr)  # noqa: T201
        return 1
    lines = [
        "EMULATOR: this imitates the ElevenLabs Agents service. Nothing here reaches the vendor.",
        f"  base URL   {emulator.base_url}   (ELEVENLABS_BASE_URL)",
        f"  agent      {config.agent_id}   ({'private' if config.enable_auth else 'public'}, scenario {scenario})",
        f"  API key    {config.api_keys[0]}",
        f"  overrides  {', '.join(config.allow_overrides) or 'none allowed'}",
        f"  ledger     {emulator.base_url}/_emulator/ledger",
    ]
    if config.webhooks:
        lines.append(f"  webhooks   {config.webhooks[0].url}   (secret {config.webhooks[0].secret})")
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
        events = ("transcript", "audio", "call_initiation_failure")
        hook = None if args.webhook is None else PostCallWebhook(args.webhook, args.webhook_secret, events)
        config = EmulatorConfig(
            behaviour=Behaviour() if args.behaviour is None else load_behaviour(args.behaviour),
            client_events=(*EmulatorConfig().client_events, *args.client_event),
            webhooks=() if hook is None else (hook,),
            host=args.host,
            concurrency_limit=args.concurrency,
            keep_audio=args.keep_audio,
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
