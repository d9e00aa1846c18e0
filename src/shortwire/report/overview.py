"""One self-contained page of many calls: percentiles over all, by day, by agent, and each call in a line.

Nothing is fetched, the only script plays what is in the page; texts from outside are escaped by the template.
"""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

import jinja2
from markupsafe import Markup

from ..call.setup import SETUP_LABELS
from .ending import bad_ending
from .figures import HOW
from .findings import GAP_PARTS
from .many import label_of
from .page import asset
from .strip import Heard, strip
from .view import number

__all__ = ["render_many"]

_COLUMNS = ("p50", "p95", "p99", "max")
_ORDER = ("answer_to_first_word_ms", "response_gap_ms", "stop_ms", "bridge_p99_us")

_FEW = 20
"""With fewer values p95 is the largest."""

_PARTS = {"setup": SETUP_LABELS, "gap": GAP_PARTS}
"""In the order in which they follow each other."""


def render_many(
    figures: Mapping[str, Any], calls: Sequence[Mapping[str, Any]], heard: Sequence[Heard] = (), heard_note: str = ""
) -> str:
    """The page.

    Args:
        figures: all, by_agent and by_day (`many.aggregate`), by_call (their figures), since.
        calls: as the API answers them; a line each.
        heard: those of them that are drawn, in this order.
        heard_note: which ones those are, a sentence.
    """
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    every = figures["all"]
    drawn = {one.call_id for one in heard}
    rows = {call["id"]: _call(call, figures["by_call"].get(call["id"]) or {}) for call in calls}
    script = asset("overview.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.from_string(asset("overview.html.j2")).render(
        css=Markup(asset("page.css")),  # noqa: S704 - our own file
        since=figures["since"],
        made_at=time.strftime("%Y-%m-%d %H:%M"),
        lede=_lede(every),
        all=every,
        answered_turns=(every["figures"].get("response_gap_ms") or {}).get("n", 0),
        faults=sum(every["faults"].values()),
        columns=_COLUMNS,
        rows=_rows(every["figures"]),
        groups=[
            {"title": "By day", "names": "day", "rows": _grouped(figures["by_day"])},
            {"title": "By agent", "names": "agent", "rows": _grouped(figures["by_agent"])},
        ],
        calls=[{**row, "drawn": call_id in drawn} for call_id, row in rows.items()],
        strips=[{**strip(one), "call": rows[one.call_id]} for one in heard],
        heard_note=heard_note,
        js=Markup(script),  # noqa: S704 - our own file
        script_hash=Markup(f"'sha256-{digest}'"),  # noqa: S704 - base64
        how=list(HOW.items()),
    )


def _lede(every: Mapping[str, Any]) -> str:
    calls = f"{every['calls']} call{'' if every['calls'] == 1 else 's'}"
    gap = every["figures"].get("response_gap_ms")
    if not gap:
        text = f"{calls}, none with an answered turn."
    else:
        text = f"In {calls} the median reply was heard {number(gap['p50'])} ms after the caller's last sound"
        # Of fewer than twenty the largest is no figure of one in twenty.
        tail = f"one in twenty took {number(gap['p95'])} ms or more" if gap["n"] >= _FEW else ""
        text += f"; {tail or 'the longest took ' + number(gap['max']) + ' ms'}." if gap["n"] > 1 else "."
    return f"{text} {_failed(every['faults'])}".rstrip()


def _failed(faults: Mapping[str, int]) -> str:
    if not faults:
        return ""
    count = sum(faults.values())
    causes = ", ".join(f"{slug}{f' {times} times' if times > 1 else ''}" for slug, times in faults.items())
    return f"{count} ended as nobody wanted: {causes}."


def _rows(figures: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    parts = {f"{group}.{part}": at for group, of in _PARTS.items() for at, part in enumerate(of, 1)}

    def place(name: str) -> tuple[int, int]:
        head = {"gap": 1, "setup": 0}.get(name.partition(".")[0], -1)
        return (head, parts.get(name, 99)) if head >= 0 else (_ORDER.index(name) if name in _ORDER else 9, 0)

    return [
        {
            "name": label_of(name),
            "part": "." in name,
            "unit": "µs" if name.endswith("_us") else "ms",
            "cells": [number(figures[name].get(column)) for column in _COLUMNS],
            "n": figures[name].get("n", 0),
        }
        for name in sorted(figures, key=place)
    ]


def _grouped(groups: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    most = max((_at(group, "response_gap_ms", "p95") or 0.0 for group in groups.values()), default=0.0) or 1.0
    return [
        {
            "name": name,
            "calls": group["calls"],
            "faults": sum(group["faults"].values()),
            "turns": (group["figures"].get("response_gap_ms") or {}).get("n", 0),
            "gap_p50": number(_at(group, "response_gap_ms", "p50")),
            "gap_p95": number(_at(group, "response_gap_ms", "p95")),
            "percent": 100 * (_at(group, "response_gap_ms", "p50") or 0.0) / most,
            "first_word": number(_at(group, "answer_to_first_word_ms", "p50")),
            "dead_air": group["dead_air"]["n"],
            "agent_over": group["agent_over"]["n"],
        }
        for name, group in groups.items()
    ]


def _at(group: Mapping[str, Any], name: str, percentile: str) -> float | None:
    value: float | None = (group["figures"].get(name) or {}).get(percentile)
    return value


def _call(call: Mapping[str, Any], figures: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    gap = figures.get("response_gap_ms") or {}
    cause = call.get("cause")
    ending = bad_ending(call)
    return {
        "id": call["id"],
        "at": time.strftime("%Y-%m-%d %H:%M", time.localtime(call.get("created_at") or 0)),
        "disposition": str(call.get("disposition") or "").replace("_", " "),
        "cause": str(cause.get("slug") or "") if isinstance(cause, Mapping) else "",
        "tone": "" if ending is None else ("soft" if ending.fault == "party" else "bad"),
        "why": "" if ending is None else ending.happened,
        "gap_p50": number(gap.get("p50")),
        "gap_max": number(gap.get("max")),
        "n": gap.get("n", 0),
        "first_word": number((figures.get("answer_to_first_word_ms") or {}).get("p50")),
    }
