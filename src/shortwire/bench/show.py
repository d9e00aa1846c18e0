"""Tables for a terminal and files for everybody else."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from .load import Measured
from .plot import plot
from .rounds import Row

__all__ = ["INCLUDES", "curve_lines", "facts_lines", "number", "progress_bar", "write_curve"]

INCLUDES = (
    "Delays run from the stamp, taken just before a message is built, to the clock after the read that brought it: "
    "both ways over loopback, the wake-ups of server and load, and the load's own reading are in them. They compare "
    "bridges of one run; they are not what a bridge adds. CPU: the server's whole process tree over messages relayed."
)


def number(value: float | None, digits: int = 0) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"


def curve_lines(rows: Sequence[Row]) -> list[str]:
    """One line a subject and load; what has to be known before the figures stands beneath."""
    wide = max([6, *(len(row.subject) for row in rows)])
    titles = ("up p50", "up p99", "down p50", "down p99", "clear", "CPU/msg", "core", "KiB/call", "set-up")
    lines = [f"{'calls':>5} {'mode':5} {'bridge':{wide}}" + "".join(f"{title:>9}" for title in titles) + "  lost"]
    for row in rows:
        v = row.values
        share = v["cpu_share"]
        cells = [number(v[name]) for name in ("up_p50_us", "up_p99_us", "down_p50_us", "down_p99_us", "clear_p50_us")]
        cells += [number(v["cpu_us"], 1), "-" if share is None else f"{share:.0%}"]
        cells += [number(v["memory_kib"]), number(v["setup_ms"], 2)]
        lost = f"{row.lost}/{row.disordered}/{row.damaged}"
        head = f"{row.calls:5} {row.mode:5} {row.subject:{wide}}"
        lines.append(head + "".join(f"{cell:>9}" for cell in cells) + f"  {lost}")
        if row.verdict != "ok":
            lines.append(f"{'':12}{row.verdict}")
    lines.append("us; CPU/msg: us a relayed message; set-up: start to agent socket, ms; lost: lost/disordered/damaged")
    return lines


def facts_lines(facts: Mapping[str, Any]) -> list[str]:
    libraries = ", ".join(f"{name} {version}" for name, version in facts["libraries"].items())
    return [
        f"{facts['date']}  {facts['command']}",
        f"{facts['cpu']}, {facts['cores']} cores, {facts['system']}; {facts['pinning']}",
        f"Shortwire {facts['shortwire']}, Python {facts['python']}, {libraries}",
    ]


def progress_bar(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console
    )


def write_curve(folder: Path, rows: Sequence[Row], runs: Sequence[Measured], facts: Mapping[str, Any]) -> list[Path]:
    """`bench.json`, and `bench-<mode>.svg` for each mode; the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    document = {
        "what": "shortwire bench",
        "includes": INCLUDES,
        "machine": dict(facts),
        "rows": [row.as_dict() for row in rows],
        "runs": [run.as_dict() for run in runs],
    }
    written = [folder / "bench.json"]
    written[0].write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    note = f"{facts['cpu']}, {facts['cores']} cores; {facts['pinning']}; {facts['date']}"
    for mode in dict.fromkeys(row.mode for row in rows):
        path = folder / f"bench-{mode}.svg"
        title = f"Bridges under load: {mode}" + (" (hollow: disturbed or failing)")
        path.write_text(plot(rows, title, note, mode), encoding="utf-8")
        written.append(path)
    return written
