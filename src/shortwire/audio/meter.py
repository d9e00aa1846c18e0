"""What is counted of a call's audio, message by message: jitter, late and missing frames, levels, holes.

Jitter is RFC 3550's (section 6.4.1), on frames that are 20 ms apart in the carrier's time. Off the media path. The
compiled twin is in `native/_ear.pyx`; `quality` makes figures of the counts of either.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass

from ..clock import NS_PER_MS
from ..ulaw import BYTES_PER_MS, FRAME_MS

__all__ = ["LATE_MS", "NOISE_PER_STEP", "SPEECH_PER_STEP", "Counted", "Meter"]

LATE_MS = 60.0
"""A frame so much later than the least delayed one of its second is late: a listener's buffer would be empty."""
SPEECH_PER_STEP = 5
"""Levels of speech are counted in tenths of a dB: a call of any length takes the same room."""
NOISE_PER_STEP = 2
_NOISE_FRAMES = 500
_BLOCK = 50
"""Frames of a second: the least delayed one says where all of them belong."""
_BROKEN_NS = 500 * NS_PER_MS
_SKIPPED_NS = 15 * NS_PER_MS
"""A drifting clock moves a line's delay by far less in a second."""
_UNDERRUN_MS = 10.0
"""Shorter pauses are the jitter of our own clock."""


@dataclass(frozen=True, slots=True)
class Counted:
    """A call so far. Levels are `levels.level`'s, times so many per step."""

    frames: int
    samples: int
    clipped: int
    jitter_ms: float
    late: int
    latest_ms: float
    missing: int
    speech: Mapping[int, int]
    """Frames with speech, by their level times `SPEECH_PER_STEP`."""
    noise: tuple[int, ...]
    """Levels of the last frames without, times `NOISE_PER_STEP`, quietest first."""
    underruns: int
    underrun_ms: float


class Meter:
    """One call. Frames and audio in order of time; `counted` any time."""

    def __init__(self) -> None:
        self._frames = self._samples = self._clipped = 0
        self._jitter_ms = 0.0
        self._last_ns = self._sent_ns = 0
        self._delays: list[int] = []
        self._block_least: int | None = None
        self._late = self._missing = 0
        self._latest_ms = 0.0
        self._speech: Counter[int] = Counter()
        self._noise: deque[int] = deque(maxlen=_NOISE_FRAMES)
        self._event_id: int | None = None
        self._plays_until_ns = 0
        self._underruns = 0
        self._underrun_ms = 0.0

    def frame(self, now_ns: int, size: int, loudness: float, clipped: int, voiced: bool) -> None:
        """A caller frame read: its bytes, its level, samples as loud as can be, and whether it holds speech."""
        self._samples += size
        self._clipped += clipped
        length_ns = size * NS_PER_MS // BYTES_PER_MS
        if voiced:
            self._speech[round(loudness * SPEECH_PER_STEP)] += 1
        else:
            self._noise.append(round(loudness * NOISE_PER_STEP))
        if self._frames:
            since_ns = now_ns - self._last_ns
            self._jitter_ms += (abs(since_ns - length_ns) / NS_PER_MS - self._jitter_ms) / 16
            if since_ns > _BROKEN_NS:
                self._end_block()
        self._frames += 1
        self._last_ns = now_ns
        self._sent_ns += length_ns
        self._delays.append(now_ns - self._sent_ns)
        if len(self._delays) == _BLOCK:
            self._end_block()

    def agent(self, now_ns: int, ms: float, event_id: int) -> None:
        """Agent audio written to the phone."""
        pause_ms = (now_ns - self._plays_until_ns) / NS_PER_MS
        if event_id == self._event_id and self._plays_until_ns and pause_ms > _UNDERRUN_MS:
            self._underruns += 1
            self._underrun_ms += pause_ms
        self._event_id = event_id
        self._plays_until_ns = max(now_ns, self._plays_until_ns) + int(ms * NS_PER_MS)

    def cleared(self) -> None:
        """The phone's buffer was emptied: what comes next is no continuation."""
        self._event_id, self._plays_until_ns = None, 0

    def counted(self) -> Counted:
        """Ends the second that was being gathered."""
        self._end_block()
        return Counted(
            self._frames,
            self._samples,
            self._clipped,
            self._jitter_ms,
            self._late,
            self._latest_ms,
            self._missing,
            dict(self._speech),
            tuple(sorted(self._noise)),
            self._underruns,
            self._underrun_ms,
        )

    def _end_block(self) -> None:
        """No frame can arrive before it was spoken: the least delayed one of a block shows what the line took."""
        if not self._delays:
            return
        least = min(self._delays)
        # A few frames alone may all have been late; they say nothing of the line.
        if self._block_least is not None and len(self._delays) == _BLOCK:
            # The line took longer for a whole second: frames were left out.
            skipped = round((least - self._block_least) / (FRAME_MS * NS_PER_MS))
            self._missing += max(0, skipped) if least - self._block_least > _SKIPPED_NS else 0
        if len(self._delays) == _BLOCK or self._block_least is None:
            self._block_least = least
        for delay in self._delays:
            late_ms = (delay - least) / NS_PER_MS
            if late_ms > LATE_MS:
                self._late += 1
            self._latest_ms = max(self._latest_ms, late_ms)
        self._delays.clear()
