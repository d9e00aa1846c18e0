"""Tells a person how the call goes, line by line, while it goes.

Turns the product's events into sentences with the time since dialling; keeps nothing. Texts that
were said are printed as they are, without control characters and never as markup.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.text import Text

__all__ = ["Narrator"]

_STATES = {
    "dialing": "dialling",
    "ringing": "ringing",
    "answered": "answered",
    "connected": "media stream open: party and agent can hear each other",
    "ending": "ending",
}


class Narrator:
    """One call, on one console."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._zero: float | None = None

    def event(self, event: Mapping[str, Any]) -> None:
        """One event of the call, as the event stream gives it."""
        at = float(event.get("at", 0.0))
        if self._zero is None:
            self._zero = at
        told = _sentence(str(event.get("kind", "")), event.get("data") or {})
        if told is not None:
            self._console.print(Text(f"{at - self._zero:7.2f} s  ", style="dim").append_text(told), soft_wrap=True)

    def server_line(self, line: str) -> None:
        """What the server printed: its latency lines and summary are shown as they are, the rest is not."""
        if line.startswith(("[LATENCY]", "  - ")):
            self._console.print(Text(line, style="cyan"), soft_wrap=True)


def _sentence(kind: str, data: Mapping[str, Any]) -> Text | None:
    told: Text | None = None
    match kind:
        case "call.state" if (state := str(data.get("state"))) in _STATES:
            told = Text(_STATES[state], style="bold")
        case "agent.ready":
            formats = f"{data.get('input_format', '?')} in, {data.get('output_format', '?')} out"
            told = Text(f"agent ready ({formats})", style="dim")
        case "party.said":
            told = Text("party  ", style="bold yellow").append(_clean(data.get("text")), style="default")
        case "agent.said":
            told = Text("agent  ", style="bold blue").append(_clean(data.get("text")), style="default")
        case "agent.corrected":
            told = Text(f"       (really said: {_clean(data.get('text'))})", style="dim")
        case "turn" if isinstance(gap := data.get("response_gap_ms"), int | float):
            told = Text(
                f"       turn {data.get('index')}: answered {gap:,.0f} ms after the party's last sound", style="dim"
            )
        case "barge_in":
            told = Text(f"barge-in: the party interrupts, {_ms(data.get('unheard_ms'))} not played", style="red")
        case "dtmf":
            told = Text(f"key {_clean(data.get('digit'))}", style="dim")
        case "warning":
            told = Text(f"warning: {_clean(data.get('text'))}", style="yellow")
        case "call.ended":
            told = Text(f"ended: {_clean(data.get('meaning') or data.get('cause'))}", style="bold")
    return told


def _ms(value: object) -> str:
    return f"{value:.0f} ms" if isinstance(value, int | float) else "?"


def _clean(text: object) -> str:
    return "".join(sign if sign.isprintable() else " " for sign in str(text or ""))
