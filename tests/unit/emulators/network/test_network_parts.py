"""Each part alone and all of them together, on time that is moved by hand."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from network_kit import MS, Direction, part

from shortwire.emulators.network.chunk import Mark
from shortwire.emulators.network.parts import PARTS


def times(direction: Direction) -> list[float]:
    return [at / MS for at, _ in direction.target.writes]


def test_latency_is_the_same_for_everything() -> None:
    d = Direction(part("latency", one_way_ms=45))
    d.line.put(b"a")
    d.time.run_to(10 * MS)
    d.line.put(b"b")
    d.line.end()
    d.time.run_out()
    assert times(d) == [45, 55]
    assert d.marks == [(55 * MS, Mark.END)]


def test_two_parts_add_up_and_a_late_alarm_is_not_charged_twice() -> None:
    d = Direction(part("latency", one_way_ms=20), part("latency", one_way_ms=30))
    d.line.put(b"a")
    d.time.now = 45 * MS  # the machine was busy: the first alarm, due at 20, comes at 45
    d.line.flush()
    d.time.run_out()
    assert times(d) == [50]


def test_jitter_stays_in_its_range_keeps_order_and_is_seeded() -> None:
    def play(seed: int) -> list[float]:
        d = Direction(part("jitter", up_to_ms=30, seed=seed))
        for n in range(200):
            d.time.run_to(n * 5 * MS)
            d.line.put(bytes([n]))
        d.time.run_out()
        assert d.target.data == bytes(range(200))
        lateness = [at - n * 5 for n, at in enumerate(times(d))]
        assert min(lateness) >= 0 and max(lateness) < 30 and max(lateness) > 20
        return lateness

    assert play(1) == play(1) != play(2)


def test_bandwidth_spreads_a_burst_over_the_time_it_takes() -> None:
    d = Direction(part("bandwidth", kbit_per_s=80))  # 10 bytes a millisecond
    d.line.put(bytes(14_600))
    d.time.run_to(730 * MS)
    assert len(d.target.data) == 7_300
    d.line.put(b"!")
    d.line.end()
    d.time.run_out()
    assert times(d)[-1] == pytest.approx(1460.1)
    assert len(d.target.writes) == 11
    assert d.marks[0][0] >= d.target.writes[-1][0]


def test_bandwidth_that_grows_frees_what_waits() -> None:
    d = Direction(slow := part("bandwidth", kbit_per_s=8))
    d.line.put(bytes(14_600))
    d.time.run_to(1460 * MS)
    assert len(d.target.data) == 1460
    slow.change(type(slow.options)(kbit_per_s=8000), d.time.now)
    d.line.flush()
    d.time.run_to(1480 * MS)
    assert len(d.target.data) == 14_600


def test_bandwidth_pauses_its_source_and_goes_on() -> None:
    d = Direction(part("bandwidth", kbit_per_s=80, queue_bytes=10_000))
    d.line.put(bytes(30_000))
    assert d.source.paused
    d.time.run_to(1_900 * MS)
    assert d.source.paused
    d.time.run_to(2_100 * MS)
    assert not d.source.paused


def test_slicer_cuts_everything_and_writes_each_slice_in_its_own_turn() -> None:
    d = Direction(slicer := part("slicer", size_bytes=1))
    d.line.put(b"hello")
    assert d.target.data == b"h", "the second slice waits for the next turn"
    d.line.end()
    d.time.run_out()
    assert [data for _, data in d.target.writes] == [b"h", b"e", b"l", b"l", b"o"]
    assert slicer.counters["slices"] == 5
    assert [mark for _, mark in d.marks] == [Mark.END]


def test_slicer_gaps_and_spread() -> None:
    d = Direction(part("slicer", size_bytes=3, spread_bytes=2, gap_ms=4))
    d.line.put(bytes(100))
    d.time.run_out()
    sizes = [len(data) for _, data in d.target.writes]
    assert set(sizes[:-1]) <= {3, 4, 5} and len(set(sizes)) > 1
    assert times(d) == [4.0 * n for n in range(len(sizes))]


def test_stall_holds_and_then_lets_go_in_a_burst() -> None:
    d = Direction(stall := part("stall", for_ms=2000))
    for n in range(10):
        d.time.run_to(n * 100 * MS)
        d.line.put(b"x")
    d.time.run_to(1999 * MS)
    assert d.target.writes == []
    d.time.run_to(3000 * MS)
    d.line.put(b"y")
    assert times(d) == [2000] * 10 + [3000]
    assert stall.counters["stalled_chunks"] == 10


def test_stall_without_end_holds_until_it_is_taken_out_and_stops_the_source() -> None:
    d = Direction(stall := part("stall", for_ms=0, queue_bytes=1000))
    d.line.put(bytes(600))
    assert not d.source.paused
    d.line.put(bytes(600))
    d.line.end()
    assert d.source.paused
    d.time.run_to(10**15)
    assert d.target.writes == []
    d.line.remove(stall)
    assert len(d.target.data) == 1200 and not d.source.paused
    assert [mark for _, mark in d.marks] == [Mark.END]


def test_stalls_that_come_again() -> None:
    d = Direction(part("stall", for_ms=200, every_s=2))
    for n in range(3000):
        d.time.run_to(n * 10 * MS)
        d.line.put(b"x")
    d.time.run_out()
    late = [at - n * 10 for n, at in enumerate(times(d))]
    assert max(late) <= 200
    stalls = sum(1 for before, now in itertools.pairwise(late) if before == 0 < now)
    assert 7 <= stalls <= 22, "30 s, one about every 2.2 s"


def test_reset_at_once_and_after_so_many_bytes() -> None:
    d = Direction(part("reset"))
    assert d.marks == [(0, Mark.RESET)]
    d.line.put(b"x")
    assert d.target.data == b""

    d = Direction(part("latency", one_way_ms=10), reset := part("reset", after_bytes=4))
    d.line.put(b"abc")
    d.line.put(b"def")
    d.time.run_out()
    assert d.target.data == b"abcd" and d.marks == [(10 * MS, Mark.RESET)]
    assert reset.counters["bytes_lost"] == 2 and reset.counters["resets"] == 1


def test_a_reset_does_not_wait_for_a_target_that_does_not_read() -> None:
    d = Direction()
    d.target.writable = False
    d.line.put(b"stuck")
    d.line.add(part("reset"))
    assert [mark for _, mark in d.marks] == [Mark.RESET]


def test_half_open_breaks_the_target_and_swallows_the_rest() -> None:
    d = Direction(half := part("half_open"))
    d.line.put(b"into nothing")
    d.line.end()
    d.time.run_out()
    assert d.target.data == b"" and [mark for _, mark in d.marks] == [Mark.GONE]
    assert half.counters["bytes_lost"] == 12


def test_blackhole_swallows_and_gives_back_only_the_end() -> None:
    d = Direction(hole := part("blackhole"))
    d.line.put(bytes(10 << 20))
    d.line.end()
    d.time.run_out()
    assert not d.source.paused and d.target.data == b"" and d.marks == []
    assert hole.counters["bytes_lost"] == 10 << 20
    d.line.remove(hole)
    assert d.target.data == b"" and [mark for _, mark in d.marks] == [Mark.END]


def test_corrupt_changes_some_bytes_and_no_length() -> None:
    d = Direction(corrupt := part("corrupt", one_in_bytes=100))
    for _ in range(100):
        d.line.put(bytes(1000))
    changed = sum(byte != 0 for byte in d.target.data)
    assert len(d.target.data) == 100_000
    assert changed == corrupt.counters["bytes_changed"]
    assert 800 < changed < 1200
    d = Direction(part("corrupt", one_in_bytes=1))
    d.line.put(bytes(50))
    assert 0 not in d.target.data


def test_a_source_that_is_too_fast_is_paused_and_goes_on() -> None:
    d = Direction(part("latency", one_way_ms=1000))
    for _ in range(5):
        d.line.put(bytes(1 << 20))
    assert d.source.paused
    d.time.run_out()
    assert not d.source.paused and len(d.target.data) == 5 << 20


def test_a_target_that_takes_nothing_holds_everything_back() -> None:
    d = Direction()
    d.target.writable = False
    for _ in range(5):
        d.line.put(bytes(1 << 20))
    assert d.source.paused and d.target.data == b""
    d.target.writable = True
    d.line.flush()
    assert not d.source.paused and len(d.target.data) == 5 << 20


KEEPING: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "latency": {"one_way_ms": st.floats(0, 200)},
    "jitter": {"up_to_ms": st.floats(0, 100)},
    "bandwidth": {"kbit_per_s": st.floats(8, 5000), "queue_bytes": st.integers(1, 5000)},
    "slicer": {"size_bytes": st.integers(1, 50), "spread_bytes": st.integers(0, 50), "gap_ms": st.floats(0, 5)},
    "stall": {"for_ms": st.floats(1, 3000), "every_s": st.sampled_from([0.0, 0.2, 2.0])},
}
"""The parts that lose and change nothing."""

parts = st.one_of(*(st.tuples(st.just(kind), st.fixed_dictionaries(options)) for kind, options in KEEPING.items()))
steps = st.one_of(
    st.tuples(st.just("put"), st.binary(min_size=1, max_size=400)),
    st.tuples(st.just("wait"), st.integers(0, 500)),
    st.tuples(st.just("add"), parts),
    st.tuples(st.just("remove"), st.integers(0, 9)),
    st.tuples(st.just("change"), st.integers(0, 9)),
    st.tuples(st.just("block"), st.booleans()),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(parts, max_size=6), st.lists(steps, max_size=40), st.integers())
def test_whatever_the_chain_every_byte_arrives_once_in_order_and_then_the_end(
    chain: list[tuple[str, dict[str, Any]]], play: list[tuple[str, Any]], seed: int
) -> None:
    d = Direction(*(part(kind, seed=seed, **options) for kind, options in chain))
    sent = b""
    for what, value in play:
        if what == "put":
            sent += value
            d.line.put(value)
        elif what == "wait":
            d.time.run_to(d.time.now + value * MS)
        elif what == "add":
            d.line.add(part(value[0], seed=seed, now_ns=d.time.now, **value[1]))
        elif what == "block":
            d.target.writable = not value
            d.line.flush()
        elif d.chain.parts:
            chosen = d.chain.parts[value % len(d.chain.parts)]
            if what == "remove":
                d.line.remove(chosen)
            else:
                chosen.change(chosen.options, d.time.now)
                d.line.flush()
        assert sent.startswith(d.target.data)
        assert d.chain.held == len(sent) - len(d.target.data)
    d.line.end()
    d.target.writable = True
    d.line.flush()
    d.time.run_out()
    assert d.target.data == sent
    assert [mark for _, mark in d.marks] == [Mark.END]
    assert d.chain.held == 0 and not d.source.paused


def test_every_part_is_tested_here() -> None:
    destroying = {"reset", "half_open", "blackhole", "corrupt"}
    assert set(PARTS) == set(KEEPING) | destroying
