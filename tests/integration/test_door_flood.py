"""Upgrade requests of odd sizes: refused, and nobody else notices."""

from __future__ import annotations

from pathlib import Path

import pytest
from live_house import open_house
from test_door import PATH, RINGS, knock, ringing


@pytest.mark.parametrize("size", [3_000, 4_096, 5_000, 8_191, 12_000, 20_000, 60_000, 200_000])
@pytest.mark.parametrize("profile", ["optimized", "baseline"])
async def test_long_requests(tmp_path: Path, size: int, profile: str, caplog: pytest.LogCaptureFixture) -> None:
    async with open_house(tmp_path, party=RINGS, shortwire_profile=profile) as house:
        _, good = await ringing(house)
        assert await knock(house, f"{PATH}{'x' * size}") in (400, 403, 414, 431)
        assert "Fatal error" not in caplog.text
        assert await knock(house, PATH + good) == 101
