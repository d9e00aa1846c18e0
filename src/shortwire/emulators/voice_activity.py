"""Is somebody speaking? Energy per 20 ms frame against a noise floor that follows the line.

Made for the emulators' ground truth: no hang-over, so that the last active frame is the end of the
speech. Made for lines whose noise lies 20 dB or more below the speech. Standard library only.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

__all__ = ["FRAME_BYTES", "FRAME_MS", "VoiceActivity", "segments"]

FRAME_MS = 20
FRAME_BYTES = 160


def _square(byte: int) -> float:
    """The power of one mu-law sample (ITU-T G.711), full scale = 1."""
    bits = ~byte & 0xFF
    magnitude = ((((bits & 0x0F) << 3) + 0x84) << ((bits >> 4) & 7)) - 0x84
    return (magnitude / 32768.0) ** 2


_SQUARES = tuple(_square(byte) for byte in range(256))


def _power(dbfs: float) -> float:
    return float(10.0 ** (dbfs / 10.0))


class VoiceActivity:
    """One listener for one direction of one call.

    A frame is active when its power is 8 dB above the quietest of the last 1.28 s, with limits: never below
    -41 dBFS (on a digitally silent line everything is 8 dB above nothing), never above -31 dBFS (somebody who
    speaks without a pause must not become the noise). Noise louder than -39 dBFS therefore counts as speech.
    """

    ABOVE_FLOOR = _power(8.0)
    LOWEST = _power(-41.0)
    HIGHEST = _power(-31.0)
    WINDOW = 64
    """Frames the floor remembers."""

    def __init__(self) -> None:
        self._recent: deque[float] = deque(maxlen=self.WINDOW)

    def feed(self, ulaw_frame: bytes) -> bool:
        """True when the frame holds voice. 160 bytes; a shorter last frame is judged by what it has."""
        if not ulaw_frame:
            return False
        power = sum(map(_SQUARES.__getitem__, ulaw_frame)) / len(ulaw_frame)
        self._recent.append(power)
        threshold = min(max(min(self._recent) * self.ABOVE_FLOOR, self.LOWEST), self.HIGHEST)
        return power > threshold


def _runs(active: Iterable[bool]) -> list[tuple[int, int]]:
    """Frame numbers [first, end) of every stretch of active frames."""
    runs: list[tuple[int, int]] = []
    start: int | None = None
    number = -1
    for number, is_active in enumerate(active):
        if is_active and start is None:
            start = number
        elif not is_active and start is not None:
            runs.append((start, number))
            start = None
    if start is not None:
        runs.append((start, number + 1))
    return runs


def segments(ulaw: bytes, *, merge_ms: int = 400, shortest_ms: int = 60) -> list[tuple[int, int]]:
    """Who spoke when in a recording: (start_ms, end_ms) of each stretch of speech, ends exclusive.

    Args:
        ulaw: one channel, mu-law, 8 kHz.
        merge_ms: pauses up to this long belong to the sentence around them.
        shortest_ms: what is shorter after merging is a click, not speech.
    """
    listener = VoiceActivity()
    active = (listener.feed(ulaw[at : at + FRAME_BYTES]) for at in range(0, len(ulaw), FRAME_BYTES))
    merged: list[tuple[int, int]] = []
    for first, end in _runs(active):
        start_ms, end_ms = first * FRAME_MS, end * FRAME_MS
        if merged and start_ms - merged[-1][1] <= merge_ms:
            merged[-1] = (merged[-1][0], end_ms)
        else:
            merged.append((start_ms, end_ms))
    return [(start_ms, end_ms) for start_ms, end_ms in merged if end_ms - start_ms >= shortest_ms]
