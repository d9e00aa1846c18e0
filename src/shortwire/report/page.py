"""One self-contained HTML page of a call, or of the same call on two profiles.

Everything is inside the file: style, script, waveforms, sound. Nothing is fetched, and the page's own
content security policy forbids it. All text that came from a caller, an agent or a vendor is escaped by
the template or travels as JSON that the script only draws. What it shows is prepared in `view`.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup

from .figures import HOW, side_by_side
from .notices import ending_sentence, notices
from .view import CallReport, Part, Report, gap_ms, gap_parts, number, peaks, percent, setup_ms, setup_parts

__all__ = ["asset", "render"]

_STAGES = (
    *("notice", "carrier", "start", "url", "lookup", "tcp", "tls", "connect", "upgrade", "ready"),
    *("uplink", "endpointing", "generation", "agent", "bridge", "playout"),
)


def render(report: Report) -> str:
    """The page. Raises `ValueError` when a recording is not a 16-bit WAV."""
    figures = list(report.figures) or side_by_side({call.profile: call.call for call in report.calls})
    calls = [_call(call, f"call-{number}") for number, call in enumerate(report.calls, 1)]
    script = asset("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return _template().render(
        title=report.title,
        lede=report.subtitle or _lede(figures, report.calls),
        facts=[*report.facts.items(), *([("made", report.made_at)] if report.made_at else [])],
        notices=notices(report.calls[0]) if len(report.calls) == 1 else [],
        figures=_cards(figures),
        compared=_compared(calls),
        calls=calls,
        widest_turn=max((fall["ms"] for call in calls for fall in call["falls"]), default=1) or 1,
        widest_setup=max((call["setup"]["ms"] for call in calls if call["setup"]), default=1) or 1,
        how=list(HOW.items()),
        footer="Made by Shortwire. This page needs no network and sends nothing anywhere.",
        css=Markup(asset("page.css")),  # noqa: S704 - our own file
        js=Markup(script),  # noqa: S704 - our own file
        script_hash=Markup(f"'sha256-{digest}'"),  # noqa: S704 - base64
        data=_embedded([call["drawing"] for call in calls]),
    )


def _embedded(data: object) -> Markup:
    """JSON that cannot end the script element it stands in, whatever the texts hold."""
    text = json.dumps(data, ensure_ascii=True, allow_nan=False)
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)  # noqa: S704 - no character that HTML knows is left


@cache
def asset(name: str) -> str:
    """A file of the page's own: style, script, template."""
    return (resources.files(__package__) / "assets" / name).read_text(encoding="utf-8")


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.filters["ms"] = lambda value: f"{number(value)} ms"
    environment.filters["short"] = number
    return environment.from_string(asset("page.html.j2"))


_TAILS = {
    "gap_p95": ("gap_p50", "p95"),
    "bridge_p99": ("bridge_p50", "p99"),
    "clear": ("barge_in", "clear sent after"),
    "first_word_live": ("first_word", "the server sees"),
}
"""Figures that stand in a line on the card of another instead of on their own."""


