"""`shortwire report ID|FILE|--since 1d`: a page that needs no network, or the figures as JSON.

One call: its page, with both waveforms where its tape is on this machine (or a WAV is given). `--since`: percentiles
over all calls of the time, by agent and by day, and the waveforms of those that are most worth hearing.
"""

# ruff: noqa: PLR0917 - a command's parameters are its options; typer calls it by keyword

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote, urlencode

import typer

from ..errors import UsageError
from .call import Key, Url

__all__ = ["calls_since", "report", "seconds_of"]

_UNITS = {"m": 60, "h": 3600, "d": 86400, "w": 604800}
_PAGE = 200


def report(
    which: Annotated[
        str | None, typer.Argument(metavar="[ID|TAPE]", help="A call's id, or a tape for a report without a server.")
    ] = None,
    since: Annotated[str | None, typer.Option(help="All calls of the last 30m, 12h, 1d, 2w.")] = None,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Page to write [<id>.html or report.html].")] = None,
    tape: Annotated[Path | None, typer.Option(help="Tape of the call, if it is elsewhere.", exists=True)] = None,
    wav: Annotated[Path | None, typer.Option(help="Recording instead: stereo WAV, party left.", exists=True)] = None,
    waveforms: Annotated[int, typer.Option(min=0, help="With --since: at most so many, longest gaps first.")] = 30,
    audio_mb: Annotated[float, typer.Option(min=0, help="With --since: sound in the page, at most.")] = 30.0,
    dead_air: Annotated[float, typer.Option(min=0.1, help="Silences of both that are longer count, s.")] = 2.0,
    as_json: Annotated[bool, typer.Option("--json", help="Figures as JSON, and no page.")] = False,
    reveal: Annotated[bool, typer.Option("--reveal", help="Show telephone numbers in full.")] = False,
    url: Url = None,
    api_key: Key = None,
) -> None:
    """Write a page of a call, or of all calls of some time: waveforms, conversation, waterfalls, percentiles."""
    if (which is None) == (since is None):
        raise UsageError("name a call, or a time with --since", details="shortwire report call_... or --since 1d")
    if since is not None:
        calls = calls_since(seconds_of(since), url, api_key)
        figures = _figures(since, calls, 1000 * dead_air)
        if as_json:
            print(json.dumps(figures))
        else:
            _write_many(figures, calls, out, waveforms, audio_mb)
        return
    assert which is not None
    call, events, taped = _gathered(which, tape, reveal=reveal, url=url, api_key=api_key)
    if as_json:
        print(json.dumps(_told(call, taped, 1000 * dead_air)))
        return
    _write_one(call, events, taped, wav, out)


