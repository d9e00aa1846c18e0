"""Stretches of speech have the edges of their voiced frames, whatever decided that they were over."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shortwire.call.speech import SpeechEdges

MS = 1_000_000


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
