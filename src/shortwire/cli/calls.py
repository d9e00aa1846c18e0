"""`shortwire calls list|show|hangup`: what a server knows of its calls."""

# ruff: noqa: PLR0917 - a command's parameters are its options; typer calls it by keyword

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import quote, urlencode

import typer

from .call import Key, Url

__all__ = ["calls_app"]

calls_app = typer.Typer(help="List, show and end calls.", no_args_is_help=True, rich_markup_mode=None)

CallIdArgument = Annotated[str, typer.Argument(help="The call's id, from 'shortwire calls list'.")]
Json = Annotated[bool, typer.Option("--json", help="As JSON.")]
Reveal = Annotated[bool, typer.Option("--reveal", help="Show telephone numbers in full.")]


@calls_app.command("list")
def list_calls(
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many.")] = 20,
    before: Annotated[str | None, typer.Option(help="Calls older than this id.")] = None,
    state: Annotated[str | None, typer.Option(help="Only calls in this state, such as ended.")] = None,
    reveal: Reveal = False,
    as_json: Json = False,
    url: Url = None,
    api_key: Key = None,
) -> None:
    """List calls, newest first."""
    from .client import connect

    query = {"limit": limit, "before": before, "state": state, "reveal": "true" if reveal else None}
    text = urlencode({name: value for name, value in query.items() if value is not None})
    found = connect(url, api_key).get(f"/v1/calls?{text}")
    if as_json:
        print(json.dumps(found))
        return
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("id", "created", "", "number", "state", "disposition", "cause"):
        table.add_column(name, no_wrap=name in ("id", "created"))
    for call in found["calls"]:
        cause = (call["cause"] or {}).get("slug", "")
        cells = (call["id"], _when(call["created_at"]), "in" if call["direction"] == "inbound" else "out")
        rest = (call["number"], call["state"], call["disposition"] or "", cause)
        table.add_row(*(Text(str(cell)) for cell in (*cells, *rest)))
    _wide_console().print(table if found["calls"] else "no calls")
    if found["next"]:
        print(f"older ones: shortwire calls list --before {found['next']}")


@calls_app.command()
def show(
    call_id: CallIdArgument, reveal: Reveal = False, as_json: Json = False, url: Url = None, api_key: Key = None
) -> None:
    """Show one call: who said what, why it ended and what to change, how long each turn took."""
    from .client import connect

    call = connect(url, api_key).get(f"/v1/calls/{quote(call_id, safe='')}?reveal={str(reveal).lower()}")
    if as_json:
        print(json.dumps(call))
        return
    _print_facts(call)
    _print_conversation(call["turns"])
    _print_turns(call["turns"], call["latencies"])


@calls_app.command()
def hangup(call_id: CallIdArgument, as_json: Json = False, url: Url = None, api_key: Key = None) -> None:
    """End a call. Harmless if it is over."""
    from .client import connect

    call = connect(url, api_key).post(f"/v1/calls/{quote(call_id, safe='')}/hangup")
    print(json.dumps(call) if as_json else f"{call['id']}: {call['state']}")


def _wide_console() -> Any:
    """Rather a line that the terminal wraps than an id that nobody can copy."""
    from rich.console import Console

    return Console(highlight=False, markup=False, width=max(Console().width, 130))


def _when(seconds: float | None) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds)) if seconds else ""


def _print_facts(call: Mapping[str, Any]) -> None:
    from .live import clean

    verb = "from" if call["direction"] == "inbound" else "to"
    print(f"{call['id']}  {call['direction']} call {verb} {clean(call['number'])}  ({call['profile']})")
    disposition = f", {call['disposition']}" if call["disposition"] else ""
    print(f"  state     {call['state']}{disposition}")
    if cause := call["cause"]:
        print(f"  cause     {cause['slug']}: {clean(cause['meaning'])}")
        # A fault in the configuration is the one that whoever reads this can mend.
        label = "to change" if cause["fault"] == "config" else "detail"
        if cause["detail"]:
            print(f"  {label:<9} {clean(cause['detail'])}")
        if cause["fault"] not in ("none", "config"):
            print(f"  fault     {cause['fault']}")
    instants = ("created", "dialed", "ringing", "answered", "connected", "ended")
    known = [(name, call[f"{name}_at"]) for name in instants if call[f"{name}_at"] is not None]
    start = known[0][1]
    print(f"  began     {_when(start)}")
    print("  then      " + ", ".join(f"{name} +{at - start:.2f} s" for name, at in known[1:]))
    for name in ("agent_id", "conversation_id", "call_sid"):
        if call[name]:
            print(f"  {name.replace('_', ' '):<9} {call[name]}")


def _print_conversation(turns: list[Mapping[str, Any]]) -> None:
    from .live import clean

    if any(turn.get("party") or turn.get("agent") for turn in turns):
        print("\nconversation")
    for turn in turns:
        if turn.get("party"):
            print(f"  party:  {clean(turn['party'])}")
        if turn.get("agent"):
            cut = "  (interrupted)" if turn.get("interrupted") else ""
            print(f"  agent:  {clean(turn['agent'])}{cut}")


def _print_turns(turns: list[Mapping[str, Any]], latencies: Mapping[str, Any]) -> None:
    from .live import line_of

    if not turns:
        return
    from rich.table import Table

    columns = {
        "response_gap_ms": "response gap",
        "endpointing_ms": "end-pointing",
        "generation_ms": "generation",
        "bridge_ms": "bridge",
        "playout_ms": "playout",
        "stop_ms": "barge-in stop",
    }
    table = Table(title="\nturns (ms)", title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("turn")
    table.add_column("kind")
    for name in columns.values():
        table.add_column(name, justify="right")
    for turn in turns:
        figures = (turn.get(name) for name in columns)
        cells = (f"{figure:.0f}" if isinstance(figure, (int, float)) else "-" for figure in figures)
        table.add_row(str(turn.get("index", "")), str(turn.get("kind", "")), *cells)
    _wide_console().print(table)
    if summary := line_of({"kind": "call.summary", "data": latencies}, ""):
        print(summary)
