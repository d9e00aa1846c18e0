"""Both sockets of a call at its end: closed once, and waited for."""

from __future__ import annotations

import asyncio

from .legs import AgentLeg, PhoneLeg

__all__ = ["BothLegs"]


class BothLegs:
    """A call's two legs, as far as both have to be gone."""

    def __init__(self, phone: PhoneLeg, agent: AgentLeg) -> None:
        self._phone, self._agent = phone, agent
        self._gone = asyncio.Event()

    @property
    def open(self) -> bool:
        """One of the sockets still is."""
        return self._phone.socket is not None or self._agent.socket is not None

    def closed(self) -> None:
        """One of the sockets is gone."""
        if not self.open:
            self._gone.set()

    def close(self) -> None:
        """Ask both to; harmless if they are gone."""
        for leg in (self._phone, self._agent):
            leg.close(1000, "call ended")

    async def gone(self, deadline_s: float) -> bool:
        """Wait until both are, for so long at most; whether they are."""
        if not self.open:
            return True
        self._gone.clear()  # set once before the agent's socket was there, it would say too much
        try:
            async with asyncio.timeout(deadline_s):
                await self._gone.wait()
        except TimeoutError:
            return False
        return True

    def part(self) -> None:
        """See `legs`: the call is over and told."""
        self._phone.part()
        self._agent.part()
