"""Many calls together: percentiles over all of them, by agent and by day, and what changed between two.

Input are calls as the API answers them, output plain dictionaries; counts stand beside every percentile. Turns are
pooled, not averaged call by call: a long call has more of them and more callers' patience depends on it.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..call.summary import DEAD_AIR_MS, distribution
from .ending import bad_ending
from .findings import GAP_PARTS, dead_air, gap_parts_ms, setup_parts_ms

__all__ = ["aggregate", "by_agent", "by_day", "changes", "label_of", "measurements"]


def measurements(calls: Iterable[Mapping[str, Any]]) -> dict[str, list[float]]:
    """Every single value by the name of its figure; ``gap.<part>`` and ``setup.<part>`` for the parts."""
    found: dict[str, list[float]] = {}

    def keep(name: str, value: object) -> None:
        if isinstance(value, int | float) and not isinstance(value, bool):
            found.setdefault(name, []).append(float(value))

    for call in calls:
        latencies = call.get("latencies") or {}
        keep("answer_to_first_word_ms", latencies.get("answer_to_first_word_ms"))
        keep("bridge_p99_us", (latencies.get("bridge_us") or {}).get("p99"))
        for part, ms in setup_parts_ms(latencies).items():
            keep(f"setup.{part}", ms)
        for turn in call.get("turns") or ():
            keep("response_gap_ms", turn.get("response_gap_ms"))
            keep("stop_ms", turn.get("stop_ms"))
            for part, ms in gap_parts_ms(turn).items():
                keep(f"gap.{part}", ms)
    return found


def aggregate(calls: Sequence[Mapping[str, Any]], *, dead_air_ms: float = DEAD_AIR_MS) -> dict[str, Any]:
    """Percentiles of everything that was measured, and what went wrong how often."""
    turns = [turn for call in calls for turn in call.get("turns") or ()]
    silences = dead_air(turns, dead_air_ms)
    return {
        "calls": len(calls),
        "answered": sum(1 for call in calls if call.get("disposition") == "answered"),
        "faults": _faults(calls),
        "turns": len(turns),
        "figures": {name: distribution(values) for name, values in sorted(measurements(calls).items())},
        "dead_air": {"over_ms": dead_air_ms, "n": len(silences), "total_ms": round(sum(ms for _, ms in silences), 1)},
        "agent_over": {
            "n": sum(1 for turn in turns if (turn.get("agent_over_ms") or 0.0) > 100.0),
            "total_ms": round(sum(turn.get("agent_over_ms") or 0.0 for turn in turns), 1),
        },
    }


def _faults(calls: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """How many ended by which cause that was somebody's fault, the most frequent first."""
    counts = Counter(ending.slug for call in calls if (ending := bad_ending(call)))
    return dict(counts.most_common())


def by_agent(calls: Sequence[Mapping[str, Any]], **options: float) -> dict[str, dict[str, Any]]:
    """The same for each agent, by its id."""
    return _grouped(calls, lambda call: str(call.get("agent_id") or "unknown"), **options)


def by_day(calls: Sequence[Mapping[str, Any]], **options: float) -> dict[str, dict[str, Any]]:
    """The same for each day (local time of this machine), oldest first."""
    return _grouped(calls, lambda c: time.strftime("%Y-%m-%d", time.localtime(c.get("created_at") or 0)), **options)


def _grouped(calls: Sequence[Mapping[str, Any]], key: Any, **options: float) -> dict[str, dict[str, Any]]:
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for call in calls:
        groups.setdefault(key(call), []).append(call)
    return {name: aggregate(groups[name], **options) for name in sorted(groups)}


def changes(old: Mapping[str, Any], new: Mapping[str, Any], percentile: str = "p50") -> list[dict[str, Any]]:
    """Figure by figure, two aggregates: name, old, new, difference, the counts; largest slow-down first."""
    rows = []
    for name in {**old["figures"], **new["figures"]}:
        before, after = old["figures"].get(name) or {}, new["figures"].get(name) or {}
        a, b = before.get(percentile), after.get(percentile)
        rows.append(
            {
                "name": name,
                "label": label_of(name),
                "unit": "µs" if name.endswith("_us") else "ms",
                "old": a,
                "new": b,
                "n": [before.get("n", 0), after.get("n", 0)],
                "difference": None if a is None or b is None else round(b - a, 2),
            }
        )
    return sorted(rows, key=lambda row: -(row["difference"] if row["difference"] is not None else float("-inf")))


def label_of(name: str) -> str:
    """A figure's name for people."""
    from ..call.setup import SETUP_LABELS

    group, _, part = name.rpartition(".")
    if group == "gap":
        return f"Gap: {GAP_PARTS.get(part, part)}"
    if group == "setup":
        return f"First word: {SETUP_LABELS.get(part, part)}"
    return {
        "response_gap_ms": "Response gap",
        "answer_to_first_word_ms": "Answer to first word",
        "stop_ms": "Barge-in to clear",
        "bridge_p99_us": "Bridge delay p99 of a call",
    }.get(name, name)
