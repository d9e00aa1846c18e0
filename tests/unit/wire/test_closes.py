"""Every close on the protocol page (section 8) has its cause."""

from __future__ import annotations

import pytest

from shortwire.terms import Fault, Leg
from shortwire.terms import HangupCause as C
from shortwire.wire.closes import cause_of_close, words_of_close

PAGE = [
    (1000, "", C.AGENT_ENDED),
    (1000, "User ended conversation", C.AGENT_ENDED),
    (1000, "max_duration_exceeded", C.DEADLINE),
    (1002, "", C.AGENT_ERROR),
    (1002, "This request exceeds your quota limit.", C.AGENT_QUOTA),
    (1002, "transport_receive_timeout", C.AGENT_ERROR),
    (1002, "llm_timeout", C.AGENT_ERROR),
    (1006, "", C.AGENT_LOST),
    (1001, "going away", C.AGENT_LOST),
    (1008, "", C.AGENT_ERROR),
    (1008, "Invalid message received", C.AGENT_ERROR),
    (1008, "Override for field 'voice_id' is not allowed by config", C.AGENT_OVERRIDE_DENIED),
    (1008, "Override for field 'max_duration_seconds' is not allowed by config.", C.AGENT_OVERRIDE_DENIED),
    (1008, "override_error", C.AGENT_OVERRIDE_DENIED),
    (1008, "Missing required dynamic variables in first message: {'username'}", C.AGENT_VARIABLE_MISSING),
    (1008, "Missing required dynamic variables in tools: {'order'}", C.AGENT_VARIABLE_MISSING),
    (1008, "missing_dynamic_variable", C.AGENT_VARIABLE_MISSING),
    (1008, "missing_dynamic_variable_transfer", C.AGENT_VARIABLE_MISSING),
    (1011, "unknown_websocket_crash", C.AGENT_ERROR),
    (3000, "", C.AGENT_UNAUTHORIZED),
    (3000, "Could not authorize the conversation.", C.AGENT_UNAUTHORIZED),
    (3000, "Request error", C.AGENT_UNAUTHORIZED),
    (3000, "The AI agent you are trying to reach does not exist.", C.AGENT_NOT_FOUND),
    (3008, "too many concurrent connections", C.AGENT_BUSY),
    (3008, "", C.AGENT_BUSY),
    (4300, "", C.AGENT_BUSY),
    (4999, "something new", C.AGENT_LOST),
    (0, "", C.AGENT_LOST),
]


@pytest.mark.parametrize(("code", "reason", "cause"), PAGE)
def test_the_page(code: int, reason: str, cause: C) -> None:
    assert cause_of_close(code, reason) is cause
    assert cause_of_close(code, reason.upper()) is cause


@pytest.mark.parametrize("code", [1002, 1006, 1008, 1011, 3000, 4999])
def test_the_words_decide_before_the_code(code: int) -> None:
    assert cause_of_close(code, "insufficient_credits") is C.AGENT_QUOTA
    assert cause_of_close(code, "Override for field 'prompt' is not allowed by config") is C.AGENT_OVERRIDE_DENIED


def test_an_error_told_before_counts_where_the_reason_is_silent() -> None:
    quota = "received 1002 (protocol error) This request exceeds your quota limit."
    assert cause_of_close(1002, "", quota) is C.AGENT_QUOTA
    assert cause_of_close(1006, "", "override_error: no") is C.AGENT_OVERRIDE_DENIED
    assert cause_of_close(1000, "", "max_duration_exceeded: over") is C.DEADLINE
    assert cause_of_close(1008, "missing_dynamic_variable", quota) is C.AGENT_VARIABLE_MISSING


def test_an_error_that_was_survived_does_not_spoil_a_goodbye() -> None:
    assert cause_of_close(1000, "", "client_error: quota nearly used up") is C.AGENT_ENDED


def test_whatever_a_setting_can_mend_says_so() -> None:
    for code, reason, cause in PAGE:
        if cause in (C.AGENT_QUOTA, C.AGENT_OVERRIDE_DENIED, C.AGENT_VARIABLE_MISSING, C.AGENT_NOT_FOUND):
            assert cause_of_close(code, reason).fault is Fault.CONFIG


def test_who_closed_is_said() -> None:
    assert words_of_close(Leg.AGENT, 1008, "no", ours=False) == "agent closed with 1008 no"
    assert words_of_close(Leg.AGENT, 1006, "", ours=False) == "agent closed with 1006"
    assert words_of_close(Leg.AGENT, 1007, "text that is not UTF-8", ours=True) == (
        "we closed the agent's socket: text that is not UTF-8 (1007)"
    )
    assert words_of_close(Leg.PHONE, 1006, "", ours=False) == "media stream closed with 1006"
    assert words_of_close(Leg.PHONE, 1009, "message too big", ours=True) == (
        "we closed the media stream: message too big (1009)"
    )


def test_a_ping_that_nobody_answered_is_a_lost_line() -> None:
    assert cause_of_close(1011, "keepalive ping timeout") is C.AGENT_LOST
    assert cause_of_close(1011, "internal error") is C.AGENT_ERROR
