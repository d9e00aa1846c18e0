"""The human at the phone: hears the line frame by frame and speaks when its moment comes.

Pure: no clock, no loop; one call of `hear` and one of `take` per 20 ms frame. What it hears is what was
really played out to it, so a bridge that sends audio too late or not at all gets a party that waits.
"""

from __future__ import annotations

import math
import random
from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from ..scenario import PartyScript, Say
from ..ulaw import FRAME_BYTES, FRAME_MS, SILENCE, decode, encode, tone

__all__ = ["Detector", "Party", "Utterance", "audible_span"]

_KEY_SPACING = {"w": 500, "W": 1000}
_KEY_MS = 200
_MIN_VOICED_MS = 100
"""Less than this is a click, not an answer."""
_MID_SENTENCE_MS = 100
_DEFAULT_SPEECH_LEVEL = 3000.0
_WHISTLE_AFTER_MS = 200
_WHISTLE = (2100, 3000)
"""A fax's answer tone (ITU-T T.30): Hz, ms."""
_BEEP = (1000, 400)
_SILENT_FRAME = bytes([SILENCE]) * FRAME_BYTES


class Detector(Protocol):
    """Voice activity: told every frame in order, says whether it holds speech."""

    def feed(self, ulaw_frame: bytes) -> bool: ...


@dataclass(frozen=True, slots=True)
class Utterance:
    """Ground truth: what was said when, ms from the answer."""

    text: str
    digits: str
    when: str
    begin_ms: float
    """First audible sample."""
    end_ms: float
    """Behind the last audible sample; the instant a response gap counts from."""
    file_begin_ms: float
    file_end_ms: float
    """With the silence the fixture has at its ends."""
    due_ms: float
    """When the script wanted it: from the true end of the agent's speech, not from when that became certain."""


