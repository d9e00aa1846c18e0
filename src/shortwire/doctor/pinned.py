"""Whether the pinned edge and host are still a good choice: the question that is asked at every start.

One round of measurements beside everything else, a few seconds at most; no answer is no complaint. `app` calls
`pinned_choice_is_worse` in a task of its own and says the line, if there is one.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..net.vendor_hosts import AGENT_HOSTS, AgentHost, CarrierPoint, carrier_points
from ..settings import Settings
from .bench import NetworkPlan
from .measure import Distances, measure, pairs

__all__ = ["complaint", "pinned_choice_is_worse"]

START_PLAN = NetworkPlan(tries=3, deadline_s=2.0)


async def pinned_choice_is_worse(
    settings: Settings,
    *,
    worth_ms: float = 50.0,
    hosts: Sequence[AgentHost] = AGENT_HOSTS,
    points: Sequence[CarrierPoint] | None = None,
    plan: NetworkPlan = START_PLAN,
) -> str | None:
    """One sentence when another choice would save at least `worth_ms` per turn or per dialling; else None.

    Asks nobody when nothing is pinned (no edge set, and the agent's host the global one), or when a vendor is an
    emulator.
    """
    edge, _ = settings.carrier_edge
    host = next((host for host in hosts if host.url == settings.elevenlabs_base_url), None)
    if host is None or (not edge and host is hosts[0]):
        return None
    known = carrier_points() if points is None else points
    return complaint(settings, hosts, known, await measure(hosts, known, plan), worth_ms=worth_ms)


def complaint(
    settings: Settings,
    hosts: Sequence[AgentHost],
    points: Sequence[CarrierPoint],
    distances: Distances,
    *,
    worth_ms: float,
) -> str | None:
    """The judgement, from what was measured."""
    edge, region = settings.carrier_edge
    region = region or "us1"
    host = next((host for host in hosts if host.url == settings.elevenlabs_base_url), None)
    ranked = [pair for pair in pairs(hosts, points, distances) if pair.region == region]
    ours = next((pair for pair in ranked if pair.agent == host), None)
    if host is None or ours is None:
        return None
    best = next(pair for pair in ranked if pair.agent == host or not (pair.agent.separate or host.separate))
    parts = []
    if ours.turn_ms - best.turn_ms >= worth_ms:
        parts.append(f"ELEVENLABS_BASE_URL={best.agent.url} is {ours.turn_ms - best.turn_ms:.0f} ms nearer per turn")
    present = distances.carrier.get(f"{edge}.{region}")
    if edge and present is not None and present.answered and present.p50_ms - ours.edge_ms >= worth_ms:
        parts.append(f"TWILIO_EDGE={ours.edge} is {present.p50_ms - ours.edge_ms:.0f} ms nearer for dialling")
    if not parts:
        return None
    return f"the pinned choice is no longer the best: {'; '.join(parts)} (shortwire region --pin)"
