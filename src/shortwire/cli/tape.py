"""`shortwire tape show|audio|verify|replay FILE|ID`: what a tape holds, its sound, its soundness, its replay.

An id means the tape in this machine's data directory. Exit status 1: damaged, or the replay differs; everything up
to the damage is shown all the same.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import NotFound, UsageError
from .calls import looks_like_an_id

if TYPE_CHECKING:
    from ..call.replay import Difference, Sent
    from ..call.tape import Tape

__all__ = ["find_tape", "load_tape", "say_damage", "tape_app"]

tape_app = typer.Typer(
    help="Look into the tapes of calls, hear them, check them, replay them.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Which = Annotated[str, typer.Argument(metavar="FILE|ID", help="A tape, or the id of a call that was taped here.")]
Json = Annotated[bool, typer.Option("--json", help="As JSON.")]
_SHOWN = 20


def find_tape(which: str) -> Path | None:
    """A file of this name, or the tape of the call of this id in the data directory; None: that call has none here.

    Raises `NotFound` for what is neither.
    """
    if (path := Path(which)).is_file():
        return path
    if not looks_like_an_id(which):
        raise NotFound(f"no such file: {which}", details="name a tape, or a call's id ('shortwire calls list')")
    from dotenv import dotenv_values

    names = {**(dotenv_values(".env") if Path(".env").is_file() else {}), **os.environ}
    try:
        folder = Path(names.get("SHORTWIRE_DATA_DIR") or "~/.shortwire").expanduser()
    except RuntimeError:
        text = "SHORTWIRE_DATA_DIR begins with ~ and a name that has no home directory on this machine"
        raise UsageError(text, details="write the whole path") from None
    path = folder / "tapes" / f"{which}.tape"
    return path if path.is_file() else None


def load_tape(which: str) -> Tape:
    """Raises `NotFound` or `TapeUnreadable`; what is damaged comes back with its damage."""
    path = find_tape(which)
    if path is None:
        raise NotFound(
            f"no tape {which}",
            details="name a file, or the id of a call that was taped on this machine (SHORTWIRE_TAPE=true)",
        )
    from ..call.tape import read_tape

    try:
        return read_tape(path.read_bytes())
    except OSError as error:
        raise UsageError(f"{path} cannot be read", details=str(error)) from None


def say_damage(tape: Tape) -> int:
    """One line where there is damage; the exit status."""
    if tape.skipped:
        print(f"shortwire: {tape.skipped} records of a kind that this version does not know", file=sys.stderr)
    if tape.damage is None:
        return 0
    sound = f"{len(tape.records)} records before that are sound"
    print(f"shortwire: this tape is damaged: {tape.damage}; {sound}", file=sys.stderr)
    return 1


@tape_app.command()
def show(which: Which, as_json: Json = False) -> None:
    """Show what a tape holds: conversation, waterfall, how it sounded."""
    tape = load_tape(which)
    status = say_damage(tape)
    if tape.header is None or not tape.records:
        raise typer.Exit(status or _say_empty())
    from ..audio.reading import read

    found = read(tape)
    turns = [turn.as_dict() for turn in found.turns]
    header = {"call_id": tape.header.call_id, "wall_s": tape.header.wall_s, **tape.header.more}
    if as_json:
        told: dict[str, Any] = {"header": header, "damage": tape.damage, "records": len(tape.records), "turns": turns}
        told |= {"duration_ms": found.duration_ms, "quality": found.quality, "verdict": found.verdict}
        print(json.dumps(told))
        raise typer.Exit(status)
    from ..report.sound import sound_words
    from .show import print_call, when

    kind = f"{header.get('direction', '')} call, {header.get('profile', '')} profile".strip(", ")
    print(f"{header['call_id']}  {kind}, Shortwire {header.get('version', '?')}")
    print(f"  began     {when(tape.header.wall_s)}, {found.duration_ms / 1000:.1f} s, {len(tape.records)} records")
    call = {"turns": turns, "latencies": {}}
    words = sound_words(call, found.quality, found.verdict, damaged=bool(status))
    print_call(call, dead_air_ms=2000.0, verdict=words, zero="the recording began")
    raise typer.Exit(status)


def _say_empty() -> int:
    print("shortwire: this tape is empty", file=sys.stderr)
    return 1


@tape_app.command()
def audio(
    which: Which,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="File to write [the tape's name, .wav].")] = None,
) -> None:
    """Write the call as a stereo WAV: the party left, the agent right, as they heard each other."""
    tape = load_tape(which)
    status = say_damage(tape)
    from ..audio.recording import stereo_wav

    wav = stereo_wav(tape)
    if wav is None:
        raise UsageError("this tape holds no audio", details="the call was over before anybody spoke")
    out = out or Path(f"{Path(which).stem}.wav")
    out.write_bytes(wav)
    print(f"{out}: {(len(wav) - 44) / 32000:.1f} s")
    raise typer.Exit(status)


@tape_app.command()
def verify(which: Which, as_json: Json = False) -> None:
    """Check every block of a tape; exit status 1 if it is damaged."""
    tape = load_tape(which)
    if as_json:
        print(json.dumps({"damage": tape.damage, "records": len(tape.records), "unknown_records": tape.skipped}))
        raise typer.Exit(0 if tape.damage is None else 1)
    status = say_damage(tape)
    if not status:
        print(f"sound: {len(tape.records)} records, every checksum fits")
    raise typer.Exit(status)


@tape_app.command()
def replay(which: Which, as_json: Json = False) -> None:
    """Replay a tape through this version, with the tape's own clock, and show what it would have sent otherwise."""
    tape = load_tape(which)
    status = say_damage(tape)
    from ..call.replay import replay as play

    found = play(tape)
    assert tape.header is not None
    zero_ns = tape.header.clock_ns
    if as_json:
        differences = [_as_dict(difference, zero_ns) for difference in found.differences]
        print(json.dumps({"sent": found.sent, "damage": tape.damage, "differences": differences}))
    else:
        _print_replay(found.sent, found.differences, zero_ns, str(tape.header.more.get("version", "?")))
        if found.converted:
            print("the agent's audio had been converted: it was replayed as it was written to the phone")
    raise typer.Exit(status if found.same else 1)


