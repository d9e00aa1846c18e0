"""Mu-law (ITU-T G.711) for the emulators: bytes to samples and back, silence, tones, a stereo WAV.

Plain tables, no numpy. The product has its own arithmetic; nothing is shared, so that one misreading
cannot hide on both sides.
"""

from __future__ import annotations

import math
import wave
from array import array
from functools import cache
from io import BytesIO

__all__ = ["FRAME_BYTES", "FRAME_MS", "SILENCE", "decode", "encode", "level", "stereo_wav", "tone"]

FRAME_MS = 20
FRAME_BYTES = 160
"""20 ms at 8000 bytes per second."""
SILENCE = 0xFF
"""The mu-law byte for zero."""

_BIAS = 0x84
_CLIP = 32635


def _expand(code: int) -> int:
    code = ~code & 0xFF
    magnitude = (((code & 0x0F) << 3) + _BIAS) << ((code & 0x70) >> 4)
    return _BIAS - magnitude if code & 0x80 else magnitude - _BIAS


def _compress(sample: int) -> int:
    sign = 0x80 if sample < 0 else 0
    magnitude = min(abs(sample), _CLIP) + _BIAS
    exponent = magnitude.bit_length() - 8
    mantissa = (magnitude >> (exponent + 3)) & 0x0F
    return ~(sign | (exponent << 4) | mantissa) & 0xFF


_EXPANDED = tuple(_expand(code) for code in range(256))


@cache
def _compressed() -> bytes:
    """Indexed by the sample as an unsigned 16-bit number."""
    return bytes(_compress(value if value < 0x8000 else value - 0x10000) for value in range(0x10000))


def decode(ulaw: bytes | bytearray) -> array[int]:
    """16-bit samples, one per byte."""
    return array("h", map(_EXPANDED.__getitem__, ulaw))


def encode(samples: array[int]) -> bytes:
    """Mu-law bytes, one per 16-bit sample."""
    return bytes(map(_compressed().__getitem__, array("H", samples.tobytes())))


def level(ulaw: bytes | bytearray) -> float:
    """Root mean square of the samples, 0 to 32767."""
    if not ulaw:
        return 0.0
    return math.sqrt(sum(sample * sample for sample in map(_EXPANDED.__getitem__, ulaw)) / len(ulaw))


def tone(hz: float, ms: int, *, amplitude: int = 8000) -> bytes:
    """A sine of `ms` milliseconds."""
    step = 2 * math.pi * hz / 8000
    return encode(array("h", (round(amplitude * math.sin(step * n)) for n in range(ms * 8))))


def stereo_wav(left: bytes | bytearray, right: bytes | bytearray) -> bytes:
    """Two mu-law channels as one 16-bit PCM WAV at 8 kHz, which every browser plays. The shorter one is padded."""
    length = max(len(left), len(right))
    both = array("h", bytes(4 * length))
    for offset, channel in ((0, left), (1, right)):
        both[offset::2] = decode(bytes(channel) + bytes([SILENCE]) * (length - len(channel)))
    out = BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(both.tobytes())
    return out.getvalue()
