"""Did it get slower? A run against a committed baseline, with the part that did it.

Both are aggregates of `many.aggregate` with the single values behind them, so that chance can be told from
change: a figure has got slower if its median did by more than the tolerance *and* a permutation test says that
shuffled turns would hardly ever differ so much.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..call.summary import median
from ..errors import UsageError
from .many import aggregate, measurements

__all__ = ["HEADLINES", "Slower", "baseline_of", "compare", "read_baseline"]

FORMAT = "shortwire-gate-1"
HEADLINES = ("response_gap_ms", "answer_to_first_word_ms", "stop_ms", "bridge_p99_us")
"""Figures that can fail the gate; the parts explain them."""
_PARTS = {"response_gap_ms": "gap.", "answer_to_first_word_ms": "setup."}
_SHUFFLES = 2000
_LEAST_VALUES = 5
"""Fewer on either side prove nothing: then the tolerance alone decides."""


@dataclass(frozen=True, slots=True)
class Slower:
    """A figure that got slower."""

    name: str
    old: float
    new: float
    chance: float | None
    """How often shuffled values differ as much, 0 to 1; None: too few values to say."""
    part: str
    """The part that grew most; the figure itself where it has none."""
    part_ms: float
    """By how much."""


def baseline_of(calls: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What is committed: figures for people, values for the comparison. Holds no words and no numbers of people."""
    values = {name: [round(v, 2) for v in found] for name, found in sorted(measurements(calls).items())}
    return {"format": FORMAT, "calls": len(calls), "figures": aggregate(calls)["figures"], "values": values}


def read_baseline(document: Any) -> Mapping[str, Sequence[float]]:
    """The values of a baseline. Raises `UsageError`."""
    if not isinstance(document, Mapping) or document.get("format") != FORMAT:
        raise UsageError(
            "this is not a baseline of 'shortwire gate'", details="write one with 'shortwire gate --write FILE RUN'"
        )
    values: Mapping[str, Sequence[float]] = document["values"]
    return values


def compare(
    old: Mapping[str, Sequence[float]],
    new: Mapping[str, Sequence[float]],
    *,
    tolerance_ms: float = 20.0,
    tolerance_percent: float = 5.0,
    chance: float = 0.05,
) -> list[Slower]:
    """Headline figures that got slower. A figure that only one side has is not compared.

    Args:
        tolerance_ms: how much slower a median may become; the bridge delay, which is counted in microseconds and
            which nobody hears before it is milliseconds, a twentieth of it.
        tolerance_percent: the same, of the old median; the larger of the two counts.
        chance: how likely a difference by chance may be to count as one.
    """
    found = []
    for name in HEADLINES:
        before, after = old.get(name) or (), new.get(name) or ()
        if not before or not after:
            continue
        a, b = median(before), median(after)
        least = tolerance_ms * 50 if name.endswith("_us") else tolerance_ms
        if b - a <= max(least, a * tolerance_percent / 100):
            continue
        likely = _by_chance(before, after)
        if likely is None or likely <= chance:
            found.append(Slower(name, a, b, likely, *_grown(name, old, new, b - a)))
    return found


def _grown(
    name: str, old: Mapping[str, Sequence[float]], new: Mapping[str, Sequence[float]], difference: float
) -> tuple[str, float]:
    """The part whose median grew most. A part that is new took no time before."""
    prefix = _PARTS.get(name)
    grown = {
        part: median(values) - (median(old[part]) if old.get(part) else 0.0)
        for part, values in new.items()
        if prefix and part.startswith(prefix) and values
    }
    part = max(grown, key=lambda key: grown[key], default=None)
    return (name, difference) if part is None or grown[part] <= 0 else (part, grown[part])


def _by_chance(before: Sequence[float], after: Sequence[float]) -> float | None:
    """Permutation test of the medians' difference, one-sided; the dice are fixed: the same run, the same answer."""
    if min(len(before), len(after)) < _LEAST_VALUES:
        return None
    dice, pool, seen = random.Random(1), [*before, *after], median(after) - median(before)  # noqa: S311 - no secret
    count = 0
    for _ in range(_SHUFFLES):
        dice.shuffle(pool)
        count += median(pool[len(before) :]) - median(pool[: len(before)]) >= seen
    return (count + 1) / (_SHUFFLES + 1)
