"""An account may dial only so many calls a second; the carrier queues the others, and we wait for them."""

from __future__ import annotations

from pathlib import Path

import pytest
from live_house import House, open_house

from shortwire.net import twilio_rest
from shortwire.switchboard import ending, settle

QUEUE_S = 3.0


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No longer than the ring time-out without news: a call in the queue outlasts it."""
    monkeypatch.setattr(ending, "_RING_GRACE_S", 0.2)
    monkeypatch.setattr(settle, "_NO_NEWS_S", (0.2, 0.2))


def carrier() -> dict[str, float]:
    return {"calls_per_second": 1 / QUEUE_S}


async def placed_behind_another(house: House) -> str:
    await house.place()
    queued = await house.place()
    assert house.carrier_call().status == "queued"
    return queued


async def test_a_call_lives_for_as_long_as_the_carrier_says_it_stands_in_its_queue(tmp_path: Path) -> None:
    async with open_house(tmp_path, carrier=carrier(), limits={"ring_timeout_s": 1}) as house:
        call_id = await placed_behind_another(house)
        await house.state(call_id, "connected")
        assert house.carrier_call().queue_ms > 1000 * (1 + 0.2)


async def test_a_queue_that_takes_longer_than_the_carrier_thought_is_asked_about(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(twilio_rest, "milliseconds", lambda _text: 0.0)
    async with open_house(tmp_path, carrier=carrier(), limits={"ring_timeout_s": 1}) as house:
        call_id = await placed_behind_another(house)
        await house.state(call_id, "connected")
        assert len(house.requests("GET", f"{house.carrier_call().sid}.json")) > 1


@pytest.mark.parametrize(
    ("text", "ms"), [("1000", 1000.0), ("0", 0.0), (None, 0.0), ("", 0.0), ("-5", 0.0), ("x", 0.0)]
)
def test_the_estimate_is_a_text_of_milliseconds(text: str | None, ms: float) -> None:
    assert twilio_rest.milliseconds(text) == ms
