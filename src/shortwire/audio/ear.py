"""The ear of a call: of each caller frame whether it holds speech and when it was spoken, and the meter of both ways.

`Ear` is the Python; `new_ear` gives the compiled twin (`native/_ear.pyx`) where it was built, which also digests
whole stretches of the side log (`Analyst`).
"""

from __future__ import annotations

import binascii

from .. import native
from ..call.side import SideLog
from ..call.speech import FrameClock
from .levels import STEPS, level
from .meter import Counted, Meter
from .mulaw import LINEAR
from .voice_activity import VoiceActivity, VoiceOptions

__all__ = ["Ear", "clipped", "measured", "new_ear", "new_recorder"]

_LOUDEST = bytes(code for code, sample in enumerate(LINEAR) if abs(sample) >= 32124)
"""The loudest codes of mu-law, one of each sign."""

_SCALE = native.notes.Scale(STEPS, _LOUDEST) if native.AVAILABLE else None


def clipped(ulaw: bytes) -> int:
    """How many samples are as loud as mu-law can say."""
    return sum(ulaw.count(code) for code in _LOUDEST)


def measured(payload: bytes) -> tuple[int, float, int] | None:
    """Of a frame's payload: bytes of mu-law, level, samples as loud as can be. None: it is not base64."""
    try:
        ulaw = binascii.a2b_base64(payload)
    except binascii.Error:
        return None
    return len(ulaw), level(ulaw), clipped(ulaw)


class Ear:
    """One call's. Feed every frame and all of the agent's audio, in order."""

    def __init__(self, options: VoiceOptions) -> None:
        self._voice = VoiceActivity(options)
        self._clock = FrameClock()
        self._meter = Meter()
        self.agent = self._meter.agent
        """See `Meter`; so are the two others."""
        self.cleared = self._meter.cleared
        self.counted = self._meter.counted

    def frame(self, now_ns: int, size: int, loudness: float, clipped: int) -> tuple[bool, int]:
        """A caller frame read, as `measured`: is it speech, and when was it spoken?"""
        voiced = self._voice.voiced_at(loudness)
        self._meter.frame(now_ns, size, loudness, clipped, voiced)
        return voiced, self._clock.place(now_ns)


def new_ear(options: VoiceOptions | None = None) -> Ear | native.ear.Ear[Counted]:
    """The fastest there is; both hear the same."""
    options = options or VoiceOptions()
    return native.ear.Ear(options.in_steps(), Counted) if native.AVAILABLE else Ear(options)


def new_recorder(log: SideLog, *, keeps: bool) -> native.notes.Recorder | None:
    """Notes in a call's side log what its shortcuts do; None where there can be none. `keeps`: payloads too."""
    return native.notes.Recorder(log, _SCALE, keeps) if _SCALE is not None else None