@lru_cache(maxsize=1024)
def audible_span(ulaw: bytes) -> tuple[int, int]:
    """First and one-past-last audible sample: 1 % of the peak, at least 64 of 32767."""
    samples = decode(ulaw)
    if not samples:
        return 0, 0
    floor = max(64, max(abs(s) for s in samples) // 100)
    loud = [n for n, sample in enumerate(samples) if abs(sample) >= floor]
    return (loud[0], loud[-1] + 1) if loud else (0, len(samples))


class Party:
    """Plays a `PartyScript`. `audio` holds the mu-law of every text in it."""

    def __init__(
        self,
        script: PartyScript,
        audio: Mapping[str, bytes],
        detector: Detector,
        dice: random.Random,
        *,
        silence_ms: int = 300,
    ) -> None:
        self.script = script
        self.utterances: list[Utterance] = []
        self.heard_voice: list[list[float]] = []
        """Voiced stretches [begin_ms, end_ms] of what was heard, whole frames."""
        self.digits_pressed: list[tuple[str, float]] = []
        self.digits_heard: list[tuple[str, float]] = []
        """Keys the other side pressed, in order, and when."""
        self.sounds: list[tuple[str, float, float]] = []
        """What is no speech, such as a machine's beep: name, begin_ms, end_ms."""
        self.hung_up_ms: float | None = None
        self._audio = audio
        self._detector = detector
        self._silence_ms = silence_ms
        self._frames = 0
        self._next_say = 0
        self._speech = b""
        self._position = 0
        self._keys: list[tuple[str, float]] = []
        self._last_words_ms = 0.0
        self._voiced_since_ms = 0
        self._spurt_begin_ms = 0.0
        self._spurt_end_ms = -math.inf
        self._sounds_left = _sounds(script)
        self._greeting = sum(1 for say in script.says if say.when == "answered")
        self._noise = _noise_loop(script, audio, dice)
        for ulaw in audio.values():
            audible_span(ulaw)  # now, while it rings; not between two frames

    @property
    def now_ms(self) -> float:
        """The end of the last frame heard."""
        return self._frames * FRAME_MS

    @property
    def speaking(self) -> bool:
        return bool(self._speech) or bool(self._keys)

    def take(self) -> bytes:
        """The next frame the party speaks into the phone."""
        if not self._speech and self._noise is None:
            return _SILENT_FRAME
        piece = self._speech[self._position : self._position + FRAME_BYTES]
        self._position += FRAME_BYTES
        if self._position >= len(self._speech):
            self._speech = b""
        piece += _SILENT_FRAME[len(piece) :]
        return piece if self._noise is None else self._mix(piece)

    def hear(self, frame: bytes) -> list[str]:
        """One frame of 160 bytes from the line. Gives the keys pressed now, and "hang-up" when that comes."""
        voiced = self._detector.feed(frame)
        begin_ms = self.now_ms
        self._frames += 1
        if voiced:
            self._note_voice(begin_ms)
        acts = [key for key, at_ms in self._keys if at_ms <= self.now_ms]
        self.digits_pressed += [(key, self.now_ms) for key in acts]
        self._keys = [(key, at_ms) for key, at_ms in self._keys if at_ms > self.now_ms]
        if not self.speaking and self.hung_up_ms is None:
            self._decide(acts)
        return acts

    def press(self, digits: str) -> None:
        """Press keys now, whatever the script says. Raises `ValueError`."""
        self._queue_keys(digits, self.now_ms)

    def _decide(self, acts: list[str]) -> None:
        if self._sounds_left and self._sound_due_ms() <= self.now_ms:
            self._begin_sound()
        elif self._next_say < len(self.script.says):
            say = self.script.says[self._next_say]
            due_ms = self._due_ms(say)
            if due_ms is not None and due_ms <= self.now_ms:
                self._next_say += 1
                self._begin(say, due_ms)
        elif self.script.hang_up_after_ms >= 0:
            due_ms = self._after_silence(self.script.hang_up_after_ms)
            if due_ms is not None and due_ms <= self.now_ms:
                self.hung_up_ms = self.now_ms
                acts.append("hang-up")

    def _sound_due_ms(self) -> float:
        if self._sounds_left[0][0] == "whistle":
            return _WHISTLE_AFTER_MS
        if self._next_say < self._greeting:
            return math.inf
        return self._last_words_ms + self.script.beep_after_ms

    def _begin_sound(self) -> None:
        name, hertz, length_ms = self._sounds_left.pop(0)
        self._speech, self._position = tone(hertz, length_ms), 0
        self._last_words_ms = self.now_ms + length_ms
        self.sounds.append((name, self.now_ms, self._last_words_ms))

    def _due_ms(self, say: Say) -> float | None:
        if say.when == "answered":
            return float(say.delay_ms)
        if say.when == "agent_silent":
            return self._after_silence(say.delay_ms)
        if self.now_ms - self._spurt_end_ms > _MID_SENTENCE_MS:
            return None  # between two sentences, or finished: not the middle of one
        due_ms = max(self._spurt_begin_ms, self._last_words_ms) + say.delay_ms
        return due_ms if self._spurt_end_ms >= due_ms else None

    def _after_silence(self, delay_ms: int) -> float | None:
        """From the true end of the agent's speech; certain only after `silence_ms`, so never before that."""
        if self._voiced_since_ms < _MIN_VOICED_MS or self.now_ms - self._spurt_end_ms < self._silence_ms:
            return None
        return self._spurt_end_ms + delay_ms

    def _note_voice(self, begin_ms: float) -> None:
        if self.heard_voice and self.heard_voice[-1][1] == begin_ms:
            self.heard_voice[-1][1] = self.now_ms
        else:
            self.heard_voice.append([begin_ms, self.now_ms])
        if begin_ms - self._spurt_end_ms >= self._silence_ms:
            self._spurt_begin_ms = begin_ms
        self._spurt_end_ms = self.now_ms
        if begin_ms >= self._last_words_ms:
            self._voiced_since_ms += FRAME_MS

    def _begin(self, say: Say, due_ms: float) -> None:
        begin_ms = end_ms = file_end_ms = self.now_ms
        if say.text:
            self._speech = self._audio[say.text]
            self._position = 0
            first, last = audible_span(self._speech)
            file_end_ms = self.now_ms + len(self._speech) / 8
            begin_ms, end_ms = self.now_ms + first / 8, self.now_ms + last / 8
        if say.digits:
            end_ms = self._queue_keys(say.digits, file_end_ms)
        self._last_words_ms = end_ms
        self._voiced_since_ms = 0
        self.utterances.append(
            Utterance(say.text, say.digits, say.when, begin_ms, end_ms, self.now_ms, file_end_ms, due_ms)
        )

    def _queue_keys(self, digits: str, at_ms: float) -> float:
        if strangers := set(digits) - set("0123456789*#ABCDwW"):
            raise ValueError(f"not on a telephone's keypad: {''.join(sorted(strangers))}")
        for key in digits:
            if key in _KEY_SPACING:
                at_ms += _KEY_SPACING[key]
            else:
                at_ms += _KEY_MS
                self._keys.append((key, at_ms))
        return at_ms

    def _mix(self, piece: bytes) -> bytes:
        assert self._noise is not None
        offset = self._frames * FRAME_BYTES % (len(self._noise) - FRAME_BYTES)
        speech = decode(piece)
        return encode(
            array("h", (max(-32768, min(32767, s + self._noise[offset + n])) for n, s in enumerate(speech))),
        )


def _sounds(script: PartyScript) -> list[tuple[str, int, int]]:
    if script.answered_by == "fax":
        return [("whistle", *_WHISTLE)]
    return [("beep", *_BEEP)] if script.beep_after_ms >= 0 else []


def _noise_loop(script: PartyScript, audio: Mapping[str, bytes], dice: random.Random) -> array[int] | None:
    """Three seconds of white noise at the level the script asks for, or None for a silent line."""
    if script.noise_db is None:
        return None
    spoken = [sample for say in script.says if say.text for sample in decode(audio[say.text]) if abs(sample) > 200]
    speech = math.sqrt(sum(s * s for s in spoken) / len(spoken)) if spoken else _DEFAULT_SPEECH_LEVEL
    sigma = speech * 10 ** (-script.noise_db / 20)
    return array("h", (max(-32768, min(32767, round(dice.gauss(0, sigma)))) for _ in range(24_000)))
