"""Settling what is not known: a carrier that never answered, and calls an earlier process left open.

Nothing here ever dials. An uncertain call is adopted by its callback or found by asking; if neither happens
in time it ends as unknown, visibly (research/reliability-security.md, F20 and F24).
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import TYPE_CHECKING, Any

import structlog

from ..call.state import CallFact, fact_of_status
from ..errors import CarrierError, StoreError
from ..records import CallEvent, CallRecord, CarrierCall, EventKind
from ..terms import CallId, CallSid, CallState, HangupCause
from .ending import CAUSE_OF_STATUS, disposition_of, told_of_end

if TYPE_CHECKING:
    from .desk import Switchboard
    from .live import LiveCall

__all__ = ["Settler"]

log = structlog.get_logger(__name__)

_ASK_AFTER_S = (2.0, 5.0, 10.0, 20.0, 30.0, 60.0)
"""Pauses between questions; whether a new call is listed at once is unconfirmed, so two minutes in all."""


_NO_NEWS_S = (8.0, 10.0, 15.0, 30.0, 30.0)
"""Pauses between questions about a call that was placed and of which no callback came. A carrier's callbacks come
within a second; a queue or a slow network may hold them, so asking decides nothing by itself."""


class Settler:
    """The switchboard's bad conscience."""

    def __init__(self, desk: Switchboard) -> None:
        self._desk = desk
        self._tasks: set[asyncio.Task[None]] = set()
        self._watched: dict[CallId, asyncio.Task[None]] = {}

    def stop(self) -> None:
        for task in self._tasks:
            task.cancel()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def uncertain(self, call: LiveCall) -> None:
        """The carrier may have placed this call."""
        self._spawn(self._look_for_safely(call))

    def placed(self, call: LiveCall, queued_s: float) -> None:
        """The carrier has accepted this call, and thinks that it stands in its queue for so long; if it then says
        nothing, it is asked."""
        self._watched[call.record.id] = self._spawn(self._ask_about(call, queued_s))

    def over(self, call_id: CallId) -> None:
        """A call is over: nobody need be asked about it any more."""
        if (task := self._watched.pop(call_id, None)) is not None:
            task.cancel()

    async def _ask_about(self, call: LiveCall, queued_s: float) -> None:
        """A wrong SERVER_URL is silence: no callback, no stream. The carrier knows what became of the call."""
        await asyncio.sleep(queued_s)
        pauses = iter(_NO_NEWS_S)
        while (pause_s := next(pauses, None)) is not None:
            await asyncio.sleep(pause_s)
            sid = call.record.call_sid
            if sid is None or call.record.state is not CallState.DIALING or call.session.cause is not None:
                return
            try:
                asked = await self._desk.context.carrier.fetch_call(sid)
            except CarrierError as error:
                log.warning("call.no_news", call_id=call.record.id, error=str(error))
                continue
            if asked is None or call.record.state is not CallState.DIALING:
                continue
            if asked.status == "queued":  # for longer than it thought
                call.figures.heard_of(self._desk.context.clock.now_ns())
                pauses = iter(_NO_NEWS_S[-1:])
                continue
            fact = fact_of_status(asked.status)
            if fact is CallFact.CAUSE_KNOWN:
                # Answered and over, and we heard nothing of it: the carrier cannot reach us.
                cause = CAUSE_OF_STATUS[asked.status]
                unreached = cause is HangupCause.PARTY_HANGUP
                call.carrier_ended(HangupCause.MEDIA_NEVER_CAME if unreached else cause)
            elif fact is not None:
                call.learn(fact)

    async def _look_for_safely(self, call: LiveCall) -> None:
        try:
            await self._look_for(call)
        except Exception:
            log.exception("call.settling_failed", call_id=call.record.id)
            call.end(HangupCause.CARRIER_UNKNOWN, "settling failed; see the log")

    async def _look_for(self, call: LiveCall) -> None:
        record = call.record
        for pause_s in _ASK_AFTER_S:
            await asyncio.sleep(pause_s)
            if call.record.call_sid is not None or call.session.cause is not None:
                return  # its callback came
            try:
                found = await self.find(record)
            except (CarrierError, StoreError) as error:
                log.warning("call.unsettled", call_id=record.id, error=str(error))
                continue
            if call.record.call_sid is not None or call.session.cause is not None:
                return
            if len(found) == 1:
                self._desk.adopt(call, found[0].sid)
                if (cause := CAUSE_OF_STATUS.get(found[0].status)) is not None:
                    call.carrier_ended(cause)
                elif (fact := fact_of_status(found[0].status)) is not None:
                    call.learn(fact)
                return
        call.end(HangupCause.CARRIER_UNKNOWN)

    async def find(self, record: CallRecord) -> list[CarrierCall]:
        """Calls at the carrier that may be this one: same numbers, not older, and no other call of ours."""
        context = self._desk.context
        # Five seconds for clocks that differ; whoever has that id already is not the one we look for.
        since = record.created_at - 5
        found = await context.carrier.find_calls(to=record.number, from_=record.our_number, since=since)
        return [
            call
            for call in found
            if self._desk.of_sid(call.sid) is None and await context.store.by_call_sid(call.sid) is None
        ]

    async def late_callback(self, call_id: CallId, call_sid: CallSid) -> None:
        """The carrier tells of a call that is over for us. If we never knew its id, it was given up: end it."""
        record = await self._desk.context.store.get(call_id)
        if record is None or record.state is not CallState.ENDED or record.call_sid is not None or not call_sid:
            return
        await self.hang_up_late(call_id, call_sid)

    async def hang_up_late(self, call_id: CallId, call_sid: CallSid) -> None:
        """A call that was given up turns out to live: nobody may be left ringing, or talking to nobody."""
        log.warning("call.found_late", call_id=call_id)
        context = self._desk.context
        context.store.update(call_id, {"call_sid": call_sid})
        try:
            await context.carrier.end_call(call_sid)
        except CarrierError as error:
            # Its ticket is dead: once answered it finds no stream, and the TwiML behind hangs up.
            log.warning("call.carrier_not_told", call_id=call_id, error=str(error))

    async def left_open(self) -> Sequence[CallRecord]:
        """The calls that an earlier process of our nodes left open. To be asked before this one has any."""
        context = self._desk.context
        settles = context.settles or context.options.node.__eq__
        return [record for record in await context.store.unfinished() if settles(record.node)]

    def settle(self, left: Sequence[CallRecord]) -> None:
        """End these at the carrier and in the store, beside everything else."""
        for record in left:
            self._spawn(self._settle_orphan_safely(record))

    async def _settle_orphan_safely(self, record: CallRecord) -> None:
        try:
            await self._settle_orphan(record)
        except Exception:
            log.exception("call.settling_failed", call_id=record.id)

    async def _settle_orphan(self, record: CallRecord) -> None:
        context = self._desk.context
        cause, detail = HangupCause.RESTART, ""
        try:
            cause, detail = await self._end_orphan(record)
        except CarrierError as error:
            detail = f"the carrier could not be asked: {error}"
        wall = context.clock.wall_s()
        disposition = disposition_of(cause, connected=record.connected_at is not None)
        events = await context.store.events(record.id)
        context.store.update(
            record.id,
            {
                "state": CallState.ENDED,
                "cause": cause,
                "cause_detail": detail,
                "disposition": disposition,
                "ended_at": wall,
                "turns": record.turns,
            },
        )
        context.store.append(
            CallEvent(
                record.id,
                (events[-1].seq if events else 0) + 1,
                wall,
                EventKind.ENDED,
                told_of_end(cause, detail, disposition, 0.0),
            )
        )
        log.warning("call.settled_after_restart", call_id=record.id, cause=cause.value)

    async def _end_orphan(self, record: CallRecord) -> tuple[HangupCause, str]:
        carrier = self._desk.context.carrier
        sid = record.call_sid
        if sid is None:
            found = await self.find(record)
            if len(found) != 1:
                return HangupCause.CARRIER_UNKNOWN, f"{len(found)} calls to that number since"
            sid = found[0].sid
            self._desk.context.store.update(record.id, {"call_sid": sid})
        call = await carrier.fetch_call(sid)
        status = call.status if call is not None else "completed"
        if status in CAUSE_OF_STATUS:
            return HangupCause.RESTART, f"the carrier says: {status}"
        await carrier.end_call(sid)
        return HangupCause.RESTART, f"the carrier said {status}; hung up"
