"""Who spoke when, and how long the other waited: turns and their gaps, from facts fed in order of time.

Sans-I/O and off the media path; knows neither wire nor sockets. All instants are those at which something
passed *our* sockets. A caller's frame and the mark that confirms the agent's audio both come to us over the
carrier's line, so each is late by the same one-way delay and the response gap between them is the gap the
caller hears: the delay cancels (docs/reference/measurements.md).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ..clock import NS_PER_MS
from .speech import HANGOVER_MS, Speech, SpeechEdges

__all__ = ["Turn", "TurnTracker"]

_SETTLE_NS = 700 * NS_PER_MS
"""After a reply was heard or cut, its text or correction may still come for so long; also the silence after
which more agent audio is a new turn and not a late chunk."""
_ONE_BARGE_IN_NS = 500 * NS_PER_MS
"""Speech with pauses up to here is one attempt to interrupt: "No ... wait" begins at "No"."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One reply of the agent and what it replied to. ``_ms`` at the end of an instant's name: since the answer.

    None means that the figure could not be measured, never zero. ``agent_ms + bridge_ms + playout_ms`` is
    ``response_gap_ms``, and ``endpointing_ms + generation_ms`` is ``agent_ms``.
    """

    index: int
    kind: str
    """"greeting" (nobody had asked) or "reply"."""
    party: str = ""
    agent: str = ""
    """What the agent said; after a correction, what was really spoken."""
    speech_start_ms: float | None = None
    speech_end_ms: float | None = None
    """End of the party's last voiced frame before the reply."""
    heard_ms: float | None = None
    """First audio of the reply heard, confirmed by a mark."""
    heard_end_ms: float | None = None
    response_gap_ms: float | None = None
    """End of the party's speech to first agent audio heard. None: no mark came, or they spoke at once."""
    agent_ms: float | None = None
    """End of speech read to first audio read: the agent, and the network to it."""
    endpointing_ms: float | None = None
    """End of speech to the agent's transcript."""
    generation_ms: float | None = None
    """Transcript to first audio."""
    bridge_ms: float | None = None
    """First audio read to the same audio written: ours."""
    playout_ms: float | None = None
    """First audio written to heard: carrier, and the network to it."""
    round_trip_ms: float | None = None
    """The seed's figure: last voiced frame sent to the agent, to first audio of the reply."""
    barge_in: bool = False
    """The party began to speak while the agent was heard."""
    interrupted: bool = False
    """... and the agent was stopped."""
    stop_ms: float | None = None
    """From the start of the party's first voiced frame over the agent to `clear` written."""
    unheard_ms: float | None = None
    """Agent audio that was thrown away; 0 when marks confirmed all of it."""
    talk_over_ms: float = 0.0
    """How long both were heard at once."""
    dead_air_ms: float | None = None
    """Silence of both before this reply was heard."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON: the field names, figures rounded to a hundredth of a millisecond."""
        return {k: round(v, 2) if isinstance(v, float) else v for k, v in asdict(self).items()}


@dataclass(slots=True)
class _Reply:
    """A turn in the making; instants of the first audio, lengths of all of it."""

    index: int
    first_ns: int
    greeting: bool
    asked: bool
    """A transcript came since the reply before."""
    after: _Reply | None
    transcript_ns: int | None = None
    party: str = ""
    agent: str = ""
    event_id: int | None = None
    read_ms: float = 0.0
    written_ns: int | None = None
    heard_ns: int | None = None
    heard_end_ns: int | None = None
    clear_ns: int | None = None
    unheard_ms: float | None = None
    round_trip_ms: float | None = None
    round_trip_known: bool = False
    superseded_ns: int | None = None
    """When the next reply began."""

    def last_heard_ns(self) -> int:
        """When its audio ended or will end at the ear: confirmed, cut, or by its length."""
        if self.heard_end_ns is not None:
            return self.heard_end_ns
        if self.clear_ns is not None:
            return self.clear_ns
        return (self.heard_ns or self.written_ns or self.first_ns) + int(self.read_ms * NS_PER_MS)

    def settled_ns(self) -> int | None:
        """When everything that can still be said about it was said; None: not yet foreseeable."""
        over = [ns for ns in (self.heard_end_ns, self.clear_ns, self.superseded_ns) if ns is not None]
        return min(over) + _SETTLE_NS if over else None


