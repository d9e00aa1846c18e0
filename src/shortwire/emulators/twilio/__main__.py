"""Run the Twilio emulator by hand: ``python -m shortwire.emulators.twilio --port 9001 ...``."""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import signal
import sys
from collections.abc import Coroutine, Sequence

from ..scenario import Scenario, load
from .config import OwnedNumber, TwilioConfig
from .faults import Faults
from .frame_clock import Lateness
from .server import TwilioEmulator

__all__ = ["run"]

_ACCOUNT = "AC" + "0" * 30 + "e1"
_TOKEN = "emulator-auth-token"  # noqa: S105  it opens nothing but this emulator
_NUMBER = "+15005550006"
_REPORT_S = 10.0

_BANNER = """\
This is an EMULATOR of Twilio. It calls nobody and charges nothing.
  REST base URL   {base_url}
  account         {account}
  auth token      {token}
  numbers         {numbers}
  voice URL       {voice_url}
  scenario        {scenario}
  side door       {base_url}/_emulator/calls   (ledger, recordings, incoming calls)
Ctrl-C hangs up and stops.
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="shortwire emulate twilio",
        description="An EMULATOR of Twilio's calls and media streams on 127.0.0.1.",
    )
    parser.add_argument("--port", type=int, default=9001, help="0: any free one (default: %(default)s)")
    parser.add_argument("--account", default=_ACCOUNT, help="account SID (default: %(default)s)")
    parser.add_argument("--token", default=_TOKEN, help="auth token, signs the webhooks (default: %(default)s)")
    parser.add_argument("--number", action="append", help=f"owned number, repeatable (default: {_NUMBER})")
    parser.add_argument("--voice-url", default="", help="asked for TwiML when somebody calls an owned number")
    parser.add_argument("--scenario", help="scenario file (TOML): what the party does")
    parser.add_argument("--permit", action="append", help="prefix that may be called, repeatable (default: all)")
    parser.add_argument("--cps", type=float, default=1.0, help="calls per second, 0: no queue (default: %(default)s)")
    parser.add_argument("--seed", type=int, help="instead of the scenario's")
    parser.add_argument("--live-calls", type=int, default=0, help="calls at the same time, 0: any number")
    parser.add_argument("--faults", help="a JSON object of faults that are on from the start (POST /_emulator/faults)")
    parser.add_argument("--stats", action="store_true", help="print how late frames left, every 10 s and at the end")
    return parser


async def _serve(config: TwilioConfig, port: int, scenario: Scenario, *, faults: Faults, stats: bool) -> None:
    async with TwilioEmulator(config, port=port) as twilio:
        twilio.faults = faults
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for name in (signal.SIGINT, signal.SIGTERM):
            try:
                loop.add_signal_handler(name, stop.set)
            except NotImplementedError:  # Windows: Ctrl-C arrives as KeyboardInterrupt
                break
        number = next(iter(config.numbers.values()))
        sys.stdout.write(
            _BANNER.format(
                base_url=twilio.base_url,
                account=config.account_sid,
                token=config.auth_token,
                numbers=", ".join(config.numbers),
                voice_url=number.voice_url or "none: incoming calls are not possible",
                scenario=f"{scenario.name}, seed {config.seed}",
            )
        )
        sys.stdout.flush()
        gc.collect()
        gc.freeze()  # what is loaded now stays; no collection is to walk through it between two frames
        gc.set_threshold(10_000, 100, 100)
        reporting = asyncio.ensure_future(_report(twilio)) if stats else None
        await stop.wait()
        if reporting is not None:
            reporting.cancel()
            sys.stdout.write(_stats_text(twilio.lateness, whole=True))


async def _report(twilio: TwilioEmulator) -> None:
    while True:
        await asyncio.sleep(_REPORT_S)
        if twilio.lateness.total:
            sys.stdout.write(_stats_text(twilio.lateness, whole=False))
            sys.stdout.flush()


def _stats_text(lateness: Lateness, *, whole: bool) -> str:
    """One line of percentiles; with the histogram below it when `whole`."""
    facts = lateness.summary()
    text = (
        f"frames {facts['frames']}, late p50 {facts['p50_ms']:.1f} ms, p99 {facts['p99_ms']:.1f} ms, "
        f"p99.9 {facts['p999_ms']:.1f} ms, max {facts['max_ms']:.1f} ms\n"
    )
    if not whole or not lateness.total:
        return text
    for edge_ms, count in lateness.histogram():
        bar = "#" * round(50 * count / lateness.total)
        text += f"  up to {edge_ms:7.1f} ms {count:10d} {bar}\n"
    return text


def _run(main: Coroutine[None, None, None]) -> None:
    """On uvloop where it is installed: its timers and sockets cost a third of the standard loop's."""
    try:
        import uvloop
    except ImportError:  # Windows
        asyncio.run(main)
    else:
        uvloop.run(main)


def run(argv: Sequence[str] | None = None) -> int:
    """Until Ctrl-C or SIGTERM. Gives the exit status."""
    options = _parser().parse_args(argv)
    try:
        scenario = load(options.scenario) if options.scenario else Scenario()
        faults = Faults.parse(json.loads(options.faults or "{}"))
        config = TwilioConfig(
            account_sid=options.account,
            auth_token=options.token,
            numbers={number: OwnedNumber(voice_url=options.voice_url) for number in options.number or [_NUMBER]},
            scenario=scenario.party,
            seed=scenario.seed if options.seed is None else options.seed,
            calls_per_second=options.cps,
            max_live_calls=options.live_calls,
            permitted_prefixes=tuple(options.permit) if options.permit else None,
        )
    except ValueError as error:  # of a scenario, a fault or an option
        sys.stderr.write(f"{error}\n")
        return 2
    try:
        _run(_serve(config, options.port, scenario, faults=faults, stats=options.stats))
    except OSError as error:
        sys.stderr.write(
            f"cannot listen on 127.0.0.1:{options.port}: {error.strerror or error}; choose another --port\n"
        )
        return 1
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(run())
