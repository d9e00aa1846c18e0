"""One call: from the queue to its end, with everything the vendor tells about it on the way (twilio.md 3.3, 4).

Owns the statuses and the line. Who may ask for what is decided in `rest_calls`; documents are played by `program`,
callbacks told by `telling`.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..scenario import PartyScript
from . import verbs
from .amd import AmdSettings, MachineDetection, Verdict
from .line import Line
from .media_stream import MediaStream, StreamRecord
from .party import Detector, Party
from .program import Document, Program, Source
from .recording import Recording
from .recordings import Recordings
from .stamps import mint
from .streams import Streams, tracks_of
from .telling import Telling
from .webhooks import WebhookSender

if TYPE_CHECKING:
    from .exchange import Exchange

__all__ = ["FINAL", "Call", "Ending"]

FINAL = {"completed", "busy", "no-answer", "failed", "canceled"}


@dataclass(frozen=True, slots=True)
class Ending:
    status: str
    by: str
    """party, api, document, dial, time-limit, network, reject, application-error or emulator."""
    sip_code: int = 200


class Call:
    """Created queued. `run_outbound`, `run_inbound` or `run_leg` is its whole life."""

    def __init__(
        self, exchange: Exchange, *, to: str, sender: str, direction: str, script: PartyScript, number: int
    ) -> None:
        self.sid = mint("CA")
        self.to = to
        self.sender = sender
        self.direction = direction
        self.script = script
        self.parent_sid: str | None = None
        """Of a leg: the call whose `<Dial>` it belongs to."""
        self.application_sid = ""
        self.status = "queued"
        """As REST shows it."""
        self.exchange = exchange
        self.config = exchange.config
        self.ledger = exchange.ledger
        self.faults = exchange.faults
        self.account_sid = exchange.config.account_sid
        self.fields: Mapping[str, Any] = {}
        """What the create request carried."""
        self.record_events: tuple[str, ...] = ("completed",)
        self.queue_ms = 0
        self.created_s = time.time()
        self.start_s: float | None = None
        self.end_s: float | None = None
        self.updated_s = self.created_s
        self.ending: Ending | None = None
        self.line: Line | None = None
        self.verdict: Verdict | None = None
        """Of answering machine detection."""
        self.streams: list[StreamRecord] = []
        self.notifications: list[dict[str, Any]] = []
        self.instants_ns: dict[str, int] = {"created": time.monotonic_ns()}
        """Monotonic instant of each status."""
        self.status_callback: tuple[str, str, frozenset[str]] = ("", "POST", frozenset({"completed"}))
        self.webhooks = WebhookSender(exchange.config, exchange.ledger, self.sid, exchange.connector, exchange.faults)
        self.media = Streams(self)
        self.recordings = Recordings(self)
        self._telling = Telling(self, exchange.spawn)
        self._dice = random.Random(f"{exchange.config.seed}:{number}")  # noqa: S311
        self._time_limit_s = exchange.config.time_limit_s
        self._limit: asyncio.TimerHandle | None = None
        self._over: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()
        self._new_source: asyncio.Future[Source] = asyncio.get_running_loop().create_future()
        self._detected: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
        self._program = Program(self)
        self.finished = asyncio.Event()
        """Ended, and all its callbacks delivered or given up."""
        self.joinable = asyncio.Event()
        """Of a leg: answered, and may be bridged."""
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

    def open_stream(self, noun: verbs.Stream, stream_sid: str, *, bidirectional: bool) -> MediaStream:
        assert self.line is not None, "streams are opened on answered calls only"
        stream = MediaStream(
            noun,
            stream_sid=stream_sid,
            call_sid=self.sid,
            config=self.config,
            line=self.line,
            context=self.exchange.tls,
            dice=self._dice,
            notify=self.notify,
            faults=self.faults,
            tracks=tracks_of(noun.track),
            bidirectional=bidirectional,
        )
        self.streams.append(stream.record)
        return stream

    def notify(self, code: int, message: str, *, warning: bool = False) -> None:
        """A line in the account's log."""
        self._telling.notify(code, message, warning=warning)

    def post_callback(self, url: str, method: str, params: list[tuple[str, str]], *, kind: str) -> None:
        self._telling.post(url, method, params, kind=kind)

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        self.exchange.spawn(work, name)

    async def spoken(self, text: str) -> bytes:
        """What a `<Say>` sounds like. Raises `LookupError` when this machine cannot speak."""
        return await self.exchange.spoken(text, "agent")

    def new_detector(self) -> Detector:
        return self.exchange.new_detector()

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
        party = self.exchange.prepare_party(self.script, self._dice)
        try:
            await self._dial(ring_timeout_s)
            if not self._over.done():
                self._answer(await party)
                await self._talk(source, None)
        finally:
            party.cancel()
            await self._finish()

    async def run_inbound(self, source: Source) -> None:
        party = self.exchange.prepare_party(self.script, self._dice)
        try:
            self._move("ringing")
            self.start_s = time.time()
            loading = asyncio.ensure_future(self._program.load(source))
            await _first(loading, self._over)
            if self._over.done():
                loading.cancel()
                return
            document = loading.result()
            if document is not None and document.verbs and isinstance(document.verbs[0], verbs.Reject):
                reason = document.verbs[0].reason
                status = "busy" if reason == "busy" else self.config.choices.reject_status
                self.end(status, "reject", 486 if reason == "busy" else 603)
                return
            self._answer(await party)
            await self._talk(source, document)
        finally:
            party.cancel()
            await self._finish()

    async def run_leg(self, noun: verbs.Number, base_url: str, ring_timeout_s: int) -> None:
        """The other side of a `<Dial>`: rings, is told the noun's document, then waits to be bridged."""
        party = self.exchange.prepare_party(self.script, self._dice)
        try:
            await self._dial(ring_timeout_s)
            if self._over.done():
                return
            self._answer(await party)
            greeting = asyncio.ensure_future(self._greet_leg(noun, base_url))
            await _first(greeting, self._over)
            if greeting.done() and not self._over.done():
                greeting.result()
                self.joinable.set()
                await self._over
            greeting.cancel()
        finally:
            party.cancel()
            await self._finish()

    async def _greet_leg(self, noun: verbs.Number, base_url: str) -> None:
        assert self.line is not None
        if noun.send_digits:
            await self.line.press_out(noun.send_digits)
        if noun.url:
            document = await self._program.load(self._program.next_source(noun.url, noun.method, base_url))
            if document is None or await self._program.run(document) in {"hangup", "reject", "application-error"}:
                self.end("completed", "document")

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
        self.line = Line(party, self.hang_up, self.exchange.lateness)
        self._arm_limit(self.line)
        self._move("in-progress")
        self.recordings.answered()
        self._detect(self.line)

    def _detect(self, line: Line) -> None:
        choices = self.config.choices
        settings = AmdSettings.of(
            self.fields,
            message_end_silence_ms=choices.message_end_silence_ms,
            timeout_in_greeting=choices.amd_timeout_in_greeting,
        )
        if settings is None:
            return
        detection = MachineDetection(settings, self.new_detector())

        def listen(spoken: bytes, _: bytes) -> None:
            if (verdict := detection.feed(spoken)) is not None:
                line.taps.remove(listen)
                self._detected.set_result(verdict)
                self._tell_verdict(verdict)

        line.taps.append(listen)

    def _tell_verdict(self, verdict: Verdict) -> None:
        self.verdict = verdict
        self.ledger.add("detection", self.sid, answered_by=verdict.answered_by, duration_ms=verdict.duration_ms)
        url = self.fields.get("AsyncAmdStatusCallback", "")
        if self.fields.get("AsyncAmd") == "true" and url:
            params = [("CallSid", self.sid), ("AccountSid", self.account_sid), *self._verdict_fields().items()]
            self.post_callback(url, self.fields.get("AsyncAmdStatusCallbackMethod", "POST"), params, kind="amd")

    def _verdict_fields(self) -> dict[str, str]:
        if self.verdict is None:
            return {}
        return {
            "AnsweredBy": self.verdict.answered_by,
            "MachineDetectionDuration": str(self.verdict.duration_ms),
        }

    async def _talk(self, source: Source, document: Document | None) -> None:
        """Documents one after the other, until one ends the call or somebody does."""
        task = asyncio.ensure_future(self._play_first(source, document))
        while True:
            await _first(task, self._over, self._new_source)
            if not task.done():
                await self.media.stop_all(one_way=self._over.done())
            if not task.done():
                task.cancel()
                await asyncio.wait({task})
            elif not self._over.done() and not self._new_source.done():
                why = task.result()
                by = {"reject": "reject", "application-error": "application-error"}.get(why, "document")
                self.end("completed", by)
            if self._over.done():
                await self.media.stop_all(one_way=True)
                return
            source = self._new_source.result()
            self._new_source = asyncio.get_running_loop().create_future()
            task = asyncio.ensure_future(self._play(source, None, None))

    async def _play_first(self, source: Source, document: Document | None) -> str:
        """Behind the digits to be pressed and the verdict that was asked to come first."""
        assert self.line is not None
        if digits := self.fields.get("SendDigits", ""):
            await self.line.press_out(digits)
        detecting = self.fields.get("MachineDetection") and not digits
        if detecting and self.fields.get("AsyncAmd") != "true":
            await self._detected
            return await self._play(source, document, self._verdict_fields())
        return await self._play(source, document, None)

    async def _play(self, source: Source, document: Document | None, extra: dict[str, str] | None) -> str:
        if document is None:
            document = await self._program.load(source, extra)
        return await self._program.run(document) if document is not None else "application-error"

    async def _finish(self) -> None:
        if not self._over.done():
            self.end("failed", "emulator")  # the life above was cut short: the emulator stops, or has a bug
        self.ending = self._over.result()
        self.instants_ns["ended"] = time.monotonic_ns()
        self.end_s = time.time()
        self.recordings.ended()
        if self.line is not None:
            self.line.stop()
        if self._limit is not None:
            self._limit.cancel()
        self._move(self.ending.status)
        self.ledger.add("party", self.sid, ended_by=self.ending.by, sip_code=self.ending.sip_code)
        self._ended.set()
        self.exchange.spawn(self._settle(), f"{self.sid} last callbacks")

    async def _settle(self) -> None:
        await self.recordings.settled()
        await self._telling.settled()
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
        self._telling.status(status)

    def add_recording(self, recording: Recording) -> None:
        self.recordings.add(recording)

    async def finish_recording(self, recording: Recording) -> None:
        self.recordings.finish(recording)

    def recording_url(self, recording: Recording) -> str:
        return self.recordings.url(recording)


async def _first(*futures: asyncio.Future[Any]) -> None:
    await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