def _cards(figures: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    rows = {row["key"]: row for row in figures}
    tails = {key: (card, name) for key, (card, name) in _TAILS.items() if key in rows and card in rows}
    cards = {key: _figure(row) for key, row in rows.items() if key not in tails}
    for key, (host, name) in tails.items():
        values = " → ".join(number(value) for value in rows[key]["values"].values())
        cards[host]["notes"].append(f"{name} {values} {rows[key]['unit']}")
    for key, card in cards.items():
        counts = [str(count) for count in rows[key]["counts"].values() if count is not None]
        if counts:
            card["notes"].append(f"n {' / '.join(counts) if len(set(counts)) > 1 else counts[0]}")
    return list(cards.values())


def _compared(calls: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The setup of each call, and its median turn, under one another; nothing to compare in a single call."""
    groups = []
    turn = "The median turn, in the recording" if any(call["has_recorded"] for call in calls) else "The median turn"
    for name, pick in (("From the answer to the first word", _setup_fall), (turn, _median_fall)):
        falls = [{**fall, "label": call["profile"]} for call in calls if (fall := pick(call))]
        if len(falls) > 1:
            parts = _stages([part for fall in falls for part in fall["parts"]])
            groups.append(
                {"name": name, "falls": falls, "legend": parts, "widest": max(fall["ms"] for fall in falls) or 1}
            )
    return groups


def _setup_fall(call: Mapping[str, Any]) -> dict[str, Any] | None:
    return call["setup"]  # type: ignore[no-any-return]


def _median_fall(call: Mapping[str, Any]) -> dict[str, Any] | None:
    falls = sorted(call["falls"], key=lambda fall: fall["ms"])
    return falls[(len(falls) - 1) // 2] if falls else None


def _figure(row: Mapping[str, Any]) -> dict[str, Any]:
    values: Mapping[str, float | None] = row["values"]
    best = list(values.values())[-1] if values else None
    known = [value for value in values.values() if value is not None]
    longest = max(known, default=0) or 1
    change = row.get("change_percent")
    return {
        "name": row["name"],
        "notes": [],
        "how": row["how"],
        "unit": row["unit"],
        "number": number(best),
        "change": "" if change is None else percent(change),
        "tone": "" if change is None or abs(change) < 3 else ("good" if change < 0 else "bad"),
        "bars": [
            {"profile": profile, "number": number(value), "percent": 100 * (value or 0) / longest}
            for profile, value in values.items()
        ]
        if len(values) > 1
        else [],
    }


def _lede(figures: Sequence[Mapping[str, Any]], calls: Sequence[CallReport]) -> str:
    """The finding, in one sentence; of a single call that failed, that first."""
    failed = ending_sentence(calls[0].call) if len(calls) == 1 else ""
    if len(calls) == 1 and calls[0].damage:
        failed = f"{failed} Its tape is damaged.".strip()
    rows = {row["key"]: row for row in figures}
    first, gap = rows.get("first_word"), rows.get("gap_p50")
    sentences = []
    for row, what in (
        (first, "the agent's first word was heard {} ms after the answer"),
        (gap, "the median reply {} ms after the party's last sound"),
    ):
        values = [value for value in row["values"].values() if value is not None] if row else []
        if not values:
            continue
        text = what.format(number(values[-1]))
        if len(values) > 1:
            text += f" ({_against_baseline(values[0] - values[-1])})"
        sentences.append(text)
    text = ", ".join(sentences)
    measured = text[:1].upper() + text[1:] + "." if text else ""
    return f"{failed} {measured}".strip() or "A telephone call between a party and an agent."


def _against_baseline(saved_ms: float) -> str:
    if abs(saved_ms) <= 20:  # one telephone frame: nobody could hear it
        return "as on the baseline"
    return f"{number(abs(saved_ms))} ms {'sooner' if saved_ms > 0 else 'later'} than on the baseline"


def _call(call: CallReport, element: str) -> dict[str, Any]:
    turns = list(call.call.get("turns") or ())
    falls = [
        _fall(f"turn {_turn_number(turn, index)}", parts, gap_ms(call, turn))
        for index, turn in enumerate(turns)
        if (parts := gap_parts(call, turn))
    ]
    columns = _stages([part for turn in turns for part in gap_parts(call, turn)])
    drawn = peaks(call.recording) if call.recording else {"step_ms": 5, "duration_ms": 0, "lanes": []}
    setup = setup_parts(call)
    return {
        "id": element,
        "profile": call.profile,
        "heading": f"{call.profile[:1].upper()}{call.profile[1:]} profile",
        "outcome": _outcome(call.call),
        "notices": notices(call),
        "unanswered": "No answered turn in what could be read." if call.damage else "No turn was answered.",
        "checks": list(call.checks),
        "passed": sum(1 for check in call.checks if check["passed"]),
        "audio": f"data:audio/wav;base64,{base64.b64encode(call.recording).decode()}" if call.recording else "",
        "duration_ms": drawn["duration_ms"],
        "notes": list(call.notes),
        "lines": _lines(call),
        "setup": _fall("setup", setup, setup_ms(call)) if setup else None,
        "falls": falls,
        "legend": columns,
        "columns": columns,
        "rows": _rows(call, turns, columns),
        "has_recorded": bool(call.recorded),
        "api": _api_times(call.call),
        "events": _events(call.events),
        "drawing": {
            "id": element,
            **drawn,
            "spans": [
                {
                    "who": _who(span),
                    "start_ms": span["start_ms"],
                    "end_ms": span["end_ms"],
                    "text": str(span.get("text", "")),
                }
                for span in call.heard
            ],
            "gaps": [
                {"from_ms": gap["from_ms"], "to_ms": gap["to_ms"], "label": f"{number(gap['ms'])} ms"}
                for gap in call.gaps
            ],
            "interruptions": [
                {"at_ms": cut["at_ms"], "silent_ms": cut["silent_ms"], "label": _cut_label(cut)}
                for cut in call.interruptions
            ],
        },
    }


def _api_times(call: Mapping[str, Any]) -> list[dict[str, str]]:
    """What each vendor's API took, the longest call of each kind."""
    found = (call.get("latencies") or {}).get("api_ms") or {}
    return [
        {"name": str(name), "ms": number(times.get("max")), "n": str(times.get("n", 1))}
        for name, times in found.items()
    ]


def _who(span: Mapping[str, Any]) -> str:
    return "party" if span.get("who") == "party" else "agent"


def _stages(parts: Sequence[Part]) -> list[Part]:
    """Each stage that occurs once, in the order of a turn."""
    seen = {part.key: part for part in parts}
    return [seen[key] for key in (*_STAGES, *sorted(set(seen) - set(_STAGES))) if key in seen]


def _fall(label: str, parts: Sequence[Part], ms: float) -> dict[str, Any]:
    return {"label": label, "parts": parts, "ms": ms}


def _turn_number(turn: Mapping[str, Any], index: int) -> Any:
    return turn.get("index", index)


def _rows(call: CallReport, turns: Sequence[Mapping[str, Any]], columns: Sequence[Part]) -> list[dict[str, Any]]:
    rows = []
    for index, turn in enumerate(turns):
        parts = {part.key: part.ms for part in gap_parts(call, turn)}
        name = _turn_number(turn, index)
        rows.append(
            {
                "turn": name,
                "text": turn.get("party") or ("(greeting)" if turn.get("kind") == "greeting" else ""),
                "barge_in": bool(turn.get("barge_in")),
                "stages": [number(parts.get(column.key)) for column in columns],
                "live": number(turn.get("response_gap_ms")),
                "recorded": number(call.recorded.get(name)),
            }
        )
    return rows


def _lines(call: CallReport) -> list[dict[str, Any]]:
    """The conversation in order of time, with gaps and barge-ins between the bubbles."""
    lines: list[tuple[float, int, dict[str, Any]]] = []
    for span in call.heard:
        start, end = span["start_ms"], span["end_ms"]
        said = {"kind": "said", "who": _who(span), "from_ms": start, "to_ms": end, "text": str(span.get("text", ""))}
        lines.append((start, 1, {**said, "at": f"{start / 1000:.1f} s", "cut": bool(span.get("interrupted"))}))
    for gap in call.gaps:
        lines.append(
            (gap["to_ms"], 0, {"kind": "gap", "label": f"{number(gap['ms'])} ms", "text": gap.get("note", "")})
        )
    for cut in call.interruptions:
        lines.append((cut["at_ms"], 0, {"kind": "barge", "label": "barge-in:", "text": _stopped(cut)}))
    if not lines:
        return _told(call.events)
    return [line for _, _, line in sorted(lines, key=lambda entry: entry[:2])]


def _stopped(cut: Mapping[str, Any]) -> str:
    """Our telling the carrier to stop is not yet silence at the ear: only a recording knows when that was."""
    what = "the agent was silent" if cut.get("heard") else "we told the carrier to stop"
    return f"{what} after {number(cut['ms'])} ms"


def _cut_label(cut: Mapping[str, Any]) -> str:
    """The same beside the waveform, where there is less room."""
    return f"{'silent' if cut.get('heard') else 'clear'} after {number(cut['ms'])} ms"


def _told(events: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Without a recording: what the transcripts said, in the order they came."""
    start = float(events[0].get("at", 0.0)) if events else 0.0
    speakers = {"party.said": "party", "agent.said": "agent"}
    return [
        {
            "kind": "said",
            "who": speakers[event["kind"]],
            "from_ms": 0,
            "to_ms": 0,
            "text": str(event["data"].get("text", "")),
            "at": f"{event['at'] - start:.1f} s",
            "cut": False,
        }
        for event in events
        if event.get("kind") in speakers
    ]


def _outcome(call: Mapping[str, Any]) -> str:
    parts = [str(call.get("state") or "unknown")]
    if cause := call.get("cause"):
        slug = cause.get("slug") if isinstance(cause, Mapping) else cause
        parts.append(str(slug).replace("_", " "))
    if disposition := call.get("disposition"):
        parts.append(str(disposition).replace("_", " "))
    return " · ".join(parts)


def _events(events: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    start = float(events[0].get("at", 0.0)) if events else 0.0
    return [
        {
            "at": f"{float(event.get('at', start)) - start:.3f}",
            "kind": str(event.get("kind", "")),
            "data": ", ".join(f"{key}={_plain(value)}" for key, value in (event.get("data") or {}).items()),
        }
        for event in events
    ]


def _plain(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return f"{value:.3f}".rstrip("0").rstrip(".")
    return json.dumps(value, ensure_ascii=False, default=str)
