"""One live call: its record, its session, its two legs, its line, its clock. Owned by one process.

The session decides what the call needs; this does it. Whatever ends a call arrives at one idempotent
`_wind_up`, which closes both legs once, asks the carrier where in doubt, and tells the end.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from typing import Any

import structlog

from ..audio.analyst import Analyst
from ..audio.ear import new_recorder
from ..beside import give_way
from ..call.options import Prewarm
from ..call.session import CallSession, Fact, Wish
from ..call.side import NOTE
from ..call.state import CallFact, advance
from ..clock import NS_PER_S
from ..errors import AgentError
from ..records import CallRecord, EventKind
from ..terms import CallSid, CallState, ConversationId, HangupCause, StreamSid
from .both_legs import BothLegs
from .context import Context
from .ending import disposition_of, overdue, told_of_end
from .figures import Figures
from .findings import Findings
from .hanging_up import HangingUp
from .legs import AgentLeg, PhoneLeg
from .line import AgentLine
from .marks import MarkWatch
from .openings import session_options
from .taping import Taping
from .telling import Telling

__all__ = ["LiveCall"]

log = structlog.get_logger(__name__)

_CLOSE_FIRST_S = 1.0
"""How long the other side may take to close the sockets by itself."""
_CLOSE_S = 2.5
"""How long the sockets may take to close when we have."""
_DIAL_S = 12.0
"""How long the carrier's answer to the dial is waited for before its call is given up; longer than its deadline."""


