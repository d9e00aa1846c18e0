"""How good a call sounded, and whose doing it was: jitter, holes, levels, clipping, echo.

Off the media path; fed from the side log live or from a tape afterwards, with the same result. Jitter is
RFC 3550's (section 6.4.1), on frames that are 20 ms apart in the carrier's time. Echo needs numpy (extra ``audio``)
and the whole recording.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..call.tape import Kind, Record
from ..clock import NS_PER_MS
from ..ulaw import BYTES_PER_MS, FRAME_BYTES
from .levels import FLOOR_DB, STEPS_PER_DB, level, level_of_db
from .mulaw import LINEAR
from .voice_activity import VoiceActivity

__all__ = ["LOUDEST", "Echo", "HeardFrame", "QualityMeter", "clipped", "find_echo", "quality_of", "verdict"]

LATE_MS = 60.0
"""A frame so much later than the least delayed one of its second is late: a listener's buffer would be empty."""
_BLOCK = 50
"""Frames of a second: the least delayed one says where all of them belong."""
_BROKEN_NS = 500 * NS_PER_MS
LOUDEST = tuple(code for code, sample in enumerate(LINEAR) if abs(sample) >= 32124)
"""The loudest codes of mu-law, one of each sign."""
_NOISE_STEP = level_of_db(-50.0)
_UNDERRUN_MS = 10.0
"""Shorter pauses are the jitter of our own clock."""


_PER_STEP = 5
"""Levels are counted in tenths of a dB: a call of any length takes the same room."""
_NOISE_FRAMES = 500
_NOISE_PER_STEP = 2


def clipped(ulaw: bytes) -> int:
    """How many samples are as loud as mu-law can say."""
    return sum(ulaw.count(code) for code in LOUDEST)


class _Loudness:
    """Levels of one direction."""

    def __init__(self) -> None:
        self._speech: Counter[int] = Counter()
        self.samples = 0
        self.clipped = 0

    def speech(self, loudness: float) -> None:
        """The level of a frame that holds speech, as `levels.level` reads it."""
        self._speech[round(loudness * _PER_STEP)] += 1

    def as_dict(self) -> dict[str, float | None]:
        return {
            "speech_db": self._median_db(),
            "clipped_percent": round(100 * self.clipped / self.samples, 3) if self.samples else None,
        }

    def _median_db(self) -> float | None:
        left = self._speech.total() // 2
        for step in sorted(self._speech):
            left -= self._speech[step]
            if left < 0:
                return round(step / _PER_STEP / STEPS_PER_DB + FLOOR_DB, 1)
        return None


HeardFrame = tuple[int, int, float]
"""A caller frame: read at (ns), bytes of mu-law, its level (`levels.level`)."""


