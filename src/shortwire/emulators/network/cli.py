"""Run a relay by hand: ``python -m shortwire.emulators.network --listen 9100 --to 127.0.0.1:8001 --profile NAME``."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .control import NetworkControl
from .fault import Fault, FaultError
from .profiles import NETWORKS, WAYS, Network
from .relay import NetworkRelay

__all__ = ["run"]

_LOOPBACK = ("127.0.0.1", "localhost")


@dataclass(frozen=True, slots=True)
class _Plan:
    relay: NetworkRelay
    way: str
    control: int | None
    says: str


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="shortwire emulate network",
        description="EMULATOR of a network, on 127.0.0.1 only: a TCP relay that is slow, narrow or broken on demand.",
    )
    parser.add_argument("--listen", default="9100", metavar="[HOST:]PORT", help="0: any free port (default: 9100)")
    parser.add_argument("--to", required=True, metavar="HOST:PORT", help="who is behind it")
    parser.add_argument("--profile", choices=NETWORKS, help="a network by name (default: the scenario's, or none)")
    parser.add_argument(
        "--way",
        choices=WAYS,
        default="server",
        help="which of the bridge's ways this is: webhooks and media to our server, "
        "ours to the carrier's API, or ours to the agent (default: server)",
    )
    parser.add_argument("--scenario", type=Path, metavar="FILE", help="network, faults and seed of a scenario file")
    parser.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="TABLE",
        help="e.g. 'kind=\"stall\", for_ms=2000, at_s=5'; TOML, may be repeated",
    )
    parser.add_argument("--control", type=int, metavar="PORT", help="switch faults over HTTP here; 0: any free port")
    parser.add_argument("--seed", type=int, help="of everything random (default: the scenario's, or 1)")
    return parser


def _address(text: str, what: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not port.isdigit() or int(port) > 65_535:
        raise FaultError(f"{what} must end in a port number, like 127.0.0.1:8001: {text!r}")
    return host or "127.0.0.1", int(port)


def _fault(text: str) -> Fault:
    try:
        table = tomllib.loads(f"fault = {{ {text} }}")["fault"]
    except tomllib.TOMLDecodeError as error:
        raise FaultError(f"--fault must be like 'kind=\"stall\", for_ms=2000': {text!r} ({error})") from None
    return Fault.parse(table)


def _plan(args: argparse.Namespace) -> _Plan:
    from ..scenario import Scenario, load  # imports this package

    host, port = _address(args.listen, "--listen")
    if host not in _LOOPBACK:
        raise FaultError(f"an emulator listens on 127.0.0.1 only, not on {host!r}")
    scenario = load(args.scenario) if args.scenario else Scenario()
    network: Network = NETWORKS[args.profile] if args.profile else scenario.network or NETWORKS["none"]
    seed = scenario.seed if args.seed is None else args.seed
    faults = (*scenario.faults_on(args.way), *(_fault(text) for text in args.fault))
    relay = NetworkRelay(*_address(args.to, "--to"), network.way(args.way), port=port, seed=seed, faults=faults)
    return _Plan(relay, args.way, args.control, args.profile or (scenario.name if scenario.network else "none"))


async def _serve(plan: _Plan) -> int:
    relay = plan.relay
    async with contextlib.AsyncExitStack() as exits:
        try:
            await exits.enter_async_context(relay)
            control = None
            if plan.control is not None:
                control = await exits.enter_async_context(NetworkControl({plan.way: relay}, port=plan.control))
        except OSError as error:
            print(f"cannot listen on 127.0.0.1: {error.strerror or error}; choose another port", file=sys.stderr)  # noqa: T201
            return 1
        facts = relay.describe()
        lines = [
            "EMULATOR: this imitates a network between two programs on this machine.",
            f"  listens    {facts['listen']}   (connect here instead)",
            f"  leads to   {facts['to']}",
            f"  network    {plan.says}, way {plan.way}, seed {facts['seed']}",
            f"  faults     {', '.join(fault['name'] for fault in facts['faults']) or 'none'}",
        ]
        if control is not None:
            lines.append(f"  control    http://127.0.0.1:{control.port}/relays/{plan.way}/faults")
        print("\n".join(lines), flush=True)  # noqa: T201
        stopped = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            with contextlib.suppress(NotImplementedError):  # Windows: Ctrl-C arrives as KeyboardInterrupt
                loop.add_signal_handler(number, stopped.set)
        await stopped.wait()
    return 0


def run(argv: Sequence[str] | None = None) -> int:
    """Relay until interrupted. Returns the exit status."""
    args = _parser().parse_args(argv)
    try:
        return asyncio.run(_relay(args))
    except ValueError as error:  # FaultError and ScenarioError
        print(error, file=sys.stderr)  # noqa: T201
        return 2
    except KeyboardInterrupt:
        return 0


async def _relay(args: argparse.Namespace) -> int:
    return await _serve(_plan(args))
