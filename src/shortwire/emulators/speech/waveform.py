"""Sound as arrays: mu-law (ITU-T G.711), linear samples, sample rates, loudness.

Shared by the speech fixtures and the agent emulator. Everything is float64 in -1..1 between the
edges. Nothing here knows a wire format or an engine.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["Resampler", "Samples", "active_rms", "linear_to_ulaw", "resample", "trimmed", "ulaw_to_linear"]

Samples = NDArray[np.float64]

_BIAS = 0x84
_CLIP = 32635


def _decoding_table() -> NDArray[np.int16]:
    """256 mu-law bytes to 16-bit samples: inverted bits, 3 of exponent, 4 of mantissa, biased by 132."""
    table = np.empty(256, dtype=np.int16)
    for byte in range(256):
        bits = ~byte & 0xFF
        magnitude = ((((bits & 0x0F) << 3) + _BIAS) << ((bits >> 4) & 7)) - _BIAS
        table[byte] = -magnitude if bits & 0x80 else magnitude
    return table


_DECODE = _decoding_table()


def ulaw_to_linear(ulaw: bytes) -> Samples:
    """Mu-law bytes to samples in -1..1."""
    return _DECODE[np.frombuffer(ulaw, dtype=np.uint8)].astype(np.float64) / 32768.0


def linear_to_ulaw(samples: Samples) -> bytes:
    """Samples in -1..1 (clipped beyond) to mu-law bytes. Silence becomes 0xFF."""
    scaled = np.clip(np.rint(samples * 32768.0), -_CLIP, _CLIP).astype(np.int32)
    biased = np.abs(scaled) + _BIAS
    exponent = np.floor(np.log2(biased)).astype(np.int32) - 7
    mantissa = (biased >> (exponent + 3)) & 0x0F
    sign = np.where(scaled < 0, 0x80, 0)
    return bytes((~(sign | (exponent << 4) | mantissa) & 0xFF).astype(np.uint8))


class Resampler:
    """A streaming polyphase FIR filter between two integer rates; feed it pieces of any length.

    The kernel is a Kaiser-windowed sinc over ``zeros`` zero crossings on each side, cut at 94 % of the lower
    Nyquist frequency: flat to 3.2 kHz for a telephone, images and aliases more than 60 dB down. `feed` holds
    back half a kernel (``zeros`` periods of the lower rate: 3 ms at 8 kHz); `flush` gives the rest.
    """

    def __init__(self, rate_in: int, rate_out: int, zeros: int = 24) -> None:
        divisor = math.gcd(rate_in, rate_out)
        self._up, self._down = rate_out // divisor, rate_in // divisor
        self._identity = self._up == self._down
        self._half = math.ceil(zeros * max(1.0, rate_in / rate_out))
        self._kernels = self._make_kernels(min(1.0, rate_out / rate_in) * 0.94)
        self._held: Samples = np.zeros(self._half)
        self._offset = -self._half  # input index of the first held sample
        self._next = 0  # index of the next output sample
        self._taken = 0

    def _make_kernels(self, cutoff: float) -> Samples:
        taps = np.arange(-self._half + 1, self._half + 1, dtype=np.float64)
        phase = np.arange(self._up, dtype=np.float64)[:, None] / self._up
        distance = taps[None, :] - phase
        window = np.i0(9.0 * np.sqrt(np.maximum(0.0, 1.0 - (distance / self._half) ** 2))) / np.i0(9.0)
        kernels: Samples = cutoff * np.sinc(cutoff * distance) * window
        kernels /= kernels.sum(axis=1, keepdims=True)
        return kernels

    def feed(self, samples: Samples) -> Samples:
        """What can be computed now."""
        self._taken += len(samples)
        if self._identity:
            return samples
        self._held = np.concatenate((self._held, samples))
        # output n sits at input position n * down / up and needs half a kernel of input beyond it
        return self._produce(((self._taken - self._half) * self._up - 1) // self._down + 1)

    def flush(self) -> Samples:
        """The samples that were held back, with silence after them. The resampler is used up."""
        if self._identity:
            return np.zeros(0)
        self._held = np.concatenate((self._held, np.zeros(self._half + 1)))
        return self._produce(-(-self._taken * self._up // self._down))

    def _produce(self, end: int) -> Samples:
        if end <= self._next:
            return np.zeros(0)
        numbers = np.arange(self._next, end, dtype=np.int64) * self._down
        base, phase = numbers // self._up, numbers % self._up
        first = base - self._half + 1 - self._offset
        width = 2 * self._half
        windows = np.lib.stride_tricks.sliding_window_view(self._held, width)[first]
        result: Samples = np.einsum("ij,ij->i", windows, self._kernels[phase])
        self._next = end
        keep_from = end * self._down // self._up - self._half + 1 - self._offset
        if keep_from > 0:
            self._held, self._offset = self._held[keep_from:].copy(), self._offset + keep_from
        return result


def resample(samples: Samples, rate_in: int, rate_out: int) -> Samples:
    """A whole sound at another rate (same duration, delay removed)."""
    resampler = Resampler(rate_in, rate_out)
    return np.concatenate((resampler.feed(samples), resampler.flush()))


def active_rms(samples: Samples, rate: int) -> float:
    """The loudness of the speech itself: RMS over the 20 ms frames within 25 dB of the loudest frame."""
    width = rate // 50
    energies = (samples[: len(samples) // width * width].reshape(-1, width) ** 2).mean(axis=1)
    if not len(energies) or energies.max() <= 0:
        return 0.0
    return float(np.sqrt(energies[energies > energies.max() / 316].mean()))


def trimmed(samples: Samples, rate: int, threshold: float) -> Samples:
    """From the first to the last 20 ms whose RMS reaches ``threshold`` (0..1), in steps of 5 ms."""
    step = rate // 200
    fine = (samples[: len(samples) // step * step].reshape(-1, step) ** 2).mean(axis=1)
    energies = np.convolve(fine, np.full(4, 0.25), mode="valid") if len(fine) >= 4 else fine[:0]
    loud = np.flatnonzero(energies > threshold**2)
    return samples[:0] if not len(loud) else samples[loud[0] * step : (loud[-1] + 4) * step]
