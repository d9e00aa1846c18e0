"""What a call tells the web server: status callbacks in order or out of it, and the account's log (twilio.md 3.3, 4.3).

Best effort, as with the vendor: nothing here makes a call wait. Faults lose, double, delay and reorder.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from .callbacks import call_status
from .stamps import mint

if TYPE_CHECKING:
    from .call import Call

__all__ = ["Telling"]

_EVENT_OF = {"initiated": "initiated", "ringing": "ringing", "in-progress": "answered"}
_WARNING_CODES = {12200, 15003, 31930, 31950, 31951}
Params = list[tuple[str, str]]
Spawn = Callable[[Coroutine[Any, Any, None], str], object]


class Telling:
    """One per call."""

    def __init__(self, call: Call, spawn: Spawn) -> None:
        self._call = call
        self._spawn = spawn
        self._sequence = 0
        self._done: list[asyncio.Event] = []

    def notify(self, code: int, message: str, *, warning: bool = False) -> None:
        """A line in the account's log."""
        level = "1" if warning or code in _WARNING_CODES else "0"
        self._call.notifications.append(
            {"sid": mint("NO"), "log": level, "error_code": str(code), "message_text": message, "at_s": time.time()}
        )
        self._call.ledger.add("notification", self._call.sid, code=code, warning=level == "1", message=message)

    def status(self, status: str) -> None:
        """The status changed now: tell whoever subscribed to it."""
        call = self._call
        url, method, events = call.status_callback
        wanted = bool(url) and _EVENT_OF.get(status, "completed") in events
        sequence = self._sequence
        if wanted or call.config.choices.sequence_counts == "all":
            self._sequence += 1
        if wanted:
            self.post(url, method, call_status(call, status, sequence, call.updated_s), kind=status)

    def post(self, url: str, method: str, params: Params, *, kind: str) -> None:
        """Send in the order `WebhookManners.order` says; never waits."""
        faults = self._call.faults.on
        if {kind, "all"} & set(faults.callback_lost):
            self._call.ledger.add("callback_lost", self._call.sid, url=url, params=dict(params))
            return
        for _ in range(2 if {kind, "all"} & set(faults.callback_twice) else 1):
            turn = len(self._done)
            self._done.append(asyncio.Event())
            self._spawn(self._deliver(turn, url, method, params), f"{self._call.sid} callback {turn}")

    async def settled(self) -> None:
        """Wait until everything told so far was delivered or given up."""
        for done in list(self._done):
            await done.wait()

    async def _deliver(self, turn: int, url: str, method: str, params: Params) -> None:
        manners, faults = self._call.config.webhooks, self._call.faults.on
        order = faults.callback_order or manners.order
        try:
            await asyncio.sleep(faults.callback_delay_ms / 1000)
            if order == "sequential" and turn:
                await self._done[turn - 1].wait()
            elif order == "reversed" and turn % 2 == 0:
                await self._wait_for_overtaker(turn + 1, manners.pair_window_s)
            warning = await self._call.webhooks.tell(url, method, params)
            if warning:
                self.notify(15003, warning)
        finally:
            self._done[turn].set()

    async def _wait_for_overtaker(self, turn: int, window_s: float) -> None:
        await asyncio.sleep(window_s)
        if turn < len(self._done):
            await self._done[turn].wait()
