"""What an ending means: every cause has a disposition, every final status a cause."""

from __future__ import annotations

import pytest

from shortwire.call.state import CallFact, fact_of_status
from shortwire.switchboard.ending import CAUSE_OF_STATUS, disposition_of, settled_by_carrier
from shortwire.switchboard.ids import new_call_id
from shortwire.terms import Disposition, HangupCause


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
        assert settled_by_carrier(status) is cause
    for status in ("queued", "initiated", "ringing", "in-progress", "", "nonsense"):
        assert settled_by_carrier(status) is None


def test_ids_sort_by_age() -> None:
    ids = [new_call_id(1_700_000_000 + second / 1000) for second in range(0, 100_000, 37)]
    assert ids == sorted(ids)
    assert len(set(ids)) == len(ids)
    assert all(len(call_id) == 31 and call_id.startswith("call_") for call_id in ids)
