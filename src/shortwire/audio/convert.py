"""Streaming conversion between the phone's mu-law and the agent's PCM, for agents that are not mu-law.

Polyphase FIR by numpy (extra ``audio``, imported with the first converter). Nothing is held back: each call
returns all the audio that its input decides, 2 ms behind it in the signal. How the input is cut never changes
a single byte of the output. Formats: ElevenLabs, agent configuration, `user_input_audio_format`.
"""

from __future__ import annotations

from math import ceil, gcd
from typing import TYPE_CHECKING, Any, Protocol

from .mulaw import LINEAR, encode_table

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Samples = NDArray[np.float64]

__all__ = ["FORMATS", "PHONE_FORMAT", "Converter", "converters"]

PHONE_FORMAT = "ulaw_8000"
PHONE_RATE = 8000
FORMATS: dict[str, int] = {f"pcm_{rate}": rate for rate in (8000, 16000, 22050, 24000, 44100, 48000)}
"""Convertible formats and their rates: 16-bit signed little-endian, mono."""

_SPAN_MS = 4
"""Length of the filter: 96 taps at 24 kHz. Its middle is the delay."""
_CUTOFF_HZ = 3700
_BETA = 7.0
"""Kaiser window: about 70 dB down from 4.3 kHz on, 0.2 dB at 3.3 kHz."""
_COEFFICIENT_BITS = 20


class Converter(Protocol):
    """One direction of one call. Keeps its state between calls of any size."""

    delay_ms: float
    """How far the signal comes out behind what went in."""

    def convert(self, data: bytes) -> bytes:
        """Decoded audio in, decoded audio out. Half a sample at the end of `data` waits for its other half."""
        ...

    def reset(self) -> None:
        """Forget the past: what comes next is not a continuation (after a barge-in)."""
        ...


def converters(input_format: str, output_format: str) -> tuple[Converter | None, Converter | None]:
    """Converters for an agent's formats: ``(uplink, downlink)``; None where mu-law can pass as it is.

    Args:
        input_format: what the agent wants to hear (`user_input_audio_format`).
        output_format: what the agent speaks (`agent_output_audio_format`).

    Raises `ValueError` with a sentence for people: a format nobody knows, or numpy is missing.
    """
    for name in (input_format, output_format):
        if name != PHONE_FORMAT and name not in FORMATS:
            raise ValueError(
                f"the agent's audio format {name!r} cannot be put on a phone line: "
                f"set it to {PHONE_FORMAT} (best) or one of {', '.join(FORMATS)}"
            )
    if input_format == output_format == PHONE_FORMAT:
        return None, None
    try:
        import numpy as np  # noqa: F401
    except ImportError:
        raise ValueError(
            f"the agent speaks {output_format} and hears {input_format}, and converting needs numpy: "
            f"set both formats to {PHONE_FORMAT}, or install shortwire[audio]"
        ) from None
    uplink = None if input_format == PHONE_FORMAT else _Up(FORMATS[input_format])
    downlink = None if output_format == PHONE_FORMAT else _Down(FORMATS[output_format])
    return uplink, downlink


class _Up:
    """Mu-law of the phone to PCM."""

    def __init__(self, rate: int) -> None:
        import numpy as np

        self._table = np.array(LINEAR, dtype=np.float64)
        self._resampler = _Resampler(PHONE_RATE, rate)
        self.delay_ms = self._resampler.delay_ms

    def convert(self, data: bytes) -> bytes:
        import numpy as np

        samples = self._resampler.resample(self._table[np.frombuffer(data, np.uint8)])
        return _to_int16(samples).astype("<i2").tobytes()

    def reset(self) -> None:
        self._resampler.reset()


class _Down:
    """PCM of the agent to mu-law."""

    def __init__(self, rate: int) -> None:
        import numpy as np

        self._table = np.frombuffer(encode_table(), np.uint8)
        self._resampler = _Resampler(rate, PHONE_RATE)
        self._half = b""
        self.delay_ms = self._resampler.delay_ms

    def convert(self, data: bytes) -> bytes:
        import numpy as np

        data = self._half + data
        whole = len(data) & ~1
        self._half = data[whole:]
        samples = self._resampler.resample(np.frombuffer(data[:whole], "<i2").astype(np.float64))
        return self._table[_to_int16(samples).view(np.uint16)].tobytes()

    def reset(self) -> None:
        self._half = b""
        self._resampler.reset()


def _to_int16(samples: Samples) -> NDArray[np.int16]:
    import numpy as np

    rounded: NDArray[np.int16] = np.clip(np.rint(samples), -32768, 32767).astype(np.int16)
    return rounded


class _Resampler:
    """Rational rate change, `up` samples for `down`, by a bank of `up` short filters.

    Output n lies at input time n * down / up; it is filter (n * down) % up over the inputs up to
    (n * down) // up, and comes out as soon as the last of these is there.
    """

    def __init__(self, rate_in: int, rate_out: int) -> None:
        divisor = gcd(rate_in, rate_out)
        self._up = rate_out // divisor
        self._down = rate_in // divisor
        self.delay_ms = 0.0
        self._bank: Samples | None = None
        self._taps = 1
        if rate_in != rate_out:
            self._taps = ceil(rate_in * _SPAN_MS / 1000)
            self._bank = _filter_bank(rate_in, self._up, self._taps)
            self.delay_ms = (self._up * self._taps - 1) / 2 / (rate_in * self._up) * 1000
        self._history: Samples | None = None
        self._next = 0
        """Time of the next output in steps of 1 / up input samples, from the first sample not yet in the history."""

    def reset(self) -> None:
        self._history = None
        self._next = 0

    def resample(self, samples: Samples) -> Samples:
        if self._bank is None:
            return samples
        import numpy as np

        history = np.zeros(self._taps - 1) if self._history is None else self._history
        buffer = np.concatenate((history, samples))
        self._history = buffer[len(buffer) - self._taps + 1 :]
        end = len(samples) * self._up
        times = np.arange(self._next, end, self._down)
        self._next += len(times) * self._down - end
        if not len(times):
            return np.zeros(0)
        # Row i: the taps up to and including new sample i, the oldest first.
        rows = np.lib.stride_tricks.sliding_window_view(buffer, self._taps)
        if self._up == 1:
            out: Samples = rows[times] @ self._bank[0]
        else:
            out = np.einsum("ij,ij->i", rows[times // self._up], self._bank[times % self._up])
        return out * 2.0**-_COEFFICIENT_BITS


def _filter_bank(rate_in: int, up: int, taps: int) -> Samples:
    """The low-pass at rate_in * up, dealt out to its `up` phases; each row oldest tap first.

    Coefficients are whole numbers: products and sums of whole numbers are exact in a double, so the result
    does not depend on the order in which a block of any size happens to be added up.
    """
    import numpy as np

    length = taps * up
    time = (np.arange(length) - (length - 1) / 2) / (rate_in * up)
    response = np.sinc(2 * _CUTOFF_HZ * time) * np.kaiser(length, _BETA)
    bank: Any = response.reshape(taps, up).T[:, ::-1]
    # Each phase on its own must pass a constant unchanged, or the phases would be heard as a tone.
    bank = bank / bank.sum(axis=1, keepdims=True)
    return np.ascontiguousarray(np.rint(bank * 2**_COEFFICIENT_BITS))
