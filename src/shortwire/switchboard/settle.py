"""Settling what is not known: a carrier that never answered, and calls an earlier process left open.

Nothing here ever dials. An uncertain call is adopted by its callback or found by asking; if neither happens
in time it ends as unknown, visibly (research/reliability-security.md, F20 and F24).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from ..errors import CarrierError
from ..records import CallEvent, CallRecord, EventKind
from ..terms import CallState, HangupCause
from .ending import CAUSE_OF_STATUS, disposition_of

if TYPE_CHECKING:
    from .desk import Switchboard
    from .live import LiveCall

__all__ = ["Settler"]

log = structlog.get_logger(__name__)

_ASK_AFTER_S = (2.0, 5.0, 10.0, 20.0, 30.0, 60.0)
"""Pauses between questions; whether a new call is listed at once is unconfirmed, so two minutes in all."""


class Settler:
    """The switchboard's bad conscience."""

    def __init__(self, desk: Switchboard) -> None:
        self._desk = desk
        self._tasks: set[asyncio.Task[None]] = set()

    def stop(self) -> None:
        for task in self._tasks:
            task.cancel()

    def uncertain(self, call: LiveCall) -> None:
        """The carrier may have placed this call."""
        task = asyncio.create_task(self._look_for(call))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _look_for(self, call: LiveCall) -> None:
        record, carrier = call.record, self._desk.context.carrier
        for pause_s in _ASK_AFTER_S:
            await asyncio.sleep(pause_s)
            if call.record.call_sid is not None or call.session.cause is not None:
                return  # its callback came
            try:
                found = await carrier.find_calls(to=record.number, from_=record.our_number, since=record.created_at - 5)
            except CarrierError as error:
                log.warning("call.unsettled", call_id=record.id, error=str(error))
                continue
            unclaimed = [c for c in found if not self._desk.knows(c.sid)]
            if len(unclaimed) == 1:
                self._desk.adopt(call, unclaimed[0].sid)
                if (cause := CAUSE_OF_STATUS.get(unclaimed[0].status)) is not None:
                    call.carrier_ended(cause)
                return
        call.end(HangupCause.CARRIER_UNKNOWN)

    async def after_restart(self) -> None:
        """End every call that an earlier process of this node left open, at the carrier and in the store."""
        context = self._desk.context
        mine = [r for r in await context.store.unfinished() if r.node == context.options.node]
        for record in mine:
            task = asyncio.create_task(self._settle_orphan(record))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _settle_orphan(self, record: CallRecord) -> None:
        context = self._desk.context
        cause, detail = HangupCause.RESTART, ""
        try:
            cause, detail = await self._end_orphan(record)
        except CarrierError as error:
            detail = f"the carrier could not be asked: {error}"
        wall = context.clock.wall_s()
        disposition = disposition_of(cause, connected=record.connected_at is not None)
        context.store.update(
            record.id,
            {
                "state": CallState.ENDED,
                "cause": cause,
                "cause_detail": detail,
                "disposition": disposition,
                "ended_at": wall,
            },
        )
        events = await context.store.events(record.id)
        context.store.append(
            CallEvent(
                record.id,
                (events[-1].seq if events else 0) + 1,
                wall,
                EventKind.ENDED,
                {
                    "cause": cause.value,
                    "cause_detail": detail,
                    "fault": cause.fault.value,
                    "meaning": cause.meaning,
                    "disposition": disposition.value,
                    "duration_s": 0.0,
                },
            )
        )
        log.warning("call.settled_after_restart", call_id=record.id, cause=cause.value)

    async def _end_orphan(self, record: CallRecord) -> tuple[HangupCause, str]:
        carrier = self._desk.context.carrier
        sid = record.call_sid
        if sid is None:
            found = await carrier.find_calls(to=record.number, from_=record.our_number, since=record.created_at - 5)
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
