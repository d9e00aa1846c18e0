"""The calls' clock: everybody is told the time, nobody at once, and a call that fails fails alone."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections import Counter

import pytest

from shortwire.clock import NEVER_NS
from shortwire.switchboard.collector import Collector
from shortwire.switchboard.ticker import Ticker

MS = 1_000_000


class Call:
    def __init__(self, breaks: bool = False, pieces: int = 1) -> None:
        self.again_ns = 0
        self.ticks: list[int] = []
        self.analyses: list[int] = []
        self.failures: list[str] = []
        self.breaks = breaks
        self.pieces = self.left = pieces

    def tick(self, now_ns: int) -> int:
        self.ticks.append(now_ns)
        if self.breaks:
            raise ValueError("a mistake")
        return self.again_ns

    def analyse(self, now_ns: int) -> bool:
        self.analyses.append(now_ns)
        if self.breaks:
            raise ValueError("a mistake")
        self.left = self.left - 1 or self.pieces
        return self.left < self.pieces

    def failed(self, what: str) -> None:
        self.failures.append(what)


class Clock:
    ns = 0

    def now_ns(self) -> int:
        return self.ns

    def wall_s(self) -> float:
        return 0.0


def run(ticker: Ticker, turns: int, begin: int = 0) -> None:
    for turn in range(begin, begin + turns):
        ticker.turn()
        while ticker.work(turn * 50 * MS):
            pass


@pytest.mark.parametrize("count", [1, 7, 200])
def test_each_call_is_ticked_every_50_ms(count: int) -> None:
    ticker, calls = Ticker(Clock()), [Call() for _ in range(count)]
    for call in calls:
        ticker.add(call)
    run(ticker, 80)
    for call in calls:
        assert {b - a for a, b in zip(call.ticks, call.ticks[1:], strict=False)} == {50 * MS}
        assert len(call.ticks) == 80


@pytest.mark.parametrize(
    ("count", "every_ms", "at_once"), [(1, 1000, 1), (60, 1000, 3), (90, 1500, 3), (240, 4000, 3), (500, 4000, 7)]
)
def test_calls_are_analysed_every_one_to_four_seconds_and_a_few_at_once(
    count: int, every_ms: int, at_once: int
) -> None:
    ticker, calls = Ticker(Clock()), [Call() for _ in range(count)]
    for call in calls:
        ticker.add(call)
    run(ticker, 480)
    for call in calls:
        assert 1000 * MS <= call.analyses[0] <= 6500 * MS  # all of them began in the same moment
        between = {b - a for a, b in zip(call.analyses[1:], call.analyses[2:], strict=False)}
        assert between == {every_ms * MS} if count <= 240 else max(between) <= every_ms * MS
    together = Counter(ns for call in calls for ns in call.analyses)
    assert max(together.values()) == at_once


def test_a_quiet_call_is_not_ticked_until_when_it_said() -> None:
    ticker, call = Ticker(Clock()), Call()
    ticker.add(call)
    call.again_ns = 300 * MS
    run(ticker, 10)
    assert call.ticks == [0, 300 * MS, 350 * MS, 400 * MS, 450 * MS]
    call.again_ns = NEVER_NS
    run(ticker, 100, begin=10)
    assert call.ticks[5:] == [500 * MS]
    assert len(call.analyses) == 5


def test_what_it_said_is_no_appointment_within_a_turn_nor_between_two() -> None:
    ticker, call = Ticker(Clock()), Call()
    ticker.add(call)
    call.again_ns = 20 * MS
    run(ticker, 1)
    call.again_ns = 111 * MS
    run(ticker, 4, begin=1)
    assert call.ticks == [0, 50 * MS, 150 * MS, 200 * MS]


def test_a_call_that_is_woken_is_ticked_in_the_next_turn_once() -> None:
    ticker, call = Ticker(Clock()), Call()
    ticker.add(call)
    call.again_ns = NEVER_NS
    run(ticker, 10)
    ticker.wake(call)
    ticker.wake(call)
    call.again_ns = 2000 * MS
    run(ticker, 10, begin=10)
    assert call.ticks == [0, 500 * MS]
    ticker.wake(call)  # it would have had its moment in turn 40
    run(ticker, 21, begin=20)
    assert call.ticks[2:] == [1000 * MS, 2000 * MS]
    ticker.wake(Call())  # over, or never begun
    run(ticker, 1, begin=41)


def test_what_a_turn_has_left_to_do_does_not_wait_for_the_next_nor_is_it_done_twice() -> None:
    ticker, first, second = Ticker(Clock()), Call(), Call()
    ticker.add(first)
    ticker.add(second)
    ticker.turn()
    assert ticker.work(0)  # the first was told the time, and then the machine slept
    ticker.wake(second)
    ticker.turn()
    while ticker.work(50 * MS):
        pass
    assert (first.ticks, second.ticks) == ([0, 50 * MS], [50 * MS])


def test_a_call_that_wakes_itself_while_it_is_ticked_has_the_next_turn() -> None:
    ticker, call = Ticker(Clock()), Call()

    def tick(now_ns: int) -> int:
        call.ticks.append(now_ns)
        if len(call.ticks) < 3:
            ticker.wake(call)
        return NEVER_NS

    call.tick = tick  # type: ignore[method-assign]
    ticker.add(call)
    run(ticker, 50)
    assert call.ticks == [0, 50 * MS, 100 * MS]


def test_an_analysis_in_pieces_lets_others_between_and_goes_on_where_it_was() -> None:
    ticker, long, short = Ticker(Clock()), Call(pieces=3), Call()
    long.again_ns = short.again_ns = NEVER_NS
    ticker.add(long)
    ticker.add(short)
    run(ticker, 20)
    ticker.turn()
    # First of all it is swept, then somebody is called up.
    assert [ticker.work(now) for now in range(6)] == [True, True, True, True, True, False]
    assert (long.analyses, short.analyses) == ([2, 3, 4], [5])


def test_a_call_that_is_gone_is_told_nothing() -> None:
    ticker, stays, goes = Ticker(Clock()), Call(), Call()
    ticker.add(stays)
    ticker.add(goes)
    ticker.remove(goes)
    ticker.remove(goes)
    run(ticker, 5)
    assert (len(stays.ticks), goes.ticks, goes.analyses) == (5, [], [])


def test_a_call_that_is_over_in_the_middle_of_a_turn_is_told_nothing_more() -> None:
    ticker, stays, goes = Ticker(Clock()), Call(), Call()
    ticker.add(stays)
    ticker.add(goes)
    run(ticker, 20)
    ticker.turn()
    ticker.remove(goes)
    while ticker.work(1000 * MS):
        pass
    assert (len(stays.ticks), len(stays.analyses)) == (21, 1)
    assert (len(goes.ticks), len(goes.analyses)) == (20, 0)


def test_a_call_that_is_gone_is_not_kept_for_its_appointments() -> None:
    ticker = Ticker(Clock())
    woken, waiting = Call(), Call()
    seen = [weakref.ref(waiting), weakref.ref(woken)]
    woken.again_ns = waiting.again_ns = 400 * MS
    ticker.add(woken)
    ticker.add(waiting)
    run(ticker, 1)
    ticker.wake(woken)  # it has two now
    ticker.remove(waiting)
    del waiting
    assert seen[0]() is None
    ticker.remove(woken)  # the last one: no turn comes that could clear up
    del woken
    assert seen[1]() is None


def test_a_call_that_ends_in_its_own_tick_skips_nobody() -> None:
    ticker, calls = Ticker(Clock()), [Call() for _ in range(100)]
    for call in calls:
        ticker.add(call)
        call.tick = lambda _now, call=call: (call.ticks.append(1), ticker.remove(call), 0)[2]  # type: ignore[method-assign, misc]
    run(ticker, 50)
    assert all(call.ticks == [1] for call in calls)


def test_a_call_that_fails_fails_alone() -> None:
    ticker, good, bad = Ticker(Clock()), Call(), Call(breaks=True)
    ticker.add(bad)
    ticker.add(good)
    run(ticker, 21)
    assert (len(good.ticks), len(good.analyses), good.failures) == (21, 1, [])
    assert Counter(bad.failures) == {"a tick failed; see the log": 21, "an analysis failed; see the log": 1}


def test_it_is_swept_in_each_turn() -> None:
    sweeps: list[None] = []
    ticker = Ticker(Clock(), lambda: sweeps.append(None))
    run(ticker, 600)
    assert len(sweeps) == 600


def test_what_was_there_before_calls_is_not_looked_at() -> None:
    before = gc.get_freeze_count()
    collector = Collector()
    collector.begin()
    try:
        assert gc.get_freeze_count() > before + 1000
    finally:
        collector.stop()
    assert gc.get_freeze_count() == 0


async def test_the_collector_is_off_while_calls_are_live() -> None:
    collector = Collector()
    assert gc.isenabled()
    try:
        collector.call_begins()
        collector.call_begins()
        assert not gc.isenabled()
        collector.call_over()
        assert not gc.isenabled()
        collector.call_over()
        assert gc.isenabled()
        collector.call_begins()
    finally:
        collector.stop()
    assert gc.isenabled()


class Knot:
    """A cycle: nothing but a collector finds it."""

    gone = 0

    def __init__(self) -> None:
        self.self = self

    def __del__(self) -> None:
        Knot.gone += 1


async def test_half_a_second_is_enough_however_little_came_together() -> None:
    collector, Knot.gone = Collector(), 0
    gc.collect()
    collector.call_begins()
    try:
        Knot()
        for _ in range(9):
            collector.collect_young()
            assert Knot.gone == 0
        collector.collect_young()
        assert Knot.gone == 1
    finally:
        collector.stop()


async def test_cycles_of_the_last_moments_are_collected_during_a_call() -> None:
    collector, Knot.gone = Collector(), 0

    def look() -> None:
        enough = [[] for _ in range(1000)]  # type: ignore[var-annotated]
        collector.collect_young()
        assert gc.get_count()[0] < 1000 == len(enough)

    gc.collect()  # nothing is young yet
    collector.call_begins()
    try:
        Knot()
        collector.collect_young()
        assert Knot.gone == 0  # for so little nobody looks
        look()
        assert Knot.gone == 1
        survivor = Knot()
        look()
        del survivor
        for _ in range(20):
            look()
        assert Knot.gone == 1  # those that outlive a look wait until nobody talks
    finally:
        collector.stop()


async def test_a_turns_work_is_done_beside_the_sockets() -> None:
    clock, loop, order = Clock(), asyncio.get_running_loop(), []
    ticker = Ticker(clock, lambda: order.append("swept"))
    ticker.begin()
    ticker.add(Call())
    try:
        ticker.struck(1, 2 * MS, MS)
        assert (ticker.lag.ms, ticker.lag.own_ms) == (2.0, 1.0)
        loop.call_soon(order.append, "a socket")  # what the loop finds when it looks
        while len(order) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0)
        assert order == ["a socket", "swept"]
    finally:
        ticker.stop()


async def test_turns_that_were_missed_are_made_up_for() -> None:
    ticker, call = Ticker(Clock()), Call()
    call.again_ns = NEVER_NS
    ticker.begin()
    ticker.add(call)
    try:
        ticker.struck(20, 950 * MS, 0)
        while ticker.work(0):
            pass
        assert len(call.ticks) == 1  # told the time once, however many turns that was
        ticker.struck(1, 0, 0)
        while ticker.work(0):
            pass
        assert len(call.analyses) == 1  # a second is over
    finally:
        ticker.stop()


async def test_it_stands_still_without_calls() -> None:
    ticker, call = Ticker(Clock()), Call()
    ticker.begin()
    ticker.add(call)
    ticker.remove(call)
    try:
        ticker.struck(1, 30 * MS, 0)
        assert ticker.lag.ms == 0  # nobody was there to wait
        await asyncio.sleep(0.08)
        assert ticker.lag.ms == 0
        ticker.add(call)
        while not call.ticks:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    finally:
        ticker.stop()


async def test_the_sockets_are_looked_at_after_each_piece_of_work() -> None:
    order: list[str] = []
    ticker, loop = Ticker(Clock()), asyncio.get_running_loop()

    def look(times: int) -> None:
        order.append("sockets")
        if times:
            loop.call_soon(look, times - 1)

    for name in ("one", "two", "three"):
        call = Call()
        call.tick = lambda _now_ns, name=name: (order.append(name), NEVER_NS)[1]  # type: ignore[method-assign, misc]
        ticker.add(call)
    ticker.begin()
    try:
        ticker.struck(1, 0, 0)
        loop.call_soon(look, 4)
        while len(order) < 8:  # noqa: ASYNC110
            await asyncio.sleep(0)
        assert order == ["sockets", "one", "sockets", "two", "sockets", "three", "sockets", "sockets"]
    finally:
        ticker.stop()
