"""The headline figures of a call, and two calls side by side.

Each figure says in one line from where to where it is measured; `docs/glossary.md` has the words.
The values are read from the call as the API gives it (``latencies``, keys of `shortwire.call.summary`)
or from what a judge measured outside; nothing is computed again here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["HOW", "side_by_side"]

HOW: dict[str, str] = {
    "Response gap": "From the end of the party's speech (voice activity on the audio that reached us) to the first "
    "agent audio heard (its playout confirmed by the carrier's mark). The headline.",
    "End-pointing": "From the end of the party's speech to the agent's decision that the turn is over (its transcript "
    "arriving at our socket).",
    "Generation": "From that decision to the first audio of the reply at our socket.",
    "Agent": "Both of them, where they cannot be told apart: the transcript came with the audio, or none came.",
    "Bridge": "From that audio at our agent socket to its being written to the phone socket. This part is Shortwire.",
    "Way to the ear and back": "From our write to the party's ear, as the carrier's mark confirms it, and "
    "the mark's way back.",
    "Answer to first word": "From the party's pick-up to the first agent audio heard; with an emulated phone, in "
    "its recording. The server hears of the pick-up over a new connection that has to cross the network first, and "
    "makes up for that with the round trip that it measures.",
    "Barge-in to clear": "From the party's first voiced frame over the agent to our telling the carrier to stop.",
    "Barge-in to silence": "From the party's first voiced frame over the agent to silence at the party's ear, in the "
    "emulated phone's recording.",
    "Bridge delay": "Every frame and chunk, both ways: from being read at one of our sockets to being written "
    "to the other.",
    "CPU per message": "CPU time of the whole server process between answer and end, divided by the media messages "
    "relayed both ways: it includes everything else the process did meanwhile.",
    "Percentiles": "p50, p95, p99 over all samples of the call, with their number n; never an average alone.",
}


@dataclass(frozen=True, slots=True)
class _Figure:
    key: str
    name: str
    unit: str
    path: tuple[str, ...]
    """Where it stands in ``latencies``."""
    how: str
    count: tuple[str, ...] = ()


_FIGURES = (
    _Figure("first_word", "Answer to first word", "ms", ("answer_to_first_word_ms",), "Answer to first word"),
    _Figure("first_word_live", "… seen from the server", "ms", (), "Answer to first word"),
    _Figure("gap_p50", "Response gap p50", "ms", ("response_gap_ms", "p50"), "Response gap", ("response_gap_ms", "n")),
    _Figure("gap_p95", "Response gap p95", "ms", ("response_gap_ms", "p95"), "Response gap", ("response_gap_ms", "n")),
    _Figure(
        "clear", "Barge-in to clear", "ms", ("barge_in_stop_ms", "p50"), "Barge-in to clear", ("barge_in_stop_ms", "n")
    ),
    _Figure("barge_in", "Barge-in to silence", "ms", (), "Barge-in to silence"),
    _Figure("bridge_p50", "Bridge delay p50", "µs", ("bridge_us", "p50"), "Bridge delay", ("bridge_us", "n")),
    _Figure("bridge_p99", "Bridge delay p99", "µs", ("bridge_us", "p99"), "Bridge delay", ("bridge_us", "n")),
    _Figure("cpu", "CPU per relayed message", "µs", (), "CPU per message"),
)
"""A figure without a path is only ever measured outside."""


def _at(tree: object, path: tuple[str, ...]) -> float | None:
    for key in path:
        if not isinstance(tree, Mapping):
            return None
        tree = tree.get(key)
    return float(tree) if isinstance(tree, int | float) and not isinstance(tree, bool) else None


def side_by_side(
    calls: Mapping[str, Mapping[str, Any]], measured: Mapping[str, Mapping[str, float | None]] | None = None
) -> list[dict[str, Any]]:
    """One row a figure: key, name, unit, how, values and counts by profile, difference, change_percent.

    Args:
        calls: the call object by profile, the one compared with first (baseline, then optimized).
        measured: by profile and key, figures measured outside the product; they stand before its own.

    A figure nobody knows is left out; difference and change are last minus first.
    """
    rows: list[dict[str, Any]] = []
    for figure in _FIGURES:
        values: dict[str, float | None] = {}
        counts: dict[str, int | None] = {}
        for profile, call in calls.items():
            outside = ((measured or {}).get(profile) or {}).get(figure.key)
            latencies = call.get("latencies") or {}
            values[profile] = outside if outside is not None else _at(latencies, figure.path)
            count = _at(latencies, figure.count) if figure.count else None
            counts[profile] = None if count is None else int(count)
        known = [value for value in values.values() if value is not None]
        if not known:
            continue
        compared = len(known) == len(values) > 1
        difference = known[-1] - known[0] if compared else None
        rows.append(
            {
                "key": figure.key,
                "name": figure.name,
                "unit": figure.unit,
                "how": HOW[figure.how],
                "values": values,
                "counts": counts,
                "difference": difference,
                "change_percent": 100 * difference / known[0] if difference is not None and known[0] else None,
            }
        )
    return rows
