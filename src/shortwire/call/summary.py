"""Figures of a whole call: percentiles with their counts, and a histogram cheap enough for every message.

Percentiles are by nearest rank: the smallest value that at least p percent of all values do not exceed, so
every figure is one that really occurred. Sans-I/O; takes plain numbers. `call_summary` makes what is stored
as a call's latencies and told as its summary event.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from math import ceil
from operator import add
from typing import Any

__all__ = [
    "DEAD_AIR_MS",
    "CallFigures",
    "Histogram",
    "call_summary",
    "distribution",
    "median",
    "percentile",
    "percentiles",
    "round_trips",
]

PERCENTS = (50, 95, 99)
DEAD_AIR_MS = 2000.0
"""Silence of both sides that a caller asks into ("hello?"). Shorter ones are in the response gap."""


def percentile(values: Sequence[float], percent: float) -> float | None:
    """Nearest rank; None of nothing. `values` need not be sorted."""
    if not values:
        return None
    return sorted(values)[_rank(percent, len(values)) - 1]


def median(values: Sequence[float]) -> float:
    """Nearest rank, as every percentile: of an even number the lower one of the middle two. `ValueError` of nothing."""
    found = percentile(values, 50)
    if found is None:
        raise ValueError("no values, no median")
    return found


def percentiles(values: Iterable[float], percents: Sequence[float] = PERCENTS) -> dict[str, float | None]:
    """``{"p50": ..., "p95": ..., "p99": ...}``; None each if there are no values."""
    ordered = sorted(values)
    return {f"p{p:g}": ordered[_rank(p, len(ordered)) - 1] if ordered else None for p in percents}


def distribution(values: Iterable[float]) -> dict[str, float | int | None]:
    """``p50, p95, p99, max, n``, in the unit of the values; the unit belongs into the name it is stored under."""
    ordered = sorted(values)
    found: dict[str, float | int | None] = {name: _rounded(value) for name, value in percentiles(ordered).items()}
    found["max"] = _rounded(ordered[-1]) if ordered else None
    found["n"] = len(ordered)
    return found


def round_trips(values: Sequence[float]) -> dict[str, float | int | None]:
    """The seed's figures ``avg, min, max, n``, and percentiles, because an average alone hides the tail."""
    found = distribution(values)
    found["avg"] = _rounded(sum(values) / len(values)) if values else None
    found["min"] = _rounded(min(values)) if values else None
    return found


def _rank(percent: float, count: int) -> int:
    # The product of a percentage and a count is exact enough for a count below 10**13 once rounded to 9 digits;
    # without it 0.95 * 20 lands above 19 and the rank one too high.
    return min(count, max(1, ceil(round(percent * count / 100, 9))))


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)


# 32 buckets an octave: a bucket is at most 1/32 of its value wide and answers with its middle, so 1.6 % off at most.
_SUB_BITS = 5
_SUB = 1 << _SUB_BITS
_SHIFTS = 31
_MOST = (1 << (_SUB_BITS + 1 + _SHIFTS - 1)) - 1  # about 68 s in ns


class Histogram:
    """Durations in ns, 0 to 68 s, in log-linear buckets: 8 kB, a fraction of a microsecond to record.

    Longer ones count as 68 s, negative ones as 0. Quantiles are by nearest rank, within 1.6 % of a real value.
    """

    __slots__ = ("buckets", "max_ns")

    def __init__(self) -> None:
        self.buckets = array("Q", bytes(8 * (_SHIFTS + 1) * _SUB))
        self.max_ns = 0
        """The longest one, exactly."""

    def record(self, ns: int) -> None:
        self.record_all((ns,))

    def record_all(self, durations: Sequence[int]) -> None:
        """Many in one go, for a quarter of what they cost one by one."""
        if not durations:
            return
        buckets = self.buckets
        self.max_ns = max(self.max_ns, *durations)
        for ns in durations:
            # The six highest bits of the number choose the bucket; their shift chooses the octave.
            shift = ns.bit_length() - 6
            if shift > _SHIFTS - 1:
                buckets[-1] += 1
            elif shift > 0 and ns > 0:
                buckets[(shift << 5) + (ns >> shift)] += 1
            else:
                buckets[max(ns, 0)] += 1

    @property
    def n(self) -> int:
        return sum(self.buckets)

    def quantile_ns(self, percent: float) -> float | None:
        """Nearest rank, the middle of its bucket and never above the maximum; None of nothing."""
        return self._quantile_ns(percent, self._up_to())

    def merge(self, other: Histogram) -> None:
        """Add another one's values."""
        self.buckets[:] = array("Q", map(add, self.buckets, other.buckets))
        self.max_ns = max(self.max_ns, other.max_ns)

    def as_dict(self) -> dict[str, float | int | None]:
        """In microseconds: ``p50, p95, p99, max, n``."""
        found: dict[str, float | int | None] = {}
        up_to = self._up_to()
        for percent in PERCENTS:
            value = self._quantile_ns(percent, up_to)
            found[f"p{percent}"] = None if value is None else round(value / 1000, 1)
        found["max"] = round(self.max_ns / 1000, 1) if up_to[-1] else None
        found["n"] = up_to[-1]
        return found

    def _up_to(self) -> list[int]:
        """How many there are up to each bucket."""
        return list(accumulate(self.buckets))

    def _quantile_ns(self, percent: float, up_to: list[int]) -> float | None:
        if not up_to[-1]:
            return None
        return min(_middle(bisect_left(up_to, _rank(percent, up_to[-1]))), float(self.max_ns))


