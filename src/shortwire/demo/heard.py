"""What was heard: speech, turns, gaps and barge-ins of a stereo telephone recording.

Pure functions over samples. They know nothing of the product and read nothing it wrote, because their
figures are what the product's own are checked against. Left is the party, right is the agent as it
reached the party's ear; time zero is the instant of the answer.
"""

from __future__ import annotations

import io
import wave
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "FRAME_MS",
    "Exchange",
    "Interruption",
    "Samples",
    "Span",
    "exchanges",
    "first_word_ms",
    "interruptions",
    "read_stereo",
    "speech",
    "turns",
]

Samples = NDArray[np.int16]
Who = Literal["party", "agent"]

FRAME_MS = 20
"""A telephone frame: what is said and heard begins and ends with one."""
_FLOOR_DB = -41.0
"""Below this (dB of full scale, RMS of a frame) nobody calls it speech on a telephone."""


@dataclass(frozen=True, slots=True)
class Span:
    """One stretch of speech on one channel."""

    who: Who
    start_ms: float
    end_ms: float
    text: str = ""

    @property
    def ms(self) -> float:
        return self.end_ms - self.start_ms


@dataclass(frozen=True, slots=True)
class Exchange:
    """The party said something, the agent answered (or did not)."""

    said: Span
    reply: Span | None

    @property
    def gap_ms(self) -> float | None:
        """Response gap as heard: end of the party's speech to the first audible sample of the reply."""
        return None if self.reply is None else self.reply.start_ms - self.said.end_ms


@dataclass(frozen=True, slots=True)
class Interruption:
    """The party began to speak while the agent was speaking."""

    at_ms: float
    silent_ms: float
    """When the agent fell silent at the party's ear."""

    @property
    def stop_ms(self) -> float:
        return self.silent_ms - self.at_ms


def read_stereo(data: bytes) -> tuple[Samples, Samples, int]:
    """Party samples, agent samples and the rate of a 16-bit stereo WAV. Raises `ValueError` for anything else."""
    with wave.open(io.BytesIO(data)) as file:
        channels, width, rate, count, _, _ = file.getparams()
        if channels != 2 or width != 2:
            raise ValueError(f"expected 16-bit stereo, got {channels} channels of {8 * width} bits")
        samples = np.frombuffer(file.readframes(count), dtype="<i2").reshape(-1, 2)
    return samples[:, 0].copy(), samples[:, 1].copy(), rate


def speech(
    samples: Samples, who: Who, *, rate: int = 8000, hop_ms: int = FRAME_MS, join_ms: int = 400, shortest_ms: int = 60
) -> list[Span]:
    """Where somebody speaks.

    Frames (of `hop_ms`) louder than the floor, joined over pauses of up to `join_ms` (a breath, a comma), bursts
    shorter than `shortest_ms` left out. The edges are those of audible frames, not of a smoothed decision: a hang-over
    would be added to every response gap.
    """
    hop = rate * hop_ms // 1000
    count = len(samples) // hop
    if count == 0:
        return []
    energy = np.square(samples[: count * hop].astype(np.float64)).reshape(count, hop).mean(axis=1)
    loud = np.flatnonzero(energy > (32768.0 * 10 ** (_FLOOR_DB / 20)) ** 2)
    spans: list[Span] = []
    for index in loud:
        start = float(index * hop_ms)
        if spans and start - spans[-1].end_ms <= join_ms:
            spans[-1] = replace(spans[-1], end_ms=start + hop_ms)
        else:
            spans.append(Span(who, start, start + hop_ms))
    return [span for span in spans if span.ms >= shortest_ms]


def turns(mine: Sequence[Span], theirs: Sequence[Span], *, pause_ms: int = 1500) -> list[Span]:
    """Join stretches of one speaker into turns: a pause in which the other did not begin to speak is a pause."""
    joined: list[Span] = []
    for span in mine:
        last = joined[-1] if joined else None
        if (
            last is not None
            and span.start_ms - last.end_ms <= pause_ms
            and not any(last.start_ms < other.start_ms < span.start_ms for other in theirs)
        ):
            joined[-1] = replace(last, end_ms=span.end_ms, text=f"{last.text} {span.text}".strip())
        else:
            joined.append(span)
    return joined


def exchanges(party: Sequence[Span], agent: Sequence[Span]) -> list[Exchange]:
    """Each turn of the party with the agent's answer: the first agent turn that begins after it ended.

    If the party speaks again before that, the turn had no answer of its own.
    """
    result: list[Exchange] = []
    for index, said in enumerate(party):
        until = party[index + 1].start_ms if index + 1 < len(party) else float("inf")
        reply = next((span for span in agent if said.end_ms <= span.start_ms < until), None)
        result.append(Exchange(said, reply))
    return result


def interruptions(party: Sequence[Span], agent: Sequence[Span]) -> list[Interruption]:
    """Every time the party began while an agent's turn was sounding."""
    return [
        Interruption(said.start_ms, span.end_ms)
        for said in party
        for span in agent
        if span.start_ms < said.start_ms < span.end_ms
    ]


def first_word_ms(agent: Sequence[Span]) -> float | None:
    """Answer to first word, as heard."""
    return agent[0].start_ms if agent else None