class QualityMeter:
    """One call. Frames and audio in order of time; `as_dict` any time."""

    def __init__(self) -> None:
        self.frames = 0
        self._jitter_ms = 0.0
        self._last_ns = 0
        self._delays: list[int] = []
        self._sent_ns = 0
        self._block_least: int | None = None
        self._late = 0
        self._late_most_ms = 0.0
        self._missing = 0
        self._party, self._agent = _Loudness(), _Loudness()
        self._noise: deque[int] = deque(maxlen=_NOISE_FRAMES)
        """In quarters of a dB: small numbers are one object each in the whole process, and a call has 500."""
        self._event_id: int | None = None
        self._plays_until_ns = 0
        self._underruns = 0
        self._underrun_ms = 0.0

    def uplink_frames(self, frames: Sequence[HeardFrame], voiced: Sequence[bool], clipped_samples: int) -> None:
        """Caller frames read, in order of time, which of them hold speech, and how many samples are clipped."""
        party = self._party
        party.clipped += clipped_samples
        noise = self._noise.append
        last_ns, jitter_ms, sent_ns = self._last_ns, self._jitter_ms, self._sent_ns
        for (now_ns, size, loudness), speech in zip(frames, voiced, strict=True):
            party.samples += size
            length_ns = size * NS_PER_MS // BYTES_PER_MS
            if speech:
                party.speech(loudness)
            else:
                noise(round(loudness * _NOISE_PER_STEP))
            if self.frames:
                since_ns = now_ns - last_ns
                jitter_ms += (abs(since_ns - length_ns) / NS_PER_MS - jitter_ms) / 16
                if since_ns > _BROKEN_NS:
                    self._end_block()
            self.frames += 1
            last_ns = now_ns
            sent_ns += length_ns
            self._delays.append(now_ns - sent_ns)
            if len(self._delays) == _BLOCK:
                self._end_block()
        self._last_ns, self._jitter_ms, self._sent_ns = last_ns, jitter_ms, sent_ns

    def downlink_audio(self, now_ns: int, ms: float, event_id: int, ulaw: bytes = b"") -> None:
        """Agent audio written to the phone; `ulaw` where its level is wanted (live, nobody has the time)."""
        if ulaw:
            self._agent_level(ulaw)
        pause_ms = (now_ns - self._plays_until_ns) / NS_PER_MS
        if event_id == self._event_id and self._plays_until_ns and pause_ms > _UNDERRUN_MS:
            self._underruns += 1
            self._underrun_ms += pause_ms
        self._event_id = event_id
        self._plays_until_ns = max(now_ns, self._plays_until_ns) + int(ms * NS_PER_MS)

    def _agent_level(self, ulaw: bytes) -> None:
        for at in range(0, len(ulaw), FRAME_BYTES):
            loudness = level(ulaw[at : at + FRAME_BYTES])
            if loudness > _NOISE_STEP:
                self._agent.speech(loudness)
        self._agent.samples += len(ulaw)
        self._agent.clipped += clipped(ulaw)

    def cleared(self) -> None:
        """The phone's buffer was emptied: what comes next is no continuation."""
        self._event_id, self._plays_until_ns = None, 0

    def as_dict(self) -> dict[str, Any]:
        """JSON-able. Levels in dB of full scale (mean magnitudes), lengths in ms; None where there was nothing."""
        self._end_block()
        noise = sorted(self._noise)
        return {
            "uplink": {
                "frames": self.frames,
                "jitter_ms": round(self._jitter_ms, 2) if self.frames > 1 else None,
                "late_frames": self._late,
                "latest_ms": round(self._late_most_ms, 1),
                "missing_frames": self._missing,
                "noise_db": round(noise[len(noise) // 2] / _NOISE_PER_STEP / STEPS_PER_DB + FLOOR_DB, 1)
                if noise
                else None,
                **self._party.as_dict(),
            },
            "downlink": {
                "underruns": self._underruns,
                "underrun_ms": round(self._underrun_ms, 1),
                **self._agent.as_dict(),
            },
        }

    def _end_block(self) -> None:
        """No frame can arrive before it was spoken: the least delayed one of a block shows what the line took."""
        if not self._delays:
            return
        least = min(self._delays)
        # A few frames alone may all have been late; they say nothing of the line.
        if self._block_least is not None and len(self._delays) == _BLOCK:
            # The line took longer for a whole second: frames were left out. A drifting clock moves by far less.
            skipped = round((least - self._block_least) / (20 * NS_PER_MS))
            self._missing += max(0, skipped) if least - self._block_least > 15 * NS_PER_MS else 0
        if len(self._delays) == _BLOCK or self._block_least is None:
            self._block_least = least
        for delay in self._delays:
            late_ms = (delay - least) / NS_PER_MS
            if late_ms > LATE_MS:
                self._late += 1
            self._late_most_ms = max(self._late_most_ms, late_ms)
        self._delays.clear()


def quality_of(records: Sequence[Record]) -> dict[str, Any]:
    """The figures of a call on tape, the agent's levels included."""
    meter, ears, event_id = QualityMeter(), VoiceActivity(), 0
    for record in records:
        match record.kind:
            case Kind.UPLINK_AUDIO | Kind.UPLINK_KEPT if ulaw := _ulaw(record):
                loudness = level(ulaw)
                meter.uplink_frames([(record.at_ns, len(ulaw), loudness)], ears.voiced_at((loudness,)), clipped(ulaw))
            case Kind.AGENT_AUDIO:
                event_id = int(record.value["event_id"])
            case Kind.DOWNLINK_AUDIO if ulaw := _ulaw(record):
                meter.downlink_audio(record.at_ns, len(ulaw) / BYTES_PER_MS, event_id, ulaw)
            case Kind.BARGE_IN:
                meter.cleared()
            case _:
                pass
    return meter.as_dict()


def _ulaw(record: Record) -> bytes:
    try:
        return record.ulaw
    except ValueError:
        return b""


@dataclass(frozen=True, slots=True)
class Echo:
    """Our own audio in what comes from the phone."""

    delay_ms: float
    """From the agent's audio at the ear to its echo in the party's channel."""
    level_db: float
    """The echo, relative to the audio that caused it."""
    correlation: float
    """0 to 1: how alike the two are at that delay."""


def find_echo(party: bytes, agent: bytes, *, within_ms: int = 600) -> Echo | None:
    """The echo in a recording's two mu-law channels on one time line (`recording`); None if there is none to be found.

    Cross-correlation of each second of agent speech with what the party's channel holds then and up to
    `within_ms` later. Raises `ImportError` without numpy.
    """
    import numpy as np

    table = np.array(LINEAR, dtype=np.float64)
    near, far = table[np.frombuffer(party, np.uint8)], table[np.frombuffer(agent, np.uint8)]
    second, lags = 1000 * BYTES_PER_MS, within_ms * BYTES_PER_MS
    size = 1 << (2 * second + lags).bit_length()
    products, energies = np.zeros(lags), np.zeros(lags)
    source = 0.0
    for at in range(0, min(len(near), len(far)) - second - lags, second):
        said = far[at : at + second]
        said = said - said.mean()
        power = float(said @ said)
        if power / second < (32768 * 10 ** (-45 / 20)) ** 2:
            continue
        came = near[at : at + second + lags]
        came = came - came.mean()
        spectrum = np.conj(np.fft.rfft(said, size)) * np.fft.rfft(came, size)
        products += np.fft.irfft(spectrum, size)[:lags]
        sums = np.concatenate(([0.0], np.cumsum(came**2)))
        energies += sums[second : second + lags] - sums[:lags]
        source += power
    if not source or not energies.any():
        return None
    likeness = np.abs(products) / np.sqrt(source * np.maximum(energies, 1e-9))
    best = int(np.argmax(likeness))
    if likeness[best] < _ECHO_LIKENESS:
        return None
    gain = max(abs(float(products[best])) / source, 1e-6)
    return Echo(best / BYTES_PER_MS, 20 * float(np.log10(gain)), float(likeness[best]))


_ECHO_LIKENESS = 0.2
"""Two voices that have nothing to do with each other stay under 0.1 over a few seconds."""


def verdict(quality: dict[str, Any], echo: Echo | None = None) -> str:
    """One line: how it sounded, and the likeliest cause of the worst of it."""
    up, down = quality.get("uplink") or {}, quality.get("downlink") or {}
    frames = up.get("frames") or 0
    if not frames:
        return "no audio came from the phone"
    found: list[str] = []
    if (up.get("missing_frames") or 0) > max(2, frames // 200):
        found.append(f"{up['missing_frames']} of the caller's frames never came: the carrier left them out")
    if down.get("underruns"):
        found.append(
            f"the agent's speech had {down['underruns']} hole(s) ({down['underrun_ms']:.0f} ms): its audio came "
            "slower than it plays (the agent, or the network to it)"
        )
    if (up.get("late_frames") or 0) > max(2, frames // 200) or (up.get("jitter_ms") or 0) > 30:
        found.append(
            f"the caller's frames came unevenly (jitter {up['jitter_ms']:.0f} ms, {up['late_frames']} late, the worst "
            f"{up['latest_ms']:.0f} ms): the network between the carrier and this machine, or this machine is busy"
        )
    if echo is not None and echo.level_db > -35:
        found.append(
            f"the agent hears itself {echo.delay_ms:.0f} ms later at {echo.level_db:.0f} dB: the caller's telephone "
            "or a speakerphone returns the sound"
        )
    for side, who in ((up, "the caller"), (down, "the agent")):
        if (side.get("clipped_percent") or 0) > 0.5:
            found.append(f"{who} is clipped ({side['clipped_percent']:.1f} % of all samples): too loud at the source")
        level = side.get("speech_db")
        if level is not None and FLOOR_DB < level < -48:
            found.append(f"{who} is faint ({level:.0f} dB of full scale)")
    noise, speech = up.get("noise_db"), up.get("speech_db")
    if noise is not None and speech is not None and speech - noise < 12:
        found.append(f"the caller's line is noisy (speech only {speech - noise:.0f} dB above it)")
    return f"poor: {'; '.join(found)}" if found else "good"
