"""Stretches of speech have the edges of their voiced frames, whatever decided that they were over."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shortwire.call.speech import FrameClock, SpeechEdges

MS = 1_000_000
FRAME_NS = 20 * MS


def fed(pattern: str, **options: int) -> list[tuple[int, int]]:
    """Frames as a string, ``#`` voiced; stretches in frames, [first, end)."""
    edges = SpeechEdges(**options)
    for i, frame in enumerate(pattern):
        edges.frame((i + 1) * 20 * MS, frame == "#")
    return [(s.start_ns // (20 * MS), s.end_ns // (20 * MS)) for s in edges.stretches]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("..###..", [(2, 5)]),
        ("..##...##..", []),  # clicks
        ("..#.##..", [(2, 6)]),  # one frame's hole in the beginning
        ("###" + "." * 13 + "#" + "." * 20, [(0, 17)]),  # 260 ms: inside
        ("###" + "." * 14 + "#" + "." * 20, [(0, 3)]),  # 280 ms: a click after it
        ("###" + "." * 14 + "###", [(0, 3), (17, 20)]),
        ("", []),
    ],
)
def test_patterns(pattern: str, expected: list[tuple[int, int]]) -> None:
    assert fed(pattern) == expected


def test_the_hangover_is_a_choice() -> None:
    assert fed("###" + "." * 6 + "###", hangover_ms=100) == [(0, 3), (9, 12)]


@given(st.text(alphabet="#.", max_size=200))
def test_stretches_are_apart_in_order_and_begin_and_end_with_voice(pattern: str) -> None:
    found = fed(pattern)
    for first, end in found:
        assert end - first >= 3
        assert pattern[first] == pattern[end - 1] == "#"
    for (_, end), (first, _) in itertools.pairwise(found):
        assert first - end > 13


def test_the_last_voiced_frame_that_was_sent() -> None:
    edges = SpeechEdges()
    edges.sent(1)  # nothing was fed yet
    for i, voiced in enumerate((True, True, True, True, False)):
        edges.frame(i * 20 * MS, voiced)
        if i != 3:
            edges.sent(i * 20 * MS + 5)
    assert edges.stretches[0].sent_ns == 40 * MS + 5
    assert edges.stretches[0].end_ns == 60 * MS


def test_edges_need_three_voiced_frames_close_together() -> None:
    edges = SpeechEdges()
    for i, voiced in enumerate([1, 0, 0, 1, 0, 1, 0, 0, 0, 1, 1, 0, 1, 0]):
        edges.frame(i * 20 * MS, bool(voiced))
    (stretch,) = edges.stretches
    assert (stretch.start_ns, stretch.end_ns) == (8 * 20 * MS, 12 * 20 * MS)
    assert edges.before(8 * 20 * MS) is None
    assert edges.overlapping(0, 161 * MS) == [stretch]
    assert edges.overlapping(240 * MS, 500 * MS) == []


def test_a_stall_of_the_line_does_not_move_the_end_of_speech() -> None:
    clock = FrameClock()
    placed = [clock.place(45 * MS + n * FRAME_NS) for n in range(1, 101)]
    assert placed == [45 * MS + n * FRAME_NS for n in range(1, 101)]
    stalled_ns = 45 * MS + 110 * FRAME_NS
    assert [clock.place(stalled_ns) for _ in range(10)] == [45 * MS + n * FRAME_NS for n in range(101, 111)]
    assert clock.place(45 * MS + 111 * FRAME_NS) == 45 * MS + 111 * FRAME_NS


def test_a_line_that_becomes_slower_is_believed_after_a_second() -> None:
    clock = FrameClock()
    for n in range(1, 101):
        clock.place(n * FRAME_NS)
    later = [clock.place(80 * MS + n * FRAME_NS) - n * FRAME_NS for n in range(101, 201)]
    assert later[:49] == [0] * 49
    assert later[49:] == [80 * MS] * 51


def test_frames_that_were_left_out_for_long_are_no_stall() -> None:
    clock = FrameClock()
    clock.place(FRAME_NS)
    assert clock.place(5_000 * MS) == 5_000 * MS
    assert clock.place(5_000 * MS + FRAME_NS) == 5_000 * MS + FRAME_NS


@given(st.lists(st.integers(-5, 400), min_size=1, max_size=200))
def test_a_frame_is_never_placed_later_than_it_came_nor_before_the_last(delays: list[int]) -> None:
    clock, read_ns, last_ns = FrameClock(), 0, 0
    for n, delay in enumerate(delays, 1):
        read_ns = max(read_ns, n * FRAME_NS + delay * MS)
        placed_ns = clock.place(read_ns)
        assert last_ns <= placed_ns <= read_ns
        last_ns = placed_ns
