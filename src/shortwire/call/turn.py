"""One turn: what is kept while it is in the making, and the figures that are made of it.

Sans-I/O. `turns` decides which facts belong to which reply; here instants become lengths. A figure whose ends
are not both known is None, never zero and never a guess.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..clock import NS_PER_MS
from .speech import Speech, SpeechEdges

__all__ = ["SETTLE_NS", "Reply", "Turn", "turn_of"]

SETTLE_NS = 700 * NS_PER_MS
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
    agent_over_ms: float = 0.0
    """The part of it that the agent began: it spoke while the party had not finished."""
    dead_air_ms: float | None = None
    """Silence of both before this reply was heard."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON: the field names, figures rounded to a hundredth of a millisecond."""
        values = ((name, getattr(self, name)) for name in self.__slots__)
        return {name: round(value, 2) if isinstance(value, float) else value for name, value in values}


@dataclass(slots=True)
class Reply:
    """A turn in the making; instants of the first audio, lengths of all of it."""

    index: int
    first_ns: int
    greeting: bool
    asked: bool
    """A transcript came since the reply before."""
    after: Reply | None
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
        if self.heard_end_ns is None and self.clear_ns is None and self.superseded_ns is None:
            return None  # asked for with each frame of the caller: the usual answer comes first
        return min(ns for ns in (self.heard_end_ns, self.clear_ns, self.superseded_ns) if ns is not None) + SETTLE_NS


def _ms(start_ns: int | None, end_ns: int | None) -> float | None:
    """Length in ms; None if an end is missing or they come in the wrong order (then it measured nothing)."""
    if start_ns is None or end_ns is None or end_ns < start_ns:
        return None
    return (end_ns - start_ns) / NS_PER_MS


def _instant(ns: int | None, zero_ns: int) -> float | None:
    return None if ns is None else (ns - zero_ns) / NS_PER_MS


def turn_of(reply: Reply, answered: Speech | None, speech: SpeechEdges, zero_ns: int) -> Turn:
    end_ns = None if answered is None else answered.end_ns
    over = [] if reply.heard_ns is None else speech.overlapping(reply.heard_ns, reply.last_heard_ns())
    agent_ms = _ms(end_ns, reply.first_ns)
    endpointing_ms = _ms(end_ns, reply.transcript_ns)
    split = agent_ms is not None and endpointing_ms is not None and endpointing_ms <= agent_ms
    confirmed = reply.heard_end_ns is not None and reply.clear_ns is None
    heard_ns = reply.heard_ns
    if heard_ns is not None and reply.written_ns is not None:
        # A carrier whose clock is ahead of ours returns a mark too early. Nobody hears what was not written yet.
        heard_ns = max(heard_ns, reply.written_ns)
    return Turn(
        index=reply.index,
        kind="greeting" if reply.greeting else "reply",
        party=reply.party,
        agent=reply.agent,
        speech_start_ms=_instant(answered.start_ns if answered else None, zero_ns),
        speech_end_ms=_instant(end_ns, zero_ns),
        heard_ms=_instant(heard_ns, zero_ns),
        heard_end_ms=None if reply.heard_ns is None else _instant(reply.last_heard_ns(), zero_ns),
        response_gap_ms=_ms(end_ns, heard_ns),
        agent_ms=agent_ms,
        endpointing_ms=endpointing_ms if split else None,
        generation_ms=_ms(reply.transcript_ns, reply.first_ns) if split else None,
        bridge_ms=_ms(reply.first_ns, reply.written_ns),
        playout_ms=_ms(reply.written_ns, heard_ns),
        round_trip_ms=reply.round_trip_ms,
        barge_in=reply.clear_ns is not None or any(s.start_ns > (reply.heard_ns or 0) for s in over),
        interrupted=reply.clear_ns is not None,
        stop_ms=_stop_ms(reply, speech),
        unheard_ms=0.0 if confirmed else reply.unheard_ms,
        talk_over_ms=_talk_over_ms(reply, over),
        agent_over_ms=_talk_over_ms(reply, [s for s in over if s.start_ns <= (reply.heard_ns or 0)]),
        dead_air_ms=_dead_air_ms(reply, speech, zero_ns),
    )


def _stop_ms(reply: Reply, speech: SpeechEdges) -> float | None:
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


def _talk_over_ms(reply: Reply, over: list[Speech]) -> float:
    last_ns = reply.last_heard_ns()
    begun_ns = reply.heard_ns or last_ns
    # A mark can come after the `clear` that overtook it: then nothing was heard at once.
    return sum(max(0, min(s.end_ns, last_ns) - max(s.start_ns, begun_ns)) for s in over) / NS_PER_MS


def _dead_air_ms(reply: Reply, speech: SpeechEdges, zero_ns: int) -> float | None:
    """From the last audio of anybody (or the answer) to this reply; 0 when they overlapped."""
    if reply.heard_ns is None:
        return None
    last_ns = [zero_ns]
    if (stretch := speech.before(reply.heard_ns)) is not None:
        last_ns.append(stretch.end_ns)
    if reply.after is not None:
        last_ns.append(reply.after.last_heard_ns())
    return max(0, reply.heard_ns - max(last_ns)) / NS_PER_MS
