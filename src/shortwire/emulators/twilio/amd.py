"""Answering machine detection: who picked up, by ear (page "answering-machine-detection", twilio.md 3.2 and 6).

Pure: fed with the party's frames from the answer on. Short speech and then silence is a human, long speech a
machine, a steady 2100 or 1100 Hz a fax; the vendor's thresholds decide what is short and long.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ..ulaw import FRAME_MS
from .party import Detector
from .tones import pitch_of

__all__ = ["AmdSettings", "MachineDetection", "Verdict"]

_FAX_HZ = (1100, 2100)
_FAX_MS = 400
_BEEP_MS = 160
_SAME_PITCH_HZ = 50


@dataclass(frozen=True, slots=True)
class Verdict:
    answered_by: str
    duration_ms: int
    """From the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AmdSettings:
    """Names and defaults of the create request, milliseconds."""

    mode: Literal["Enable", "DetectMessageEnd"] = "Enable"
    timeout_ms: int = 30_000
    speech_threshold_ms: int = 2_400
    speech_end_threshold_ms: int = 1_200
    silence_timeout_ms: int = 5_000
    message_end_silence_ms: int = 3_000
    """UNCONFIRMED: silence behind a greeting that says that no beep will come."""
    timeout_in_greeting: Literal["unknown", "machine_end_other"] = "unknown"
    """UNCONFIRMED: the verdict when the time is up and the machine still speaks."""

    @classmethod
    def of(cls, fields: Mapping[str, str], **unconfirmed: object) -> AmdSettings | None:
        """From a checked create request; None without MachineDetection, or with SendDigits, which overrules it."""
        mode = fields.get("MachineDetection")
        if mode is None or fields.get("SendDigits"):
            return None

        def whole(name: str, default: int, unit: int = 1) -> int:
            return int(fields.get(f"MachineDetection{name}", default)) * unit

        return cls(
            mode=mode,  # type: ignore[arg-type]  # checked by `fields`
            timeout_ms=whole("Timeout", 30, 1000),
            speech_threshold_ms=whole("SpeechThreshold", 2_400),
            speech_end_threshold_ms=whole("SpeechEndThreshold", 1_200),
            silence_timeout_ms=whole("SilenceTimeout", 5_000),
            **unconfirmed,  # type: ignore[arg-type]
        )


class MachineDetection:
    """Feed it frames until it gives a verdict; one call each."""

    def __init__(self, settings: AmdSettings, detector: Detector) -> None:
        self.settings = settings
        self.verdict: Verdict | None = None
        self._detector = detector
        self._now_ms = 0
        self._speech_began_ms = -1
        self._speech_ended_ms = -1
        self._machine = False
        self._pitch = 0
        self._pitch_ms = 0

    def feed(self, frame: bytes) -> Verdict | None:
        """20 ms of what the party says. Gives the verdict once, with the frame that decides it."""
        if self.verdict is not None:
            return None
        voiced = self._detector.feed(frame)
        self._now_ms += FRAME_MS
        answered_by = self._by_tone(pitch_of(frame) if voiced else 0)
        if answered_by is None and voiced:
            self._speech_ended_ms = self._now_ms
            if self._speech_began_ms < 0:
                self._speech_began_ms = self._now_ms - FRAME_MS
        answered_by = answered_by or (self._in_greeting() if self._machine else self._at_first())
        if answered_by is None:
            return None
        self.verdict = Verdict(answered_by, self._now_ms)
        return self.verdict

    def _by_tone(self, pitch: int) -> str | None:
        if pitch and abs(pitch - self._pitch) <= _SAME_PITCH_HZ:
            self._pitch_ms += FRAME_MS
        else:
            beeped = self._machine and not pitch and self._pitch_ms >= _BEEP_MS
            self._pitch, self._pitch_ms = pitch, FRAME_MS if pitch else 0
            if beeped:
                return "machine_end_beep"
        whistle = any(abs(pitch - hertz) <= _SAME_PITCH_HZ for hertz in _FAX_HZ)
        return "fax" if whistle and self._pitch_ms >= _FAX_MS else None

    def _at_first(self) -> str | None:
        settings = self.settings
        if self._speech_began_ms < 0:
            silent = self._now_ms >= min(settings.silence_timeout_ms, settings.timeout_ms)
            return "unknown" if silent else None
        if self._pitch_ms >= _BEEP_MS:
            return None  # a tone is not speech: it will be a fax, or a beep
        if self._speech_ended_ms - self._speech_began_ms > settings.speech_threshold_ms:
            self._machine = True
            return "machine_start" if settings.mode == "Enable" else None
        if self._now_ms - self._speech_ended_ms >= settings.speech_end_threshold_ms:
            return "human"
        return "unknown" if self._now_ms >= settings.timeout_ms else None

    def _in_greeting(self) -> str | None:
        settings = self.settings
        if self._now_ms - self._speech_ended_ms >= settings.message_end_silence_ms:
            return "machine_end_silence"
        return settings.timeout_in_greeting if self._now_ms >= settings.timeout_ms else None
