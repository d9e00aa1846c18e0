"""Where a call is, as a table. All changes of `CallState` in the house go through `advance`.

House rules: ENDED is final; a call never goes back (late and repeated callbacks change nothing); and the
table does not know who told us, only what was told.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from ..terms import CallState

__all__ = ["TRANSITIONS", "CallFact", "advance", "fact_of_status"]

S = CallState


class CallFact(StrEnum):
    """What can become known about a call."""

    DIALED = "dialed"
    """The carrier is being asked, or a stranger is calling us."""
    UNCERTAIN = "uncertain"
    """The carrier gave no clear answer."""
    RINGING = "ringing"
    ANSWERED = "answered"
    JOINED = "joined"
    """The media stream is open."""
    CAUSE_KNOWN = "cause_known"
    """Somebody wants the call to end, or it has ended somewhere."""
    OVER = "over"
    """Nothing of the call is left open."""


F = CallFact

TRANSITIONS: Final[dict[CallState, dict[CallFact, CallState]]] = {
    S.CREATED: {
        F.DIALED: S.DIALING,
        F.RINGING: S.RINGING,
        F.ANSWERED: S.ANSWERED,
        F.JOINED: S.CONNECTED,
        F.CAUSE_KNOWN: S.ENDING,
        F.OVER: S.ENDED,
    },
    S.DIALING: {
        F.UNCERTAIN: S.UNKNOWN,
        F.RINGING: S.RINGING,
        F.ANSWERED: S.ANSWERED,
        F.JOINED: S.CONNECTED,
        F.CAUSE_KNOWN: S.ENDING,
        F.OVER: S.ENDED,
    },
    S.UNKNOWN: {
        F.DIALED: S.DIALING,
        F.RINGING: S.RINGING,
        F.ANSWERED: S.ANSWERED,
        F.JOINED: S.CONNECTED,
        F.CAUSE_KNOWN: S.ENDING,
        F.OVER: S.ENDED,
    },
    S.RINGING: {F.ANSWERED: S.ANSWERED, F.JOINED: S.CONNECTED, F.CAUSE_KNOWN: S.ENDING, F.OVER: S.ENDED},
    S.ANSWERED: {F.JOINED: S.CONNECTED, F.CAUSE_KNOWN: S.ENDING, F.OVER: S.ENDED},
    S.CONNECTED: {F.CAUSE_KNOWN: S.ENDING, F.OVER: S.ENDED},
    S.ENDING: {F.OVER: S.ENDED},
    S.ENDED: {},
}


def advance(state: CallState, fact: CallFact) -> CallState:
    """The state after a fact; the same one where the fact says nothing new."""
    return TRANSITIONS[state].get(fact, state)


_FACT_OF_STATUS: Final = {
    "queued": F.DIALED,
    "initiated": F.DIALED,
    "ringing": F.RINGING,
    "in-progress": F.ANSWERED,
    "completed": F.CAUSE_KNOWN,
    "busy": F.CAUSE_KNOWN,
    "no-answer": F.CAUSE_KNOWN,
    "failed": F.CAUSE_KNOWN,
    "canceled": F.CAUSE_KNOWN,
}


def fact_of_status(status: str) -> CallFact | None:
    """What a carrier status means (protocols/twilio.md section 3.3); None for one that is not on the page."""
    return _FACT_OF_STATUS.get(status)
