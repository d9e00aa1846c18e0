"""How good a call sounded, and whose doing it was: jitter, holes, levels, clipping, echo.

Figures of what `meter` counted, live or from a tape afterwards, with the same result. Echo needs numpy (extra
``audio``) and the whole recording.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..call.tape import Kind, Record
from ..ulaw import BYTES_PER_MS, FRAME_BYTES
from .ear import clipped, measured, new_ear
from .levels import FLOOR_DB, STEPS_PER_DB, level, level_of_db
from .meter import NOISE_PER_STEP, SPEECH_PER_STEP, Counted
from .mulaw import LINEAR

__all__ = ["AgentLevels", "Echo", "find_echo", "quality_figures", "quality_of", "verdict"]

_NOISE_STEP = level_of_db(-50.0)


class AgentLevels:
    """How loud the agent's audio was: live, nobody has the time to look at it."""

    def __init__(self) -> None:
        self._speech: Counter[int] = Counter()
        self._samples = self._clipped = 0

    def audio(self, ulaw: bytes) -> None:
        """Written to the phone, in order or not."""
        for at in range(0, len(ulaw), FRAME_BYTES):
            loudness = level(ulaw[at : at + FRAME_BYTES])
            if loudness > _NOISE_STEP:
                self._speech[round(loudness * SPEECH_PER_STEP)] += 1
        self._samples += len(ulaw)
        self._clipped += clipped(ulaw)

    def as_dict(self) -> dict[str, float | None]:
        return _levels(self._speech, self._clipped, self._samples)


def quality_figures(counted: Counted, agent: AgentLevels | None = None) -> dict[str, Any]:
    """JSON-able. Levels in dB of full scale (mean magnitudes), lengths in ms; None where there was nothing."""
    noise = counted.noise
    return {
        "uplink": {
            "frames": counted.frames,
            "jitter_ms": round(counted.jitter_ms, 2) if counted.frames > 1 else None,
            "late_frames": counted.late,
            "latest_ms": round(counted.latest_ms, 1),
            "missing_frames": counted.missing,
            "noise_db": _db(noise[len(noise) // 2] / NOISE_PER_STEP) if noise else None,
            **_levels(counted.speech, counted.clipped, counted.samples),
        },
        "downlink": {
            "underruns": counted.underruns,
            "underrun_ms": round(counted.underrun_ms, 1),
            **(agent or AgentLevels()).as_dict(),
        },
    }


def _levels(speech: Mapping[int, int], clipped_samples: int, samples: int) -> dict[str, float | None]:
    return {
        "speech_db": _median_db(speech),
        "clipped_percent": round(100 * clipped_samples / samples, 3) if samples else None,
    }


def _median_db(speech: Mapping[int, int]) -> float | None:
    left = sum(speech.values()) // 2
    for step in sorted(speech):
        left -= speech[step]
        if left < 0:
            return _db(step / SPEECH_PER_STEP)
    return None


def _db(steps: float) -> float:
    return round(steps / STEPS_PER_DB + FLOOR_DB, 1)


def quality_of(records: Sequence[Record]) -> dict[str, Any]:
    """The figures of a call on tape, the agent's levels included."""
    ear, agent, event_id = new_ear(), AgentLevels(), 0
    for record in records:
        match record.kind:
            case Kind.UPLINK_AUDIO | Kind.UPLINK_KEPT if (found := measured(record.data)) and found[0]:
                ear.frame(record.at_ns, *found)
            case Kind.AGENT_AUDIO:
                event_id = int(record.value["event_id"])
            case Kind.DOWNLINK_AUDIO if ulaw := _ulaw(record):
                agent.audio(ulaw)
                ear.agent(record.at_ns, len(ulaw) / BYTES_PER_MS, event_id)
            case Kind.BARGE_IN:
                ear.cleared()
            case _:
                pass
    return quality_figures(ear.counted(), agent)


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
