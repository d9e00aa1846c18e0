"""A disk that refuses a tape costs the tape: the call goes on, and says so."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

from live_house import open_house

from shortwire.emulators.scenario import AgentScript, PartyScript, Reply, Say

PARTY = PartyScript(ring_s=0.05, says=(Say("300", delay_ms=100),))
AGENT = AgentScript(first_message="300", end_of_turn_ms=200, replies=(Reply("300", (20, 40), end_call=True),))


async def test_a_tape_that_cannot_be_written_is_told_once(tmp_path: Path) -> None:
    async with open_house(tmp_path, party=PARTY, agent=AGENT, shortwire_tape=True) as house:
        shutil.rmtree(house.desk.context.tapes._directory)
        call = await house.ended(await house.place())
        assert call["cause"] == "agent_ended"
        warnings = [e.data["text"] for e in await house.events(call["id"]) if e.kind == "warning"]
        told = f"the tape ends before the call: {os.strerror(errno.ENOENT)}"
        assert [text for text in warnings if "tape" in text] == [told]
        _, health = await house.api("GET", "/v1/health")
        assert health["tapes_cut_short"] == 1
