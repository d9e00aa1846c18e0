"""The account's switch: its calls, the queue that lets them out one by one, and what all calls share.

Starts no server. Tasks it spawns are its own; a mistake in one is logged and written to the ledger, never lost.
"""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

import aiohttp

from ..scenario import PartyScript
from .call import FINAL, Call
from .conference import Room
from .config import OwnedNumber, TwilioConfig
from .faults import FaultSwitch
from .frame_clock import Lateness
from .ledger import Ledger
from .party import Detector, Party
from .program import Source
from .recording import Recording
from .refusals import Refusal
from .verbs import Dial, Number

__all__ = ["Exchange", "Speak"]

Speak = Callable[[str, str], bytes]
"""Text and voice to mu-law; may be slow, is called in a thread."""

_log = logging.getLogger("shortwire.emulators.twilio")


def _default_speak(text: str, voice: str) -> bytes:
    from ..speech import speak

    return speak(text, voice)


def _default_detector() -> Detector:
    from ..voice_activity import VoiceActivity

    return VoiceActivity()


class Exchange:
    """Between `open` and `close` it places calls."""

    def __init__(self, config: TwilioConfig, speak: Speak | None, detector: Callable[[], Detector] | None) -> None:
        self.config = config
        self.ledger = Ledger()
        self.lateness = Lateness()
        """Of every frame of every call."""
        self.calls: dict[str, Call] = {}
        self.recordings: dict[str, Recording] = {}
        self.faults = FaultSwitch()
        self.base_url = ""
        """Where this emulator answers; set when it listens."""
        self._speak = speak or _default_speak
        self._detector = detector or _default_detector
        self._voices: dict[tuple[str, str], asyncio.Future[bytes]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._lives: dict[str, asyncio.Task[None]] = {}
        self._next_slot_s = 0.0
        self._created = 0
        self._web: aiohttp.TCPConnector | None = None
        self._rooms: dict[str, Room] = {}
        self.tls = ssl.create_default_context(cafile=config.webhooks.ca_file)

    async def open(self) -> None:
        keep_alive = self.config.webhooks.keep_alive
        self._web = aiohttp.TCPConnector(limit=0, ssl=self.tls, force_close=not keep_alive)

    async def close(self) -> None:
        await self.hang_up_all()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, *self._voices.values(), return_exceptions=True)
        for call in self.calls.values():
            await call.webhooks.close()
        if self._web is not None:
            await self._web.close()

    async def hang_up_all(self) -> None:
        """End every call and wait until its life is over."""
        for call in self.calls.values():
            call.hang_up("emulator")
        if self._lives:
            await asyncio.wait(set(self._lives.values()), timeout=5)

    async def reset(self) -> None:
        """Forget everything: calls, ledger, queue."""
        await self.hang_up_all()
        for call in list(self.calls.values()):
            try:
                await asyncio.wait_for(call.finished.wait(), 2)
            except TimeoutError:
                await call.webhooks.close()
        self.calls.clear()
        self.recordings.clear()
        self._rooms.clear()
        self.ledger.clear()
        self._next_slot_s = 0.0

    def connector(self) -> aiohttp.BaseConnector:
        assert self._web is not None, "the emulator is not started"
        return self._web

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)
        return task

    def prepare_party(self, script: PartyScript, dice: random.Random) -> asyncio.Task[Party]:
        """While it rings: what the party will say is spoken in a thread."""
        return asyncio.get_running_loop().create_task(self._prepare_party(script, dice))

    def place(self, fields: Mapping[str, str], events: Sequence[str], recording_events: Sequence[str] = ()) -> Call:
        """An outbound call that was checked. Raises `Refusal` when there is no room for one more."""
        live = sum(1 for call in self.calls.values() if call.status not in FINAL)
        if self.config.max_live_calls and live >= self.config.max_live_calls:
            raise Refusal.too_many_calls(self.config.choices.live_calls_status)
        queue_ms = self._take_slot()
        to = fields["To"]
        call = self._new_call(to, fields["From"], "outbound-api", self.config.parties.get(to, self.config.scenario))
        call.fields = dict(fields)
        call.record_events = tuple(recording_events) or ("completed",)
        call.queue_ms = queue_ms
        application = self.config.applications.get(fields.get("ApplicationSid", ""))
        if application is not None:
            # The application's own settings stand in for Url, Method, Fallback* and StatusCallback* (page 3.2).
            call.application_sid = fields["ApplicationSid"]
            source = _source_of(application)
            callback: tuple[str, str] = (application.status_callback, application.status_callback_method)
        else:
            source = _source_in(fields)
            callback = (fields.get("StatusCallback", ""), fields.get("StatusCallbackMethod", "POST"))
        call.status_callback = (*callback, frozenset(events or ("completed",)))
        if "TimeLimit" in fields:
            call.set_time_limit(int(fields["TimeLimit"]))
        self._note_not_imitated(call, fields)
        self._live(call, call.run_outbound(source, int(fields.get("Timeout", "60"))))
        return call

    def dial_leg(self, parent: Call, verb: Dial, noun: Number, base_url: str) -> Call:
        """The other side of a `<Dial>`: a party of `parties`, or one that stays for `dialed_leg_s`."""
        script = self.config.parties.get(noun.address)
        status = self.config.dialed_leg_status
        known = script or PartyScript(ring_s=0.0, outcome="answered" if status == "completed" else status)
        leg = self._new_call(noun.address, verb.caller_id or parent.sender, "outbound-dial", known)
        leg.parent_sid = parent.sid
        leg.status_callback = (
            noun.status_callback,
            noun.status_callback_method,
            frozenset(noun.status_callback_events),
        )
        self._live(leg, leg.run_leg(noun, base_url, verb.timeout_s))
        if script is None:
            self.spawn(self._leave_after(leg, self.config.dialed_leg_s), f"{leg.sid} hangs up")
        return leg

    def room(self, name: str) -> Room:
        """The conference of this name, opened when it is not there."""
        if name not in self._rooms:
            self._rooms[name] = Room(name)
            if name in self.config.conference_guests:
                self.spawn(self._bring_guest(self._rooms[name]), f"guest of {name}")
        return self._rooms[name]

    def leave_room(self, room: Room) -> None:
        """Forget it when nobody is left, or only the guest."""
        guests = [call for call in room.calls if call.direction == "outbound-dial" and call.parent_sid is None]
        if len(guests) == len(room.calls):
            self._rooms.pop(room.name, None)
            for guest in guests:
                guest.hang_up("dial")

    async def _bring_guest(self, room: Room) -> None:
        guest = self._new_call(
            f"client:{room.name}", "client:conference", "outbound-dial", self.config.conference_guests[room.name]
        )
        self._live(guest, guest.run_leg(Number(guest.to), "", 60))
        joinable = asyncio.ensure_future(guest.joinable.wait())
        ended = asyncio.ensure_future(guest.ended())
        await asyncio.wait({joinable, ended}, return_when=asyncio.FIRST_COMPLETED)
        if joinable.done():
            staying = asyncio.ensure_future(room.stay(guest, muted=False, starts_it=True, ends_it=False))
            await asyncio.wait({staying, ended}, return_when=asyncio.FIRST_COMPLETED)
            staying.cancel()
        joinable.cancel()
        guest.hang_up("dial")
        await ended

    async def _leave_after(self, leg: Call, seconds: float) -> None:
        await asyncio.sleep(seconds)
        leg.hang_up()

    def receive(self, to: str, sender: str, script: PartyScript | None) -> Call:
        """Somebody calls one of our numbers. Raises `ValueError` with what to change."""
        number = self.config.numbers.get(to)
        if number is None:
            raise ValueError(f"{to} is not a number of this account; it has {', '.join(self.config.numbers) or 'none'}")
        if not number.voice_url:
            raise ValueError(f"{to} has no voice_url: set one, or start with --voice-url")
        script = script or number.script or self.config.parties.get(sender, self.config.scenario)
        call = self._new_call(to, sender, "inbound", script)
        call.status_callback = (number.status_callback, number.status_callback_method, frozenset({"completed"}))
        self._live(call, call.run_inbound(_source_of(number)))
        return call

    def _new_call(self, to: str, sender: str, direction: str, script: PartyScript) -> Call:
        self._created += 1
        call = Call(self, to=to, sender=sender, direction=direction, script=script, number=self._created)
        self.calls[call.sid] = call
        return call

    def _live(self, call: Call, life: Coroutine[Any, Any, None]) -> None:
        task = self.spawn(life, call.sid)
        self._lives[call.sid] = task
        task.add_done_callback(lambda _: self._lives.pop(call.sid, None))

    def _take_slot(self) -> int:
        """Milliseconds until the account's rate lets this call out."""
        if self.config.calls_per_second <= 0:
            return 0
        now_s = time.monotonic()
        slot_s = max(now_s, self._next_slot_s)
        wait_ms = round((slot_s - now_s) * 1000)
        if wait_ms > self.config.max_queue_s * 1000:
            raise Refusal.queue_full(self.config.choices.queue_full_status)
        self._next_slot_s = slot_s + 1 / self.config.calls_per_second
        return wait_ms

    def _note_not_imitated(self, call: Call, fields: Mapping[str, str]) -> None:
        for name in ("Byoc", "CallToken", "Passports", "ClientNotificationUrl", "RecordingConfigurationId"):
            if fields.get(name, "").lower() not in {"", "false"}:
                self.ledger.add("not_imitated", call.sid, what=f"the field {name}", value=fields[name])

    async def _prepare_party(self, script: PartyScript, dice: random.Random) -> Party:
        audio = {say.text: await self.spoken(say.text, script.voice) for say in script.says if say.text}
        return await asyncio.to_thread(Party, script, audio, self._detector(), dice)

    def new_detector(self) -> Detector:
        return self._detector()

    async def spoken(self, text: str, voice: str) -> bytes:
        """Mu-law of a text. Raises `LookupError` when this machine cannot speak it."""
        key = (text, voice)
        if key not in self._voices:
            # One for all calls that want it now; a call that ends early must not take it from the others.
            self._voices[key] = asyncio.ensure_future(asyncio.to_thread(self._speak, text, voice))
        try:
            return await asyncio.shield(self._voices[key])
        except Exception:
            self._voices.pop(key, None)
            raise

    def _task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("mistake in the emulator: %s", task.get_name(), exc_info=error)
            self.ledger.add("emulator_error", task=task.get_name(), error=repr(error))


def _source_in(fields: Mapping[str, str]) -> Source:
    return Source(
        url=fields.get("Url", ""),
        method=fields.get("Method", "POST"),
        text=None if "Url" in fields else fields.get("Twiml", ""),
        fallback_url=fields.get("FallbackUrl", ""),
        fallback_method=fields.get("FallbackMethod", "POST"),
    )


def _source_of(number: OwnedNumber) -> Source:
    return Source(
        url=number.voice_url,
        method=number.voice_method,
        fallback_url=number.fallback_url,
        fallback_method=number.fallback_method,
    )
