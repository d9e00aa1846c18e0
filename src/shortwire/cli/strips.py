"""The sound of many calls for one page: which tapes are here, which are drawn, how much of it fits.

A page that holds every recording of a month would open nowhere. What is left out is counted and said on the page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import BridgeError
from ..report.strip import Heard
from .tape import find_tape, load_tape

__all__ = ["Strips", "strips"]

_PAGE_BYTES = 4 / 3
"""Bytes of the page for one of a recording: base64."""


@dataclass(slots=True)
class Strips:
    """What there is to be drawn."""

    heard: list[Heard] = field(default_factory=list)
    note: str = ""
    """Which calls these are and which are missing, for whoever reads the page."""


@dataclass(slots=True)
class _Seen:
    """What became of the tapes."""

    tapes: int
    silent: int = 0
    """Nobody was heard in them."""
    unreadable: list[str] = field(default_factory=list)
    looked_at: int = 0


def strips(calls: Sequence[Mapping[str, Any]], *, at_most: int, audio_mb: float) -> Strips:
    """Read the tapes of the first calls in which somebody was heard, with sound as long as it fits."""
    tapes = [(str(call["id"]), path) for call in calls if (path := find_tape(str(call["id"]))) is not None]
    found, seen = Strips(), _Seen(len(tapes))
    room = 1e6 * audio_mb
    for call_id, path in tapes:
        if len(found.heard) >= at_most:
            break
        seen.looked_at += 1
        try:
            one = _heard(call_id, path, room)
        except BridgeError as error:
            seen.unreadable.append(f"{call_id}: {error}")
            continue
        if one is None:
            seen.silent += 1
            continue
        room -= len(one.wav or b"") * _PAGE_BYTES
        found.heard.append(one)
    found.note = _note(len(calls), seen, found.heard, audio_mb)
    return found


def _heard(call_id: str, path: Path, room: float) -> Heard | None:
    """None for a tape in which nobody was heard: silence, or no audio at all."""
    from ..audio.reading import read
    from ..audio.recording import ulaw_wav
    from ..report.of_call import gaps
    from ..report.sound import was_heard

    tape = load_tape(str(path))
    if not tape.records:
        return None
    reading = read(tape)
    if (sound := reading.recording) is None or not was_heard(reading.quality):
        return None
    wav = ulaw_wav(sound)
    return Heard(
        call_id,
        sound.party,
        sound.agent,
        gaps=gaps([turn.as_dict() for turn in reading.turns]),
        wav=wav if len(wav) * _PAGE_BYTES <= room else None,
        note="damaged tape" if tape.damage else "",
    )


def _note(calls: int, seen: _Seen, heard: Sequence[Heard], audio_mb: float) -> str:
    if not calls:
        return ""
    if not seen.tapes:
        return "No call of these has a tape on this machine (SHORTWIRE_TAPE=true keeps them)."
    said = [f"{seen.tapes} of {calls} calls have a tape on this machine"]
    if seen.looked_at < seen.tapes:
        said.append(f"the {len(heard)} with the longest response gaps are here (--waveforms)")
    if seen.silent:
        said.append(f"{seen.silent} in which nobody was heard {'is' if seen.silent == 1 else 'are'} not drawn")
    if mute := sum(one.wav is None for one in heard):
        said.append(f"{mute} of them without sound, for it has at most {audio_mb:g} MB of this page (--audio-mb)")
    text = "; ".join(said) + ". 'shortwire report ID' makes a page of any one of them."
    if seen.unreadable:
        text += f" Not to be read: {'; '.join(seen.unreadable)}."
    return text
