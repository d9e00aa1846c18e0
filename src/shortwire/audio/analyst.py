"""Beside the call: turns, round trips and the tape, made from the side log a few times a second.

Works in batches off the media path: what the side log holds is heard (`ear`) and told to the tracker, in order of
time, and given to the tape.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from ..call import side
from ..call.side import SideEntry, SideLog
from ..call.turns import Turn, TurnTracker
from ..records import EventKind
from ..ulaw import payload_ms
from .ear import measured, new_ear
from .quality import quality_figures

__all__ = ["Analyst"]

_UPLINK = (side.UPLINK, side.UPLINK_KEPT)


class Analyst:
    """One call's analyst."""

    def __init__(self, log: SideLog, tape: Callable[[list[SideEntry]], None] | None = None) -> None:
        self.tracker = TurnTracker()
        self.ear = new_ear()
        self._log = log
        self._entries: deque[SideEntry] = deque()
        """Taken from the log, and still to be digested."""
        self._tape = tape
        self._unwritten: tuple[int, float] | None = None
        self._answered = False
        self.first_audio_ns = 0
        """When the agent's first audio was read, held or not; 0: not yet."""

    def answered(self, now_ns: int) -> None:
        """The call was answered: zero of the turns' time line. Only the first time counts."""
        if not self._answered:
            self._answered = True
            self.tracker.answered(now_ns)

    def quality(self) -> dict[str, Any]:
        """How good the call sounded so far; `quality.quality_figures`."""
        return quality_figures(self.ear.counted())

    def work(self) -> tuple[list[float], list[Turn]]:
        """Digest what the side log holds, and empty it: round trips (ms) and turns that became final."""
        while self.digest_some() or self._log:
            pass
        return self.found()

    def digest_some(self) -> bool:
        """A part of `work`: what the side log held when the last part was done. Whether there is more of it."""
        if not self._entries and self._log:
            self._entries.extend(self._log)
            # In place: the session appends to this very list.
            self._log.clear()
            if self._tape is not None:
                self._tape([*side.plain(self._entries)])
        while self._entries:
            now_ns, kind, value = self._entries.popleft()
            self._digest(now_ns, kind, value)
            if kind == side.FRAMES and self._entries:
                return True  # it stands for so many that they are a part by themselves
        self._flush_written(None)
        return False

    def found(self) -> tuple[list[float], list[Turn]]:
        """Round trips (ms) and turns that became final since the last time."""
        return self.tracker.take_round_trips(), self.tracker.take()

    def finish(self, now_ns: int) -> tuple[list[float], list[Turn]]:
        """The call is over: everything comes out."""
        trips, turns = self.work()
        self.tracker.ended(now_ns)
        return trips + self.tracker.take_round_trips(), turns + self.tracker.take()

    def _digest(self, now_ns: int, kind: int, value: Any) -> None:
        if kind == side.FRAMES:
            self._flush_written(None)
            self.ear.digest(value, self.tracker)  # type: ignore[union-attr]  # the compiled one has noted them
        elif kind in _UPLINK:
            self._uplink(now_ns, kind, value)
        elif kind == side.RELAYED:
            self._downlink(now_ns, value[2], value[0])
        elif kind != side.TICK:
            self._other(now_ns, kind, value)

    def _uplink(self, now_ns: int, kind: int, payload: bytes) -> None:
        if (found := measured(payload)) is not None:
            voiced, placed_ns = self.ear.frame(now_ns, *found)
            self.tracker.uplink_frame(now_ns, voiced, now_ns if kind == side.UPLINK else None, placed_ns)

    def _downlink(self, now_ns: int, ms: float, event_id: int) -> None:
        if not self.first_audio_ns:
            self.first_audio_ns = now_ns
        # The pieces of one message share its instant, and when the first of them was written.
        if self._unwritten is not None and self._unwritten[0] != now_ns:
            self._flush_written(None)
        self.tracker.agent_audio(now_ns, ms, event_id)
        self.ear.agent(now_ns, ms, event_id)
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
            self.ear.cleared()
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
