"""Checks of the network between this machine and both vendors: round trips, jitter, losses, and the best choice.

The present choice is compared with what could be had; see `doctor.measure` for what a turn costs.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from ...net.probes import Series
from ...net.vendor_hosts import AgentHost
from ..bench import Bench, CannotTell
from ..check import Fix, Tell, check, fail, warn
from ..measure import Distances, Pair, measure, pairs


async def _distances(bench: Bench) -> Distances:
    async def ask() -> Distances:
        return await measure(bench.agent_hosts, bench.carrier_points, bench.plan)

    found = await bench.shared("distances", ask)
    if not found.answered:
        raise CannotTell("none of the vendors' hosts could be reached from here: no network, or a firewall")
    return found


def _our_host(bench: Bench) -> AgentHost | None:
    return next((host for host in bench.agent_hosts if host.url == bench.settings.elevenlabs_base_url), None)


@check(
    "network.agent",
    "The way to the agent is short and steady",
    "Times repeated TCP connections to every ElevenLabs host.",
    warn(
        "jitter",
        "the way to the agent's host is unsteady",
        "replies come late now and then",
        "move this server to a wired or cloud network near the agent's host (`shortwire region`)",
    ),
    fail(
        "loss",
        "connections to the agent's host fail",
        "calls break off or begin with silence",
        "look for packet loss between this machine and {host}",
    ),
    deadline_s=40.0,
)
async def agent_distance(bench: Bench, tell: Tell) -> None:
    host = _our_host(bench)
    if host is None:
        tell.ok(f"{urlsplit(bench.settings.elevenlabs_base_url).netloc} is not one of the vendor's hosts: not compared")
        return
    distances = await _distances(bench)
    _say_series(bench, tell, urlsplit(host.url).hostname or "", distances.agent[host.name], distances.agent)


@check(
    "network.carrier",
    "The way to the phone network is short and steady",
    "Times repeated TCP connections to every Twilio edge; the region's own edge stands for its media servers.",
    warn(
        "jitter",
        "the way to the carrier's region is unsteady",
        "callers hear gaps",
        "move this server to a wired or cloud network near the region (`shortwire region`)",
    ),
    fail(
        "loss",
        "connections to the carrier's edge fail",
        "calls break off or are silent",
        "look for packet loss between this machine and {host}",
    ),
    deadline_s=40.0,
)
async def carrier_distance(bench: Bench, tell: Tell) -> None:
    if not bench.at_twilio:
        tell.ok("the carrier's API is not Twilio's: not compared")
        return
    distances = await _distances(bench)
    region = bench.settings.carrier_edge[1] or "us1"
    name = next((point.name for point in bench.carrier_points if point.region == region), "")
    if name not in distances.carrier:
        raise CannotTell(f"region {region} has no edge that is known here (see settings.edge)")
    _say_series(bench, tell, name, distances.carrier[name], distances.carrier)


def _say_series(bench: Bench, tell: Tell, host: str, ours: Series, every: Mapping[str, Series]) -> None:
    ranked = sorted((series.p50_ms, name) for name, series in every.items() if series.answered)
    values = {"ours": ours.as_dict(), "hosts": {name: round(ms, 1) for ms, name in ranked}}
    if not ours.answered:
        tell.problem("loss", f"{host}: {ours.last_error}", host=host, values=values)
        return
    text = f"{host}: {ours.p50_ms:.0f} ms median, {ours.p95_ms:.0f} ms p95, jitter {ours.jitter_ms:.0f} ms"
    if ours.lost_share >= 0.2:
        tell.problem("loss", f"{text}, {ours.lost_share:.0%} of the tries failed", host=host, values=values)
    elif ours.jitter_ms > bench.plan.jitter_ms:
        tell.problem("jitter", text, effect=f"replies vary by about {ours.jitter_ms:.0f} ms", values=values)
    else:
        tell.ok(text, **values)


@check(
    "network.best_pair",
    "No other choice is much nearer",
    "Compares what a turn costs with the present region and host with every other pair: one round trip to each.",
    warn(
        "agent_host",
        "another host of the agent platform is nearer",
        "every turn is later than it need be",
        "set ELEVENLABS_BASE_URL={url}, or run `shortwire region --pin`",
    ),
    warn(
        "edge",
        "another edge is nearer",
        "dialling starts later than it need",
        "set TWILIO_EDGE={edge} and TWILIO_REGION={region}, or run `shortwire region --pin`",
    ),
    warn(
        "region",
        "another media region is nearer to this server",
        "every turn is later than it need be, if the callers are near this server too",
        "move this server near region {region}; or, if your callers are near {other}, use that region (TWILIO_EDGE="
        "{edge}, TWILIO_REGION={other}, its auth token, and the number routed there)",
    ),
    deadline_s=45.0,
)
async def best_pair(bench: Bench, tell: Tell) -> None:
    host = _our_host(bench)
    if host is None or not bench.at_twilio:
        tell.ok("one of the vendors is not at its own address: nothing to compare")
        return
    distances = await _distances(bench)
    ranked = pairs(bench.agent_hosts, bench.carrier_points, distances)
    edge, region = bench.settings.carrier_edge
    region = region or "us1"
    ours = next((pair for pair in ranked if pair.region == region and pair.agent == host), None)
    if ours is None:
        raise CannotTell("the present choice could not be measured (see network.agent and network.carrier)")
    # A residency environment is a workspace of its own: no other host has this agent.
    near = [pair for pair in ranked if pair.agent == host or not (pair.agent.separate or host.separate)]
    same_region = next(pair for pair in near if pair.region == region)
    worth_ms = bench.plan.worth_ms
    values = {"turn_ms": round(ours.turn_ms, 1), "best_turn_ms": round(near[0].turn_ms, 1)}
    if ours.turn_ms - same_region.turn_ms > worth_ms:
        saved = ours.turn_ms - same_region.turn_ms
        fix = Fix("ELEVENLABS_BASE_URL", same_region.agent.url, f"{saved:.0f} ms less per turn")
        text = f"{same_region.agent.name} is {saved:.0f} ms nearer than {host.name}"
        effect = f"every turn is {saved:.0f} ms later than it need be"
        tell.problem("agent_host", text, effect=effect, url=same_region.agent.url, values=values, fix=fix)
    _say_edge(bench, tell, distances, ours, edge or "ashburn")
    if same_region.turn_ms - near[0].turn_ms > 2 * worth_ms:
        saved = same_region.turn_ms - near[0].turn_ms
        text = f"media in {near[0].region} is {saved:.0f} ms nearer than in {region}"
        effect = f"every turn is {saved:.0f} ms later than it need be, if the callers are near this server too"
        other, at = near[0].region, near[0].edge
        tell.problem("region", text, effect=effect, values=values, region=region, other=other, edge=at)
    if tell.silent:
        tell.ok(f"a turn costs {ours.turn_ms:.0f} ms of network, the best pair {near[0].turn_ms:.0f} ms", **values)


def _say_edge(bench: Bench, tell: Tell, distances: Distances, ours: Pair, edge: str) -> None:
    present = distances.carrier.get(f"{edge}.{ours.region}")
    if present is None or not present.answered or present.p50_ms - ours.edge_ms <= bench.plan.worth_ms:
        return
    saved = present.p50_ms - ours.edge_ms
    effect = f"dialling starts about {saved:.0f} ms later than it need"
    fix = Fix("TWILIO_EDGE", ours.edge, f"{saved:.0f} ms nearer than {edge}")
    tell.problem(
        "edge",
        f"{ours.edge} is {saved:.0f} ms nearer than {edge}",
        effect=effect,
        fix=fix,
        edge=ours.edge,
        region=ours.region,
    )