def seconds_of(text: str) -> float:
    """``30m``, ``12h``, ``1d``, ``2w``. Raises `UsageError`."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([mhdw])", text.strip().lower())
    if found is None:
        raise UsageError(f"{text!r} is no length of time", details="write 30m, 12h, 1d or 2w")
    return float(found[1]) * _UNITS[found[2]]


def calls_since(since_s: float, url: str | None, api_key: str | None) -> list[dict[str, Any]]:
    """Ended calls created within the last seconds, newest first."""
    from .client import connect

    api, before = connect(url, api_key), None
    calls: list[dict[str, Any]] = []
    oldest = time.time() - since_s
    while True:
        query = {"limit": _PAGE, **({"before": before} if before else {})}
        page = api.get(f"/v1/calls?{urlencode(query)}")
        for call in page["calls"]:
            if call["created_at"] < oldest:
                return calls
            if call["state"] == "ended":
                calls.append(call)
        before = page["next"]
        if not before:
            return calls


def _gathered(
    which: str, tape: Path | None, *, reveal: bool, url: str | None, api_key: str | None
) -> tuple[dict[str, Any], list[Any], dict[str, Any] | None]:
    """The call, its events, and what its tape says: from the server, or all of it from the tape alone."""
    from .tape import find_tape

    path = tape or find_tape(which)
    taped = _read(path) if path is not None else None
    if Path(which).is_file():
        assert taped is not None
        header = taped["header"]
        call = {"id": header["call_id"], "state": "ended", "profile": header.get("profile", "call"), "cause": None}
        return {**call, "turns": taped["turns"], "latencies": {}, "created_at": header["wall_s"]}, [], taped
    from .client import connect

    api = connect(url, api_key)
    call = api.get(f"/v1/calls/{quote(which, safe='')}?reveal={str(reveal).lower()}")
    events = list(api.events(which)) if call["state"] == "ended" else []
    return call, events, taped


def _told(call: Mapping[str, Any], taped: Mapping[str, Any] | None, dead_air_ms: float) -> dict[str, Any]:
    from ..report.findings import findings, gaps_in_parts
    from ..report.many import aggregate

    found = [{name: getattr(f, name) for name in f.__slots__} for f in findings(call, dead_air_ms=dead_air_ms)]
    quality = taped["quality"] if taped else (call.get("latencies") or {}).get("quality")
    told = {"call": call, "figures": aggregate([call])["figures"], "gaps": gaps_in_parts(call.get("turns") or ())}
    return {**told, "findings": found, "quality": quality, "damage": taped["damage"] if taped else None}


def _read(path: Path) -> dict[str, Any]:
    from ..audio.reading import read
    from .tape import load_tape, say_damage

    tape = load_tape(str(path))
    say_damage(tape)
    if tape.header is None or not tape.records:
        raise UsageError("this tape is empty", details=tape.damage or "")
    found = read(tape)
    header = {"call_id": tape.header.call_id, "wall_s": tape.header.wall_s, **tape.header.more}
    turns = [turn.as_dict() for turn in found.turns]
    told = {"header": header, "turns": turns, "wav": found.wav(tape), "verdict": found.verdict}
    return {**told, "quality": found.quality, "damage": tape.damage}


def _write_one(
    call: Mapping[str, Any], events: list[Any], taped: Mapping[str, Any] | None, wav: Path | None, out: Path | None
) -> None:
    from .. import __version__
    from ..audio.quality import verdict
    from ..report.of_call import call_report
    from ..report.page import render
    from ..report.sound import sound_words
    from ..report.view import Report
    from .show import when

    quality = taped["quality"] if taped else (call.get("latencies") or {}).get("quality")
    words = taped["verdict"] if taped else (verdict(quality) if quality else "")
    damage = (taped["damage"] or "") if taped else ""
    given = wav.read_bytes() if wav is not None else None
    recording = given if given is not None else (taped["wav"] if taped else None)
    shown = call_report(
        call,
        events,
        recording=recording,
        taped_turns=taped["turns"] if taped and wav is None else None,
        recorded=_recorded(call, given) if given is not None else None,
        verdict=sound_words(call, quality, words, damaged=bool(damage)),
        damage=damage,
    )
    facts = {"call": str(call["id"]), "began": when(call.get("created_at")), "version": __version__}
    try:
        page = render(Report([shown], title="A call, measured", made_at=when(time.time()), facts=facts))
    except ValueError as error:
        raise UsageError("this recording cannot be drawn", details=str(error)) from None
    _write(out or Path(f"{call['id']}.html"), page)
    if recording is None:
        print("without waveforms: no tape of it is on this machine (SHORTWIRE_TAPE=true, --tape FILE or --wav FILE)")


def _recorded(call: Mapping[str, Any], wav: bytes) -> dict[Any, float]:
    """The gaps that a given recording's samples hold, by turn; none where it cannot be compared (one channel)."""
    from .verify import verify_gaps

    try:
        rows = verify_gaps(call, wav, tolerance_ms=0.0)["turns"]
    except UsageError:
        return {}
    return {row["turn"]: row["recorded_ms"] for row in rows if row["recorded_ms"] is not None}


def _figures(since: str, calls: Sequence[Mapping[str, Any]], dead_air_ms: float) -> dict[str, Any]:
    from ..report.many import aggregate, by_agent, by_day

    return {
        "since": since,
        "all": aggregate(calls, dead_air_ms=dead_air_ms),
        "by_agent": by_agent(calls, dead_air_ms=dead_air_ms),
        "by_day": by_day(calls, dead_air_ms=dead_air_ms),
        "by_call": {call["id"]: aggregate([call], dead_air_ms=dead_air_ms)["figures"] for call in calls},
    }


def _write_many(
    figures: Mapping[str, Any], calls: Sequence[Mapping[str, Any]], out: Path | None, waveforms: int, audio_mb: float
) -> None:
    from ..report.overview import render_many
    from .strips import strips

    def longest_gap(call: Mapping[str, Any]) -> float:
        gap = figures["by_call"][call["id"]].get("response_gap_ms")
        return float(gap["max"]) if gap else -1.0

    found = strips(sorted(calls, key=longest_gap, reverse=True), at_most=waveforms, audio_mb=audio_mb)
    _write(out or Path("report.html"), render_many(figures, calls, found.heard, found.note))


def _write(path: Path, page: str) -> None:
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path} cannot be written", details=str(error)) from None
    print(path)
