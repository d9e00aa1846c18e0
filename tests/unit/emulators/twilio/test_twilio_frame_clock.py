"""The frame clock on the real loop: it may be late, it is never early, and it never drifts."""

from __future__ import annotations

import asyncio
import time

import pytest

from shortwire.emulators.twilio import frame_clock
from shortwire.emulators.twilio.__main__ import _stats_text
from shortwire.emulators.twilio.frame_clock import FRAME_NS, FrameClock, Lateness, aligned


@pytest.fixture(params=["timerfd", "call_later"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "call_later":
        monkeypatch.setattr(frame_clock.sys, "platform", "elsewhere")
    return str(request.param)


async def ticks(count: int, block_at: int = -1) -> tuple[int, list[tuple[int, int]]]:
    seen: list[tuple[int, int]] = []
    done = asyncio.Event()

    def tick(n: int) -> None:
        seen.append((n, time.monotonic_ns()))
        if n == block_at:
            time.sleep(0.1)  # the loop is busy
        if n + 1 == count:
            clock.stop()
            done.set()

    start_ns = time.monotonic_ns()
    clock = FrameClock(start_ns, tick)
    await asyncio.wait_for(done.wait(), 30)
    return start_ns, seen


async def test_every_tick_comes_once_and_never_early(kind: str) -> None:
    start_ns, seen = await ticks(25)
    assert [n for n, _ in seen] == list(range(25)), kind
    assert all(ns >= start_ns + (n + 1) * FRAME_NS for n, ns in seen)


async def test_missed_ticks_are_made_up_for_at_once(kind: str) -> None:
    start_ns, seen = await ticks(15, block_at=3)
    assert [n for n, _ in seen] == list(range(15)), kind
    assert all(ns >= start_ns + (n + 1) * FRAME_NS for n, ns in seen)
    times = dict(seen)
    assert times[7] - times[4] < 3 * FRAME_NS, "four were due while the loop was busy: they come together"


async def test_a_stopped_clock_is_silent() -> None:
    seen: list[int] = []
    clock = FrameClock(time.monotonic_ns(), seen.append)
    clock.stop()
    clock.stop()
    await asyncio.sleep(0.06)
    assert seen == []


def test_lateness_is_counted_and_told() -> None:
    lateness = Lateness()
    assert lateness.summary()["p99_ms"] == 0.0
    for late_ms in [0.05] * 98 + [3.0, 20.0]:
        lateness.add(round(late_ms * 1e6))
    facts = lateness.summary()
    assert (facts["frames"], facts["p50_ms"], facts["max_ms"]) == (100, 0.1, 20.0)
    assert facts["p99_ms"] == pytest.approx(3.0, abs=0.11)
    assert sum(count for _, count in lateness.histogram()) == 100
    text = _stats_text(lateness, whole=True)
    assert text.startswith("frames 100, late p50 0.1 ms, p99 3.")
    assert text.count("\n") == 1 + len(lateness.histogram())
    lateness.add(10**12)
    assert lateness.summary()["max_ms"] == 1e6, "beyond the last bucket the maximum is still exact"
    lateness.clear()
    assert lateness.total == 0


async def test_clocks_of_one_phase_share_a_timer_and_one_that_fails_stops_alone(kind: str) -> None:
    start_ns = aligned(time.monotonic_ns())
    good: list[int] = []
    seen: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: seen.append(str(context["exception"])))

    def bad(_: int) -> None:
        raise RuntimeError("broken")

    clocks = [FrameClock(start_ns, bad), FrameClock(start_ns, good.append)]
    assert clocks[0]._beat is clocks[1]._beat
    async with asyncio.timeout(20):
        while len(good) < 3:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    clocks[1].stop()
    assert seen == ["broken"], kind
    assert good[:3] == [0, 1, 2]
