"""The same figures for a terminal: side by side, turn by turn, and the checks.

Rich renderables only; whoever shows them owns the console. Texts from outside are `Text`, never markup.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from .view import CallReport, gap_parts, number, percent, setup_ms, setup_parts

__all__ = ["check_lines", "comparison_table", "setup_table", "turn_table"]


_PARTY_WIDTH = 24
"""Of the party's words in a table: together with everything else 80 columns."""


def _table(title: str) -> Table:
    return Table(
        title=Text(title, style="bold"), title_justify="left", box=None, padding=(0, 2, 0, 0), header_style="dim"
    )


def comparison_table(figures: Sequence[Mapping[str, Any]]) -> Table:
    """Rows of `side_by_side`: each profile's figure with its number of samples, and the difference."""
    profiles = list(figures[0]["values"]) if figures else []
    table = _table("Side by side" if len(profiles) > 1 else "The call")
    table.add_column("")
    for profile in profiles:
        table.add_column(Text(profile), justify="right")
    table.add_column("n", justify="right", style="dim")
    if len(profiles) > 1:
        table.add_column("difference", justify="right")
    for row in figures:
        cells = [_amount(row["values"].get(profile), row["unit"]) for profile in profiles]
        counts = [str(count) for count in row["counts"].values() if count is not None]
        seen = "/".join(counts if len(set(counts)) > 1 else counts[:1])
        table.add_row(Text(row["name"]), *cells, Text(seen), *([_difference(row)] if len(profiles) > 1 else []))
    return table


def _amount(value: float | None, unit: str) -> Text:
    return Text("–", style="dim") if value is None else Text(f"{number(value)} {unit}")


def _difference(row: Mapping[str, Any]) -> Text:
    difference, change = row["difference"], row["change_percent"]
    if difference is None:
        return Text("–", style="dim")
    share = "" if change is None else f" ({percent(change)})"
    style = "" if change is None or abs(change) < 3 else ("green" if change < 0 else "red")
    return Text(
        f"{'+' if difference > 0 else ''}{number(difference).replace('-', '−')} {row['unit']}{share}", style=style
    )


def turn_table(call: CallReport) -> Table:
    """One row a turn: what was said, the stages of the gap, the gap live and in the recording, in ms."""
    turns = list(call.call.get("turns") or ())
    stages = {part.key: part for turn in turns for part in gap_parts(call, turn)}
    table = _table(f"Turn by turn, {call.profile} (ms)")
    table.add_column("turn", no_wrap=True)
    table.padding = (0, 1, 0, 0)
    table.add_column("party", no_wrap=True)
    for part in stages.values():
        table.add_column(Text(_in_two_lines(part.label)), justify="right", no_wrap=True)
    table.add_column("gap\nlive", justify="right", style="bold", no_wrap=True)
    if call.recorded:
        table.add_column("gap\nheard", justify="right", no_wrap=True)
    for index, turn in enumerate(turns):
        name = turn.get("index", index)
        parts = {part.key: part.ms for part in gap_parts(call, turn)}
        said = Text(str(turn.get("party") or ("(greeting)" if turn.get("kind") == "greeting" else "")))
        said.truncate(_PARTY_WIDTH - (10 if turn.get("barge_in") else 0), overflow="ellipsis")
        if turn.get("barge_in"):
            said.append(" (cut off)", style="red")
        cells = [Text(number(parts.get(key))) for key in stages]
        table.add_row(
            Text(str(name)),
            said,
            *cells,
            Text(number(turn.get("response_gap_ms"))),
            *([Text(number(call.recorded.get(name)))] if call.recorded else []),
        )
    return table


def _in_two_lines(label: str) -> str:
    """Narrow heads, so that the table fits into 80 columns."""
    short = label.removeprefix("Way ")
    first, blank, rest = short.rpartition(" and ") if " and " in short else short.rpartition(" ")
    return f"{first}\n{rest}" if blank else label.replace("-", "-\n").replace("Generation", "Gene-\nration")


def setup_table(calls: Sequence[CallReport]) -> Table | None:
    """The stages from the answer to the first word, a column per call; None when nobody measured them."""
    setups = {call.profile: setup_parts(call) for call in calls}
    stages = {part.key: part.label for parts in setups.values() for part in parts}
    if not stages:
        return None
    table = _table("From the answer to the first word (ms)")
    table.add_column("")
    for profile in setups:
        table.add_column(Text(profile), justify="right")
    for key, label in stages.items():
        cells = [next((number(part.ms) for part in parts if part.key == key), "–") for parts in setups.values()]
        table.add_row(Text(label), *(Text(cell) for cell in cells))
    table.add_row(Text("together", style="bold"), *(Text(number(setup_ms(call)), style="bold") for call in calls))
    return table


def check_lines(checks: Sequence[Mapping[str, Any]]) -> list[Text]:
    """One line a check, the failed ones in red."""
    lines = []
    for check in checks:
        line = Text("  ✓ " if check["passed"] else "  ✗ ", style="green" if check["passed"] else "bold red")
        line.append(str(check["name"]), style="bold" if not check["passed"] else "")
        lines.append(line.append(f": {check['text']}", style="dim" if check["passed"] else "red"))
    return lines
