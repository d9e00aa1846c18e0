"""What has to be read before the figures of a call: that it failed, and why; that its tape is damaged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .ending import bad_ending
from .view import CallReport

__all__ = ["Notice", "ending_sentence", "notices"]

Notice = Mapping[str, Any]
"""title, text, rows: pairs of a label and a text. Not escaped."""

_WHOSE = {
    "party": "",
    "agent": "the agent's side",
    "carrier": "the carrier's side",
    "config": "a setting has to be changed",
    "us": "this server",
}


def notices(call: CallReport) -> list[Notice]:
    """In the order in which they are shown; empty for a call of which everything is well."""
    found: list[Notice] = []
    if ending := bad_ending(call.call):
        rows = (
            ("detail", ending.detail),
            ("fault", _WHOSE.get(ending.fault, ending.fault)),
            ("to change", ending.change),
            ("shortwire doctor", ending.check),
        )
        known = [(name, text) for name, text in rows if text]
        found.append({"title": f"Why it ended: {ending.slug}", "text": _sentence(ending.happened), "rows": known})
    if call.damage:
        text = "What follows is only what stands before that place: turns, sound and figures are missing."
        if call.call.get("latencies"):
            text = "Sound and waveform end before that place; turns and figures are the server's."
        found.append({"title": "Its tape is damaged", "text": text, "rows": [("damage", call.damage)]})
    return found


def ending_sentence(call: Mapping[str, Any]) -> str:
    """How a call failed, in a sentence; empty if it did not."""
    ending = bad_ending(call)
    return _sentence(ending.happened) if ending else ""


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
