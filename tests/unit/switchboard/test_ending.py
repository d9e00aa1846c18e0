"""What an ending means: every cause has a disposition, every final status a cause."""

from __future__ import annotations

import pytest

from shortwire.call.options import Limits
from shortwire.call.state import CallFact, fact_of_status
from shortwire.switchboard.ending import (
    CAUSE_OF_STATUS,
    disposition_of,
    only_the_carrier_knows,
    overdue,
)
from shortwire.switchboard.ids import new_call_id
from shortwire.terms import CallState, Disposition, HangupCause


@pytest.mark.parametrize("cause", HangupCause)
def test_somebody_who_was_connected_has_answered(cause: HangupCause) -> None:
    assert disposition_of(cause, connected=True) is Disposition.ANSWERED
    assert disposition_of(cause, connected=False) is not Disposition.ANSWERED


@pytest.mark.parametrize(
    ("cause", "disposition"),
    [
        (HangupCause.BUSY, Disposition.BUSY),
        (HangupCause.NO_ANSWER, Disposition.NO_ANSWER),
        (HangupCause.API_HANGUP, Disposition.CANCELED),
        (HangupCause.SHUTDOWN, Disposition.CANCELED),
        (HangupCause.CARRIER_UNKNOWN, Disposition.UNKNOWN),
        (HangupCause.CARRIER_REFUSED, Disposition.FAILED),
        (HangupCause.AGENT_UNAUTHORIZED, Disposition.FAILED),
        (HangupCause.MEDIA_NEVER_CAME, Disposition.FAILED),
    ],
)
def test_nobody_was_connected(cause: HangupCause, disposition: Disposition) -> None:
    assert disposition_of(cause, connected=False) is disposition


def test_final_statuses_and_no_others_have_a_cause() -> None:
    for status, cause in CAUSE_OF_STATUS.items():
        assert fact_of_status(status) is CallFact.CAUSE_KNOWN
        assert cause.meaning
    for status in ("queued", "initiated", "ringing", "in-progress", "", "nonsense"):
        assert status not in CAUSE_OF_STATUS


def test_ids_sort_by_age() -> None:
    ids = [new_call_id(1_700_000_000 + second / 1000) for second in range(0, 100_000, 37)]
    assert ids == sorted(ids)
    assert len(set(ids)) == len(ids)
    assert all(len(call_id) == 31 and call_id.startswith("call_") for call_id in ids)


LIMITS = Limits(max_call_s=100, media_wait_s=10, ring_timeout_s=30)


@pytest.mark.parametrize(
    ("state", "created_s", "unheard_s", "answered_s", "media_open", "cause"),
    [
        (CallState.CREATED, 600, 600, 0, False, None),
        (CallState.CREATED, 601, 601, 0, False, HangupCause.INTERNAL_ERROR),
        (CallState.DIALING, 90, 90, 0, False, None),
        (CallState.DIALING, 91, 91, 0, False, HangupCause.NO_ANSWER),
        (CallState.DIALING, 9_000, 90, 0, False, None),
        (CallState.DIALING, 91, -3_600, 0, False, None),
        (CallState.RINGING, 91, 91, 0, False, HangupCause.NO_ANSWER),
        (CallState.RINGING, 91, 14, 0, False, None),
        (CallState.ANSWERED, 50, 50, 10, False, None),
        (CallState.ANSWERED, 50, 50, 11, False, HangupCause.MEDIA_NEVER_CAME),
        (CallState.ANSWERED, 50, 50, 11, True, None),
        (CallState.CONNECTED, 900, 900, 100, True, None),
        (CallState.CONNECTED, 900, 900, 101, True, HangupCause.DEADLINE),
        (CallState.UNKNOWN, 600, 600, 0, False, None),
        (CallState.UNKNOWN, 601, 601, 0, False, HangupCause.CARRIER_UNKNOWN),
        (CallState.ENDED, 9_000, 9_000, 0, False, None),
    ],
)
def test_when_it_has_to_end(
    state: CallState,
    created_s: float,
    unheard_s: float,
    answered_s: float,
    media_open: bool,
    cause: HangupCause | None,
) -> None:
    found = overdue(
        state, LIMITS, created_s=created_s, unheard_s=unheard_s, answered_s=answered_s, media_open=media_open
    )
    assert (found and found[0]) is cause
    assert (found is not None and "90 s" in found[1]) is (cause is HangupCause.NO_ANSWER)


def test_whom_to_believe() -> None:
    assert only_the_carrier_knows(HangupCause.MEDIA_LOST, 1000, inbound=False)
    assert not only_the_carrier_knows(HangupCause.MEDIA_LOST, 1006, inbound=False)
    assert only_the_carrier_knows(HangupCause.NO_ANSWER, 0, inbound=False)
    assert only_the_carrier_knows(HangupCause.MEDIA_NEVER_CAME, 0, inbound=True)
    assert not only_the_carrier_knows(HangupCause.MEDIA_NEVER_CAME, 0, inbound=False)
    assert not only_the_carrier_knows(HangupCause.PARTY_HANGUP, 0, inbound=False)
