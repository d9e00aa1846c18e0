"""When a call has to end, and what an ending means: causes, carrier statuses and dispositions, as tables."""

from __future__ import annotations

from typing import Any, Final

from ..call.options import Limits
from ..terms import CallState, Disposition, HangupCause

__all__ = ["CAUSE_OF_STATUS", "disposition_of", "only_the_carrier_knows", "overdue", "told_of_end"]

C = HangupCause

CAUSE_OF_STATUS: Final[dict[str, HangupCause]] = {
    "completed": C.PARTY_HANGUP,
    "busy": C.BUSY,
    "no-answer": C.NO_ANSWER,
    "failed": C.CARRIER_FAILED,
    "canceled": C.CANCELED,
}
"""Final carrier statuses (protocols/twilio.md section 3.3) that came without our asking."""

_DISPOSITIONS: Final[dict[HangupCause, Disposition]] = {
    C.BUSY: Disposition.BUSY,
    C.NO_ANSWER: Disposition.NO_ANSWER,
    C.CANCELED: Disposition.CANCELED,
    C.CARRIER_UNKNOWN: Disposition.UNKNOWN,
}

_UNKNOWN_S: Final = 600.0
"""Past everything that the settler does: no call stays unknown for ever."""
_RING_GRACE_S: Final = 60.0
"""Past the ring timeout, for a network that takes its time and a lost callback, before we ask."""
_IN_ORDER: Final = (0, 1000, 1001, 1005)
"""Close codes of a stream that did not break off; 0: not closed at all."""


def overdue(
    state: CallState, limits: Limits, *, created_s: float, unheard_s: float, answered_s: float, media_open: bool
) -> tuple[HangupCause, str] | None:
    """Why a call in this state has to end now, with details; None: it may go on. It was created so long ago, answered
    so long ago (0: not yet), and so long ago the carrier said something new of it before that."""
    if answered_s > limits.max_call_s:
        return C.DEADLINE, ""
    match state:
        case CallState.ANSWERED if not media_open and answered_s > limits.media_wait_s:
            return C.MEDIA_NEVER_CAME, ""
        case CallState.UNKNOWN if created_s > _UNKNOWN_S:
            return C.CARRIER_UNKNOWN, ""
        case CallState.CREATED if created_s > _UNKNOWN_S:
            return C.INTERNAL_ERROR, "it was neither dialled nor answered"
        case CallState.DIALING | CallState.RINGING if unheard_s > (wait_s := limits.ring_timeout_s + _RING_GRACE_S):
            return C.NO_ANSWER, f"nothing was heard from the carrier for {wait_s:g} s"
    return None


def only_the_carrier_knows(cause: HangupCause, close_code: int, *, inbound: bool) -> bool:
    """Whether to ask the carrier before we believe a cause. A stream that breaks off makes it hang up by itself: that
    it has says nothing then. One that is closed in order, or falls silent, may have lost its `stop`."""
    if cause is C.MEDIA_LOST:
        return close_code in _IN_ORDER
    return cause is C.NO_ANSWER or (cause is C.MEDIA_NEVER_CAME and inbound)


def disposition_of(cause: HangupCause, *, connected: bool) -> Disposition:
    """What the end means for whoever wanted the call. Somebody who was connected has answered, whatever came after."""
    if connected:
        return Disposition.ANSWERED
    if cause in (C.API_HANGUP, C.SHUTDOWN):
        return Disposition.CANCELED
    return _DISPOSITIONS.get(cause, Disposition.FAILED)


def told_of_end(cause: HangupCause, detail: str, disposition: Disposition, duration_s: float) -> dict[str, Any]:
    """What `EventKind.ENDED` tells. `duration_s`: since somebody answered; 0 if nobody did, or nobody knows."""
    return {
        "cause": cause.value,
        "cause_detail": detail,
        "fault": cause.fault.value,
        "meaning": cause.meaning,
        "disposition": disposition.value,
        "duration_s": duration_s,
    }
