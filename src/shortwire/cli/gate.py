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

from ..errors import NotFound, UsageError
from .call import Key, Url
from .calls import looks_like_an_id

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
    _check_profile(calls)
    mine = baseline_of(calls)
    if not mine["values"].get("response_gap_ms"):
        raise UsageError(
            "this run measured nothing", details=f"{len(calls)} call(s), none of them with an answered turn"
        )
    if write is not None:
        try:
            write.write_text(json.dumps(mine, indent=1) + "\n", encoding="utf-8")
        except OSError as error:
            raise UsageError(f"{write} cannot be written", details=error.strerror or str(error)) from None
        print(f"{write}: {len(calls)} call(s), {len(mine['values']['response_gap_ms'])} response gaps")
        return
    assert baseline is not None
    try:
        old = read_baseline(_baseline(baseline))
    except UsageError as error:
        raise UsageError(f"{baseline}: {error.message}", details=error.details) from None
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
    if not looks_like_an_id(name):
        raise NotFound(f"no such file or folder: {name}", details="name a call.json, a folder of them, or a call's id")
    from .calls import fetch

    return [fetch(name, url, api_key)]


def _call_in(document: Any) -> dict[str, Any]:
    """A call, or the call in what `shortwire report --json` printed."""
    found = document.get("call", document) if isinstance(document, dict) else None
    if not isinstance(found, dict) or "turns" not in found:
        raise UsageError("this file holds no call", details="it should be what 'shortwire calls show ID --json' prints")
    return found


def _check_profile(calls: list[dict[str, Any]]) -> None:
    """Medians over two profiles are figures of neither. Raises `UsageError`."""
    profiles = sorted({str(call["profile"]) for call in calls if call.get("profile")})
    if len(profiles) > 1:
        raise UsageError(
            f"this run holds calls of {' and '.join(profiles)}",
            details="name the calls of one profile, such as the folder DIR/optimized of 'shortwire demo --out DIR'",
        )


def _baseline(path: Path) -> Any:
    """What is in the file; None, which is no baseline, where it is no JSON. Raises `NotFound`."""
    if not path.exists():
        raise NotFound(f"no such baseline: {path}", details=f"make one with 'shortwire gate --write {path} RUN'")
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None


def _document(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path} cannot be read", details=error.strerror or str(error)) from None
    except ValueError as error:
        raise UsageError(f"{path} is not JSON", details=str(error)) from None


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
