"""How far the vendors' hosts are from this machine, and what a pair of them costs per turn.

What is said reaches the agent by way of the region's media servers and us, and comes back the same way: one round trip
to each, per turn. The edge of the API only makes dialling quicker. Round trips are TCP handshakes: one each, and no
bill. Hosts: protocols/elevenlabs.md section 2, protocols/twilio.md section 3.9.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..net.probes import Series, tcp_series
from ..net.vendor_hosts import MEDIA_REGIONS, AgentHost, CarrierPoint
from .bench import NetworkPlan

__all__ = ["Distances", "Pair", "measure", "pairs"]

_AT_ONCE = 4
"""Hosts measured at the same time: more would queue behind each other on a small machine."""


@dataclass(frozen=True, slots=True)
class Distances:
    """What was measured, by host name (agent) and by ``edge.region`` (carrier)."""

    agent: Mapping[str, Series]
    carrier: Mapping[str, Series]

    @property
    def answered(self) -> bool:
        return any(series.answered for series in (*self.agent.values(), *self.carrier.values()))

    def as_dict(self) -> dict[str, Any]:
        return {
            "agent": {name: series.as_dict() for name, series in self.agent.items()},
            "carrier": {name: series.as_dict() for name, series in self.carrier.items()},
        }


@dataclass(frozen=True, slots=True)
class Pair:
    """A media region and an agent host, and what a turn costs between them."""

    region: str
    edge: str
    """The edge from which this region's API is nearest."""
    agent: AgentHost
    media_ms: float
    """Round trip to the region's own edge, which stands where its media servers are."""
    agent_ms: float
    edge_ms: float

    @property
    def turn_ms(self) -> float:
        return self.media_ms + self.agent_ms


async def measure(hosts: Sequence[AgentHost], points: Sequence[CarrierPoint], plan: NetworkPlan) -> Distances:
    """Every host, a few at a time, each bounded by the plan's deadline and given up after two failures in a row."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(url: str) -> Series:
        async with gate:
            return await tcp_series(url, plan.tries, deadline_s=plan.deadline_s)

    found = await asyncio.gather(*(one(host.url) for host in hosts), *(one(point.url) for point in points))
    return Distances(
        {host.name: series for host, series in zip(hosts, found[: len(hosts)], strict=True)},
        {point.name: series for point, series in zip(points, found[len(hosts) :], strict=True)},
    )


def pairs(hosts: Sequence[AgentHost], points: Sequence[CarrierPoint], distances: Distances) -> list[Pair]:
    """Every media region with every agent host that could be measured, the cheapest turn first."""
    found = []
    for region in MEDIA_REGIONS:
        own = distances.carrier.get(f"{region.edge}.{region.name}")
        edges = [
            (point.edge, distances.carrier[point.name].p50_ms)
            for point in points
            if point.region == region.name and distances.carrier[point.name].answered
        ]
        if own is None or not own.answered or not edges:
            continue
        edge, edge_ms = min(edges, key=lambda pair: pair[1])
        found += [
            Pair(region.name, edge, host, own.p50_ms, distances.agent[host.name].p50_ms, edge_ms)
            for host in hosts
            if distances.agent[host.name].answered
        ]
    return sorted(found, key=lambda pair: (pair.turn_ms, pair.edge_ms, pair.agent.name))
