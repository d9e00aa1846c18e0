"""The frame clock on the real loop: it may be late, it is never early, and it never drifts."""

from __future__ import annotations

import asyncio
import time

import pytest

from shortwire.emulators.twilio import frame_clock
from shortwire.emulators.twilio.frame_clock import FRAME_NS, FrameClock


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
