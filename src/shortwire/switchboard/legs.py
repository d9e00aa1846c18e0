"""A call's two ears: what the sockets call, message by message. The media path runs through here.

Each method is one step into the session; facts and wishes it leaves are pumped only when there are any.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from .. import native
from ..call.session import CallSession
from ..call.setup import ConnectionInstants
from ..call.side import NOTE
from ..call.summary import Histogram
from ..call.uplink import Send
from ..clock import Clock
from ..ports import MessageSocket
from ..terms import Leg

__all__ = ["AgentLeg", "PhoneLeg", "Pump"]


class Pump(Protocol):
    """Who turns facts and wishes into events and deeds."""

    def pump(self) -> None: ...

    def pump_soon(self) -> None:
        """With the clock's next turn: frames do not wait for what only wants to be told."""
        ...

    def leg_closed(self) -> None: ...


class _Nobody:
    def pump(self) -> None: ...

    def pump_soon(self) -> None: ...

    def leg_closed(self) -> None: ...


_NOBODY = _Nobody()


class _Told(NamedTuple):
    """What the session is told of one leg; its methods of these names, with the leg's before."""

    opened: Callable[[Send, int], None]
    other: Callable[[bytes, int], bool]
    binary: Callable[[int], None]
    paused: Callable[[bool, int], None]
    closed: Callable[..., None]
    """Code, reason, instant, and whether it was ours (`CallSession.agent_closed`)."""


class _Leg:
    """What both have in common."""

    __slots__ = (
        "_clock",
        "_counted",
        "_delays",
        "_pump",
        "_session",
        "_tell",
        "_undigested",
        "_which",
        "close_code",
        "media",
        "opened_ns",
        "over",
        "shortcut",
        "socket",
    )

    def __init__(self, session: CallSession, clock: Clock, pump: Pump, which: Leg, tell: _Told) -> None:
        self._session = session
        self._clock = clock
        self._pump = pump
        self._which = which.value
        self._tell = tell
        self.media: Callable[[bytes, int], bool | None]
        """The socket is wired to the core: audio leaves neither facts nor wishes, so there is nothing to pump."""
        self._delays = Histogram()
        self._undigested: list[int] = []
        """Delays that are not in the histogram yet."""
        self._counted: native.media.Delays | None = None
        self.shortcut: native.media.Shortcut | None = None
        """What takes straight audio before it comes here; None where it is not built, or not wanted."""
        self.socket: MessageSocket | None = None
        self.opened_ns = 0
        self.over = False
        self.close_code = 0
        """How the socket ended; 1006 without a close frame, 0 while it has not."""

    @property
    def delays(self) -> Histogram:
        """Read from this leg to written to the other, ns, per relayed message."""
        self.digest()
        if self._counted is not None:
            self._delays.max_ns = max(self._delays.max_ns, self._counted.max_ns)
        return self._delays

    def digest(self) -> None:
        """Count the delays of the last messages: in one go, a few times a second."""
        if self._undigested:
            fresh, self._undigested = self._undigested, []
            self._delays.record_all(fresh)

    def _count(self) -> native.media.Delays:
        """Where a shortcut counts its delays: in the same buckets."""
        self._counted = native.media.Delays(self._delays.buckets)
        return self._counted

    # What the socket calls

    def opened(self, socket: MessageSocket) -> None:
        self.socket = socket
        self.opened_ns = self._clock.now_ns()
        self._note(self.opened_ns, "opened")
        self._tell.opened(socket.send, self.opened_ns)
        self._after()

    def message(self, data: bytes, read_ns: int) -> bool:
        relayed = self.media(data, read_ns)
        return relayed if relayed is not None else self.other(data, read_ns)

    def other(self, data: bytes, read_ns: int) -> bool:
        relayed = self._tell.other(data, read_ns)
        self._after()
        return relayed

    def binary(self) -> None:
        now_ns = self._clock.now_ns()
        self._note(now_ns, "binary")
        self._tell.binary(now_ns)
        self._after()

    def paused(self, paused: bool) -> None:
        now_ns = self._clock.now_ns()
        self._note(now_ns, "paused", paused=paused)
        self._tell.paused(paused, now_ns)
        self._pump.pump_soon()

    def closed(self, code: int, reason: str) -> None:
        ours = self.socket is not None and self.socket.ours
        self.socket = None
        self.over = True
        self.close_code = code
        now_ns = self._clock.now_ns()
        self._note(now_ns, "closed", code=code, reason=reason, ours=ours)
        self._tell.closed(code, reason, now_ns, ours=ours)
        self._after()
        self._pump.leg_closed()

    # What the call asks for

    def close(self, code: int = 1000, reason: str = "") -> None:
        if self.socket is not None:
            self.socket.close(code, reason)

    def part(self) -> None:
        """The call is over and told: whatever the socket still says is nobody's business. Leg and call know each
        other no more, so that both go when nobody looks at them, and not when a collector comes by."""
        self._pump = _NOBODY

    def _note(self, now_ns: int, what: str, **more: Any) -> None:
        """For the tape: what the session is about to be told."""
        self._session.wire((now_ns, NOTE, {"input": f"{self._which}_{what}", **more}))

    def _after(self) -> None:
        session = self._session
        if session.pressing:
            self._pump.pump()
        elif session.facts:
            self._pump.pump_soon()


class PhoneLeg(_Leg):
    """The media stream's listener."""

    __slots__ = ()

    def __init__(
        self, session: CallSession, clock: Clock, pump: Pump, recorder: native.notes.Recorder | None = None
    ) -> None:
        """`recorder`: of the call's shortcuts; None: there are none."""
        tell = _Told(
            session.phone_opened,
            session.phone_other,
            session.phone_binary,
            session.phone_paused,
            session.phone_closed,
        )
        super().__init__(session, clock, pump, Leg.PHONE, tell)
        self.media = session.uplink.message
        if recorder is not None:
            self.shortcut = session.uplink.shortcut = native.media.UplinkShortcut(recorder, self._count())

    def relayed(self, read_ns: int, written_ns: int) -> None:
        self._undigested.append(written_ns - read_ns)


class AgentLeg(_Leg):
    """The conversation socket's listener."""

    __slots__ = ("connection",)

    def __init__(
        self, session: CallSession, clock: Clock, pump: Pump, recorder: native.notes.Recorder | None = None
    ) -> None:
        """`recorder`: of the call's shortcuts; None: there are none."""
        tell = _Told(
            session.agent_opened,
            session.agent_other,
            session.agent_binary,
            session.agent_paused,
            session.agent_closed,
        )
        super().__init__(session, clock, pump, Leg.AGENT, tell)
        self.media = session.downlink.message
        if recorder is not None:
            self.shortcut = shortcut = native.media.DownlinkShortcut(recorder, self._count())
            session.downlink.shorten(shortcut)
        self.connection = ConnectionInstants()
        """How the connection to the agent's host came about."""

    def connected(self, connection: ConnectionInstants) -> None:
        self.connection = connection

    def relayed(self, read_ns: int, written_ns: int) -> None:
        session = self._session
        playout = session.downlink.playout
        if playout.untold_ms is None:
            self._undigested.append(written_ns - read_ns)
            if not playout.run_fresh:
                return
        session.phone_written(read_ns, written_ns)
        self._pump.pump_soon()  # also without a fact: a run has begun, and the call has to look at the clock again
