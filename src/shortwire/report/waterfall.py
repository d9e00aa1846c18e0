"""Waterfalls, conversations and percentiles for a terminal of 80 columns.

Rich renderables only; whoever shows them owns the console. Each part has a letter of its own beside its colour, so
that the bars can be read without colours too. Texts from outside are `Text`, never markup.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from ..call.setup import SETUP_LABELS
from ..call.summary import median
from .findings import GAP_PARTS, Finding, gap_parts_ms, setup_parts_ms
from .view import number

__all__ = ["change_table", "conversation_lines", "finding_lines", "percentile_table", "waterfall_lines"]

_BAR_WIDTH = 52
_STYLES: Mapping[str, tuple[str, str]] = {
    "endpointing_ms": ("e", "white on grey39"),
    "generation_ms": ("g", "black on light_slate_blue"),
    "agent_ms": ("a", "black on light_slate_blue"),
    "bridge_ms": ("b", "white on red3"),
    "playout_ms": ("p", "black on orange1"),
    "answer_notice_ms": ("n", "white on purple"),
    "stream_open_ms": ("s", "black on dark_cyan"),
    "stream_start_ms": ("t", "black on sky_blue2"),
    "signed_url_ms": ("u", "black on dark_salmon"),
    "agent_lookup_ms": ("d", "black on spring_green3"),
    "agent_tcp_ms": ("c", "black on green3"),
    "agent_tls_ms": ("l", "black on dark_sea_green4"),
    "agent_connect_ms": ("h", "black on green3"),
    "agent_upgrade_ms": ("w", "black on dark_olive_green3"),
    "agent_ready_ms": ("m", "black on plum2"),
    "first_audio_ms": ("f", "black on light_slate_blue"),
}


def waterfall_lines(call: Mapping[str, Any]) -> list[Text]:
    """The way to the first word and each response gap as bars on one scale, and what their letters mean."""
    setup = setup_parts_ms(call.get("latencies") or {})
    gaps = [(turn, parts) for turn in call.get("turns") or () if (parts := gap_parts_ms(turn))]
    # A bar is called what was measured: its parts are rounded each, and add up to a hundredth more or less.
    rows = [("first word", setup, float(call["latencies"]["answer_to_first_word_ms"]))] if setup else []
    rows += [(f"turn {turn.get('index', '?')}", parts, float(turn["response_gap_ms"])) for turn, parts in gaps]
    if not rows:
        return []
    widest = max(sum(parts.values()) for _, parts, _ in rows) or 1.0
    lines = []
    for label, parts, total_ms in rows:
        line = Text(f"  {label:<10} ", no_wrap=True)
        bar = _bar(parts, widest)
        line.append_text(bar).append(" " * (_BAR_WIDTH - bar.cell_len))
        lines.append(line.append(f" {number(total_ms):>6} ms", style="bold"))
    return [*lines, Text(), *_legend(setup, [parts for _, parts in gaps])]


def _legend(setup: Mapping[str, float], gaps: Sequence[Mapping[str, float]]) -> list[Text]:
    """What each letter is and how long it took: in the gaps, where it has a place in them; the set-up's comes once."""
    lines = []
    names = {**SETUP_LABELS, **GAP_PARTS}
    for key, (letter, style) in _STYLES.items():
        values = [round(parts[key], 2) for parts in gaps if parts.get(key)] or [setup.get(key, 0.0)]
        if not any(values):
            continue
        line = Text("  ").append(f" {letter} ", style=style).append(f" {names[key]:<30}")
        usual = "  (median of the turns)" if len(values) > 1 else ""
        lines.append(line.append(f"{number(median(values)):>7} ms{usual}"))
    return lines


def _bar(parts: Mapping[str, float], widest: float) -> Text:
    """Ends are rounded, not lengths: the whole bar is as long as the sum."""
    bar, at_ms, at = Text(), 0.0, 0
    for key, ms in parts.items():
        at_ms += ms
        end = round(_BAR_WIDTH * at_ms / widest)
        letter, style = _STYLES.get(key, ("?", ""))
        bar.append(letter * (end - at), style=style)
        at = end
    return bar


