"""A SERVER_URL that leads nowhere: the carrier is asked, and the call says which setting to change."""

from __future__ import annotations

from pathlib import Path

import pytest
from live_house import open_house

from shortwire.demo.processes import free_port
from shortwire.emulators.scenario import PartyScript
from shortwire.switchboard import settle


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The settler's pauses, scaled."""
    monkeypatch.setattr(settle, "_NO_NEWS_S", (0.3, 0.3, 0.5, 0.5, 1.0, 2.0, 5.0))


async def test_a_call_nobody_can_join_names_the_address(tmp_path: Path) -> None:
    async with open_house(tmp_path, server_url=f"http://127.0.0.1:{free_port()}") as house:
        call = await house.ended(await house.place())
        assert call["cause"] == "media_never_came" and "SERVER_URL" in call["meaning"]
        assert call["disposition"] == "failed"
        assert len(house.twilio.calls) == 1


async def test_what_the_carrier_knows_is_believed_where_its_callbacks_are_lost(tmp_path: Path) -> None:
    party = PartyScript(ring_s=0.1, outcome="busy")
    async with open_house(tmp_path, party=party, server_url=f"http://127.0.0.1:{free_port()}") as house:
        call = await house.ended(await house.place())
        assert (call["cause"], call["disposition"]) == ("busy", "busy")
