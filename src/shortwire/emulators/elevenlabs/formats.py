"""The seven audio formats of an agent, both ways.

The agent thinks in mu-law at 8 kHz (its fixtures and its voice activity); this is what stands between
that and the format it was configured with (agents API, ``asr.user_input_audio_format`` and
``tts.agent_output_audio_format``). PCM is 16-bit little-endian mono.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from shortwire.emulators.speech.waveform import Resampler, linear_to_ulaw, resample, ulaw_to_linear

__all__ = ["FORMATS", "Ear", "bytes_per_ms", "chunks", "encoded"]

FORMATS = ("pcm_8000", "pcm_16000", "pcm_22050", "pcm_24000", "pcm_44100", "pcm_48000", "ulaw_8000")

FRAME_BYTES = 160


def _rate(name: str) -> int:
    if name not in FORMATS:
        raise ValueError(f"unknown audio format {name!r}; known: {', '.join(FORMATS)}")
    return int(name.rpartition("_")[2])


def _width(name: str) -> int:
    return 1 if name.startswith("ulaw") else 2


def bytes_per_ms(name: str) -> float:
    """8 for ulaw_8000, 32 for pcm_16000, 44.1 for pcm_22050."""
    return _rate(name) * _width(name) / 1000


class Ear:
    """Client audio of any format and chunk size to 20 ms mu-law frames."""

    def __init__(self, name: str) -> None:
        rate = _rate(name)
        self._resampler = None if name == "ulaw_8000" else Resampler(rate, 8000)
        self._half_sample = b""
        self._waiting = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The frames that are complete now."""
        if self._resampler is None:
            self._waiting += data
        else:
            data = self._half_sample + data
            whole = len(data) // 2 * 2
            self._half_sample = data[whole:]
            samples = np.frombuffer(data[:whole], dtype="<i2").astype(np.float64) / 32768.0
            self._waiting += linear_to_ulaw(self._resampler.feed(samples))
        while len(self._waiting) >= FRAME_BYTES:
            frame = bytes(self._waiting[:FRAME_BYTES])
            del self._waiting[:FRAME_BYTES]
            yield frame


def encoded(ulaw: bytes, name: str) -> bytes:
    """A whole utterance in the agent's output format."""
    if name == "ulaw_8000":
        return ulaw
    samples = resample(ulaw_to_linear(ulaw), 8000, _rate(name))
    return np.clip(np.rint(samples * 32768.0), -32768, 32767).astype("<i2").tobytes()


def chunks(audio: bytes, name: str, chunk_ms: tuple[int, ...], chunk_bytes: tuple[int, ...] = ()) -> Iterator[bytes]:
    """The audio in pieces of the given lengths, the last length repeating; never through a sample."""
    width = _width(name)
    sizes = chunk_bytes or tuple(round(ms * bytes_per_ms(name)) for ms in chunk_ms)
    number = at = 0
    while at < len(audio):
        size = max(width, sizes[min(number, len(sizes) - 1)] // width * width)
        yield audio[at : at + size]
        at, number = at + size, number + 1
