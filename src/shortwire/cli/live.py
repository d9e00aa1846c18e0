"""A call's events as lines for a person, and its outcome as an exit status.

Pure: events in, texts out. What other people said is stripped of control characters, because a
transcript must not be able to move the cursor of whoever reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["EXIT", "clean", "ended_line", "exit_status", "line_of", "milliseconds"]

EXIT = {"answered": 0, "busy": 3, "no_answer": 4, "voicemail": 4, "canceled": 5, "failed": 5, "unknown": 6}
"""Exit status by disposition. `voicemail` counts as nobody having answered."""

_STATES = {
    "dialing": "dialling {number}",
    "unknown": "the carrier gave no clear answer; waiting for word of the call",
    "ringing": "ringing",
    "answered": "answered",
    "connected": "connected",
}


def exit_status(disposition: str | None, fault: str | None) -> int:
    """0 only for a call that was answered and ended as somebody wanted it to end."""
    if disposition == "answered":
        return 0 if fault in ("none", None) else 5
    return EXIT.get(disposition or "", 6)


def clean(text: object) -> str:
    """One printable line."""
    return "".join(char if char.isprintable() else " " for char in str(text)).strip()


def milliseconds(value: object) -> str:
    return f"{value:.0f} ms" if isinstance(value, (int, float)) else "not measured"


def line_of(event: Mapping[str, Any], number: str) -> str | None:
    """What an event means to somebody who follows a call; None for what only machines want."""
    tell = _LINES.get(str(event.get("kind")))
    return tell(event.get("data") or {}, number) if tell else None


def _state_line(data: Mapping[str, Any], number: str) -> str | None:
    text = _STATES.get(str(data.get("state")))
    return text.format(number=number) if text else None


def _ready_line(data: Mapping[str, Any], _number: str) -> str:
    return f"agent ready ({clean(data.get('input_format'))} in, {clean(data.get('output_format'))} out)"


def _barge_in_line(data: Mapping[str, Any], _number: str) -> str:
    return f"barge-in: the agent stopped, {milliseconds(data.get('unheard_ms'))} of its words unheard"


def _text_line(label: str, key: str = "text") -> Callable[[Mapping[str, Any], str], str]:
    return lambda data, _number: f"{label} {clean(data.get(key, ''))}"


def _turn_line(turn: Mapping[str, Any], _number: str) -> str | None:
    gap = turn.get("response_gap_ms")
    if gap is None:
        return None
    stop = f", barge-in to clear {milliseconds(turn['stop_ms'])}" if turn.get("stop_ms") is not None else ""
    return f"turn {turn.get('index', '?')}: response gap {milliseconds(gap)}{stop}"


def _summary_line(latencies: Mapping[str, Any], _number: str) -> str | None:
    gaps = latencies.get("response_gap_ms")
    if not isinstance(gaps, Mapping) or not gaps.get("n"):
        return None
    first = milliseconds(latencies.get("answer_to_first_word_ms"))
    return (
        f"response gap p50 {milliseconds(gaps.get('p50'))}, p95 {milliseconds(gaps.get('p95'))}"
        f" over {gaps['n']} turns; answer to first word {first}"
    )


def ended_line(data: Mapping[str, Any]) -> str:
    """Cause in words, its slug, how long it took, and the vendor's words if there are any."""
    meaning = clean(data.get("meaning") or data.get("cause") or "no cause was given")
    duration = data.get("duration_s")
    after = f" after {duration:.1f} s" if isinstance(duration, (int, float)) else ""
    detail = f"; {clean(data['cause_detail'])}" if data.get("cause_detail") else ""
    return f"ended{after}: {meaning} ({clean(data.get('cause'))}){detail}"


_LINES: dict[str, Callable[[Mapping[str, Any], str], str | None]] = {
    "call.state": _state_line,
    "agent.ready": _ready_line,
    "party.said": _text_line("party: "),
    "agent.said": _text_line("agent: "),
    "agent.corrected": _text_line("agent:  (cut off)"),
    "barge_in": _barge_in_line,
    "turn": _turn_line,
    "dtmf": _text_line("key pressed:", "digit"),
    "warning": _text_line("warning:"),
    "call.summary": _summary_line,
    "call.ended": lambda data, _number: ended_line(data),
}
