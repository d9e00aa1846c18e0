"""Beside the call: turns, round trips and the tape, made from the side log a few times a second.

Works in batches off the media path: decoding, voice activity and the tape's encoding happen here and
nowhere else. What a batch holds is first heard as a whole (levels, speech), then told in order of time.
"""

from __future__ import annotations

import binascii
from collections.abc import Callable, Iterable
from typing import Any

from ..call import side
from ..call.side import SideEntry, SideLog
from ..call.turns import Turn, TurnTracker
from ..native import AVAILABLE, media
from ..records import EventKind
from ..ulaw import payload_ms
from .levels import STEPS, level
from .quality import LOUDEST, HeardFrame, QualityMeter, clipped
from .voice_activity import VoiceActivity

__all__ = ["Analyst"]

_UPLINK = (side.UPLINK, side.UPLINK_KEPT)


class Analyst:
    """One call's analyst."""

    def __init__(self, log: SideLog, tape: Callable[[list[SideEntry]], None] | None = None) -> None:
        self.tracker = TurnTracker()
        self._voice = VoiceActivity()
        self._log = log
        self._tape = tape
        self._unwritten: tuple[int, float] | None = None
        self._answered = False
        self.quality = QualityMeter()
        self.first_audio_ns = 0
        """When the agent's first audio was read, held or not; 0: not yet."""

    def answered(self, now_ns: int) -> None:
        """The call was answered: zero of the turns' time line. Only the first time counts."""
        if not self._answered:
            self._answered = True
            self.tracker.answered(now_ns)

    def work(self) -> tuple[list[float], list[Turn]]:
        """Digest what the side log holds, and empty it: round trips (ms) and turns that became final."""
        entries = self._log[:]
        # In place: the session appends to this very list.
        self._log.clear()
        if entries:
            if self._tape is not None:
                self._tape(entries)
            self._digest(entries)
            self._flush_written(None)
        return self.tracker.take_round_trips(), self.tracker.take()

    def finish(self, now_ns: int) -> tuple[list[float], list[Turn]]:
        """The call is over: everything comes out."""
        trips, turns = self.work()
        self.tracker.ended(now_ns)
        return trips + self.tracker.take_round_trips(), turns + self.tracker.take()

    def _digest(self, entries: list[SideEntry]) -> None:
        uplink_frame = self.tracker.uplink_frame
        heard = iter(self._hear(entries))
        for now_ns, kind, value in entries:
            if kind == side.UPLINK or kind == side.UPLINK_KEPT:  # noqa: PLR1714 - once per frame, and twice as fast
                voiced, placed_ns = next(heard)
                if voiced is not None:
                    uplink_frame(now_ns, voiced, now_ns if kind == side.UPLINK else None, placed_ns)
            elif kind == side.RELAYED:
                self._downlink(now_ns, value[2], value[0])
            elif kind != side.TICK:
                self._other(now_ns, kind, value)

    def _hear(self, entries: list[SideEntry]) -> Iterable[tuple[bool | None, int]]:
        """Whether there is speech in each caller frame of a batch, None where it is not base64; when it was spoken."""
        found = media.hear(entries, STEPS, *LOUDEST) if AVAILABLE else None
        if found is None:
            return self._hear_slowly(entries)
        frames, clipped_samples = found
        return zip(*self._understood(frames, clipped_samples), strict=True)

    def _understood(self, frames: list[HeardFrame], clipped_samples: int) -> tuple[list[bool], list[int]]:
        voiced = self._voice.voiced_at([loudness for _, _, loudness in frames])
        self.quality.uplink_frames(frames, voiced, clipped_samples)
        return voiced, self.tracker.place([at_ns for at_ns, _, _ in frames])

    def _hear_slowly(self, entries: list[SideEntry]) -> list[tuple[bool | None, int]]:
        """The same for any payloads, in Python."""
        frames: list[HeardFrame] = []
        spoiled: list[int] = []
        clipped_samples = 0
        for now_ns, kind, payload in entries:
            if kind in _UPLINK:
                try:
                    ulaw = binascii.a2b_base64(payload)
                except binascii.Error:
                    spoiled.append(len(frames) + len(spoiled))
                    continue
                frames.append((now_ns, len(ulaw), level(ulaw)))
                clipped_samples += clipped(ulaw)
        told: list[tuple[bool | None, int]] = [*zip(*self._understood(frames, clipped_samples), strict=True)]
        for index in spoiled:
            told.insert(index, (None, 0))
        return told

    def _downlink(self, now_ns: int, ms: float, event_id: int) -> None:
        if not self.first_audio_ns:
            self.first_audio_ns = now_ns
        self.tracker.agent_audio(now_ns, ms, event_id)
        self.quality.downlink_audio(now_ns, ms, event_id)
        # The pieces of one message share its instant, and when the first of them was written.
        if self._unwritten is not None and self._unwritten[0] != now_ns:
            self._flush_written(None)
        self._unwritten = (now_ns, ms)

    def _other(self, now_ns: int, kind: int, value: Any) -> None:
        if kind == side.AGENT_AUDIO:
            self.first_audio_ns = self.first_audio_ns or now_ns
        elif kind == side.DOWNLINK:
            payload, dropped, event_id = value
            if not dropped:
                self._downlink(now_ns, payload_ms(payload), event_id)
        elif kind == side.WRITTEN:
            self._flush_written(now_ns)
        elif kind == side.HEARD:
            self._flush_written(None)
            run_started_ns, queued_ms = value
            if run_started_ns is not None:
                self.tracker.playout_started(run_started_ns)
            self.tracker.playout_confirmed(now_ns, queued_ms)
        elif kind == side.BARGE_IN:
            self._flush_written(None)
            self.tracker.barge_in(now_ns, value, now_ns)
            self.quality.cleared()
        elif kind == side.WORDS:
            self._words(now_ns, *value)

    def _words(self, now_ns: int, kind: str, text: str) -> None:
        if kind == EventKind.PARTY_SAID:
            self.tracker.party_said(now_ns, text)
        elif kind == EventKind.AGENT_SAID:
            self.tracker.agent_said(now_ns, text)
        elif kind == EventKind.AGENT_CORRECTED:
            self.tracker.agent_corrected(now_ns, text)

    def _flush_written(self, written_ns: int | None) -> None:
        """The chunk read last was written: at `written_ns` where it was measured, else in the same instant."""
        if self._unwritten is not None:
            (read_ns, ms), self._unwritten = self._unwritten, None
            self.tracker.audio_written(written_ns or read_ns, ms)
