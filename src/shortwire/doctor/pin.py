"""Which of the ranked pairs these credentials open: tried, not assumed, by reading the account and the agent."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from ..errors import BridgeError
from ..terms import AgentId
from .bench import Bench
from .measure import Pair

__all__ = ["best_usable"]


async def best_usable(bench: Bench, ranked: Sequence[Pair], *, change_region: bool) -> tuple[Pair | None, list[str]]:
    """The cheapest pair that works, and why cheaper ones do not. The region stays unless `change_region`.

    Closes the bench.
    """
    settings = bench.settings
    region = settings.carrier_edge[1] or "us1"
    agent_id = AgentId(settings.elevenlabs_agent_id)
    known: dict[str, str] = {}
    why_not: list[str] = []

    async def refusal(name: str, ask: Callable[[], Awaitable[object]]) -> str:
        if name not in known:
            try:
                await ask()
                known[name] = ""
            except BridgeError as error:
                known[name] = f"{name}: {error.message}"
                why_not.append(known[name])
        return known[name]

    try:
        for pair in ranked:
            if pair.region != region and not change_region:
                continue
            point = next((p for p in bench.carrier_points if (p.edge, p.region) == (pair.edge, pair.region)), None)
            if point is None:
                continue
            agent = bench.platform_at(pair.agent.url)
            if await refusal(pair.agent.name, lambda a=agent: a.agent(agent_id)):  # type: ignore[misc]
                continue
            carrier = bench.carrier_at(point.url)
            if await refusal(point.name, carrier.account):
                continue
            return pair, why_not
        return None, why_not
    finally:
        await bench.close()