def _print_replay(sent: int, differences: tuple[Difference, ...], zero_ns: int, version: str) -> None:
    if not differences:
        print(f"{sent} messages, every one as it was sent then (Shortwire {version})")
        return
    print(f"{len(differences)} difference(s) to what Shortwire {version} sent; {sent} messages were compared")
    for difference in differences[:_SHOWN]:
        print(f"{(difference.at_ns - zero_ns) / 1e9:9.3f} s  to the {(difference.then or difference.now)[0].to}")
        for label, messages in (("then", difference.then), ("now", difference.now)):
            for message in messages[:3]:
                print(f"    {label:<4}  {_line(message)}")
            if len(messages) > 3:
                print(f"    {label:<4}  ... and {len(messages) - 3} more")
    if len(differences) > _SHOWN:
        print(f"... and {len(differences) - _SHOWN} more")


def _line(message: Sent) -> str:
    from .live import clean

    if message.what == "audio":
        return f"audio, {len(message.data) * 3 / 32:.0f} ms"
    text = clean(message.data.decode("utf-8", "replace"))
    return text if len(text) <= 100 else text[:97] + "..."


def _as_dict(difference: Difference, zero_ns: int) -> dict[str, Any]:
    def told(messages: tuple[Sent, ...]) -> list[dict[str, Any]]:
        return [{"to": m.to, "what": m.what, "data": m.data.decode("utf-8", "replace")} for m in messages]

    at_s = round((difference.at_ns - zero_ns) / 1e9, 6)
    return {"at_s": at_s, "then": told(difference.then), "now": told(difference.now)}
