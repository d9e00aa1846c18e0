"""How much a session bears: for how long somebody may be waited for, and how many messages may follow no page."""

from __future__ import annotations

from ..clock import NS_PER_S
from ..terms import HangupCause, Leg
from .options import Limits

__all__ = ["Oddities", "Waits"]

_MOST = 20
"""Messages that follow no page, from one side within `_WITHIN_NS`. A side that is merely newer than the pages sends
such a message now and then, for as long as the call lasts; a broken one sends nothing else."""
_WITHIN_NS = 10 * NS_PER_S
_PAUSED_S = {Leg.PHONE: 3, Leg.AGENT: 8}
"""How long a socket may take no data. The agent's is told after a second or two of audio, the phone's after a minute
and more: 10 s at most in both cases, and no more than it takes to find a dead peer."""
_TOOK_NOTHING = {Leg.PHONE: (HangupCause.OVERLOAD, "media"), Leg.AGENT: (HangupCause.AGENT_LOST, "agent's")}


class Waits:
    """What was reached, and who is waited for. Instants in ns; 0: not yet."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.phone_open_ns = 0
        """The media socket is open."""
        self.started_ns = 0
        """Its `start` came."""
        self.agent_ready_ns = 0
        """The agent has told its formats."""
        self._paused_ns: dict[Leg, int] = {}

    def __bool__(self) -> bool:
        """Somebody is waited for whose time is counted in seconds."""
        return bool(self._paused_ns) or not self.agent_ready_ns

    def paused(self, leg: Leg, paused: bool, now_ns: int) -> None:
        """A socket takes no data (True), or does again."""
        if paused:
            self._paused_ns.setdefault(leg, now_ns)
        else:
            self._paused_ns.pop(leg, None)

    def overdue(self, last_frame_ns: int, now_ns: int) -> tuple[HangupCause, str] | None:
        """Whether somebody was waited for long enough: the cause to end the call for, and its detail."""
        limits = self._limits
        for leg, since_ns in self._paused_ns.items():
            if now_ns - since_ns > _PAUSED_S[leg] * NS_PER_S:
                cause, whose = _TOOK_NOTHING[leg]
                return cause, f"the {whose} socket took no data for {_PAUSED_S[leg]} s"
        if self.started_ns:
            if now_ns - last_frame_ns > limits.frame_gap_s * NS_PER_S:
                return HangupCause.MEDIA_LOST, f"no frame from the carrier for {limits.frame_gap_s:g} s"
            if not self.agent_ready_ns and now_ns - self.started_ns > limits.agent_wait_s * NS_PER_S:
                return HangupCause.AGENT_UNREACHABLE, f"the agent was not ready in {limits.agent_wait_s:g} s"
        elif self.phone_open_ns and now_ns - self.phone_open_ns > limits.stream_start_s * NS_PER_S:
            return HangupCause.MEDIA_PROTOCOL, f"no start message in {limits.stream_start_s:g} s"
        return None


class Oddities:
    """Messages that follow no page."""

    def __init__(self) -> None:
        self._seen: dict[Leg, tuple[int, int]] = {}
        """Since when, and how many, of each side."""

    def count(self, leg: Leg, now_ns: int) -> tuple[bool, int, bool]:
        """One more of this side: whether it is the first of the call, how many there were lately, and whether these are
        too many."""
        first = leg not in self._seen
        since_ns, count = self._seen.get(leg, (now_ns, 0))
        if now_ns - since_ns > _WITHIN_NS:
            since_ns, count = now_ns, 0
        self._seen[leg] = since_ns, count + 1
        return first, count + 1, count >= _MOST