class TurnTracker:
    """One call's turns. Feed facts in order of time, take the results with `take` and `take_round_trips`.

    A turn comes out once its reply was heard to its end or cut (and 0.7 s for late text), at the latest at `ended`.
    """

    def __init__(self, *, hangover_ms: int = HANGOVER_MS) -> None:
        self.speech = SpeechEdges(hangover_ms=hangover_ms)
        self.first_word_ns: int | None = None
        """First agent audio of the call heard."""
        self._zero_ns: int | None = None
        self._uplink_ns = 0
        self._open: list[_Reply] = []
        self._last: _Reply | None = None
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

    def uplink_frame(self, now_ns: int, voiced: bool) -> None:
        """A caller frame of 20 ms read from the phone socket, and whether it holds speech."""
        self._uplink_ns = now_ns
        if self._zero_ns is None:
            self._zero_ns = now_ns
        self.speech.frame(now_ns, voiced)
        if self._open:
            self._settle(now_ns)

    def frame_sent(self, now_ns: int) -> None:
        """The frame fed last was written to the agent socket. Leave it out for frames that were dropped."""
        self.speech.sent(now_ns)

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
        if reply is None or self._is_new(reply, now_ns, event_id):
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
        """First audio after an empty buffer was heard: mark's arrival minus the audio before it."""
        for reply in reversed(self._open):
            if reply.first_ns <= at_ns:
                if reply.heard_ns is None:
                    reply.heard_ns = at_ns
                    if self.first_word_ns is None:
                        self.first_word_ns = at_ns
                return

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

    def _is_new(self, reply: _Reply, now_ns: int, event_id: int | None) -> bool:
        """Whether a chunk begins another reply than the last one."""
        if event_id is not None and event_id == reply.event_id:
            return False
        if reply.clear_ns is not None or reply not in self._open or self._transcripts:
            return True
        silent_ns = now_ns - reply.last_heard_ns()
        if silent_ns > _SETTLE_NS:
            return True
        spoken = self.speech.before(now_ns)
        return not self._transcribed and silent_ns > 0 and spoken is not None and spoken.end_ns > reply.first_ns

    def _begin(self, now_ns: int) -> _Reply:
        before = self._last
        if before is not None and before.superseded_ns is None:
            before.superseded_ns = now_ns
        if self._zero_ns is None:
            self._zero_ns = now_ns
        reply = _Reply(
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

    def _answered_speech(self, reply: _Reply) -> Speech | None:
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

    def _find_round_trip(self, reply: _Reply) -> None:
        reply.round_trip_known = True
        stretch = self._answered_speech(reply)
        if stretch is None or stretch.end_ns > reply.first_ns:
            return
        sent_ns = stretch.end_ns if stretch.sent_ns is None else stretch.sent_ns
        if sent_ns <= reply.first_ns:
            reply.round_trip_ms = (reply.first_ns - sent_ns) / NS_PER_MS
            self._round_trips.append(reply.round_trip_ms)

    def _finish(self, reply: _Reply) -> None:
        if not reply.round_trip_known:
            self._find_round_trip(reply)
        self._done.append(_turn(reply, self._answered_speech(reply), self.speech, self._zero_ns or 0))
        reply.after = None  # a chain of all replies would keep them all alive


def _ms(start_ns: int | None, end_ns: int | None) -> float | None:
    """Length in ms; None if an end is missing or they come in the wrong order (then it measured nothing)."""
    if start_ns is None or end_ns is None or end_ns < start_ns:
        return None
    return (end_ns - start_ns) / NS_PER_MS


def _instant(ns: int | None, zero_ns: int) -> float | None:
    return None if ns is None else (ns - zero_ns) / NS_PER_MS


def _turn(reply: _Reply, answered: Speech | None, speech: SpeechEdges, zero_ns: int) -> Turn:
    end_ns = None if answered is None else answered.end_ns
    over = [] if reply.heard_ns is None else speech.overlapping(reply.heard_ns, reply.last_heard_ns())
    agent_ms = _ms(end_ns, reply.first_ns)
    endpointing_ms = _ms(end_ns, reply.transcript_ns)
    split = agent_ms is not None and endpointing_ms is not None and endpointing_ms <= agent_ms
    confirmed = reply.heard_end_ns is not None and reply.clear_ns is None
    return Turn(
        index=reply.index,
        kind="greeting" if reply.greeting else "reply",
        party=reply.party,
        agent=reply.agent,
        speech_start_ms=_instant(answered.start_ns if answered else None, zero_ns),
        speech_end_ms=_instant(end_ns, zero_ns),
        heard_ms=_instant(reply.heard_ns, zero_ns),
        heard_end_ms=None if reply.heard_ns is None else _instant(reply.last_heard_ns(), zero_ns),
        response_gap_ms=_ms(end_ns, reply.heard_ns),
        agent_ms=agent_ms,
        endpointing_ms=endpointing_ms if split else None,
        generation_ms=_ms(reply.transcript_ns, reply.first_ns) if split else None,
        bridge_ms=_ms(reply.first_ns, reply.written_ns),
        playout_ms=_ms(reply.written_ns, reply.heard_ns),
        round_trip_ms=reply.round_trip_ms,
        barge_in=reply.clear_ns is not None or any(s.start_ns > (reply.heard_ns or 0) for s in over),
        interrupted=reply.clear_ns is not None,
        stop_ms=_stop_ms(reply, speech),
        unheard_ms=0.0 if confirmed else reply.unheard_ms,
        talk_over_ms=_talk_over_ms(reply, over),
        dead_air_ms=_dead_air_ms(reply, speech, zero_ns),
    )


def _stop_ms(reply: _Reply, speech: SpeechEdges) -> float | None:
    """From the party's first voiced frame over the agent to `clear` written."""
    over_ns = reply.heard_ns or reply.written_ns
    if reply.clear_ns is None or over_ns is None:
        return None
    begun_ns: int | None = None
    for stretch in reversed(speech.overlapping(over_ns, reply.clear_ns)):
        if begun_ns is not None and begun_ns - stretch.end_ns > _ONE_BARGE_IN_NS:
            break
        begun_ns = stretch.start_ns
    return None if begun_ns is None else _ms(max(begun_ns, over_ns), reply.clear_ns)


def _talk_over_ms(reply: _Reply, over: list[Speech]) -> float:
    if reply.heard_ns is None:
        return 0.0
    last_ns = reply.last_heard_ns()
    return sum(min(s.end_ns, last_ns) - max(s.start_ns, reply.heard_ns) for s in over) / NS_PER_MS


def _dead_air_ms(reply: _Reply, speech: SpeechEdges, zero_ns: int) -> float | None:
    """From the last audio of anybody (or the answer) to this reply; 0 when they overlapped."""
    if reply.heard_ns is None:
        return None
    last_ns = [zero_ns]
    if (stretch := speech.before(reply.heard_ns)) is not None:
        last_ns.append(stretch.end_ns)
    if reply.after is not None:
        last_ns.append(reply.after.last_heard_ns())
    return max(0, reply.heard_ns - max(last_ns)) / NS_PER_MS
