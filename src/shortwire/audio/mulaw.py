"""G.711 mu-law as tables: decoded linear samples, and bytes translated without numpy.

Off the media path. The table follows ITU-T G.711 (16-bit scale, amplitude up to 32124); a test
holds it against the standard library's codec where that still exists.
"""

from __future__ import annotations

from functools import lru_cache

__all__ = ["BIAS", "CLIP", "LINEAR", "encode_table", "to_pcm16", "to_stereo_pcm16"]

BIAS = 132
CLIP = 32635


def _linear(code: int) -> int:
    """16-bit sample of one mu-law byte: the byte is sent inverted, sign, 3-bit exponent, 4-bit mantissa."""
    bits = ~code & 0xFF
    magnitude = (((bits & 0x0F) << 3) + BIAS << (bits >> 4 & 7)) - BIAS
    return -magnitude if bits & 0x80 else magnitude


LINEAR: tuple[int, ...] = tuple(_linear(code) for code in range(256))
"""Sample of each mu-law byte."""

_LOW = bytes(sample & 0xFF for sample in LINEAR)
_HIGH = bytes(sample >> 8 & 0xFF for sample in LINEAR)


def to_pcm16(ulaw: bytes) -> bytes:
    """Decoded to signed 16-bit little-endian."""
    out = bytearray(2 * len(ulaw))
    out[0::2] = ulaw.translate(_LOW)
    out[1::2] = ulaw.translate(_HIGH)
    return bytes(out)


def to_stereo_pcm16(left: bytes, right: bytes) -> bytes:
    """Two mu-law channels of one length, interleaved as signed 16-bit little-endian."""
    if len(left) != len(right):
        raise ValueError(f"channels differ in length: {len(left)} and {len(right)} bytes")
    out = bytearray(4 * len(left))
    out[0::4] = left.translate(_LOW)
    out[1::4] = left.translate(_HIGH)
    out[2::4] = right.translate(_LOW)
    out[3::4] = right.translate(_HIGH)
    return bytes(out)


def _encode(sample: int) -> int:
    sign = 0x80 if sample < 0 else 0
    magnitude = min(abs(sample), CLIP) + BIAS
    exponent = magnitude.bit_length() - 8
    return ~(sign | exponent << 4 | magnitude >> exponent + 3 & 0x0F) & 0xFF


@lru_cache(maxsize=1)
def encode_table() -> bytes:
    """Mu-law byte of every 16-bit sample, indexed by the sample as an unsigned 16-bit number."""
    return bytes(_encode(value - 0x10000 if value & 0x8000 else value) for value in range(0x10000))
