"""How loud a piece of mu-law audio is, cheaply enough for every frame of every call.

The level is the mean of the samples' magnitudes in dB, not the mean of their power: it costs one table
translation and one sum, a click or a half-filled frame does not pass for a loud one, and an edge inside a
frame decides by which side fills more of it.
"""

from __future__ import annotations

from math import log10
from zlib import adler32

from .mulaw import LINEAR

__all__ = ["FLOOR_DB", "STEPS", "STEPS_PER_DB", "level", "level_db", "level_of_db", "peak_db"]

FLOOR_DB = -66.0
"""Level of digital silence: quieter samples (two steps of the codec) count as this."""
STEPS_PER_DB = 2
"""One step of `level` is half a decibel."""

_FULL_SCALE = 32768.0


def _steps(sample: int) -> int:
    decibel = 20 * log10(max(abs(sample), 1) / _FULL_SCALE)
    return max(0, round((decibel - FLOOR_DB) * STEPS_PER_DB))


STEPS = bytes(_steps(sample) for sample in LINEAR)
"""The level of each code of mu-law, in half decibels above `FLOOR_DB`."""
_SUMMED = 65_520 // max(STEPS)
"""Bytes whose sum of steps Adler-32 does not wrap around (its modulus is 65521)."""


def level(ulaw: bytes) -> float:
    """Mean level in half decibels above `FLOOR_DB`; 0.0 for silence and for no audio at all. About 0.3 us a frame."""
    size = len(ulaw)
    if 0 < size <= _SUMMED:
        # RFC 1950 section 9: the low half of Adler-32 is one more than the sum of the bytes, and C adds them up.
        return ((adler32(ulaw.translate(STEPS)) & 0xFFFF) - 1) / size
    return sum(ulaw.translate(STEPS)) / size if size else 0.0


def level_db(ulaw: bytes) -> float:
    """The same in dB relative to full scale. White noise reads 5.5 dB below its RMS, speech about 10 dB."""
    return level(ulaw) / STEPS_PER_DB + FLOOR_DB


def level_of_db(decibel: float) -> float:
    """The step that a level in dB (relative to full scale) stands for."""
    return (decibel - FLOOR_DB) * STEPS_PER_DB


def peak_db(ulaw: bytes) -> float:
    """Loudest sample, dB relative to full scale, not under `FLOOR_DB`."""
    return max(ulaw.translate(STEPS), default=0) / STEPS_PER_DB + FLOOR_DB
