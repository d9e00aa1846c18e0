"""The figures of one server that is several processes: each worker's, and what they come to together. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

__all__ = ["together"]

_SUMMED: Final = ("calls", "tasks", "tapes_cut_short")
_WORST: Final = ("loop_lag_ms", "loop_lag_own_ms")


def together(of_workers: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Sums of what adds up, the worst of what does not, and the list, by worker.

    Ready if anybody takes calls, draining if nobody does any more.
    """
    each = sorted(of_workers, key=lambda figures: int(figures["worker"]))
    live = [figures for figures in each if figures.get("alive", True)]
    total: dict[str, Any] = {
        "ready": any(figures.get("ready") for figures in live),
        "draining": bool(live) and all(figures.get("draining") for figures in live),
    }
    for name in _SUMMED:
        total[name] = sum(figures.get(name, 0) for figures in live)
    for name in _WORST:
        total[name] = max((figures.get(name, 0.0) for figures in live), default=0.0)
    return {**total, "workers": [dict(figures) for figures in each]}