def _middle(index: int) -> float:
    shift = (index >> _SUB_BITS) - 1
    if shift <= 0:
        return float(index)
    low = (index - (shift << _SUB_BITS)) << shift
    return low + ((1 << shift) - 1) / 2


@dataclass(slots=True)
class CallFigures:
    """What a call's driver collected, plain numbers in ms."""

    answer_to_first_word_ms: float | None = None
    """From the answer, as early as it can have been (`shortwire.call.setup.answer_notice_ms`)."""
    answer_seen_to_first_word_ms: float | None = None
    """From the first we heard of the answer: a certain lower bound of the figure above."""
    carrier_round_trip_ms: float | None = None
    response_gaps_ms: list[float] = field(default_factory=list)
    round_trips_ms: list[float] = field(default_factory=list)
    barge_in_stops_ms: list[float] = field(default_factory=list)
    talk_over_ms: float = 0.0
    agent_over_ms: float = 0.0
    dead_air_ms: list[float] = field(default_factory=list)
    """Silences of both that lasted longer than `DEAD_AIR_MS`."""
    bridge_uplink: Histogram = field(default_factory=Histogram)
    """Frame read from the phone to written to the agent."""
    bridge_downlink: Histogram = field(default_factory=Histogram)
    setup: dict[str, float] = field(default_factory=dict)
    """Consecutive parts of the figure above in ms; names: `shortwire.call.setup.SETUP_LABELS`."""
    api_ms: dict[str, list[float]] = field(default_factory=dict)
    """Vendor calls by name."""
    audio_messages: int = 0
    """Agent audio messages received: the seed's "Total audio messages"."""
    slow_path_messages: int = 0
    """Media messages that could not be spliced; zero on live-shaped traffic."""
    counts: dict[str, int] = field(default_factory=dict)
    """Anything else that is counted (frames, dropped frames, marks); stored under its own name."""

    def add_turn(self, turn: Mapping[str, Any]) -> None:
        """Collect from one turn record (keys of `shortwire.call.turns.Turn`); round trips come by themselves."""
        if turn.get("response_gap_ms") is not None:
            self.response_gaps_ms.append(turn["response_gap_ms"])
        if turn.get("stop_ms") is not None:
            self.barge_in_stops_ms.append(turn["stop_ms"])
        self.talk_over_ms += turn.get("talk_over_ms") or 0.0
        self.agent_over_ms += turn.get("agent_over_ms") or 0.0
        if (turn.get("dead_air_ms") or 0.0) > DEAD_AIR_MS:
            self.dead_air_ms.append(turn["dead_air_ms"])


def call_summary(figures: CallFigures) -> dict[str, Any]:
    """The `latencies` of a `CallRecord` and the data of its summary event.

    JSON-able; None where nothing was measured.
    """
    both = Histogram()
    both.merge(figures.bridge_uplink)
    both.merge(figures.bridge_downlink)
    return {
        "answer_to_first_word_ms": _rounded(figures.answer_to_first_word_ms),
        "answer_seen_to_first_word_ms": _rounded(figures.answer_seen_to_first_word_ms),
        "carrier_round_trip_ms": _rounded(figures.carrier_round_trip_ms),
        "response_gap_ms": distribution(figures.response_gaps_ms),
        "round_trip_ms": round_trips(figures.round_trips_ms),
        "barge_in_stop_ms": distribution(figures.barge_in_stops_ms),
        "talk_over_ms": round(figures.talk_over_ms, 2),
        "agent_over_ms": round(figures.agent_over_ms, 2),
        "dead_air_ms": {"over": DEAD_AIR_MS, **distribution(figures.dead_air_ms)},
        "bridge_us": both.as_dict(),
        "bridge_uplink_us": figures.bridge_uplink.as_dict(),
        "bridge_downlink_us": figures.bridge_downlink.as_dict(),
        "setup": {name: round(ms, 2) for name, ms in figures.setup.items()},
        "api_ms": {name: distribution(values) for name, values in figures.api_ms.items()},
        "audio_messages": figures.audio_messages,
        "slow_path_messages": figures.slow_path_messages,
        **figures.counts,
    }
