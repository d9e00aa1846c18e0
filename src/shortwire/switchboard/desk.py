"""The switchboard: places calls, answers them, admits their streams, and knows all that are live.

Implements `CallDesk` for the web and `admit` for the listener. The store's intent comes before the carrier's
POST, and a POST without a clear answer is never repeated (research/reliability-security.md, F20).
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import structlog

from ..call.state import CallFact, fact_of_status
from ..clock import NS_PER_MS
from ..errors import CarrierRefused, CarrierUncertain, NotFound, Unavailable
from ..numbers import check_number
from ..ports import SocketListener
from ..records import CallEvent, CallRecord, CallRequest, DialOrder, EventKind, StoreHealth
from ..terms import (
    AgentId,
    CallDirection,
    CallId,
    CallSid,
    CallState,
    HangupCause,
    Profile,
)
from ..wire.twiml import HANGUP, connect_stream
from .collector import Collector
from .context import Context
from .ending import CAUSE_OF_STATUS
from .hanging_up import HangingUp
from .ids import new_call_id
from .incoming import Incoming
from .live import LiveCall
from .openings import request_fields
from .settle import Settler
from .ticker import Ticker
from .tickets import Tickets

__all__ = ["MEDIA_PATH", "Switchboard"]

log = structlog.get_logger(__name__)

MEDIA_PATH = "/outbound-media-stream/"
"""The seed's path; the ticket follows."""
_TIME_LIMIT_GRACE_S = 5
_QUEUE_S = 24 * 3600.0
"""For how long the carrier's queue may be (protocols/twilio.md section 3.1)."""


