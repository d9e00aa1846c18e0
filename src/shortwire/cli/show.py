"""What `shortwire calls show` and `shortwire tape show` print of a call: facts, words, waterfall, what to change."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

__all__ = ["console", "print_call", "print_facts", "when"]


def console(least_width: int = 80) -> Any:
    """Rather a line that the terminal wraps than an id that nobody can copy."""
    from rich.console import Console

    return Console(highlight=False, markup=False, width=max(Console().width, least_width))


def when(seconds: float | None) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds)) if seconds else ""


def print_call(
    call: Mapping[str, Any], *, dead_air_ms: float, verdict: str = "", zero: str = "the news of the answer"
) -> None:
    """Everything but the facts: whoever has only a tape has none. How it ended is among them."""
    from ..report.findings import findings
    from ..report.many import aggregate
    from ..report.waterfall import conversation_lines, finding_lines, percentile_table, waterfall_lines

    out = console()
    turns = list(call.get("turns") or ())
    measured = [finding for finding in findings(call, dead_air_ms=dead_air_ms) if finding.what != "cause"]
    blocks = (
        (f"conversation (seconds since {zero})", conversation_lines(turns)),
        ("where the time went", waterfall_lines(call)),
        ("what to change", finding_lines(measured)),
    )
    for title, lines in blocks:
        if lines:
            out.print(f"\n{title}", style="bold")
            for line in lines:
                out.print(line, soft_wrap=True)
    if figures := aggregate([call])["figures"]:
        out.print("\npercentiles", style="bold")
        out.print(percentile_table(figures))
    if verdict:
        out.print(f"\nsound: {verdict}", soft_wrap=True)


def print_facts(call: Mapping[str, Any]) -> None:
    """Who, when, how it ended and what to change about that."""
    from .live import clean

    verb = "from" if call["direction"] == "inbound" else "to"
    print(f"{call['id']}  {call['direction']} call {verb} {clean(call['number'])}  ({call['profile']})")
    disposition = f", {call['disposition']}" if call["disposition"] else ""
    print(f"  state     {call['state']}{disposition}")
    _print_ending(call)
    instants = ("created", "dialed", "ringing", "answered", "connected", "ended")
    known = [(name, call[f"{name}_at"]) for name in instants if call[f"{name}_at"] is not None]
    start = known[0][1]
    print(f"  began     {when(start)}")
    print("  then      " + ", ".join(f"{name} +{at - start:.2f} s" for name, at in known[1:]))
    for name in ("agent_id", "conversation_id", "call_sid"):
        if call[name]:
            print(f"  {name.replace('_', ' '):<9} {call[name]}")


def _print_ending(call: Mapping[str, Any]) -> None:
    from ..report.ending import bad_ending
    from .live import clean

    ending, cause = bad_ending(call), call["cause"]
    if not cause:
        return
    print(f"  cause     {cause['slug']}: {clean(ending.happened if ending else cause['meaning'])}")
    if cause["detail"]:
        print(f"  detail    {clean(cause['detail'])}")
    if ending is None:
        return
    print(f"  fault     {ending.fault}")
    if ending.change:
        print(f"  to change {clean(ending.change)}")
    if ending.check:
        print(f"  doctor    {ending.check} (shortwire doctor looks at it)")
