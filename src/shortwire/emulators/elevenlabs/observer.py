"""What an agent may report about its listening, while it listens: scores, guesses, half-heard words.

``vad_score``, ``tentative_user_transcript`` and ``internal_turn_probability``, if the agent lists them. How
often the service sends them is not published: the steps are options. Vendor page: "Client events".
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

from shortwire.emulators.elevenlabs import notices
from shortwire.emulators.elevenlabs.config import Behaviour
from shortwire.emulators.elevenlabs.hearing import Hearing
from shortwire.emulators.elevenlabs.notices import Message
from shortwire.emulators.voice_activity import FRAME_MS

__all__ = ["Observer"]


class Observer:
    """Beside one `Hearing`; call `feed` after each frame."""

    def __init__(self, listed: frozenset[str], behaviour: Behaviour, end_of_turn_ms: int) -> None:
        self._scores = "vad_score" in listed
        self._tentative = "tentative_user_transcript" in listed
        self._probability = "internal_turn_probability" in listed
        self._step_ms = max(FRAME_MS, behaviour.vad_score_interval_ms)
        self._word_ms = behaviour.tentative_interval_ms
        self._end_of_turn_ms = end_of_turn_ms
        self._recent: deque[bool] = deque(maxlen=self._step_ms // FRAME_MS)
        self._words_told = 0

    def feed(self, hearing: Hearing, transcript: str, event_id: Callable[[], int]) -> Iterator[Message]:
        """``transcript``: what this utterance will turn out to be; ``event_id``: of the turn it will become."""
        self._recent.append(hearing.voiced)
        at_step = hearing.audio_ms % self._step_ms < FRAME_MS
        if self._scores and at_step:
            share = sum(self._recent) / len(self._recent)
            yield notices.vad_score(round(0.01 + 0.97 * share, 2))
        if not hearing.speaking:
            self._words_told = 0
            return
        if self._probability and at_step and not hearing.voiced:
            yield notices.turn_probability(round(min(1.0, hearing.silent_ms / self._end_of_turn_ms), 2))
        if self._tentative and hearing.voiced and hearing.utterance is not None:
            words = transcript.split()
            heard = min(len(words), hearing.utterance.voiced_ms // self._word_ms)
            if heard > self._words_told:
                self._words_told = heard
                yield notices.tentative_transcript(" ".join(words[:heard]), event_id())
