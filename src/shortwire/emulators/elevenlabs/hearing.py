"""When does the party speak? Utterances from the audio that really arrived; the audio is the clock.

No network here, no speaking: 20 ms frames in, "an utterance began" and "an utterance ended" out, with
where in the audio and when it arrived.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from shortwire.emulators.voice_activity import FRAME_MS, VoiceActivity

__all__ = ["Heard", "Hearing", "Utterance"]

_LONGEST_GAP_MS = 240
"""Silence after which a sound that was too short for an utterance is forgotten."""


class Heard(Enum):
    BEGAN = "began"
    ENDED = "ended"


@dataclass(slots=True)
class Utterance:
    """What was held for one stretch of speech. ``_ms`` in the audio received, ``_ns`` when that frame arrived."""

    began_ms: int
    began_ns: int
    ended_ms: int
    ended_ns: int
    voiced_ms: int = 0


class Hearing:
    """One listener for one conversation."""

    def __init__(self, end_of_turn_ms: int) -> None:
        self.audio_ms = 0
        """Audio received so far."""
        self.speaking = False
        """An utterance is being heard."""
        self.last_voice_ns: int | None = None
        self._end_of_turn_ms = end_of_turn_ms
        self._activity = VoiceActivity()
        self._current: Utterance | None = None
        self.silent_ms = 0
        """Since the last voiced frame of what is being heard."""
        self.voiced = False
        """The last frame held voice."""
        self.utterance: Utterance | None = None
        """The last one that began."""

    def feed(self, frame: bytes, now_ns: int, *, needed_ms: int | None) -> Heard | None:
        """One frame of 20 ms. ``needed_ms`` of voice make an utterance; None: none can begin now."""
        self.voiced = voiced = self._activity.feed(frame)
        at_ms = self.audio_ms
        self.audio_ms += FRAME_MS
        if not voiced:
            return self._silence()
        self.last_voice_ns = now_ns
        self.silent_ms = 0
        if self._current is None:
            self._current = Utterance(at_ms, now_ns, at_ms, now_ns)
        current = self._current
        current.ended_ms, current.ended_ns = at_ms + FRAME_MS, now_ns
        current.voiced_ms += FRAME_MS
        if not self.speaking and needed_ms is not None and current.voiced_ms >= needed_ms:
            self.speaking = True
            self.utterance = current
            return Heard.BEGAN
        return None

    def _silence(self) -> Heard | None:
        if self._current is None:
            return None
        self.silent_ms += FRAME_MS
        if self.speaking and self.silent_ms >= self._end_of_turn_ms:
            self.speaking = False
            self._current = None
            return Heard.ENDED
        if not self.speaking and self.silent_ms > _LONGEST_GAP_MS:
            self._current = None
        return None
