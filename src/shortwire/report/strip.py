"""A call as a strip: both sides around one line, small enough for many of them on one page.

Mu-law in, an SVG path out; a page of strips needs no script to be seen. Off the media path.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from ..ulaw import BYTES_PER_MS
from .view import number

__all__ = ["Heard", "strip"]

COLUMNS = 600
HALF = 40
"""Height of one side, in units of the drawing."""


def _loudness(code: int) -> int:
    """ITU-T G.711, as the height of a line: amplitudes to the power of 0.75, so that quiet speech can be seen."""
    code = ~code & 0x7F
    amplitude: int = ((((code & 0x0F) << 3) + 0x84) << (code >> 4)) - 0x84
    return round(255 * float((amplitude / 32124) ** 0.75))


_LOUDNESS = bytes(_loudness(code) for code in range(256))


@dataclass(frozen=True, slots=True)
class Heard:
    """The sound of one call, for a page of many."""

    call_id: str
    party: bytes
    """Mu-law, 8 kHz, as long as `agent`."""
    agent: bytes
    gaps: Sequence[Mapping[str, Any]] = ()
    """Response gaps: from_ms, to_ms, ms; on the recording's time line."""
    wav: bytes | None = None
    """What can be played; None: drawn only."""
    note: str = ""
    """What is wrong with it."""


def strip(heard: Heard) -> dict[str, Any]:
    """What the template draws: paths, gaps in units of the width, the sound as a data URI, the length in ms."""
    length_ms = max(1.0, len(heard.party) / BYTES_PER_MS)
    lanes = [_columns(lane) for lane in (heard.party, heard.agent)]
    loudest = max(24, *(max(lane, default=0) for lane in lanes))
    heights = [[max(1, round(HALF * top / loudest)) if top else 0 for top in lane] for lane in lanes]
    return {
        "id": heard.call_id,
        "columns": COLUMNS,
        "half": HALF,
        "party": _path(heights[0], -1),
        "agent": _path(heights[1], +1),
        "length_ms": round(length_ms),
        "clock": f"{int(length_ms / 60_000)}:{length_ms / 1000 % 60:04.1f}",
        "gaps": [_gap(gap, length_ms) for gap in heard.gaps],
        "longest": _gap(max(heard.gaps, key=lambda gap: float(gap["ms"])), length_ms) if heard.gaps else None,
        "audio": f"data:audio/wav;base64,{base64.b64encode(heard.wav).decode()}" if heard.wav else "",
        "note": heard.note,
    }


def _gap(gap: Mapping[str, Any], length_ms: float) -> dict[str, Any]:
    """Where it is drawn, and where a word about it stands so that it is on the page."""
    middle = 50 * (gap["from_ms"] + gap["to_ms"]) / length_ms
    return {
        "at": round(COLUMNS * gap["from_ms"] / length_ms, 1),
        "width": max(1.0, round(COLUMNS * (gap["to_ms"] - gap["from_ms"]) / length_ms, 1)),
        "label": f"{number(gap['ms'])} ms",
        "percent": round(min(96.0, max(4.0, middle)), 1),
    }


def _columns(ulaw: bytes) -> list[int]:
    """The loudest sample of each column, 0..255."""
    heights = ulaw.translate(_LOUDNESS)
    edges = [len(heights) * column // COLUMNS for column in range(COLUMNS + 1)]
    return [max(heights[start:end], default=0) for start, end in pairwise(edges)]


def _path(heights: Sequence[int], sign: int) -> str:
    """A filled outline on one side of the middle; silence costs no text."""
    steps, last = [f"M0 {HALF}"], 0
    for column, height in enumerate(heights):
        if height != last:
            steps.append(f"H{column}V{HALF + sign * height}")
            last = height
    return "".join([*steps, f"H{COLUMNS}V{HALF}Z"])
