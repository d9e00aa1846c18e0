"""`shortwire calls list|show|compare|verify|hangup`: what a server knows of its calls."""

# ruff: noqa: PLR0917 - a command's parameters are its options; typer calls it by keyword

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlencode

import typer

from ..errors import UsageError
from ..terms import CallState
from .call import Key, Url

__all__ = ["calls_app"]

calls_app = typer.Typer(help="List, show and end calls.", no_args_is_help=True, rich_markup_mode=None)

CallIdArgument = Annotated[str, typer.Argument(help="The call's id, from 'shortwire calls list'.")]
Json = Annotated[bool, typer.Option("--json", help="As JSON.")]
Reveal = Annotated[bool, typer.Option("--reveal", help="Show telephone numbers in full.")]


_ID = re.compile(r"[A-Za-z0-9_]{1,64}", re.ASCII).fullmatch


@calls_app.command("list")
def list_calls(
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many.")] = 20,
    before: Annotated[str | None, typer.Option(help="Calls older than the one of this id.")] = None,
    state: Annotated[CallState | None, typer.Option(help="Only calls in this state.")] = None,
    reveal: Reveal = False,
    as_json: Json = False,
    url: Url = None,
    api_key: Key = None,
) -> None:
    """List calls, newest first."""
    from .client import connect

    query = {"limit": limit, "before": before, "state": state, "reveal": "true" if reveal else None}
    text = urlencode({name: value for name, value in query.items() if value is not None})
    api = connect(url, api_key)
    if before is not None:
        # The server goes by the order of ids, so a misspelt one would silently begin anywhere.
        api.get(call_path(before))
    found = api.get(f"/v1/calls?{text}")
    if as_json:
        print(json.dumps(found))
        return
    from rich.table import Table
    from rich.text import Text

    from .show import console, when

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("id", "created", "", "number", "state", "disposition", "cause"):
        table.add_column(name, no_wrap=name in ("id", "created"))
    for call in found["calls"]:
        cause = (call["cause"] or {}).get("slug", "")
        cells = (call["id"], when(call["created_at"]), "in" if call["direction"] == "inbound" else "out")
        rest = (call["number"], call["state"], call["disposition"] or "", cause)
        table.add_row(*(Text(str(cell)) for cell in (*cells, *rest)))
    console(130).print(table if found["calls"] else "no calls")
    if found["next"]:
        print(f"older ones: shortwire calls list --before {found['next']}")


@calls_app.command()
def show(
    call_id: CallIdArgument,
    dead_air: Annotated[float, typer.Option(min=0.1, help="Silences of both that are longer are named, s.")] = 2.0,
    reveal: Reveal = False,
    as_json: Json = False,
    url: Url = None,
    api_key: Key = None,
) -> None:
    """Show one call: who said what when, where each turn's time went, why it ended and what to change."""
    call = fetch(call_id, url, api_key, reveal=reveal)
    if as_json:
        print(json.dumps(call))
        return
    from .show import print_call, print_facts

    print_facts(call)
    print_call(call, dead_air_ms=1000 * dead_air, verdict=_verdict(call))


@calls_app.command()
def compare(
    old: Annotated[str, typer.Argument(help="A call's id, the one compared with.")],
    new: Annotated[str, typer.Argument(help="Another one.")],
    as_json: Json = False,
    url: Url = None,
    api_key: Key = None,
) -> None:
    """Compare two calls figure by figure, what got slower most first."""
    from ..report.many import aggregate, changes

    first, second = (aggregate([fetch(call_id, url, api_key)]) for call_id in (old, new))
    rows = changes(first, second)
    if as_json:
        print(json.dumps(rows))
        return
    from ..report.waterfall import change_table
    from .show import console

    console().print(change_table(rows, ("first", "second")) if rows else "neither call holds a figure")


@calls_app.command()
def verify(
    call_id: CallIdArgument,
    recording: Annotated[
        Path | None, typer.Option(help="A dual-channel WAV of the call instead of the carrier's.", exists=True)
    ] = None,
    tolerance: Annotated[float, typer.Option(min=1, help="How far a gap may be off, ms.")] = 40.0,
    as_json: Json = False,
    url: Url = None,
    api_key: Key = None,
) -> None:
    """Check our response gaps against the carrier's own recording; exit status 1 if one is off."""
    from .verify import carrier_recording, print_check, verify_gaps

    call = fetch(call_id, url, api_key)
    wav = recording.read_bytes() if recording is not None else carrier_recording(call)
    found = verify_gaps(call, wav, tolerance_ms=tolerance)
    if as_json:
        print(json.dumps(found))
    else:
        print_check(found)
    if not found["agree"]:
        raise typer.Exit(1)


@calls_app.command()
def hangup(call_id: CallIdArgument, as_json: Json = False, url: Url = None, api_key: Key = None) -> None:
    """End a call. Harmless if it is over."""
    from .client import connect

    call = connect(url, api_key).post(f"{call_path(call_id)}/hangup")
    print(json.dumps(call) if as_json else f"{call['id']}: {call['state']}")


def fetch(call_id: str, url: str | None, api_key: str | None, *, reveal: bool = False) -> dict[str, Any]:
    """One call of the server."""
    from .client import connect

    call: dict[str, Any] = connect(url, api_key).get(f"{call_path(call_id)}?reveal={str(reveal).lower()}")
    return call


def looks_like_an_id(text: str) -> bool:
    """Whether a text that may also name a file is meant as a call's id."""
    return text.startswith("call_") and _ID(text) is not None


def call_path(call_id: str) -> str:
    """Where the API has a call. Raises `UsageError` for what cannot be an id."""
    if _ID(call_id) is None:
        raise UsageError(f"{call_id!r} is no call's id", details="'shortwire calls list' shows them: call_...")
    return f"/v1/calls/{call_id}"


def _verdict(call: Mapping[str, Any]) -> str:
    if not (quality := (call.get("latencies") or {}).get("quality")):
        return ""
    from ..audio.quality import verdict
    from ..report.sound import sound_words

    return sound_words(call, quality, verdict(quality))
