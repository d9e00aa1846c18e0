"""Where a call is: the table, walked whole."""

from __future__ import annotations

from itertools import permutations, product

import pytest

from shortwire.call.state import TRANSITIONS, CallFact, advance, fact_of_status
from shortwire.terms import CallState

S, F = CallState, CallFact

RANK = {
    S.CREATED: 0,
    S.DIALING: 1,
    S.UNKNOWN: 1,
    S.RINGING: 2,
    S.ANSWERED: 3,
    S.CONNECTED: 4,
    S.ENDING: 5,
    S.ENDED: 6,
}
REACHES = {
    F.DIALED: S.DIALING,
    F.UNCERTAIN: S.UNKNOWN,
    F.RINGING: S.RINGING,
    F.ANSWERED: S.ANSWERED,
    F.JOINED: S.CONNECTED,
    F.CAUSE_KNOWN: S.ENDING,
    F.OVER: S.ENDED,
}


def test_the_table_is_whole() -> None:
    assert set(TRANSITIONS) == set(CallState) == set(RANK)
    assert set(REACHES) == set(CallFact)


@pytest.mark.parametrize(("state", "fact"), list(product(S, F)))
def test_a_call_never_goes_back_and_a_fact_means_one_state(state: CallState, fact: CallFact) -> None:
    after = advance(state, fact)
    assert after in (state, REACHES[fact])
    assert RANK[after] >= RANK[state]
    assert advance(after, fact) is after
    # Nothing that is news is missed, except doubt: that can only follow asking.
    if fact is not F.UNCERTAIN and RANK[REACHES[fact]] > RANK[state]:
        assert after is REACHES[fact]


def test_ended_is_final() -> None:
    assert TRANSITIONS[S.ENDED] == {}
    assert all(advance(S.ENDED, fact) is S.ENDED for fact in F)


def test_every_state_can_end() -> None:
    for state in S:
        assert advance(state, F.OVER) is S.ENDED
        assert advance(advance(state, F.CAUSE_KNOWN), F.OVER) is S.ENDED


def after_all(facts: tuple[CallFact, ...], state: CallState = S.CREATED) -> CallState:
    for fact in facts:
        state = advance(state, fact)
    return state


@pytest.mark.parametrize("count", range(1, 7))
def test_callbacks_in_any_order_end_in_the_same_state(count: int) -> None:
    facts = (F.DIALED, F.RINGING, F.ANSWERED, F.JOINED, F.CAUSE_KNOWN, F.OVER)[:count]
    for order in permutations(facts):
        assert after_all(order) is REACHES[facts[-1]]
        assert after_all(order + order) is REACHES[facts[-1]]


def test_an_uncertain_call_is_settled_by_any_callback() -> None:
    assert after_all((F.DIALED, F.UNCERTAIN)) is S.UNKNOWN
    for status in ("initiated", "ringing", "in-progress", "completed", "busy"):
        fact = fact_of_status(status)
        assert fact is not None
        assert after_all((F.DIALED, F.UNCERTAIN, fact)) is REACHES[fact]
    assert after_all((F.DIALED, F.RINGING, F.UNCERTAIN)) is S.RINGING


# protocols/twilio.md section 3.3: every status of the REST enum and of the callbacks
STATUSES = {
    "queued": F.DIALED,
    "initiated": F.DIALED,
    "ringing": F.RINGING,
    "in-progress": F.ANSWERED,
    "completed": F.CAUSE_KNOWN,
    "busy": F.CAUSE_KNOWN,
    "failed": F.CAUSE_KNOWN,
    "no-answer": F.CAUSE_KNOWN,
    "canceled": F.CAUSE_KNOWN,
}


def test_statuses() -> None:
    assert {status: fact_of_status(status) for status in STATUSES} == STATUSES
    assert [fact_of_status(s) for s in ("", "Completed", "in progress", "answered")] == [None] * 4


def test_the_carriers_callbacks_in_any_order() -> None:
    for final in ("completed", "busy", "no-answer", "failed", "canceled"):
        for order in permutations(("initiated", "ringing", "in-progress", final)):
            facts = tuple(fact for status in order if (fact := fact_of_status(status)) is not None)
            assert after_all(facts) is S.ENDING
