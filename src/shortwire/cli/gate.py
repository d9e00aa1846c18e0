"""`shortwire gate --baseline FILE RUN`: did it get slower? For a user's CI; exit status 1 names the part that did.

A run is one or more calls: ids of a server's calls, call.json files, or folders that hold some (what `shortwire demo`
and `shortwire report --json` leave behind).
"""

# ruff: noqa: PLR0917 - a command's parameters are its options; typer calls it by keyword

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import UsageError
from .call import Key, Url

__all__ = ["gate"]


def gate(
    run: Annotated[list[str], typer.Argument(metavar="RUN...", help="Ids of calls, call.json files, folders of them.")],
    baseline: Annotated[Path | None, typer.Option(help="The committed baseline.")] = None,
    write: Annotated[Path | None, typer.Option(help="Make this run the baseline: write it here.")] = None,
    tolerance_ms: Annotated[float, typer.Option(min=0, help="How much slower a median may be, ms.")] = 20.0,
    tolerance_percent: Annotated[float, typer.Option(min=0, help="The same, % of the old one.")] = 5.0,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    *,
    url: Url = None,
    api_key: Key = None,
) -> None:
    """Compare a run with a committed baseline; exit status 1 if it is slower, with the part that is."""
    if (baseline is None) == (write is None):
        raise UsageError("name a baseline to compare with, or one to write", details="--baseline FILE or --write FILE")
    from ..report.gate import baseline_of, compare, read_baseline

    calls = [call for name in run for call in _calls(name, url, api_key)]
    mine = baseline_of(calls)
    if not mine["values"].get("response_gap_ms"):
        raise UsageError(
            "this run measured nothing", details=f"{len(calls)} call(s), none of them with an answered turn"
        )
    if write is not None:
        write.write_text(json.dumps(mine, indent=1) + "\n", encoding="utf-8")
        print(f"{write}: {len(calls)} call(s), {len(mine['values']['response_gap_ms'])} response gaps")
        return
    assert baseline is not None
    old = read_baseline(_document(baseline))
    slower = compare(old, mine["values"], tolerance_ms=tolerance_ms, tolerance_percent=tolerance_percent)
    if as_json:
        print(json.dumps({"slower": [{n: getattr(s, n) for n in s.__slots__} for s in slower], "calls": len(calls)}))
    else:
        _show(slower, old, mine["values"])
    if slower:
        raise typer.Exit(1)


def _calls(name: str, url: str | None, api_key: str | None) -> list[dict[str, Any]]:
    path = Path(name)
    if path.is_dir():
        found = sorted(path.rglob("call.json"))
        if not found:
            raise UsageError(f"no call.json in {path}", details="name the folder of a run, or calls by their ids")
        return [_call_in(_document(file)) for file in found]
    if path.is_file():
        document = _document(path)
        return [_call_in(call) for call in document] if isinstance(document, list) else [_call_in(document)]
    from .calls import fetch

    return [fetch(name, url, api_key)]


def _call_in(document: Any) -> dict[str, Any]:
    """A call, or the call in what `shortwire report --json` printed."""
    found = document.get("call", document) if isinstance(document, dict) else None
    if not isinstance(found, dict) or "turns" not in found:
        raise UsageError("this file holds no call", details="it should be what 'shortwire calls show ID --json' prints")
    return found


def _document(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read", details=str(error)) from None


def _show(slower: list[Any], old: Any, new: Any) -> None:
    from ..call.summary import median
    from ..report.gate import HEADLINES
    from ..report.many import label_of
    from ..report.view import number

    worse = {found.name: found for found in slower}
    for name in HEADLINES:
        if not old.get(name) or not new.get(name):
            continue
        unit = "µs" if name.endswith("_us") else "ms"
        mark = "SLOWER" if name in worse else "ok"
        # `shortwire demo` heads its figures with the first word in the phone's recording, which is another figure.
        seen = ", seen from the server" if name == "answer_to_first_word_ms" else ""
        line = f"{mark:<7} {label_of(name)}{seen}: {number(median(old[name]))} -> {number(median(new[name]))} {unit}"
        line = line.replace("\u202f", " ")
        if found := worse.get(name):
            chance = "too few values to say how likely that is by chance"
            if found.chance is not None:
                chance = f"by chance in {100 * found.chance:.1f} % of cases"
            line += f"; mostly {label_of(found.part)} (+{number(found.part_ms)} {unit}); {chance}"
        print(line)
