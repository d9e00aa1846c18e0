"""Tones of the telephone: keys as DTMF pairs (ITU-T Q.23), and whether a frame holds one pure tone.

Pure arithmetic on 20 ms frames of mu-law; knows no call.
"""

from __future__ import annotations

import itertools
import math
from array import array
from collections.abc import Iterator
from functools import lru_cache

from ..ulaw import SILENCE, decode, encode

__all__ = ["KEYS", "keys_of", "pitch_of"]

_ROWS = (697, 770, 852, 941)
_COLUMNS = (1209, 1336, 1477, 1633)
_PAD = ("123A", "456B", "789C", "*0#D")
KEYS = {key: (_ROWS[r], _COLUMNS[c]) for r, row in enumerate(_PAD) for c, key in enumerate(row)}
_TONE_MS = 100
_GAP_MS = 100
_WAITS_MS = {"w": 500, "W": 1000}
_PURE = 0.8
_LOUD = 300


@lru_cache(maxsize=32)
def _key_tone(key: str) -> bytes:
    low, high = (2 * math.pi * hertz / 8000 for hertz in KEYS[key])
    return encode(array("h", (round(6000 * (math.sin(low * n) + math.sin(high * n))) for n in range(_TONE_MS * 8))))


def keys_of(digits: str) -> Iterator[tuple[str, bytes]]:
    """For each character its audio, mu-law: 100 ms of tone and 100 ms of gap, or the silence of `w` and `W`."""
    for key in digits:
        if key in _WAITS_MS:
            yield key, bytes([SILENCE]) * (_WAITS_MS[key] * 8)
        else:
            yield key, _key_tone(key) + bytes([SILENCE]) * (_GAP_MS * 8)


def pitch_of(frame: bytes) -> int:
    """Hz of the one tone in a frame (steps of 25), 0 when it holds anything else."""
    samples = decode(frame)
    energy = sum(s * s for s in samples)
    if not samples or energy < _LOUD * _LOUD * len(samples):
        return 0
    crossings = sum(1 for a, b in itertools.pairwise(samples) if (a < 0) != (b < 0))
    hertz = crossings * 8000 // (2 * len(samples))
    best, at = max((_share(samples, energy, f), f) for f in (hertz - 25, hertz, hertz + 25) if f > 0)
    return at if best >= _PURE else 0


def _share(samples: array[int], energy: int, hertz: int) -> float:
    """How much of the energy lies at this frequency, 0 to 1."""
    step = 2 * math.pi * hertz / 8000
    real = sum(s * math.cos(step * n) for n, s in enumerate(samples))
    imaginary = sum(s * math.sin(step * n) for n, s in enumerate(samples))
    return 2 * (real * real + imaginary * imaginary) / (len(samples) * energy)
