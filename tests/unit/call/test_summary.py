"""Percentiles by their definition, and a histogram held against the exact answer."""

from __future__ import annotations

import json
import timeit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shortwire.call.summary import (
    CallFigures,
    Histogram,
    call_summary,
    distribution,
    percentile,
    percentiles,
    round_trips,
)


def test_nearest_rank_examples() -> None:
    values = [15.0, 20.0, 35.0, 40.0, 50.0]
    assert [percentile(values, p) for p in (5, 30, 40, 50, 100)] == [15, 20, 20, 35, 50]
    assert percentile(list(range(1, 21)), 95) == 19
    assert percentile(list(range(1, 101)), 99) == 99
    assert percentile([], 50) is None
    assert percentiles([3, 1, 2]) == {"p50": 2, "p95": 3, "p99": 3}
    assert percentiles([]) == {"p50": None, "p95": None, "p99": None}


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=60), st.sampled_from([1, 25, 50, 90, 95, 99, 99.9, 100]))
def test_nearest_rank_is_the_smallest_value_that_covers_p_percent(values: list[int], percent: float) -> None:
    found = percentile(values, percent)
    assert found in values
    covered = [
        v for v in sorted(set(values)) if sum(w <= v for w in values) * 1000 >= round(percent * 10) * len(values)
    ]
    assert found == covered[0]


def test_distributions_say_how_many() -> None:
    assert distribution([100.004, 200, 300]) == {
        "p50": 200,
        "p95": 300,
        "p99": 300,
        "max": 300,
        "n": 3,
    }
    assert distribution([])["n"] == 0
    assert distribution([])["p50"] is None
    found = round_trips([350, 420.5, 500])
    assert (found["avg"], found["min"], found["max"], found["n"]) == (423.5, 350, 500, 3)
    assert round_trips([])["avg"] is None


durations = st.lists(
    st.one_of(st.integers(0, 200), st.integers(0, 10**6), st.integers(0, 68_000_000_000)), min_size=1, max_size=80
)


@given(durations, st.sampled_from([0, 1, 50, 95, 99, 100]))
def test_histogram_quantiles_within_two_percent(values: list[int], percent: float) -> None:
    histogram = Histogram()
    for value in values:
        histogram.record(value)
    found, exact = histogram.quantile_ns(percent), percentile(values, percent)
    assert found is not None
    assert exact is not None
    assert abs(found - exact) <= 0.016 * exact + 0.5
    assert histogram.n == len(values)
    assert histogram.max_ns == max(values)


@given(durations, durations)
def test_merging_is_recording_both(one: list[int], other: list[int]) -> None:
    left, right, both = Histogram(), Histogram(), Histogram()
    for value in one:
        left.record(value)
        both.record(value)
    for value in other:
        right.record(value)
        both.record(value)
    left.merge(right)
    assert left.as_dict() == both.as_dict()


def test_what_does_not_fit_is_counted_at_the_ends() -> None:
    histogram = Histogram()
    histogram.record(10**12)
    histogram.record(-5)
    histogram.record(3)
    assert histogram.n == 3
    assert histogram.max_ns == 10**12
    assert histogram.quantile_ns(1) == 0
    low = histogram.quantile_ns(100)
    assert low is not None
    assert low == pytest.approx(68.7e9, rel=0.02)


def test_an_empty_histogram_has_no_figures() -> None:
    assert Histogram().quantile_ns(50) is None
    assert Histogram().as_dict() == {"p50": None, "p95": None, "p99": None, "max": None, "n": 0}


def test_recording_is_cheap() -> None:
    histogram = Histogram()
    best = min(timeit.repeat(lambda: histogram.record(123_456), number=2000, repeat=20)) / 2000
    assert best < 20e-6  # a fraction of a microsecond where measured; generous for slow machines


def test_a_call_summary_is_json_and_complete() -> None:
    figures = CallFigures(answer_to_first_word_ms=512.345, audio_messages=45, counts={"frames": 900})
    figures.round_trips_ms += [350, 650]
    figures.setup["agent_ms"] = 81.0
    figures.api_ms["elevenlabs signed_url"] = [123.0]
    figures.bridge_uplink.record(40_000)
    figures.bridge_downlink.record(60_000)
    figures.add_turn({"response_gap_ms": None, "stop_ms": None, "talk_over_ms": 0.0})
    figures.add_turn({"response_gap_ms": 800.0, "stop_ms": 250.0, "talk_over_ms": 120.0})
    found = json.loads(json.dumps(call_summary(figures)))
    assert found["answer_to_first_word_ms"] == pytest.approx(512.345, abs=0.006)
    assert (found["response_gap_ms"]["p50"], found["response_gap_ms"]["n"]) == (800, 1)
    assert found["barge_in_stop_ms"]["p50"] == 250
    assert found["talk_over_ms"] == 120
    assert found["round_trip_ms"]["avg"] == 500
    assert found["bridge_us"]["n"] == 2
    assert found["bridge_uplink_us"]["p50"] == pytest.approx(40, rel=0.016)
    assert found["bridge_downlink_us"]["p99"] == pytest.approx(60, rel=0.016)
    assert found["setup"] == {"agent_ms": 81}
    assert found["api_ms"]["elevenlabs signed_url"]["p50"] == 123
    assert (found["audio_messages"], found["slow_path_messages"], found["frames"]) == (45, 0, 900)


def test_an_empty_call_has_a_summary_without_figures() -> None:
    found = call_summary(CallFigures())
    assert found["answer_to_first_word_ms"] is None
    assert found["response_gap_ms"]["n"] == 0