def conversation_lines(turns: Sequence[Mapping[str, Any]]) -> list[Text]:
    """Who said what when, with the gaps between; times in seconds since the answer.

    What has no time of its own stands behind the last instant that was known before it.
    """
    said: list[tuple[float, Text]] = []
    last_ms = 0.0
    for turn in turns:
        start, heard = turn.get("speech_start_ms"), turn.get("heard_ms")
        if turn.get("party"):
            said.append((last_ms if start is None else float(start), _said(start, "party", str(turn["party"]))))
        last_ms = max(last_ms, *(float(turn.get(name) or 0.0) for name in ("speech_start_ms", "speech_end_ms")))
        at_ms = last_ms if heard is None else float(heard)
        if turn.get("response_gap_ms") is not None:
            said.append((at_ms, Text(f"            {number(turn['response_gap_ms'])} ms", style="dim")))
        if turn.get("agent"):
            note = "  (interrupted)" if turn.get("interrupted") else ""
            said.append((at_ms, _said(heard, "agent", str(turn["agent"]) + note)))
        last_ms = max(last_ms, *(float(turn.get(name) or 0.0) for name in ("heard_ms", "heard_end_ms")))
    return [line for _, line in sorted(said, key=lambda entry: entry[0])]


def _said(at_ms: float | None, who: str, text: str) -> Text:
    clock = "       ?" if at_ms is None else f"{at_ms / 1000:7.2f}s"
    clean = "".join(char if char.isprintable() else " " for char in text)
    line = Text(f"  {clock}  ", style="dim").append(f"{who}  ", style="bold")
    return line.append(clean, style="not dim")


def finding_lines(found: Sequence[Finding]) -> list[Text]:
    """What dominates and what to change."""
    lines = []
    for finding in found:
        lines.append(Text(f"  {finding.text}"))
        if finding.change:
            lines.append(Text(f"    -> {finding.change}", style="green"))
        if finding.check:
            lines.append(Text(f"       shortwire doctor looks at it: {finding.check}", style="dim"))
    return lines


_LABELS = {
    "response_gap_ms": "Response gap",
    "answer_to_first_word_ms": "Answer to first word",
    "stop_ms": "Barge-in to clear",
    "bridge_p99_us": "Bridge p99 of a call, µs",
}


def percentile_table(figures: Mapping[str, Mapping[str, Any]]) -> Table:
    """p50, p95, p99, the largest and the count of each figure (ms), headlines first and their parts behind."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("  ms")
    for name in ("p50", "p95", "p99", "max", "n"):
        table.add_column(name, justify="right")
    for name in _in_order(figures):
        found = figures[name]
        cells = [number(found.get(key)) for key in ("p50", "p95", "p99", "max")]
        table.add_row(Text(_name(name)), *cells, str(found.get("n", 0)))
    return table


def _name(name: str) -> str:
    group, _, part = name.rpartition(".")
    names = GAP_PARTS if group == "gap" else SETUP_LABELS
    return f"    {names.get(part, part)}" if group else f"  {_LABELS.get(name, name)}"


def _in_order(figures: Mapping[str, Any]) -> list[str]:
    order = [
        "answer_to_first_word_ms",
        *(f"setup.{key}" for key in SETUP_LABELS),
        "response_gap_ms",
        *(f"gap.{key}" for key in GAP_PARTS),
        "stop_ms",
        "bridge_p99_us",
    ]
    return [name for name in order if name in figures]


def change_table(rows: Sequence[Mapping[str, Any]], names: tuple[str, str]) -> Table:
    """Two calls or groups, figure by figure; rows of `many.changes`."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("  median")
    for name in names:
        table.add_column(Text(name, overflow="ellipsis", no_wrap=True), justify="right", max_width=14)
    table.add_column("difference", justify="right")
    table.add_column("n", justify="right", style="dim")
    for row in rows:
        difference = row["difference"]
        style = "" if difference is None or abs(difference) < _least(row) else ("green" if difference < 0 else "red")
        change = "–" if difference is None else f"{'+' if difference > 0 else ''}{number(difference)}"
        table.add_row(
            Text(f"  {row['label']}"),
            *(f"{number(row[side])} {row['unit']}" if row[side] is not None else "–" for side in ("old", "new")),
            Text(change.replace("-", "−"), style=style),
            f"{row['n'][0]}/{row['n'][1]}",
        )
    return table


def _least(row: Mapping[str, Any]) -> float:
    """A difference that is worth a colour: one telephone frame, or a tenth of a millisecond of ours."""
    return 100.0 if row["unit"] == "µs" else 20.0
