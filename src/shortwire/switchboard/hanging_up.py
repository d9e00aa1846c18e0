"""The carrier's part in an end: it is asked where only it knows what happened, and told to end what still goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog

from ..clock import NS_PER_MS
from ..errors import CarrierError, CarrierUncertain, StoreError
from ..records import CallRecord, CarrierCall
from ..terms import CallDirection, CallSid, HangupCause
from .context import Context
from .ending import CAUSE_OF_STATUS, only_the_carrier_knows

__all__ = ["HangingUp"]

log = structlog.get_logger(__name__)

_CARRIER_S = 4.0
"""How long the carrier may take; the legs are closed all the same."""
_AGAIN_S = 0.5

Find = Callable[[CallRecord], Awaitable[Sequence[CarrierCall]]]
"""The carrier's calls that may be the one of a record."""


class HangingUp:
    """The last words with the carrier, for all calls of one process."""

    def __init__(self, context: Context, find: Find) -> None:
        self._carrier = context.carrier
        self._clock = context.clock
        self._find = find

    async def hang_up(
        self,
        record: CallRecord,
        cause: HangupCause,
        detail: str,
        *,
        close_code: int,
        dialled: bool,
        found: Callable[[CallSid], None],
        told: Callable[[float], None],
    ) -> tuple[HangupCause, str]:
        """Have the carrier end the call; what ended it, and the details. `close_code`: the stream's; 0: it is open.
        `dialled`: by us, so that the carrier may have a call that we do not know the id of; `found` gets it.
        `told`: the carrier took so long to end it, in milliseconds."""
        try:
            async with asyncio.timeout(_CARRIER_S):
                sid = record.call_sid
                if sid is None and dialled and (sid := await self._look_for(record, cause)) is not None:
                    found(sid)
                if sid is None:
                    return cause, detail
                inbound = record.direction is CallDirection.INBOUND
                if only_the_carrier_knows(cause, close_code, inbound=inbound):
                    call = await self._carrier.fetch_call(sid)
                    settled = CAUSE_OF_STATUS.get(call.status if call is not None else "")
                    if settled is not None:
                        return settled, detail if settled is cause else ""
                told(await self._end(record, sid))
        except (CarrierError, StoreError, TimeoutError) as error:
            # Closing the stream is the second way: the TwiML behind it hangs up.
            log.warning("call.carrier_not_told", call_id=record.id, error=str(error))
        return cause, detail

    async def _look_for(self, record: CallRecord, cause: HangupCause) -> CallSid | None:
        """Where there is exactly one that it can be."""
        if cause is HangupCause.CARRIER_UNKNOWN:
            return None
        calls = await self._find(record)
        return calls[0].sid if len(calls) == 1 else None

    async def _end(self, record: CallRecord, sid: CallSid) -> float:
        """How long the answer took, ms. Within the time there is, a request that got no clear one is sent again: ending
        twice harms nobody."""
        while True:
            began_ns = self._clock.now_ns()
            try:
                await self._carrier.end_call(sid)
            except CarrierUncertain as error:
                log.info("call.end_again", call_id=record.id, error=str(error))
                await asyncio.sleep(_AGAIN_S)
                continue
            return (self._clock.now_ns() - began_ns) / NS_PER_MS
