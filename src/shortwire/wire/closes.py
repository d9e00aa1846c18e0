"""What a close of the agent's socket means: code and reason to a `HangupCause`.

The table follows protocols/elevenlabs.md section 8. The reason decides before the code, because the
codes are coarse and partly unconfirmed; both are kept in the call's `cause_detail`.
"""

from __future__ import annotations

from ..terms import HangupCause, Leg

__all__ = ["cause_of_close", "words_of_close"]

_BY_REASON: tuple[tuple[str, HangupCause], ...] = (
    ("override for field", HangupCause.AGENT_OVERRIDE_DENIED),
    ("override_error", HangupCause.AGENT_OVERRIDE_DENIED),
    ("missing required dynamic variable", HangupCause.AGENT_VARIABLE_MISSING),
    ("missing_dynamic_variable", HangupCause.AGENT_VARIABLE_MISSING),
    ("quota", HangupCause.AGENT_QUOTA),
    ("insufficient_credits", HangupCause.AGENT_QUOTA),
    ("does not exist", HangupCause.AGENT_NOT_FOUND),
    ("could not authorize", HangupCause.AGENT_UNAUTHORIZED),
    ("concurrent", HangupCause.AGENT_BUSY),
    ("max_duration_exceeded", HangupCause.DEADLINE),
    # A library's words, whichever side it is on: a ping was not answered.
    ("keepalive ping timeout", HangupCause.AGENT_LOST),
)

_BY_CODE: dict[int, HangupCause] = {
    1000: HangupCause.AGENT_ENDED,
    1002: HangupCause.AGENT_ERROR,
    1008: HangupCause.AGENT_ERROR,
    1011: HangupCause.AGENT_ERROR,
    3000: HangupCause.AGENT_UNAUTHORIZED,
    3008: HangupCause.AGENT_BUSY,
    4300: HangupCause.AGENT_BUSY,
}

_NORMAL = 1000


def cause_of_close(code: int, reason: str, told: str = "") -> HangupCause:
    """Why the agent's socket closed. No close frame at all is 1006: the connection broke off.

    `told` is the text of an in-band error that came before; it counts where the reason says nothing. Of an
    error before a normal close only the one that announces that close counts: the others were survived.
    """
    for words, cause in _BY_REASON:
        if words in reason.lower():
            return cause
    for words, cause in _BY_REASON:
        if words in told.lower() and (code != _NORMAL or cause is HangupCause.DEADLINE):
            return cause
    return _BY_CODE.get(code, HangupCause.AGENT_LOST)


def words_of_close(leg: Leg, code: int, reason: str, *, ours: bool) -> str:
    """A close of a call's socket, for a person. `ours`: this side ended it, for what came or for no pong."""
    if ours:
        which = "agent's socket" if leg is Leg.AGENT else "media stream"
        return f"we closed the {which}: {reason or 'no reason was given'} ({code})"
    return f"{'agent' if leg is Leg.AGENT else 'media stream'} closed with {code} {reason}".strip()
