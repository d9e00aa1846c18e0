"""A call that is over is gone: no collector has to find it, because none looks while others talk."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path
from unittest.mock import Mock

import pytest
from live_house import open_house
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from shortwire.emulators.scenario import AgentScript, PartyScript, Reply, Say
from shortwire.terms import CallId

PARTY = PartyScript(ring_s=0.05, says=(Say("300", delay_ms=100),))
AGENT = AgentScript(first_message="300", end_of_turn_ms=200, replies=(Reply("300", (20, 40), end_call=True),))


def abandoned() -> list[HttpToolsProtocol]:
    """HTTP protocols that the server has no more: streams have taken their connections over, or they are closed."""
    found = [thing for thing in gc.get_objects() if isinstance(thing, HttpToolsProtocol)]
    return [protocol for protocol in found if protocol not in protocol.connections]


@pytest.mark.parametrize("profile", ["optimized", "baseline"])
async def test_a_call_that_is_over_is_gone_without_a_collector(
    tmp_path: Path, profile: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Ours looks at everything a second after the last call.
    monkeypatch.setattr("shortwire.switchboard.collector.gc", Mock(get_count=lambda: (0, 0, 0)))
    async with open_house(tmp_path, party=PARTY, agent=AGENT, shortwire_profile=profile) as house:
        call_id = await house.place()
        call = house.desk._live[CallId(call_id)]
        left = [weakref.ref(call), weakref.ref(call.session), weakref.ref(call.analyst)]
        gc.disable()
        try:
            del call
            await house.ended(call_id)
            await house.until(lambda: not any(ref() for ref in left), "the call to be gone")
            if profile == "optimized":  # the stock sockets are what they are
                await house.until(lambda: not abandoned(), "the HTTP side of its stream's connection to be gone")
        finally:
            gc.enable()
