"""`shortwire region`: how far every Twilio region and ElevenLabs host is from here, and pinning the best choice.

Only what the credentials open is pinned: another residency environment is another workspace, another Twilio region
wants another auth token.
"""

# ruff: noqa: PLR0917 - a command's parameters are its options; typer calls it by keyword

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from ..doctor.bench import Bench
    from ..doctor.measure import Distances, Pair
    from ..settings import Settings

__all__ = ["region"]


def region(
    pin: Annotated[bool, typer.Option("--pin", help="Write the best usable choice into .env.")] = False,
    change_region: Annotated[
        bool, typer.Option("--change-region", help="With --pin: another Twilio region may be chosen, too.")
    ] = False,
    tries: Annotated[int, typer.Option(help="Connections per host.", min=2, max=50)] = 8,
    as_json: Annotated[bool, typer.Option("--json", help="The measurements as JSON.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="With --pin: do not ask.")] = False,
    env_file: Annotated[Path | None, typer.Option(help="Settings file instead of ./.env.")] = None,
) -> None:
    """Rank Twilio regions and edges, and ElevenLabs hosts, by what a turn costs from here."""
    from ..doctor.bench import Bench, NetworkPlan
    from ..doctor.measure import measure, pairs
    from ..errors import PeerError
    from ..net.vendor_hosts import AGENT_HOSTS, carrier_points
    from .doctor import settings_or_problem

    settings, _ = settings_or_problem(env_file or Path(".env"), env_file is not None)
    points = carrier_points()
    distances = asyncio.run(measure(AGENT_HOSTS, points, NetworkPlan(tries=tries)))
    if not distances.answered:
        raise PeerError(
            "none of the vendors' hosts could be reached from here",
            details="check this machine's network: outgoing TCP to port 443 must be allowed",
            code="no_network",
        )
    ranked = pairs(AGENT_HOSTS, points, distances)
    if as_json:
        print(json.dumps({**distances.as_dict(), "pairs": [_as_dict(pair) for pair in ranked]}, indent=1))
    else:
        _show(distances, ranked, settings)
    if pin:
        bench = Bench(given=settings, carrier_points=points)
        _pin(env_file or Path(".env"), bench, ranked, change_region=change_region, yes=yes)


def _as_dict(pair: Pair) -> dict[str, Any]:
    return {
        "region": pair.region,
        "edge": pair.edge,
        "agent_host": pair.agent.url,
        "separate_environment": pair.agent.separate,
        "turn_ms": round(pair.turn_ms, 1),
        "media_ms": round(pair.media_ms, 1),
        "agent_ms": round(pair.agent_ms, 1),
        "edge_ms": round(pair.edge_ms, 1),
    }


def _show(distances: Distances, ranked: Sequence[Pair], settings: Settings | None) -> None:
    print("Round trips from here (TCP), ms: median, p95, jitter, share of failed tries")
    for title, series in (("ElevenLabs", distances.agent), ("Twilio edge.region", distances.carrier)):
        print(f"  {title}")
        for name, found in sorted(series.items(), key=lambda item: item[1].p50_ms if item[1].answered else 1e9):
            if found.answered:
                print(
                    f"    {name:<16} {found.p50_ms:7.1f} {found.p95_ms:7.1f} {found.jitter_ms:7.1f} "
                    f"{found.lost_share:6.0%}"
                )
            else:
                print(f"    {name:<16} no answer: {found.last_error}")
    print("What a turn costs on the network: one round trip to the media region, one to the agent's host")
    for pair in ranked[:10]:
        ours = settings is not None and _is_ours(pair, settings)
        note = "  own workspace" if pair.agent.separate else ""
        print(
            f"  {pair.turn_ms:7.1f} ms   {pair.region} (edge {pair.edge}) with {pair.agent.name}{note}"
            f"{'   <- the present choice' if ours else ''}"
        )
    print("Media is carried in the region; the edge only makes dialling quicker. The region's own edge stands for it.")


def _is_ours(pair: Pair, settings: Settings) -> bool:
    return pair.region == (settings.carrier_edge[1] or "us1") and pair.agent.url == settings.elevenlabs_base_url


def _pin(env_file: Path, bench: Bench, ranked: Sequence[Pair], *, change_region: bool, yes: bool) -> None:
    from ..doctor.env_file import write_values
    from ..doctor.pin import best_usable
    from ..errors import ConfigError

    if bench.given is None:
        raise ConfigError("nothing can be pinned before the settings are right", details="run shortwire doctor")
    best, why_not = asyncio.run(best_usable(bench, ranked, change_region=change_region))
    for line in why_not:
        print(f"  not usable: {line}")
    if best is None:
        raise ConfigError("no choice can be used with these credentials", details="run shortwire doctor")
    values = {
        "TWILIO_EDGE": best.edge,
        "TWILIO_REGION": best.region,
        "ELEVENLABS_BASE_URL": best.agent.url,
    }
    print(f"Would write to {env_file}:")
    for name, value in values.items():
        print(f"  {name}={value}")
    if not yes and not typer.confirm("Write?", default=False):
        print("Nothing was written.")
        return
    write_values(env_file, values)
    print(f"Written; every other line of {env_file} is as it was.")
