"""The figures of one server that is several processes: each worker's, and what they come to together. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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
    if not total["ready"]:
        total["reason"] = next(
            (figures["reason"] for figures in live if figures.get("reason")), "no worker takes calls"
        )
    for name in _WORST:
        total[name] = max((figures.get(name, 0.0) for figures in live), default=0.0)
    total["store"] = _stores([figures["store"] for figures in live if "store" in figures])
    return {**total, "workers": [dict(figures) for figures in each]}


def _stores(each: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One database, as many writers: what they wait for together, and the first that says why."""
    return {
        "pending": sum(store["pending"] for store in each),
        "dropped": sum(store["dropped"] for store in each),
        "last_error": next((store["last_error"] for store in each if store["last_error"]), ""),
    }
