"""Beside the call: turns, round trips and the tape, made from the side log a few times a second.

Works in batches off the media path: decoding, voice activity and the tape's encoding happen here and
nowhere else.
"""

from __future__ import annotations

import binascii
from collections.abc import Callable
from typing import Any

from ..call import side
from ..call.side import SideEntry, SideLog
from ..call.turns import Turn, TurnTracker
from ..records import EventKind
from ..ulaw import payload_ms
from .quality import QualityMeter
from .voice_activity import VoiceActivity

__all__ = ["Analyst"]


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
        if entries and self._tape is not None:
            self._tape(entries)
        for entry in entries:
            self._digest(*entry)
        self._flush_written(None)
        return self.tracker.take_round_trips(), self.tracker.take()

    def finish(self, now_ns: int) -> tuple[list[float], list[Turn]]:
        """The call is over: everything comes out."""
        trips, turns = self.work()
        self.tracker.ended(now_ns)
        return trips + self.tracker.take_round_trips(), turns + self.tracker.take()

    def _digest(self, now_ns: int, kind: int, value: Any) -> None:
        tracker = self.tracker
        if kind in (side.UPLINK, side.UPLINK_KEPT):
            self._uplink(now_ns, value, sent=kind == side.UPLINK)
        elif kind == side.AGENT_AUDIO:
            self.first_audio_ns = self.first_audio_ns or now_ns
        elif kind == side.DOWNLINK:
            payload, dropped, event_id = value
            if not dropped:
                ms = payload_ms(payload)
                tracker.agent_audio(now_ns, ms, event_id)
                self.quality.downlink_audio(now_ns, ms, event_id)
                # The pieces of one message share its instant, and when the first of them was written.
                if self._unwritten is not None and self._unwritten[0] != now_ns:
                    self._flush_written(None)
                self._unwritten = (now_ns, ms)
        elif kind == side.WRITTEN:
            self._flush_written(now_ns)
        elif kind == side.HEARD:
            self._flush_written(None)
            run_started_ns, queued_ms = value
            if run_started_ns is not None:
                tracker.playout_started(run_started_ns)
            tracker.playout_confirmed(now_ns, queued_ms)
        elif kind == side.BARGE_IN:
            self._flush_written(None)
            tracker.barge_in(now_ns, value, now_ns)
            self.quality.cleared()
        elif kind == side.WORDS:
            self._words(now_ns, *value)

    def _uplink(self, now_ns: int, payload: bytes, *, sent: bool) -> None:
        try:
            frame = binascii.a2b_base64(payload)
        except binascii.Error:
            return
        voiced = self._voice.voiced(frame)
        self.tracker.uplink_frame(now_ns, voiced)
        self.quality.uplink_frame(now_ns, frame, voiced)
        if sent:
            self.tracker.frame_sent(now_ns)

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
