"""Who strikes the calls' clock: both ways tell of turns, of what was late, and whose doing it was."""

from __future__ import annotations

import asyncio
import time

import pytest
import uvloop

from shortwire import native
from shortwire.clock import SystemClock
from shortwire.switchboard.strikes import STRIKE_NS, PlainStrikes, Strikes, new_strikes

MS = 1_000_000
compiled = pytest.mark.skipif(not native.AVAILABLE, reason=f"not built: {native.WHY_NOT}")


class Clock:
    ns = 0

    def now_ns(self) -> int:
        return self.ns

    def wall_s(self) -> float:
        return 0.0


class Told:
    def __init__(self) -> None:
        self.turns: list[tuple[int, int, int]] = []

    def __call__(self, turns: int, late_ns: int, own_ns: int) -> None:
        self.turns.append((turns, late_ns, own_ns))

    @property
    def count(self) -> int:
        return sum(turns for turns, _, _ in self.turns)


async def test_every_fifth_strike_begins_a_turn() -> None:
    clock, told = Clock(), Told()
    strikes = PlainStrikes(clock, told, lambda: 0)
    strikes.begin()
    try:
        for strike in range(1, 11):
            clock.ns = strike * 10 * MS
            strikes._strike()
            assert told.count == strike // 5
        assert told.turns == [(1, 0, 0), (1, 0, 0)]
    finally:
        strikes.stop()


async def test_a_late_strike_tells_how_much_of_it_this_process_computed() -> None:
    clock, told, computed = Clock(), Told(), [7 * MS]
    strikes = PlainStrikes(clock, told, lambda: computed[0])
    strikes.begin()  # the first strike is due in 10 ms
    try:
        clock.ns, computed[0] = 40 * MS, 19 * MS
        strikes._strike()  # 30 ms late, of which 12 were computed
        for _ in range(4):  # those that were missed are due at once: less and less late, and nothing was computed since
            strikes._strike()
        assert told.turns == [(1, 30 * MS, 12 * MS)]
        clock.ns, computed[0] = 105 * MS, 119 * MS
        for _ in range(5):
            strikes._strike()
        assert told.turns[1:] == [(1, 45 * MS, 45 * MS)]  # never more than it was late
    finally:
        strikes.stop()


async def test_a_machine_that_slept_is_not_made_up_for() -> None:
    clock, told = Clock(), Told()
    strikes = PlainStrikes(clock, told, lambda: 0)
    strikes.begin()
    try:
        for clock.ns in (10 * MS, 20 * MS, 30 * MS, 40 * MS, 5040 * MS):
            strikes._strike()
        assert told.turns == [(1, 4990 * MS, 0)]
        assert strikes._due_ns == 5050 * MS
    finally:
        strikes.stop()


async def two_ways(told: Told, *, compiled_way: bool) -> Strikes:
    strikes = new_strikes(SystemClock(), told)
    if compiled_way:
        assert isinstance(strikes, native.strikes.Strikes)
        return strikes
    strikes.stop()
    plain = PlainStrikes(SystemClock(), told)
    plain.begin()
    return plain


@pytest.mark.parametrize("compiled_way", [False, pytest.param(True, marks=compiled)])
def test_on_a_real_clock(compiled_way: bool) -> None:
    async def main() -> None:
        told = Told()
        began_ns = time.monotonic_ns()
        strikes = await two_ways(told, compiled_way=compiled_way)
        try:
            while told.count < 4:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
            if compiled_way:  # a timer of the loop's may be early by as much as the loop's own time is old
                assert time.monotonic_ns() - began_ns >= 4 * 5 * STRIKE_NS
            assert all(0 <= own_ns <= late_ns for _, late_ns, own_ns in told.turns if late_ns >= 0)
            told.turns.clear()
            until_ns = time.monotonic_ns() + 170 * MS
            while time.monotonic_ns() < until_ns:
                pass  # in the way: three turns are missed
            while told.count < 3:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
            late_ns = max(late for _, late, _ in told.turns)
            assert late_ns >= 150 * MS  # it began at most one strike before the first that was missed
            assert max(own for _, _, own in told.turns) <= late_ns
            strikes.stop()
            strikes.stop()
            told.turns.clear()
            await asyncio.sleep(0.08)
            assert told.turns == []
            assert strikes.begin()
            assert strikes.begin()  # once is enough
            while not told.count:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        finally:
            strikes.stop()
        await asyncio.sleep(0)  # the loop lets go of what was watched

    uvloop.run(main())


async def test_the_standard_loop_has_the_plain_ones() -> None:
    told = Told()
    strikes = new_strikes(SystemClock(), told)
    try:
        assert isinstance(strikes, PlainStrikes)
        if native.AVAILABLE:
            assert not native.strikes.Strikes(told, STRIKE_NS, 5, 1000 * MS).begin()
    finally:
        strikes.stop()
