"""Who spoke when, and how long the other waited: turns and their gaps, from facts fed in order of time.

Sans-I/O and off the media path; knows neither wire nor sockets. All instants are those at which something
passed *our* sockets. A caller's frame and the mark that confirms the agent's audio both come to us over the
carrier's line, so each is late by the same one-way delay and the response gap between them is the gap the
caller hears: the delay cancels (docs/reference/measurements.md).
"""

from __future__ import annotations

from typing import NamedTuple

from ..clock import NEVER_NS, NS_PER_MS
from .speech import HANGOVER_MS, FrameClock, Speech, SpeechEdges
from .turn import SETTLE_NS, Reply, Turn, turn_of

__all__ = ["Outlook", "Turn", "TurnTracker"]


class Outlook(NamedTuple):
    """What a stretch of like messages may be digested by, without asking for each (`TurnTracker.outlook`)."""

    due_ns: int
    """Caller frames read before this settle nothing."""
    event_id: int = -1
    """Of the last reply: a chunk with the same continues it. -1: every chunk has to be asked for."""
    read_ms: float = 0.0
    """Its audio so far."""
    from_ns: int = 0
    """Since when it is heard, as far as known: with `read_ms` it ends `read_ms` later."""
    ends_ns: int = 0
    """A chunk of another id that is read until then continues it too. 0: none does."""


