"""Medians, confidence intervals and slopes of small samples, without a library.

Paired differences and a seeded bootstrap, because runs of one round share the machine's mood: what is
compared is what happened side by side. Pure functions; the same numbers in give the same numbers out.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor
from statistics import fmean, median

__all__ = ["Effect", "bootstrap", "effect", "median_of", "paired", "quantile", "slope"]

RESAMPLES = 4000
FEWEST_PAIRS = 5
"""With fewer pairs an interval says nothing: five of five in one direction happen by chance once in sixteen."""


@dataclass(frozen=True, slots=True)
class Effect:
    """A median difference (treated minus reference) with its interval, in the unit of the samples."""

    pairs: int
    difference: float
    low: float
    high: float
    reference: float
    """Median of the reference's side."""

    @property
    def measurable(self) -> bool:
        """Whether the interval leaves out zero, with pairs enough to have one."""
        return self.pairs >= FEWEST_PAIRS and (self.low > 0 or self.high < 0)

    @property
    def percent(self) -> float | None:
        return 100 * self.difference / self.reference if self.reference else None


def median_of(values: Sequence[float | None]) -> float | None:
    """Median of what is known; None of nothing."""
    known = [value for value in values if value is not None]
    return median(known) if known else None


def quantile(ordered: Sequence[float], share: float) -> float:
    """Linear between neighbours; `ordered` is sorted and not empty, `share` within 0 to 1."""
    at = share * (len(ordered) - 1)
    low, high = floor(at), ceil(at)
    return ordered[low] + (ordered[high] - ordered[low]) * (at - low)


def bootstrap(
    values: Sequence[float], *, confidence: float = 0.95, resamples: int = RESAMPLES, seed: int = 1
) -> tuple[float, float]:
    """Percentile-bootstrap interval of the median. Raises `ValueError` of nothing."""
    if not values:
        raise ValueError("no values to draw from")
    draw = random.Random(seed)  # noqa: S311 - statistics, not secrets
    medians = sorted(median(draw.choices(values, k=len(values))) for _ in range(resamples))
    edge = (1 - confidence) / 2
    return quantile(medians, edge), quantile(medians, 1 - edge)


def paired(treated: Sequence[float | None], reference: Sequence[float | None]) -> list[tuple[float, float]]:
    """The pairs of which both sides are known, by position."""
    both = zip(treated, reference, strict=True)
    return [(mine, other) for mine, other in both if mine is not None and other is not None]


def effect(treated: Sequence[float | None], reference: Sequence[float | None], *, seed: int = 1) -> Effect | None:
    """The paired difference of two runs of rounds; None without a single pair."""
    pairs = paired(treated, reference)
    if not pairs:
        return None
    differences = [mine - other for mine, other in pairs]
    low, high = bootstrap(differences, seed=seed)
    return Effect(len(pairs), median(differences), low, high, median([other for _, other in pairs]))


def slope(points: Sequence[tuple[float, float]]) -> float | None:
    """Least squares, units of y per unit of x; None below two points or without any spread in x."""
    if len(points) < 2:
        return None
    x_mean, y_mean = fmean(x for x, _ in points), fmean(y for _, y in points)
    spread = sum((x - x_mean) ** 2 for x, _ in points)
    return sum((x - x_mean) * (y - y_mean) for x, y in points) / spread if spread else None
