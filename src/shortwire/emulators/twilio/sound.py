"""What `<Play>` fetches and `<Say>` becomes, as mu-law at 8 kHz (pages "twiml/play" and "twiml/say").

Pure: bytes in, bytes out. WAV (PCM, 8 or 16 bits, any rate, any number of channels; mu-law) and bare mu-law;
compressed formats raise, because a file that is silently not heard would prove nothing.
"""

from __future__ import annotations

import struct
from array import array

from ..ulaw import decode, encode

__all__ = ["SoundError", "to_ulaw"]

_WAV_TYPES = {"audio/wav", "audio/wave", "audio/x-wav", "audio/vnd.wave"}
_ULAW_TYPES = {"audio/ulaw", "audio/basic", "audio/x-mulaw"}
_PCM, _ULAW_FORMAT = 1, 7


class SoundError(ValueError):
    """Cannot be played; `code` is the vendor's runtime error."""

    def __init__(self, message: str, code: int = 12300) -> None:
        super().__init__(message)
        self.code = code


def to_ulaw(body: bytes, content_type: str) -> bytes:
    """Mono mu-law at 8 kHz. Raises `SoundError`."""
    if content_type in _ULAW_TYPES:
        return body
    if content_type not in _WAV_TYPES:
        raise SoundError(f"content type {content_type} is not played here: WAV or mu-law")
    try:
        return _wav(body)
    except (struct.error, IndexError, ValueError) as error:
        raise SoundError(f"not a WAV file that can be played: {error}") from None


def _wav(body: bytes) -> bytes:
    if body[:4] != b"RIFF" or body[8:12] != b"WAVE":
        raise ValueError("no RIFF header")
    at, form, data = 12, None, b""
    while at + 8 <= len(body):
        name, size = struct.unpack_from("<4sI", body, at)
        if name == b"fmt ":
            form = struct.unpack_from("<HHIIHH", body, at + 8)
        elif name == b"data":
            data = body[at + 8 : at + 8 + size]
        at += 8 + size + size % 2
    if form is None or not data:
        raise ValueError("no fmt or no data chunk")
    kind, channels, rate, _, _, bits = form
    if kind == _ULAW_FORMAT and bits == 8:
        samples = decode(data)
    elif kind == _PCM and bits == 16:
        samples = array("h", data[: len(data) // 2 * 2])
    elif kind == _PCM and bits == 8:
        samples = array("h", ((byte - 128) << 8 for byte in data))
    else:
        raise ValueError(f"format {kind} with {bits} bits")
    if not channels or not rate:
        raise ValueError("no channels or no rate")
    if kind == _ULAW_FORMAT and channels == 1 and rate == 8000:
        return data
    return encode(_at_8000(_mono(samples, channels), rate))


def _mono(samples: array[int], channels: int) -> array[int]:
    if channels == 1:
        return samples
    whole = len(samples) // channels * channels
    return array("h", (sum(samples[n : n + channels]) // channels for n in range(0, whole, channels)))


def _at_8000(samples: array[int], rate: int) -> array[int]:
    """Linear between neighbours: good enough for a telephone that judges nothing by it."""
    if rate == 8000 or not samples:
        return samples
    last = len(samples) - 1
    out = array("h")
    for n in range(len(samples) * 8000 // rate):
        at = n * rate / 8000
        left = int(at)
        right = min(left + 1, last)
        out.append(round(samples[left] + (samples[right] - samples[left]) * (at - left)))
    return out
