"""What an ending means: causes, carrier statuses and dispositions, as tables."""

from __future__ import annotations

from typing import Final

from ..terms import Disposition, HangupCause

__all__ = ["CAUSE_OF_STATUS", "disposition_of", "settled_by_carrier"]

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


def disposition_of(cause: HangupCause, *, connected: bool) -> Disposition:
    """What the end means for whoever wanted the call. Somebody who was connected has answered, whatever came after."""
    if connected:
        return Disposition.ANSWERED
    if cause in (C.API_HANGUP, C.SHUTDOWN):
        return Disposition.CANCELED
    return _DISPOSITIONS.get(cause, Disposition.FAILED)


def settled_by_carrier(status: str) -> HangupCause | None:
    """Where only the carrier knows: the cause by its status, or None while it holds the call for alive."""
    return CAUSE_OF_STATUS.get(status)
