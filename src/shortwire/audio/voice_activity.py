"""Which 20 ms frames of a phone line hold speech: the clock that response gaps start from.

Pure Python, about 1 us a frame, off the media path. A frame is voiced when it stands out of the line's
noise, which is learnt from the quietest frames of the last seconds, and is not far below the loudest recent
speech. Each frame is judged by itself, without a hang-over: joining frames to utterances is the reader's part.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from .levels import FLOOR_DB, STEPS_PER_DB, level, level_of_db

__all__ = ["Thresholds", "VoiceActivity", "VoiceOptions"]


@dataclass(frozen=True, slots=True)
class VoiceOptions:
    """Thresholds in dB, levels as `levels.level_db` reads them."""

    above_noise_db: float = 5.0
    """How far a frame must stand out of the noise. Noise alone scatters by 0.8 dB a frame."""
    below_peak_db: float = 36.0
    """Frames so far under the loudest recent speech are its decay, its room or its line, not speech."""
    least_db: float = -60.0
    """Nothing quieter is speech, on any line."""
    least_at_first_db: float = -40.0
    """The same for the first 200 ms, before anything is known of the line's noise."""
    peak_decay_db_s: float = 1.5
    """How fast the loudest speech is forgotten: a quiet second speaker must be heard after some seconds."""
    noise_memory_s: float = 2.5
    """The noise is the quietest there was for so long; also how long a sudden new noise passes for speech."""

    def in_steps(self) -> Thresholds:
        """The same as `levels.level` counts."""
        return Thresholds(
            above_noise=self.above_noise_db * STEPS_PER_DB,
            below_peak=self.below_peak_db * STEPS_PER_DB,
            least=level_of_db(self.least_db),
            least_at_first=level_of_db(self.least_at_first_db),
            noisiest_at_first=level_of_db(_NOISIEST_NEW_LINE_DB),
            decay=self.peak_decay_db_s * STEPS_PER_DB / 50,
            blocks=max(1, round(self.noise_memory_s * 50 / _BLOCK_FRAMES)),
        )


class Thresholds(NamedTuple):
    """`VoiceOptions` in steps of `levels.level`, per frame and in blocks."""

    above_noise: float
    below_peak: float
    least: float
    least_at_first: float
    noisiest_at_first: float
    decay: float
    """Of the peak, each frame."""
    blocks: int
    """How many the noise is the least of."""


_BLOCK_FRAMES = 25
_QUIETEST = 3
_NEW_LINE_FRAMES = 10
# A stream can start in the middle of a word: what its first frames sound like is taken for noise up to here.
_NOISIEST_NEW_LINE_DB = -45.0


class VoiceActivity:
    """One direction of one call. Feed every frame in order."""

    __slots__ = (
        "_blocks",
        "_frames",
        "_is",
        "_least",
        "_lows",
        "_mile",
        "_noise",
        "_past_noise",
        "_peak",
    )

    def __init__(self, options: VoiceOptions | None = None) -> None:
        self._is = (options or VoiceOptions()).in_steps()
        self._least = self._is.least_at_first
        self._peak = 0.0
        self._noise = 0.0
        self._past_noise = 1e9
        self._blocks: list[float] = []
        self._lows: list[float] = []
        self._frames = 0
        self._mile = _NEW_LINE_FRAMES
        """The frame of a block at which something is decided whatever its level."""

    def voiced(self, ulaw: bytes) -> bool:
        """Judge one frame (160 bytes of decoded mu-law; any length works, but the clocks count frames of 20 ms)."""
        return self.voiced_at(level(ulaw))

    def voiced_at(self, loudness: float) -> bool:
        """Judge a frame of which the level is known (`levels.level`)."""
        lows, thresholds = self._lows, self._is
        # The usual frame teaches nothing about the noise: neither among the quietest of its block nor its last.
        if len(lows) < _QUIETEST or loudness < lows[-1] or self._frames + 1 >= self._mile:
            self._learn_noise(loudness)
        else:
            self._frames += 1
        self._peak -= thresholds.decay
        loud = (
            loudness > self._noise + thresholds.above_noise
            and loudness > self._peak - thresholds.below_peak
            and loudness > self._least
        )
        if loud and loudness > self._peak:
            self._peak = loudness
        return loud

    @property
    def noise_db(self) -> float:
        """The line's noise as it is believed now, dB relative to full scale."""
        return self._noise / STEPS_PER_DB + FLOOR_DB

    def _learn_noise(self, loudness: float) -> None:
        """The noise is the third quietest frame of a block of half a second, the least of the last blocks.

        The third, because a lost frame or two arrive as digital silence and say nothing about the line.
        """
        lows = self._lows
        if len(lows) < _QUIETEST or loudness < lows[-1]:
            lows.append(loudness)
            lows.sort()
            del lows[_QUIETEST:]
            if len(lows) == _QUIETEST and (self._blocks or self._frames > _NEW_LINE_FRAMES):
                self._noise = min(lows[-1], self._past_noise)
        self._frames += 1
        if self._frames == _NEW_LINE_FRAMES and not self._blocks:
            self._noise = min(lows[-1], self._is.noisiest_at_first)
            self._least = self._is.least
            self._mile = _BLOCK_FRAMES
        if self._frames == _BLOCK_FRAMES:
            self._frames = 0
            self._blocks.append(lows[-1])
            del self._blocks[: -self._is.blocks]
            self._lows = []
            self._past_noise = min(self._blocks)
            self._noise = self._past_noise
