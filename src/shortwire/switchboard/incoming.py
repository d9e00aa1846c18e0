"""Calls to our number: the carrier's webhook, and with it the same call, however often and however close together.

The carrier may send a webhook again while the first is still being answered, and whoever asked may go away before
there is an answer. So looking up, storing and registering a call is one task a CallSid, which nobody's patience cuts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from ..beside import give_way
from ..call.state import CallFact
from ..ports import CallStore
from ..records import CallRecord
from ..terms import CallSid, HangupCause
from ..wire.twiml import BUSY, HANGUP
from .live import LiveCall

__all__ = ["Books", "Incoming"]


class Books(Protocol):
    """Who keeps the calls that live."""

    @property
    def draining(self) -> bool: ...

    def of_sid(self, call_sid: CallSid) -> LiveCall | None: ...

    def open_incoming(self, record: CallRecord) -> LiveCall:
        """A stored call lives from now on, and is found by its CallSid."""
        ...


class Incoming:
    """The calls that are being answered."""

    def __init__(
        self,
        books: Books,
        store: CallStore,
        record: Callable[[Mapping[str, str]], CallRecord],
        begun: Callable[[], Awaitable[object]],
    ) -> None:
        """`record`: a new one, made of a webhook's form. `begun`: returns once it is known which calls an earlier
        process left open; those from now on are not of them."""
        self._books = books
        self._store = store
        self._record = record
        self._begun = begun
        self._answering: dict[CallSid, asyncio.Task[LiveCall | str]] = {}

    async def call(self, form: Mapping[str, str]) -> LiveCall | str:
        """The live call of a webhook, or the TwiML of an answer without one."""
        await self._begun()
        if self._books.draining:
            return BUSY
        call_sid = CallSid(form.get("CallSid", ""))
        task = self._answering.get(call_sid)
        if task is None:
            if (call := self._books.of_sid(call_sid)) is not None:
                return call
            task = asyncio.create_task(self._answer(call_sid, form), name="answer a call")
            self._answering[call_sid] = task
            task.add_done_callback(lambda done: self._answered(call_sid, done))
        return await asyncio.shield(task)

    async def _answer(self, call_sid: CallSid, form: Mapping[str, str]) -> LiveCall | str:
        if await self._store.by_call_sid(call_sid) is not None:
            return HANGUP  # a replay of a webhook whose call is over
        call = self._books.open_incoming(await self._store.create(self._record(form)))
        if self._books.draining:  # since we looked; nobody would wait for this one
            call.end(HangupCause.SHUTDOWN)
            return BUSY
        call.prepare()
        await give_way()
        # The carrier picks up when it has this document; nobody tells us of it afterwards.
        call.learn(CallFact.ANSWERED)
        return call

    def _answered(self, call_sid: CallSid, task: asyncio.Task[LiveCall | str]) -> None:
        self._answering.pop(call_sid, None)
        if not task.cancelled():
            task.exception()  # whoever waited has it