class TurnTracker:
    """One call's turns. Feed facts in order of time, take the results with `take` and `take_round_trips`.

    A turn comes out once its reply was heard to its end or cut (and 0.7 s for late text), at the latest at `ended`.
    """

    def __init__(self, *, hangover_ms: int = HANGOVER_MS) -> None:
        self.speech = SpeechEdges(hangover_ms=hangover_ms)
        self.first_word_ns: int | None = None
        """First agent audio of the call heard; final with its turn."""
        self.first_word_written_ns: int | None = None
        """The same audio handed to the phone socket."""
        self.carrier_round_trip_ms: float | None = None
        """Shortest time from audio written to its being heard, as far as we can tell: the carrier's line there and
        back, and what the carrier does meanwhile."""
        self._frames = FrameClock()
        self._zero_ns: int | None = None
        self._uplink_ns = 0
        self._open: list[Reply] = []
        self._last: Reply | None = None
        self._replies = 0
        self._transcripts: list[tuple[int, str]] = []
        self._transcribed = False
        self._agent_text = ""
        self._done: list[Turn] = []
        self._round_trips: list[float] = []

    # -- facts ---------------------------------------------------------------------------------------

    def answered(self, now_ns: int) -> None:
        """The call was answered: zero of all instants. Without it the first fact fed is zero."""
        self._zero_ns = now_ns

    def uplink_frame(self, now_ns: int, voiced: bool, sent_ns: int | None = None, placed_ns: int | None = None) -> None:
        """A caller frame of 20 ms read from the phone socket; whether it holds speech, and when it went to the agent
        (None: it was kept, or dropped). `placed_ns`: when it was spoken, where that is known (`FrameClock`)."""
        self._uplink_ns = now_ns
        if self._zero_ns is None:
            self._zero_ns = now_ns
        self.speech.frame(self._frames.place(now_ns) if placed_ns is None else placed_ns, voiced)
        if self._open:
            self._settle(now_ns)
        if voiced and sent_ns is not None:
            self.speech.sent(sent_ns)

    def outlook(self) -> Outlook:
        """What the next messages cannot change, as long as they are like those before."""
        due_ns = NEVER_NS
        if self._zero_ns is None:
            due_ns = 0
        elif self._open:
            last, settled_ns = self._open[-1], self._open[0].settled_ns()
            due_ns = min(
                due_ns if settled_ns is None else settled_ns, due_ns if last.round_trip_known else last.first_ns
            )
        reply = self._last
        if reply is None or reply.written_ns is None:
            return Outlook(due_ns)
        event_id = -1 if reply.event_id is None else reply.event_id
        if reply.clear_ns is not None or self._transcripts or reply not in self._open:
            return Outlook(due_ns, event_id, reply.read_ms)
        from_ns = reply.heard_ns or reply.written_ns
        return Outlook(due_ns, event_id, reply.read_ms, from_ns, reply.last_heard_ns())

    def uplink_frames(self, frames: int, voiced: bool, first_ns: int, last_ns: int, read_ns: int) -> None:
        """As `uplink_frame` for several in a row that are alike, all of them sent when they were read, before
        `Outlook.due_ns`: the first and the last as placed, and when the last was read."""
        self._uplink_ns = read_ns
        self.speech.run(frames, voiced, first_ns, last_ns, read_ns)

    def more_audio(self, read_ms: float, event_id: int) -> None:
        """As `agent_audio` for chunks that continue the last reply: all that was read of it now."""
        reply = self._last
        assert reply is not None
        reply.read_ms, reply.event_id, reply.heard_end_ns = read_ms, event_id, None

    def party_said(self, now_ns: int, text: str) -> None:
        """The agent's transcript of the party."""
        self._transcribed = True
        self._transcripts.append((now_ns, text))

    def agent_said(self, now_ns: int, text: str) -> None:
        """The agent's text. Comes after its audio on live lines, before it in the documents: both work."""
        for reply in reversed(self._open):
            if not reply.agent:
                reply.agent = text
                return
        self._agent_text = f"{self._agent_text} {text}".strip()

    def agent_corrected(self, now_ns: int, text: str) -> None:
        """What was really spoken of the reply that was cut; ignored when that turn is out already."""
        cut = next((r for r in reversed(self._open) if r.clear_ns is not None), None)
        if reply := cut or (self._open[-1] if self._open else None):
            reply.agent = text

    def agent_audio(self, now_ns: int, ms: float, event_id: int | None = None) -> None:
        """A chunk read from the agent socket that will be played (stale chunks are not fed).

        Chunks with one `event_id` are one reply (seen live); without ids, pauses and transcripts tell.
        """
        reply = self._last
        if reply is None or ((event_id is None or event_id != reply.event_id) and self._is_new(reply, now_ns)):
            reply = self._begin(now_ns)
        if event_id is not None:
            reply.event_id = event_id
        reply.read_ms += ms
        reply.heard_end_ns = None  # there is more after all

    def audio_written(self, now_ns: int, ms: float) -> None:
        """The chunk fed last was written to the phone socket."""
        if self._last is not None and self._last.written_ns is None:
            self._last.written_ns = now_ns

    def playout_started(self, at_ns: int) -> None:
        """First audio after an empty buffer was heard: mark's arrival minus the audio before it.

        May be said again when a later mark came sooner: the earliest of all is the truest.
        """
        for reply in reversed(self._open):
            if reply.first_ns <= at_ns:
                if reply.heard_ns is None or at_ns < reply.heard_ns:
                    self._first_heard(reply, at_ns)
                return

    def _first_heard(self, reply: Reply, at_ns: int) -> None:
        reply.heard_ns = at_ns
        if self.first_word_ns is None or at_ns < self.first_word_ns:
            self.first_word_ns, self.first_word_written_ns = at_ns, reply.written_ns
        if reply.written_ns is not None and at_ns >= reply.written_ns:
            trip_ms = (at_ns - reply.written_ns) / NS_PER_MS
            if self.carrier_round_trip_ms is None or trip_ms < self.carrier_round_trip_ms:
                self.carrier_round_trip_ms = trip_ms

    def playout_confirmed(self, now_ns: int, queued_ms: float = 0.0) -> None:
        """A mark came back; `queued_ms` of audio are still behind it. With 0 the reply was heard to its end."""
        if queued_ms <= 0 and self._open and self._open[-1].heard_ns is not None:
            self._open[-1].heard_end_ns = now_ns

    def barge_in(self, now_ns: int, unheard_ms: float, clear_written_ns: int) -> None:
        """The agent was interrupted and the phone's buffer cleared. Nothing to cut: nothing is recorded."""
        reply = self._last
        if reply is not None and reply in self._open and reply.clear_ns is None and reply.heard_end_ns is None:
            reply.clear_ns = clear_written_ns
            reply.unheard_ms = unheard_ms

    def ended(self, now_ns: int) -> None:
        """The call is over: every turn comes out, also words that no audio followed."""
        self._uplink_ns = max(self._uplink_ns, now_ns)
        for reply in self._open:
            self._finish(reply)
        self._open.clear()
        if self._transcripts or self._agent_text:
            party = " ".join(text for _, text in self._transcripts)
            self._done.append(Turn(self._replies, "reply", party=party, agent=self._agent_text))
            self._replies += 1
            self._transcripts, self._agent_text = [], ""

    # -- results -------------------------------------------------------------------------------------

    def take(self) -> list[Turn]:
        """Turns that became final since the last time, oldest first."""
        done, self._done = self._done, []
        return done

    def take_round_trips(self) -> list[float]:
        """Round trips known since the last time, ms; each is known long before its turn is final."""
        found, self._round_trips = self._round_trips, []
        return found

    @property
    def answer_to_first_word_ms(self) -> float | None:
        if self.first_word_ns is None or self._zero_ns is None:
            return None
        return (self.first_word_ns - self._zero_ns) / NS_PER_MS

    # -- how it is decided ---------------------------------------------------------------------------

    def _is_new(self, reply: Reply, now_ns: int) -> bool:
        """Whether a chunk without the last one's id begins another reply."""
        if reply.clear_ns is not None or self._transcripts or reply not in self._open:
            return True
        silent_ns = now_ns - reply.last_heard_ns()
        if silent_ns <= 0:
            return False
        if silent_ns > SETTLE_NS:
            return True
        if self._transcribed:
            return False
        spoken = self.speech.before(now_ns)
        return spoken is not None and spoken.end_ns > reply.first_ns

    def _begin(self, now_ns: int) -> Reply:
        before = self._last
        if before is not None and before.superseded_ns is None:
            before.superseded_ns = now_ns
        if self._zero_ns is None:
            self._zero_ns = now_ns
        reply = Reply(
            index=self._replies,
            first_ns=now_ns,
            greeting=before is None and not self._transcripts,
            asked=bool(self._transcripts),
            after=before,
            transcript_ns=self._transcripts[-1][0] if self._transcripts else None,
            party=" ".join(text for _, text in self._transcripts),
            agent=self._agent_text,
        )
        self._replies += 1
        self._transcripts, self._agent_text = [], ""
        self._last = reply
        self._open.append(reply)
        return reply

    def _settle(self, now_ns: int) -> None:
        """Everything up to `now_ns` is known: what can be finished by it?"""
        reply = self._open[-1]
        if not reply.round_trip_known and now_ns >= reply.first_ns:
            self._find_round_trip(reply)
        while self._open:
            settled_ns = self._open[0].settled_ns()
            if settled_ns is None or now_ns < settled_ns:
                return
            self._finish(self._open.pop(0))

    def _answered_speech(self, reply: Reply) -> Speech | None:
        """The stretch of speech that a reply answers; None if nobody had asked."""
        stretch = None if reply.greeting else self.speech.before(reply.first_ns)
        if stretch is None or reply.after is None:
            return stretch
        if stretch.end_ns <= reply.after.first_ns:
            return None  # answered before
        if reply.asked:
            return stretch
        # No transcript for this one. Where transcripts come at all, the agent spoke of its own accord;
        # where they never come, speech after the end of the last reply is what is being answered.
        return stretch if not self._transcribed and stretch.end_ns > reply.after.last_heard_ns() else None

    def _find_round_trip(self, reply: Reply) -> None:
        reply.round_trip_known = True
        stretch = self._answered_speech(reply)
        if stretch is None or stretch.end_ns > reply.first_ns:
            return
        sent_ns = stretch.end_ns if stretch.sent_ns is None else stretch.sent_ns
        if sent_ns <= reply.first_ns:
            reply.round_trip_ms = (reply.first_ns - sent_ns) / NS_PER_MS
            self._round_trips.append(reply.round_trip_ms)

    def _finish(self, reply: Reply) -> None:
        if not reply.round_trip_known:
            self._find_round_trip(reply)
        self._done.append(turn_of(reply, self._answered_speech(reply), self.speech, self._zero_ns or 0))
        reply.after = None  # a chain of all replies would keep them all alive
