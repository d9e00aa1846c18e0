"""Agent audio on its way to the phone: one synchronous step, and the marks that prove what was heard.

The first 60 ms of a run travel as a message of their own with a mark behind it: the echo of that mark,
less 60 ms, is the instant the party began to hear the reply. After that a mark follows each chunk,
small chunks sharing one (`playout.MARK_EVERY_MS`), so that marks never cost more than the audio.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections import deque

from ..clock import NEVER_NS, NS_PER_MS
from ..ulaw import payload_ms, split_payload
from ..wire.elevenlabs import audio_plain
from ..wire.splice import BASE64, cut_agent_audio
from ..wire.twilio import MARK_TAIL, MEDIA_TAIL, clear_message, mark_head, mark_message, media_head
from .playout import PlainPlayout, Playout
from .shortcut import DownlinkShortcut
from .side import AGENT_AUDIO, DOWNLINK, HEARD, RELAYED, TO_PHONE, WRITTEN, SideLog, Wire
from .uplink import AudioConverter, Send

__all__ = ["FIRST_MS", "Downlink"]

FIRST_MS = 60
"""480 bytes, 640 base64 characters: the shortest piece that is whole in base64 and in 20 ms frames."""
_TAIL_NS = 100 * NS_PER_MS
"""Silence of the agent after which the end of what was written gets a mark of its own."""
_IN_TIME_NS = 300 * NS_PER_MS
"""Before what was written has been played, such a mark is as good as any sooner one: it comes back when that has been
heard, not when it was sent."""
_CONVERT_STEP_BYTES = 9_600
"""How much agent audio is converted in one go (0.1 s of pcm_48000): about 1 ms of work, not more."""
_BACKLOG_STEPS = 1_200
"""Audio that waits for conversion: 2 minutes of the widest format. More at once is no speech, but a fault."""
_WIDEST = 12
"""Bytes of pcm_48000 to one of mu-law, for the same time."""


class Downlink:
    """One call's way from the agent to the phone."""

    __slots__ = (
        "_backlog",
        "_chunks",
        "_convert",
        "_cut",
        "_head",
        "_held",
        "_held_limit_ms",
        "_marks",
        "_paused",
        "_plain",
        "_send",
        "_side",
        "_stopped",
        "_straight",
        "_stream_sid",
        "_wire",
        "held_dropped_ms",
        "held_ms",
        "overflow",
        "paused_dropped_ms",
        "playout",
        "shortcut",
        "slow",
        "stale",
        "unusable",
    )

    def __init__(self, side: SideLog, wire: Wire, *, plain: bool, held_ms: float, marks: int) -> None:
        self.playout: Playout = PlainPlayout()
        """Replaced, if at all, before the first message."""
        self._side = side
        self._wire = wire
        self._plain = plain
        self._marks = marks
        self._held: list[tuple[bytes, int]] = []
        self._held_limit_ms = held_ms
        self._backlog: deque[tuple[bytes, int]] = deque()
        self._convert: AudioConverter | None = None
        self._cut = audio_plain if plain else cut_agent_audio
        self._send: Send | None = None
        self._straight: Send | None = None
        """The same, while audio goes as it comes."""
        self._head = b""
        self._stream_sid = ""
        self._stopped = False
        self.held_ms = 0.0
        self.held_dropped_ms = 0.0
        self._paused = False
        self.shortcut: DownlinkShortcut | None = None
        """Set by `shorten`."""
        self.paused_dropped_ms = 0.0
        self._chunks = 0
        self.slow = 0
        self.stale = 0
        """Audio messages dropped because a barge-in had overtaken them."""
        self.unusable = 0
        self.overflow = 0
        """Audio messages dropped because too much waits for conversion."""

    @property
    def chunks(self) -> int:
        """Audio messages read from the agent."""
        return self._chunks + (self.shortcut.relayed if self.shortcut is not None else 0)

    def shorten(self, shortcut: DownlinkShortcut) -> None:
        """Before the first message, if at all: straight audio goes this way, and is counted there."""
        self.shortcut = shortcut
        self.playout = shortcut.playout

    def manage(self) -> None:
        """After `begin`: whatever is usual may go the short way, and nobody is told of messages that are no audio."""
        if self.shortcut is not None:
            sid = self._stream_sid
            self.shortcut.manage(clear_message(sid), mark_head(sid), MARK_TAIL, self._marks)

    def answer(self, send: Send | None) -> None:
        """Where pings of the agent may be answered without the session; None: nowhere."""
        if self.shortcut is not None:
            self.shortcut.answer(send)

    def begin(self, stream_sid: str, send: Send, now_ns: int) -> None:
        """The phone can be written to; audio held for it goes first. After `stop`: nothing."""
        if self._stopped:
            return
        self._head = media_head(stream_sid)
        self._stream_sid = stream_sid
        self._send = send
        if self.shortcut is not None and not self._plain:
            self.shortcut.begin(self._head, MEDIA_TAIL, self.mark_here)
        self._choose()
        held, self._held = self._held, []
        self.held_ms = 0.0
        for payload, event_id in held:
            self._play(payload, event_id, now_ns)

    def use(self, converter: AudioConverter | None) -> None:
        """Set before the first audio: how the agent's format becomes mu-law; None: it is mu-law."""
        self._convert = converter
        self._choose()

    @property
    def paused(self) -> bool:
        """The phone's socket does not take data: audio is dropped meanwhile."""
        return self._paused

    @paused.setter
    def paused(self, paused: bool) -> None:
        self._paused = paused
        self._choose()

    def _choose(self) -> None:
        straight = self._convert is None and not self._plain and not self._paused
        self._straight = self._send if straight else None
        if self.shortcut is not None:
            self.shortcut.aim(self._straight)

    def stop(self) -> None:
        """The phone is gone, or the call is over: nothing is written or kept any more."""
        self._stopped = True
        self._send = self._straight = None
        if self.shortcut is not None:
            self.shortcut.end()
        self._held.clear()
        self._backlog.clear()

    def message(self, data: bytes, now_ns: int) -> bool | None:
        """The media path. True: written to the phone; False: audio, held or dropped; None: not recognised."""
        # Through a name of its own: a call straight from a slot is one that the interpreter does not specialise.
        cut_out = self._cut
        cut = cut_out(data)
        if cut is None:
            return None
        payload, event_id = cut
        send = self._straight
        if send is None or event_id < self.playout.stale_below or not payload:
            return self._audio(payload, event_id, now_ns)
        ms = payload_ms(payload)
        written = self.playout.written
        if not written.extends(now_ns, ms):
            return self._audio(payload, event_id, now_ns)  # it begins a run
        self._chunks += 1
        send(self._head + payload + MEDIA_TAIL)
        self._side.append((now_ns, RELAYED, (event_id, payload, ms)))
        if written.mark_due():
            self._mark(send, now_ns)
        return True

    def mark_here(self, now_ns: int) -> None:
        """A mark behind what was written."""
        if self._send is not None:
            self._mark(self._send, now_ns)

    def slow_audio(self, payload_text: str, event_id: int, now_ns: int) -> bool:
        """An audio message that the cut did not recognise and the typed parse did."""
        self.slow += 1
        payload = payload_text.encode("utf-8", "replace")
        if payload.translate(None, BASE64):
            self.unusable += 1
            return False
        return self._audio(payload, event_id, now_ns)

    def _audio(self, payload: bytes, event_id: int, now_ns: int) -> bool:
        self._chunks += 1
        self._side.append((now_ns, AGENT_AUDIO, (event_id, payload, self._convert is not None)))
        if event_id < self.playout.stale_below or self._stopped:
            self.stale += not self._stopped
            self._side.append((now_ns, DOWNLINK, (payload, True, event_id)))
            return False
        if not payload:
            return False
        if self._send is None:
            return self._hold(payload, event_id)
        return self._play(payload, event_id, now_ns)

    def _play(self, payload: bytes, event_id: int, now_ns: int) -> bool:
        if self._convert is not None:
            return self._queue_conversion(payload, event_id, now_ns)
        return self._write(payload, event_id, now_ns)

    def _write(self, payload: bytes, event_id: int, now_ns: int) -> bool:
        """Mu-law for the phone."""
        send = self._send
        ms = payload_ms(payload)
        if send is None or self._paused:
            self.paused_dropped_ms += ms
            return False
        playout = self.playout
        begins = playout.begins_run(now_ns)
        if begins and ms > FIRST_MS:
            first, payload = split_payload(payload, FIRST_MS)
            self._piece(send, first, FIRST_MS, event_id, now_ns)
            self._mark(send, now_ns)
            ms -= FIRST_MS
        self._piece(send, payload, ms, event_id, now_ns)
        if playout.written.mark_due() or (begins and ms <= FIRST_MS):
            self._mark(send, now_ns)
        return True

    def _piece(self, send: Send, payload: bytes, ms: float, event_id: int, now_ns: int) -> None:
        send(self._message(payload))
        self._side.append((now_ns, DOWNLINK, (payload, False, event_id)))
        self.playout.wrote(now_ns, ms)

    def _message(self, payload: bytes) -> bytes:
        if self._plain:
            media = {"event": "media", "streamSid": self._stream_sid, "media": {"payload": payload.decode()}}
            return json.dumps(media).encode()
        return self._head + payload + MEDIA_TAIL

    def written(self, now_ns: int) -> None:
        """The driver's clock after `message` returned True: the first audio of a run has left us."""
        if self.playout.run_fresh:
            self.playout.run_fresh = False
            self._side.append((now_ns, WRITTEN, None))

    def _mark(self, send: Send, now_ns: int) -> None:
        if self.playout.outstanding_marks >= self._marks:
            return
        message = mark_message(self._stream_sid, self.playout.mark())
        self._wire((now_ns, TO_PHONE, message))
        send(message)

    def mark_returned(self, name: str, now_ns: int) -> None:
        if confirmed := self.playout.mark_returned(name, now_ns):
            _, run_started_ns = confirmed
            self._side.append((now_ns, HEARD, (run_started_ns, self.playout.queued_ms)))

    def interrupt(self, event_id: int, now_ns: int) -> float | None:
        """Barge-in: `clear` first, then the books. The unheard part in ms; None if there is no phone yet.

        Audio *older* than the interruption is stale from now on; audio with the same id is the next reply
        (live captures: protocols/elevenlabs.md section 6.5).
        """
        send = self._send
        if send is not None:
            message = clear_message(self._stream_sid)
            send(message)
            self._wire((now_ns, TO_PHONE, message))
        self.playout.stale_below = max(self.playout.stale_below, event_id)
        self._backlog.clear()
        if self._convert is not None:
            self._convert.reset()  # what comes next is another sentence: half a sample of this one would be noise
        self._held = [(p, e) for p, e in self._held if e >= event_id]
        self.held_ms = sum(payload_ms(p) for p, _ in self._held)
        if send is None:
            return None
        return self.playout.cleared(now_ns)

    @property
    def busy(self) -> bool:
        """Whether the party may still have something to hear."""
        return self.playout.queued_ms > 0 or self.waiting

    @property
    def waiting(self) -> bool:
        """Whether audio is here that was not written yet."""
        return bool(self._backlog) or bool(self._held)

    def mark_the_end(self, now_ns: int) -> None:
        """Make sure that the end of what was written will be confirmed."""
        send = self._send
        if send is not None and self.playout.written_ms > self.playout.last_mark_ms:
            self._mark(send, now_ns)

    def due(self, now_ns: int) -> bool:
        """Whether `tick` would do something."""
        if self._backlog:
            return True
        playout = self.playout
        return (
            playout.written_ms > playout.last_mark_ms
            and now_ns - playout.written.at_ns > _TAIL_NS
            and self._send is not None
        )

    def quiet_until_ns(self, now_ns: int) -> int:
        """Until when no tick is needed, whatever is written meanwhile; a run that begins ends that."""
        if self._convert is not None:
            return 0
        written = self.playout.written
        in_time_ns = written.plays_until_ns - _IN_TIME_NS
        if written.ms > written.marked_ms:
            return max(written.at_ns + _TAIL_NS, in_time_ns)
        return NEVER_NS if self.playout.begins_run(now_ns) else max(now_ns + _TAIL_NS, in_time_ns)

    def tick(self, now_ns: int) -> None:
        """A few times a second: convert what waits, mark a tail that nothing followed."""
        if self._backlog:
            if self._convert_some(now_ns):
                self.written(now_ns)
        elif self.due(now_ns):
            self.mark_the_end(now_ns)

    def _hold(self, payload: bytes, event_id: int) -> bool:
        # In the agent's format: of one that has to be converted, the length is only known to be at most this,
        # and it takes up to so many times the room.
        ms = payload_ms(payload)
        if self.held_ms + ms > self._held_limit_ms * (1 if self._convert is None else _WIDEST):
            self.held_dropped_ms += ms
        else:
            self.held_ms += ms
            self._held.append((payload, event_id))
        return False

    def _queue_conversion(self, payload: bytes, event_id: int, now_ns: int) -> bool:
        try:
            audio = base64.b64decode(payload, validate=True)
        except (binascii.Error, ValueError):
            self.unusable += 1
            return False
        if len(self._backlog) >= _BACKLOG_STEPS:
            self.overflow += 1
            return False
        steps = range(0, len(audio), _CONVERT_STEP_BYTES)
        self._backlog.extend((audio[i : i + _CONVERT_STEP_BYTES], event_id) for i in steps)
        return bool(self._backlog) and self._convert_some(now_ns)

    def _convert_some(self, now_ns: int) -> bool:
        """One piece: its playing time is longer than a tick, so the backlog never starves the phone."""
        assert self._convert is not None
        audio, event_id = self._backlog.popleft()
        ulaw = self._convert.convert(audio)
        return self._write(base64.b64encode(ulaw), event_id, now_ns) if ulaw else False