class Switchboard:
    """One process's calls."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self._live: dict[CallId, LiveCall] = {}
        self._by_sid: dict[CallSid, LiveCall] = {}
        self._tickets: Tickets[LiveCall] = Tickets(context.worker)
        self._settler = Settler(self)
        self._hanging_up = HangingUp(context, self._settler.find)
        self._collector = Collector()
        self._ticker = Ticker(context.clock, self._collector.collect_young)
        self._begun = asyncio.Event()
        """It is known what an earlier process left open: calls from now on are not of that."""
        self._incoming = Incoming(self, context.store, self._incoming_record, self._begun.wait)
        self._draining = False
        self._idle = asyncio.Event()
        self._idle.set()

    # Life of the process

    async def start(self) -> None:
        """Run the calls' clock and settle what an earlier process left open."""
        self._collector.begin()
        self._ticker.begin()
        left = await self._settler.left_open()
        self._begun.set()
        self._settler.settle(left)

    async def drain(self, deadline_s: float) -> None:
        """Take no new calls, let the live ones end by themselves, end the rest; both legs, always."""
        self._draining = True
        self._begun.set()  # whoever waited for that is told that we are being stopped
        try:
            async with asyncio.timeout(deadline_s):
                await self._idle.wait()
        except TimeoutError:
            log.warning("drain.cutting", calls=len(self._live))
        for call in list(self._live.values()):
            call.end(HangupCause.SHUTDOWN)
        try:
            async with asyncio.timeout(10):
                await self._idle.wait()
        except TimeoutError:
            log.error("drain.left_open", calls=[c.record.id for c in self._live.values()])

    async def stop(self) -> None:
        """After `drain`: stop the clock."""
        self._settler.stop()
        self._ticker.stop()
        self._collector.stop()
        await self.context.store.flush()

    # CallDesk

    async def place_call(self, request: CallRequest, *, idempotency_key: str | None = None) -> CallRecord:
        """See `CallDesk.place_call`."""
        await self._begun.wait()
        if self._draining:
            raise Unavailable("the server is being stopped", details="call again in a minute")
        options = self.context.options
        number = check_number(request.number, options.allowed_countries)
        record = self._new_record(
            CallDirection.OUTBOUND,
            number.e164,
            request.agent_id or AgentId(options.agent_id),
            request=request_fields(request),
            metadata=dict(request.metadata),
        )
        stored = await self.context.store.create(
            record, idempotency_key=idempotency_key, fingerprint=_fingerprint(request) if idempotency_key else ""
        )
        if stored.id != record.id:
            return await self.get(stored.id)
        call = self._register(stored)
        if self._draining:  # since we looked; nobody would wait for this one
            call.end(HangupCause.SHUTDOWN)
            stopped = Unavailable("the server is being stopped", details="call again in a minute, with a new key")
            stopped.call_id = stored.id
            raise stopped
        call.prepare()
        # A task of its own: whoever asked may go away, and the carrier's answer must be heard all the same.
        call.dialing = asyncio.create_task(self._dial(call), name=f"dial {record.id}")
        call.dialing.add_done_callback(_heard)
        await asyncio.shield(call.dialing)
        return call.record

    async def _dial(self, call: LiveCall) -> None:
        """Ask the carrier, once."""
        clock = self.context.clock
        order = self._order(call)
        call.learn(CallFact.DIALED)
        began = clock.now_ns()
        try:
            placed = await self.context.carrier.create_call(order)
        except CarrierRefused as error:
            code = f"{error.carrier_code}: " if error.carrier_code else ""
            call.carrier_ended(HangupCause.CARRIER_REFUSED, f"{code}{error}")
            error.call_id = call.record.id
            raise
        except CarrierUncertain as error:
            call.learn(CallFact.UNCERTAIN)
            call.tell(EventKind.WARNING, text=f"the carrier gave no clear answer: {error}")
            self._settler.uncertain(call)
            error.details = f"{error.details}; call {call.record.id} may be ringing and is being settled".lstrip("; ")
            error.call_id = call.record.id
            raise
        except Exception:
            call.end(HangupCause.INTERNAL_ERROR, "dialling failed; see the log")
            raise
        call.api_time("Twilio", "create call", (clock.now_ns() - began) / NS_PER_MS)
        queued_s = min(placed.queued_s, _QUEUE_S)
        self.adopt(call, placed.sid, queued_s)
        if call.record.id not in self._live:  # ended, and its wind-up gave up waiting for this id
            await self._settler.hang_up_late(call.record.id, placed.sid)
        else:
            self._settler.placed(call, queued_s)

    def adopt(self, call: LiveCall, call_sid: CallSid, queued_s: float = 0.0) -> None:
        """The carrier has told us of a call: its id, and for how long by its own estimate it will not dial it yet."""
        call.figures.heard_of(self.context.clock.now_ns(), queued_s)
        if call.record.call_sid is None:
            call.change(call_sid=call_sid)
        if call.record.id in self._live:
            self._by_sid[call_sid] = call
            call.learn(CallFact.DIALED)

    @property
    def draining(self) -> bool:
        """No new calls are taken."""
        return self._draining

    def of_sid(self, call_sid: CallSid) -> LiveCall | None:
        """The live call that has this id at the carrier."""
        return self._by_sid.get(call_sid)

    def open_incoming(self, record: CallRecord) -> LiveCall:
        """See `Books`."""
        call = self._register(record)
        if record.call_sid is not None:
            self._by_sid[record.call_sid] = call
        return call

    def _order(self, call: LiveCall) -> DialOrder:
        options = self.context.options
        limits, call_id = options.limits, call.record.id
        inline = options.toggles.inline_twiml
        return DialOrder(
            to=call.record.number,
            from_=options.our_number,
            status_callback_url=f"{options.public_url}/status-callback/{call_id}",
            # The net under our own deadline: only ours can say why, so ours comes first.
            time_limit_s=limits.max_call_s + _TIME_LIMIT_GRACE_S,
            ring_timeout_s=limits.ring_timeout_s,
            # It dies with the call, which may stand in the carrier's queue before.
            twiml=self._join_twiml(call, _QUEUE_S + limits.ring_timeout_s) if inline else None,
            twiml_url=None if inline else f"{options.public_url}/outbound-call-twiml/{call_id}",
        )

    async def answer_incoming(self, form: Mapping[str, str]) -> str:
        """See `CallDesk.answer_incoming`. A repeated webhook gets the same call, and a new ticket for it."""
        found = await self._incoming.call(form)
        return found if isinstance(found, str) else self._join_twiml(found, self.context.options.limits.ticket_s)

    async def answer_outbound(self, form: Mapping[str, str], call_id: CallId) -> str:
        """See `CallDesk.answer_outbound`."""
        call_sid = CallSid(form.get("CallSid", ""))
        call = self._live.get(call_id) or self._by_sid.get(call_sid)
        if call is None or call.record.direction is not CallDirection.OUTBOUND:
            raise NotFound("no live call of ours has this id")
        if call.record.call_sid not in (None, call_sid):
            raise NotFound("this call has another CallSid")
        self.adopt(call, call_sid)
        call.learn(CallFact.ANSWERED)
        return self._join_twiml(call, self.context.options.limits.ticket_s)

    async def status_callback(self, form: Mapping[str, str], call_id: CallId) -> None:
        """See `CallDesk.status_callback`."""
        call = self._live.get(call_id)
        call_sid = CallSid(form.get("CallSid", ""))
        status = form.get("CallStatus", "")
        if call is None and status not in CAUSE_OF_STATUS:
            await self._settler.late_callback(call_id, call_sid)
            return
        if call is None or call.record.call_sid not in (None, call_sid):
            return  # over, or not ours: late and forged ones change nothing
        self.adopt(call, call_sid)
        fact = fact_of_status(status)
        if fact is CallFact.CAUSE_KNOWN:
            detail = f"SIP {sip}" if (sip := form.get("SipResponseCode")) and status != "completed" else ""
            call.carrier_ended(CAUSE_OF_STATUS[status], detail)
        elif fact is not None:
            call.learn(fact)

    async def get(self, call_id: CallId) -> CallRecord:
        """See `CallDesk.get`."""
        if (call := self._live.get(call_id)) is not None:
            return call.so_far()
        record = await self.context.store.get(call_id)
        if record is None:
            raise NotFound("no such call")
        return record

    async def list(
        self, *, limit: int = 50, before: CallId | None = None, state: str | None = None
    ) -> Sequence[CallRecord]:
        """See `CallDesk.list`."""
        return await self.context.store.list(limit=limit, before=before, state=state)

    async def hang_up(self, call_id: CallId) -> CallRecord:
        """See `CallDesk.hang_up`."""
        call = self._live.get(call_id)
        if call is None:
            return await self.get(call_id)
        call.end(HangupCause.API_HANGUP)
        await call.over()
        return call.record

    async def follow(self, call_id: CallId, *, after: int = 0) -> AsyncIterator[CallEvent]:
        """See `CallDesk.follow`."""
        call = self._live.get(call_id)
        # Subscribe first, then read what is stored: nothing falls between.
        queue = call.telling.follow() if call is not None else None
        try:
            if call is None:
                await self.get(call_id)
            seen = after
            for event in await self.context.store.events(call_id, after=after):
                seen = event.seq
                yield event
                if event.kind == EventKind.ENDED:
                    return
            while queue is not None:
                event = await queue.get()
                if event.seq <= seen:
                    continue
                seen = event.seq
                yield event
                if event.kind == EventKind.ENDED:
                    return
        finally:
            if call is not None and queue is not None:
                call.telling.unfollow(queue)

    def health(self) -> Mapping[str, Any]:
        """See `CallDesk.health`."""
        store, tapes = self.context.store.health(), self.context.tapes
        reason = self._why_not_ready(store)
        return {
            "ready": not reason,
            **({"reason": reason} if reason else {}),
            "draining": self._draining,
            "calls": len(self._live),
            "loop_lag_ms": round(self._ticker.lag.ms, 2),
            "loop_lag_own_ms": round(self._ticker.lag.own_ms, 2),
            "tasks": len(asyncio.all_tasks()),
            "tapes_cut_short": tapes.cut_short if tapes else 0,
            "store": {
                "pending": store.pending,
                "dropped": store.dropped,
                "last_error": self.context.masked(store.last_error),
            },
        }

    def _why_not_ready(self, store: StoreHealth) -> str:
        if self._draining:
            return "the server is being stopped"
        return "the database takes no writes, so new calls would be refused" if store.failing else ""

    # The listener's side

    def admit(self, path: str, signature: str) -> SocketListener | None:
        """Whether a media stream may open: signed by the carrier over our public URL, and holding a live ticket."""
        if not path.startswith(MEDIA_PATH):
            return None
        url = self._stream_url(path)
        if not self.context.verify_signature(url, signature):
            log.warning("media.bad_signature", path=MEDIA_PATH)
            return None
        call = self._tickets.redeem(path[len(MEDIA_PATH) :].rstrip("/"), self.context.clock.now_ns())
        if call is None or call.phone.opened_ns or call.session.cause is not None:
            log.warning("media.bad_ticket")
            return None
        return call.phone

    def _stream_url(self, path: str) -> str:
        return self.context.options.public_url.replace("http", "ws", 1) + path

    def _join_twiml(self, call: LiveCall, valid_s: float) -> str:
        """TwiML that joins this call with its stream; an earlier ticket of the call dies."""
        if call.phone.opened_ns or call.session.cause is not None:
            return HANGUP
        self._tickets.revoke(call.ticket)
        call.ticket = self._tickets.issue(call, self.context.clock.now_ns(), valid_s)
        return connect_stream(self._stream_url(MEDIA_PATH + call.ticket))

    # Books

    def _new_record(self, direction: CallDirection, number: str, agent_id: AgentId, **more: Any) -> CallRecord:
        wall = self.context.clock.wall_s()
        options = self.context.options
        return CallRecord(
            id=new_call_id(wall, self.context.worker),
            direction=direction,
            state=CallState.CREATED,
            profile=Profile(options.profile),
            number=number,
            our_number=options.our_number,
            agent_id=agent_id,
            created_at=wall,
            node=options.node,
            **more,
        )

    def _incoming_record(self, form: Mapping[str, str]) -> CallRecord:
        return self._new_record(
            CallDirection.INBOUND,
            form.get("From", ""),
            AgentId(self.context.options.agent_id),
            call_sid=CallSid(form.get("CallSid", "")),
        )

    def _register(self, record: CallRecord) -> LiveCall:
        call = LiveCall(self.context, record, self._forget, self._hanging_up, self._ticker.wake)
        self._live[record.id] = call
        self._ticker.add(call)
        self._collector.call_begins()
        self._idle.clear()
        log.info("call.created", call_id=record.id, direction=record.direction.value)
        return call

    def _forget(self, call: LiveCall) -> None:
        self._tickets.revoke(call.ticket)
        self._settler.over(call.record.id)
        if self._live.pop(call.record.id, None) is not None:
            self._ticker.remove(call)
            self._collector.call_over()
        if call.record.call_sid is not None:
            self._by_sid.pop(call.record.call_sid, None)
        if not self._live:
            self._idle.set()


def _heard(dialing: asyncio.Task[None]) -> None:
    """Whoever waited for the dial has its error; if nobody did, the call's record has."""
    if not dialing.cancelled():
        dialing.exception()


def _fingerprint(request: CallRequest) -> str:
    """What an idempotency key stands for: the same request, field by field."""
    fields = [request.number, request.agent_id, request_fields(request), dict(request.metadata)]
    return hashlib.sha256(json.dumps(fields, sort_keys=True, default=str).encode()).hexdigest()