class LiveCall:
    """Drives one call from its first fact to its last event."""

    def __init__(
        self,
        context: Context,
        record: CallRecord,
        on_over: Callable[[LiveCall], None],
        hanging_up: HangingUp,
        wake: Callable[[LiveCall], None],
    ) -> None:
        self.context = context
        self.record = record
        self.ticket = ""
        self._on_over = on_over
        self._hanging_up = hanging_up
        self._wake = wake
        self._clock = context.clock
        self.telling = Telling(context)
        self._timed_ns = 0
        """When the session was told the time last."""
        options = session_options(context, record)
        self.session = CallSession(options)
        self.figures = Figures(context.clock.now_ns())
        self._findings = Findings(self.figures)
        tape = context.tapes.open(record.id) if context.tapes else None
        self._taping = Taping(tape, record, self.figures.created_ns, options) if tape else None
        recorder = new_recorder(self.session.side, keeps=options.taped) if context.options.native else None
        self.phone = PhoneLeg(self.session, context.clock, self, recorder)
        self.agent = AgentLeg(self.session, context.clock, self, recorder)
        self._legs = BothLegs(self.phone, self.agent)
        self.line = AgentLine(context, record.agent_id, self.api_time)
        self._marks = MarkWatch()
        self.analyst = Analyst(self.session.side, self._taping.write if self._taping else None)
        self._heard = False
        """In the middle of an analysis: the side log was heard, and the rest is still to be done."""
        self._pumping = False
        self._winding_up: asyncio.Task[None] | None = None
        self._carrier_over = False
        """The carrier has said that the call is over."""
        self.dialing: asyncio.Task[None] | None = None
        """The carrier is being asked for this call."""
        self.tell(EventKind.CREATED, direction=record.direction.value, agent_id=record.agent_id)

    # Facts out

    def tell(self, kind: str, /, **data: Any) -> None:
        """One event: to the store, the sinks and whoever follows."""
        self._drain()  # what was before is told before
        self.telling.tell(self.record, self._clock.now_ns(), kind, data)

    def change(self, **changes: Any) -> None:
        """Change the record, here and in the store."""
        self.record = dataclasses.replace(self.record, **changes)
        self.context.store.update(self.record.id, changes)

    def so_far(self) -> CallRecord:
        """The record with the turns so far; the store's may be behind."""
        return dataclasses.replace(self.record, turns=tuple(self.figures.turns))

    def api_time(self, vendor: str, call: str, ms: float) -> None:
        """A vendor's answer to a request for this call took so long."""
        self.figures.api_ms.setdefault(f"{vendor} {call}", []).append(ms)
        self.tell(EventKind.API_TIME, vendor=vendor, call=call, ms=round(ms))

    # Facts in

    def learn(self, fact: CallFact) -> bool:
        """Something became known. True if it changed the state."""
        if fact is CallFact.JOINED:
            self.learn(CallFact.ANSWERED)  # a stream that opens before the callback came is the first we hear of it
        state = advance(self.record.state, fact)
        if state is self.record.state:
            return False
        now_ns = self._clock.now_ns()
        changes: dict[str, Any] = {"state": state}
        if instant := self.figures.reached(state, now_ns):
            changes[instant] = self.telling.wall_s(now_ns)
        if state in (CallState.ANSWERED, CallState.CONNECTED):
            self.analyst.answered(self.figures.answered_ns)
        self.change(**changes)
        self.tell(EventKind.STATE, state=state.value)
        if state is CallState.ANSWERED and self._prewarm is Prewarm.CONVERSATION:
            self.line.open(self.agent, self._agent_failed)
        return True

    def carrier_ended(self, cause: HangupCause, detail: str = "") -> None:
        """The carrier said that the call is over."""
        self._carrier_over = True
        if cause is HangupCause.PARTY_HANGUP and self.record.state is CallState.ANSWERED and not self.phone.opened_ns:
            # The document behind the stream hangs up when the stream could not be opened, so this looks the same.
            cause, detail = HangupCause.MEDIA_NEVER_CAME, "or the other side hung up within a moment"
        self.end(cause, detail)

    def prepare(self) -> None:
        """Begin to make the line to the agent, as far as PREWARM permits."""
        self.line.prepare(self._prewarm, self._agent_failed)

    @property
    def _prewarm(self) -> Prewarm:
        return self.context.options.toggles.prewarm

    def _agent_failed(self, error: AgentError) -> None:
        cause = HangupCause(error.cause)
        self._finish(cause, error.details if error.message == cause.meaning else str(error))
        self.pump()

    # What the session leaves behind

    def pump(self) -> None:
        """Turn facts into events and wishes into deeds."""
        self._wake(self)
        self._drain()

    def pump_soon(self) -> None:
        """See `Pump`."""
        self._wake(self)

    def _drain(self) -> None:
        session = self.session
        if self._pumping or not (session.facts or session.wishes):
            return
        self._pumping = True
        try:
            while session.facts or session.wishes:
                session.pressing = False
                facts, session.facts = session.facts, []
                wishes, session.wishes = session.wishes, []
                for fact in facts:
                    self._fact(fact)
                for wish in wishes:
                    self._wish(wish)
        finally:
            self._pumping = False

    def _fact(self, fact: Fact) -> None:
        if fact.kind == Fact.STARTED:
            self._started(fact)
            return
        if fact.kind == EventKind.AGENT_READY:
            self.figures.agent_ready_ns = fact.now_ns
            self.figures.agent_open_ns = self.agent.opened_ns
            self.change(conversation_id=ConversationId(fact.data["conversation_id"]))
            self.tell(fact.kind, **fact.data, prewarmed=self.line.was_warm, setup_ms=self.figures.setup(self))
            return
        self.telling.tell(self.record, fact.now_ns, fact.kind, fact.data)

    def _started(self, fact: Fact) -> None:
        self.figures.started_ns = fact.now_ns
        self.figures.media_open_ns = self.phone.opened_ns
        call_sid, known = fact.data["call_sid"], self.record.call_sid
        if known is not None and call_sid != known:
            self.end(HangupCause.MEDIA_PROTOCOL, "the media stream belongs to another call than its ticket")
            return
        self.change(stream_sid=StreamSid(fact.data["stream_sid"]), call_sid=CallSid(call_sid))
        self.learn(CallFact.JOINED)

    def _wish(self, wish: Wish) -> None:
        if wish is Wish.OPEN_AGENT:
            self.line.open(self.agent, self._agent_failed)
        elif wish is Wish.CLOSE_AGENT:
            self.agent.close(1000, "call ended")
        elif self._winding_up is None:
            self._winding_up = asyncio.create_task(self._wind_up_safely())
        if self.session.cause is not None:
            self.learn(CallFact.CAUSE_KNOWN)

    def leg_closed(self) -> None:
        """A socket is gone; the wind-up waits for both. What the clock had been told holds no more: an agent's goodbye
        may be all that is left to be heard."""
        self._wake(self)
        if self.session.cause is not None:
            self.learn(CallFact.CAUSE_KNOWN)
        self._legs.closed()

    # Time

    def tick(self, now_ns: int) -> int:
        """See `Ticked`."""
        self._drain()
        until_ns = self._quiet_until_ns(now_ns)
        if until_ns > now_ns:
            return until_ns
        self._tell_time(now_ns)
        return self._quiet_until_ns(now_ns)

    def _quiet_until_ns(self, now_ns: int) -> int:
        session = self.session
        if session.cause is not None:
            return 0
        until_ns = session.downlink.quiet_until_ns(now_ns)
        return min(until_ns, self._timed_ns + NS_PER_S) if session.waits else until_ns

    def _tell_time(self, now_ns: int) -> None:
        self._timed_ns = now_ns
        self.session.tick(now_ns)
        if self.session.facts or self.session.wishes:
            self.pump()

    def analyse(self, now_ns: int) -> bool:
        """See `Ticked`: the call is heard in parts, then looked after, then what was found is told one by one."""
        findings = self._findings
        if self._heard:
            self._heard = False
            self._look_after(now_ns)
        elif findings:
            findings.tell_one(self.tell)
        elif self.analyst.digest_some():
            return True
        else:
            findings.add(*self.analyst.found())
            self._heard = True
        return self._heard or bool(findings)

    def _look_after(self, now_ns: int) -> None:
        """What is bounded in seconds."""
        self._tell_time(now_ns)
        self.phone.digest()
        self.agent.digest()
        self._tell_of_the_tape()
        if self.session.cause is None:
            if complaint := self._marks.complaint(self.session.downlink.playout, now_ns):
                self.tell(EventKind.WARNING, text=complaint)
            self._deadlines(now_ns)

    def _tell_of_the_tape(self) -> None:
        if self._taping and (complaint := self._taping.complaint()):
            self.tell(EventKind.WARNING, text=complaint)

    def failed(self, what: str) -> None:
        """See `Ticked`."""
        log.exception("call.tick_failed", call_id=self.record.id, what=what)
        self.end(HangupCause.INTERNAL_ERROR, what)

    def _deadlines(self, now_ns: int) -> None:
        figures = self.figures
        found = overdue(
            self.record.state,
            self.context.options.limits,
            created_s=(now_ns - figures.created_ns) / NS_PER_S,
            unheard_s=(now_ns - max(figures.dialed_ns, figures.heard_ns)) / NS_PER_S,
            answered_s=(now_ns - figures.answered_ns) / NS_PER_S if figures.answered_ns else 0.0,
            media_open=self.phone.socket is not None,
        )
        if found is not None:
            self.end(*found)

    # Ending

    def end(self, cause: HangupCause, detail: str = "") -> None:
        """End the call; idempotent, returns at once."""
        self._finish(cause, detail)
        self.pump()

    def _finish(self, cause: HangupCause, detail: str) -> None:
        now_ns = self._clock.now_ns()
        self._wake(self)
        self.session.wire((now_ns, NOTE, {"input": "finish", "cause": cause.value, "detail": detail}))
        self.session.finish(cause, now_ns, detail)

    async def over(self) -> None:
        """Returns when the call is told to be over. Only for a call that is ending."""
        if self._winding_up is not None:
            await asyncio.shield(self._winding_up)

    async def _wind_up_safely(self) -> None:
        try:
            await self._wind_up()
        except Exception:
            log.exception("call.wind_up_failed", call_id=self.record.id)
            self._legs.close()
            self._tell_findings()
            self._tell_the_end(HangupCause.INTERNAL_ERROR, "winding up failed; see the log", self._told_summary())

    async def _wind_up(self) -> None:
        cause, detail = self.session.cause or HangupCause.INTERNAL_ERROR, self.session.cause_detail
        await give_way()
        self.line.close()
        self.agent.close(1000, "call ended")
        await self._wait_for_the_dial()
        if cause is HangupCause.PARTY_HANGUP:
            # The carrier closes the stream after its `stop`; give it the first word.
            await self._legs.gone(_CLOSE_FIRST_S)
        elif not self._carrier_over:
            cause, detail = await self._hanging_up.hang_up(
                self.record,
                cause,
                detail,
                close_code=self.phone.close_code,
                dialled=self.dialing is not None,
                found=lambda sid: self.change(call_sid=sid),
                told=lambda ms: self.api_time("Twilio", "end call", ms),
            )
            await self._legs.gone(_CLOSE_FIRST_S)
        self._legs.close()
        if not await self._legs.gone(_CLOSE_S):
            log.debug("call.socket_slow", call_id=self.record.id)
        await give_way()
        self._tell_findings()
        await give_way()
        latencies = self._told_summary()
        await give_way()
        self._tell_the_end(cause, detail, latencies)

    async def _wait_for_the_dial(self) -> None:
        """While the carrier is being asked there is nothing that could be hung up yet."""
        if self.dialing is not None and self.record.call_sid is None:
            await asyncio.wait({self.dialing}, timeout=_DIAL_S)

    def _tell_findings(self) -> None:
        try:
            self._findings.add(*self.analyst.finish(self._clock.now_ns()))
            self._findings.tell_all(self.tell)
            self._tell_of_the_tape()
        except Exception:  # figures: without them the call has ended all the same
            log.exception("call.findings_failed", call_id=self.record.id)

    def _told_summary(self) -> dict[str, Any]:
        latencies: dict[str, Any] = {}
        try:
            latencies = self.figures.summary(self)
        except Exception:  # as above
            log.exception("call.summary_failed", call_id=self.record.id)
        self.tell(EventKind.SUMMARY, **latencies)
        return latencies

    def _tell_the_end(self, cause: HangupCause, detail: str, latencies: dict[str, Any]) -> None:
        now_ns, answered_ns = self._clock.now_ns(), self.figures.answered_ns
        state = advance(self.record.state, CallFact.OVER)
        disposition = disposition_of(cause, connected=self.record.connected_at is not None)
        duration_s = round((now_ns - answered_ns) / NS_PER_S, 3) if answered_ns else 0.0
        self.change(
            state=state,
            cause=cause,
            cause_detail=detail,
            disposition=disposition,
            ended_at=self.telling.wall_s(now_ns),
            latencies=latencies,
            turns=tuple(self.figures.turns),
        )
        self.tell(EventKind.ENDED, **told_of_end(cause, detail, disposition, duration_s))
        log.info("call.ended", call_id=self.record.id, cause=cause.value, detail=detail, duration_s=duration_s)
        self._on_over(self)
        self._legs.part()
        self.line.part()
