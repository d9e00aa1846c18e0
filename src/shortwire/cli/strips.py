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


def strips(calls: Sequence[Mapping[str, Any]], *, at_most: int, audio_mb: float) -> Strips:
    """Read the tapes of the first calls that have one, with sound as long as it fits."""
    tapes = [(str(call["id"]), path) for call in calls if (path := find_tape(str(call["id"]))) is not None]
    found = Strips()
    room = 1e6 * audio_mb
    unreadable: list[str] = []
    for call_id, path in tapes[:at_most]:
        try:
            one = _heard(call_id, path, room)
        except BridgeError as error:
            unreadable.append(f"{call_id}: {error}")
            continue
        if one is not None:
            room -= len(one.wav or b"") * _PAGE_BYTES
            found.heard.append(one)
    found.note = _note(len(calls), len(tapes), found.heard, unreadable, audio_mb)
    return found


def _heard(call_id: str, path: Path, room: float) -> Heard | None:
    """None for a tape without audio."""
    from ..audio.reading import read
    from ..audio.recording import ulaw_wav
    from ..report.of_call import gaps

    tape = load_tape(str(path))
    if not tape.records:
        return None
    reading = read(tape)
    if (sound := reading.recording) is None:
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


def _note(calls: int, tapes: int, heard: Sequence[Heard], unreadable: Sequence[str], audio_mb: float) -> str:
    if not calls:
        return ""
    if not tapes:
        return "No call of these has a tape on this machine (SHORTWIRE_TAPE=true keeps them)."
    said = [f"{tapes} of {calls} calls have a tape on this machine"]
    if len(heard) + len(unreadable) < tapes:
        said.append(f"the {len(heard)} with the longest response gaps are here (--waveforms)")
    if silent := sum(one.wav is None for one in heard):
        said.append(f"{silent} of them without sound, for it has at most {audio_mb:g} MB of this page (--audio-mb)")
    text = "; ".join(said) + ". 'shortwire report ID' makes a page of any one of them."
    if unreadable:
        text += f" Not to be read: {'; '.join(unreadable)}."
    return text
