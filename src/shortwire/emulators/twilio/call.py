"""One call: from the queue to its end, with everything the vendor tells about it on the way (twilio.md 3.3, 4).

Owns the statuses and the line. Who may ask for what is decided in `rest`; documents are played by `program`.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..scenario import PartyScript
from . import twiml
from .callbacks import call_status
from .line import Line
from .media_stream import MediaStream, StreamRecord
from .party import Party
from .program import Document, Program, Source
from .stamps import mint
from .webhooks import WebhookSender

if TYPE_CHECKING:
    from .exchange import Exchange

__all__ = ["FINAL", "Call", "Ending"]

FINAL = {"completed", "busy", "no-answer", "failed", "canceled"}
_EVENT_OF = {"initiated": "initiated", "ringing": "ringing", "in-progress": "answered"}
_WARNING_CODES = {12200, 15003, 31930, 31950, 31951}


@dataclass(frozen=True, slots=True)
class Ending:
    status: str
    by: str
    """party, api, document, time-limit, network, reject, application-error or emulator."""
    sip_code: int = 200


class Call:
    """Created queued. `run_outbound` or `run_inbound` is its whole life."""

    def __init__(
        self, exchange: Exchange, *, to: str, sender: str, direction: str, script: PartyScript, number: int
    ) -> None:
        self.sid = mint("CA")
        self.to = to
        self.sender = sender
        self.direction = direction
        self.script = script
        self.status = "queued"
        """As REST shows it."""
        self.config = exchange.config
        self.ledger = exchange.ledger
        self.account_sid = exchange.config.account_sid
        self.fields: Mapping[str, Any] = {}
        """What the create request carried."""
        self.queue_ms = 0
        self.created_s = time.time()
        self.start_s: float | None = None
        self.end_s: float | None = None
        self.updated_s = self.created_s
        self.ending: Ending | None = None
        self.line: Line | None = None
        self.streams: list[StreamRecord] = []
        self.notifications: list[dict[str, Any]] = []
        self.instants_ns: dict[str, int] = {"created": time.monotonic_ns()}
        """Monotonic instant of each status."""
        self.status_callback = ("", "POST", frozenset({"completed"}))
        self.webhooks = WebhookSender(exchange.config, exchange.ledger, self.sid, exchange.connector)
        self._exchange = exchange
        self._dice = random.Random(f"{exchange.config.seed}:{number}")  # noqa: S311
        self._time_limit_s = exchange.config.time_limit_s
        self._limit: asyncio.TimerHandle | None = None
        self._over: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()
        self._new_source: asyncio.Future[Source] = asyncio.get_running_loop().create_future()
        self._program = Program(self)
        self._party: Party | None = None
        self._sequence = 0
        self._callback_turn = 0
        self._callback_done: list[asyncio.Event] = []
        self.finished = asyncio.Event()
        """Ended, and all its callbacks delivered or given up."""
        self._ended = asyncio.Event()

    # --- what others may do to it -------------------------------------------------------------------------

    def end(self, status: str, by: str, sip_code: int = 200) -> None:
        """Ask for the end; the first to ask decides."""
        if not self._over.done():
            self._over.set_result(Ending(status, by, sip_code))

    def hang_up(self, by: str = "party") -> None:
        """Somebody puts the phone down: an answered call is completed, another one canceled."""
        self.end("completed" if self.line is not None else "canceled", by, 200 if self.line is not None else 487)

    def redirect(self, source: Source) -> None:
        """Replace the running document at once. Only while in progress."""
        if not self._new_source.done():
            self._new_source.set_result(source)

    def set_time_limit(self, seconds: int) -> None:
        """From the answer."""
        self._time_limit_s = seconds
        if self.line is not None:
            self._arm_limit(self.line)

    def press(self, digits: str) -> None:
        """The party presses keys. Raises `ValueError` for other keys, or when nobody has answered."""
        if self.line is None or self.ending is not None:
            raise ValueError("the call is not in progress")
        self.line.party.press(digits)

    def open_stream(self, noun: twiml.Stream, stream_sid: str) -> MediaStream:
        assert self.line is not None, "streams are opened on answered calls only"
        stream = MediaStream(
            noun,
            stream_sid=stream_sid,
            call_sid=self.sid,
            config=self.config,
            line=self.line,
            session=self._exchange.stream_session,
            dice=self._dice,
            spawn=self._exchange.spawn,
            notify=self.notify,
        )
        self.streams.append(stream.record)
        return stream

    def notify(self, code: int, message: str, *, warning: bool = False) -> None:
        """A line in the account's log."""
        level = "1" if warning or code in _WARNING_CODES else "0"
        self.notifications.append(
            {"sid": mint("NO"), "log": level, "error_code": str(code), "message_text": message, "at_s": time.time()}
        )
        self.ledger.add("notification", self.sid, code=code, warning=level == "1", message=message)

    def post_callback(self, url: str, method: str, params: list[tuple[str, str]]) -> None:
        """Send in the order `WebhookManners.order` says; never waits."""
        turn = len(self._callback_done)
        self._callback_done.append(asyncio.Event())
        self._exchange.spawn(self._deliver(turn, url, method, params), f"{self.sid} callback {turn}")

    @property
    def ending_soon(self) -> bool:
        """Its end is decided, though perhaps not told yet."""
        return self._over.done()

    @property
    def duration_s(self) -> int | None:
        """Whole seconds from the answer to the end; None while it lasts, and for a call nobody answered."""
        if self.line is None or "ended" not in self.instants_ns:
            return None
        return round((self.instants_ns["ended"] - self.line.answered_ns) / 1e9)

    # --- its life -----------------------------------------------------------------------------------------

    async def run_outbound(self, source: Source, ring_timeout_s: int) -> None:
        party = self._exchange.prepare_party(self.script, self._dice)
        try:
            await self._dial(ring_timeout_s)
            if not self._over.done():
                self._answer(await party)
                await self._talk(source, None)
        finally:
            party.cancel()
            await self._finish()

    async def run_inbound(self, source: Source) -> None:
        party = self._exchange.prepare_party(self.script, self._dice)
        try:
            self._move("ringing")
            self.start_s = time.time()
            loading = asyncio.ensure_future(self._program.load(source))
            await _first(loading, self._over)
            if self._over.done():
                loading.cancel()
                return
            document = loading.result()
            if document is not None and document.verbs and isinstance(document.verbs[0], twiml.Reject):
                reason = document.verbs[0].reason
                status = "busy" if reason == "busy" else self.config.choices.reject_status
                self.end(status, "reject", 486 if reason == "busy" else 603)
                return
            self._answer(await party)
            await self._talk(source, document)
        finally:
            party.cancel()
            await self._finish()

    async def _dial(self, ring_timeout_s: int) -> None:
        if await self._wait(self.queue_ms / 1000):
            return
        self._tell_status("initiated")
        self.start_s = time.time()
        if await self._wait(self.config.dial_s):
            return
        outcome = self.script.outcome
        if outcome == "failed":
            self.end("failed", "network", 404)
            return
        self._move("ringing")
        rings_s = float(ring_timeout_s) if outcome == "no-answer" else min(self.script.ring_s, ring_timeout_s)
        if await self._wait(rings_s):
            return
        if outcome == "busy":
            self.end("busy", "party", 486)
        elif outcome == "no-answer" or self.script.ring_s > ring_timeout_s:
            self.end("no-answer", "network", 487)

    def _answer(self, party: Party) -> None:
        self._party = party
        self.line = Line(party, self.hang_up)
        self._arm_limit(self.line)
        self._move("in-progress")

    async def _talk(self, source: Source, document: Document | None) -> None:
        """Documents one after the other, until one ends the call or somebody does."""
        while True:
            task = asyncio.ensure_future(self._play(source, document))
            await _first(task, self._over, self._new_source)
            if self._program.stream is not None and not task.done():
                await self._program.stream.stop()
            if not task.done():
                task.cancel()
                await asyncio.wait({task})
            elif not self._over.done() and not self._new_source.done():
                why = task.result()
                by = {"reject": "reject", "application-error": "application-error"}.get(why, "document")
                self.end("completed", by)
            if self._over.done():
                return
            source, document = self._new_source.result(), None
            self._new_source = asyncio.get_running_loop().create_future()

    async def _play(self, source: Source, document: Document | None) -> str:
        if document is None:
            document = await self._program.load(source)
        return await self._program.run(document) if document is not None else "application-error"

    async def _finish(self) -> None:
        if not self._over.done():
            self.end("failed", "emulator")  # the life above was cut short: the emulator stops, or has a bug
        self.ending = self._over.result()
        self.instants_ns["ended"] = time.monotonic_ns()
        self.end_s = time.time()
        if self.line is not None:
            self.line.stop()
        if self._limit is not None:
            self._limit.cancel()
        self._move(self.ending.status)
        self.ledger.add("party", self.sid, ended_by=self.ending.by, sip_code=self.ending.sip_code)
        self._ended.set()
        self._exchange.spawn(self._settle(), f"{self.sid} last callbacks")

    async def _settle(self) -> None:
        for done in list(self._callback_done):
            await done.wait()
        await self.webhooks.close()
        self.finished.set()

    async def ended(self) -> Ending:
        """Wait for the end (its callbacks may still be on their way)."""
        await self._ended.wait()
        assert self.ending is not None
        return self.ending

    async def _wait(self, seconds: float) -> bool:
        """True: the call is over before the time is."""
        await asyncio.wait({self._over}, timeout=seconds)
        return self._over.done()

    def _arm_limit(self, line: Line) -> None:
        if self._limit is not None:
            self._limit.cancel()
        left_s = max(0.0, self._time_limit_s - line.now_ms / 1000)
        self._limit = asyncio.get_running_loop().call_later(left_s, self.end, "completed", "time-limit")

    # --- telling ------------------------------------------------------------------------------------------

    def _move(self, status: str) -> None:
        self.status = status
        self._tell_status(status)

    def _tell_status(self, status: str) -> None:
        self.updated_s = time.time()
        self.instants_ns.setdefault(status, time.monotonic_ns())
        self.ledger.add("transition", self.sid, status=status)
        url, method, events = self.status_callback
        wanted = bool(url) and _EVENT_OF.get(status, "completed") in events
        sequence = self._sequence
        if wanted or self.config.choices.sequence_counts == "all":
            self._sequence += 1
        if wanted:
            self.post_callback(url, method, call_status(self, status, sequence, self.updated_s))

    async def _deliver(self, turn: int, url: str, method: str, params: list[tuple[str, str]]) -> None:
        manners = self.config.webhooks
        try:
            if manners.order == "sequential" and turn:
                await self._callback_done[turn - 1].wait()
            elif manners.order == "reversed" and turn % 2 == 0:
                await self._wait_for_overtaker(turn + 1, manners.pair_window_s)
            warning = await self.webhooks.tell(url, method, params)
            if warning:
                self.notify(15003, warning)
        finally:
            self._callback_done[turn].set()

    async def _wait_for_overtaker(self, turn: int, window_s: float) -> None:
        await asyncio.sleep(window_s)
        if turn < len(self._callback_done):
            await self._callback_done[turn].wait()


async def _first(*futures: asyncio.Future[Any]) -> None:
    await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
