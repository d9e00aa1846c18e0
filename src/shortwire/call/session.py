"""One call's two legs, sans-I/O: what each message means and what has to be done about it.

The driver feeds messages, closes and time; the session writes through the callables it is given, leaves
facts in `facts` and wishes in `wishes`. Media takes `phone_message` / `agent_message` straight through
`Uplink` and `Downlink`; everything else comes here. Pages: protocols/twilio.md 1-2, elevenlabs.md 1, 6, 8.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from ..clock import NS_PER_S
from ..records import EventKind
from ..terms import HangupCause, Leg
from ..wire import elevenlabs, twilio
from ..wire.closes import cause_of_close, words_of_close
from ..wire.twilio import WireError
from .downlink import Downlink
from .options import Limits
from .side import BARGE_IN, FROM_AGENT, FROM_PHONE, NOTE, TICK, TO_AGENT, WORDS, SideLog, Wire, nobody_listens
from .uplink import AudioConverter, Send, Uplink
from .waits import Oddities, Waits

__all__ = ["CallSession", "Converters", "Fact", "SessionOptions", "Wish"]

Converters = Callable[[str, str], tuple[AudioConverter | None, AudioConverter | None]]
"""(agent's input format, agent's output format) to (uplink, downlink) converters; raises ValueError for a
format that cannot be used."""

_STREAM_SID = re.compile(r"[A-Za-z0-9_-]{1,64}").fullmatch
_GRACE_NS = 2 * NS_PER_S
"""How much later than by our clock the goodbye may have been heard: the network, both ways, and jitter."""


class Wish(StrEnum):
    """What the driver has to do; each is wished at most once."""

    OPEN_AGENT = "open_agent"
    CLOSE_AGENT = "close_agent"
    HANG_UP = "hang_up"


@dataclass(frozen=True, slots=True)
class Fact:
    """Something to be told; `kind` is an `EventKind` or, for the driver alone, `Fact.STARTED`."""

    kind: str
    now_ns: int
    data: dict[str, Any] = field(default_factory=dict)

    STARTED = "media.started"
    """data: stream_sid, call_sid, account_sid"""


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """What a session is told at birth."""

    client_data: bytes
    """The first message for the agent."""
    converters: Converters
    limits: Limits = field(default_factory=Limits)
    splice: bool = True
    """OPTIMIZE_AUDIO_PARSING."""
    open_agent_early: bool = True
    """Open the agent with the media socket, not only with its `start` message."""
    taped: bool = True
    """A tape is made of the side log."""


class CallSession:
    """The session. Not thread-safe; every method is synchronous, returns at once and never raises.

    Instants (`now_ns`) are positive and do not go back.
    """

    def __init__(self, options: SessionOptions) -> None:
        limits = options.limits
        self._options = options
        self._limits = limits
        self.side: SideLog = []
        self.wire: Wire = self.side.append if options.taped else nobody_listens
        """Into the side log too, if there is a tape."""
        self.facts: list[Fact] = []
        self.wishes: list[Wish] = []
        self.pressing = False
        """There is a wish, or a fact that something has to be done about. Set here, and reset by whoever does it."""
        self._wished: set[Wish] = set()
        self.uplink = Uplink(self.side, plain=not options.splice, early_frames=limits.early_frames)
        self.downlink = Downlink(
            self.side, self.wire, plain=not options.splice, held_ms=limits.held_audio_s * 1000, marks=limits.marks
        )
        self.cause: HangupCause | None = None
        self.cause_detail = ""
        self.malformed = 0
        """Messages of either side that follow no page, or come where the page has no place for them."""
        self._shortens = options.splice and not options.taped
        """Messages that are no audio may go the short way too: nobody wants to know of them."""
        self._oddities = Oddities()
        self.waits = Waits(limits)
        """True while somebody is waited for whose time is counted in seconds: wants to be told the time each second."""
        self._stream_sid = ""
        self._send_phone: Send | None = None
        self._send_agent: Send | None = None
        self._agent_error = ""
        self._goodbye_ns = 0
        """Last deadline of the goodbye; 0: none is being heard."""

    # The phone leg

    def phone_opened(self, send: Send, now_ns: int) -> None:
        """The media socket is open (upgrade accepted)."""
        if self.cause is not None:
            return  # hung up meanwhile: the driver closes it
        self._send_phone = send
        self.waits.phone_open_ns = now_ns
        if self._options.open_agent_early:
            self._wish(Wish.OPEN_AGENT)

    def phone_message(self, data: bytes, now_ns: int) -> bool:
        """A text message of the phone. True if it was audio and was relayed.

        A driver in a hurry asks `uplink.message` first and comes here with what is not recognised there: `phone_other`.
        """
        relayed = self.uplink.message(data, now_ns)
        return relayed if relayed is not None else self.phone_other(data, now_ns)

    def phone_binary(self, now_ns: int) -> None:
        """The carrier never sends these (protocols/twilio.md section 1)."""
        self._count_malformed(Leg.PHONE, "binary message on the media stream", now_ns)

    def phone_paused(self, paused: bool, now_ns: int) -> None:
        """The media socket takes no data (True), or does again."""
        self.downlink.paused = paused
        self.waits.paused(Leg.PHONE, paused, now_ns)

    def phone_closed(self, code: int, reason: str, now_ns: int, *, ours: bool = False) -> None:
        """The media socket is gone. Without a `stop` before, only the carrier knows why. `ours`: this side ended it."""
        self._send_phone = None
        self.downlink.stop()
        self.finish(HangupCause.MEDIA_LOST, now_ns, words_of_close(Leg.PHONE, code, reason, ours=ours))

    def phone_other(self, data: bytes, now_ns: int) -> bool:
        """A text message of the phone that `uplink.message` did not recognise."""
        self.wire((now_ns, FROM_PHONE, data))
        try:
            message = twilio.decode(data)
        except WireError as error:
            self._count_malformed(Leg.PHONE, str(error), now_ns)
            return False
        if self._stream_sid and getattr(message, "streamSid", "") not in ("", self._stream_sid):
            self.malformed += 1  # of another stream
            return False
        match message:
            case twilio.Media():
                if not self.waits.started_ns or message.media.track != "inbound":
                    self.malformed += 1
                    return False
                return self.uplink.slow_media(message.media.payload, now_ns)
            case twilio.Mark():
                self.downlink.mark_returned(message.mark.name, now_ns)
                self._goodbye_if_heard(now_ns)
            case twilio.Start():
                self._phone_started(message, now_ns)
            case twilio.Dtmf():
                self._tell(EventKind.DTMF, now_ns, digit=message.dtmf.digit[:1])
            case twilio.Stop():
                self.finish(HangupCause.PARTY_HANGUP, now_ns)
            case _:
                pass
        return False

    def _phone_started(self, message: twilio.Start, now_ns: int) -> None:
        start = message.start
        if self.waits.started_ns:
            self.malformed += 1
            return
        if self.cause is not None and not self._goodbye_ns:
            return
        form = start.mediaFormat
        if form is not None and (form.encoding, form.sampleRate, form.channels) != ("audio/x-mulaw", 8000, 1):
            self.finish(
                HangupCause.MEDIA_PROTOCOL,
                now_ns,
                f"media format {form.encoding} {form.sampleRate} Hz x{form.channels}: only mu-law 8000 Hz x1 works",
            )
            return
        if _STREAM_SID(start.streamSid) is None:
            self.finish(HangupCause.MEDIA_PROTOCOL, now_ns, "start with an unusable streamSid")
            return
        self.waits.started_ns = now_ns
        self._stream_sid = start.streamSid
        self.uplink.begin(start.streamSid, now_ns)
        self._tell(
            Fact.STARTED, now_ns, stream_sid=start.streamSid, call_sid=start.callSid, account_sid=start.accountSid
        )
        self.pressing = True
        if self._send_phone is not None:
            self.downlink.begin(start.streamSid, self._send_phone, now_ns)
            self.downlink.written(now_ns)
            if self._shortens:
                self.downlink.manage()
                self.uplink.confirm(start.streamSid, self.downlink.playout)
        if not self._options.open_agent_early and self.cause is None:
            self._wish(Wish.OPEN_AGENT)

    # The agent leg

    def agent_opened(self, send: Send, now_ns: int) -> None:
        """The conversation socket is open: the client data goes first (elevenlabs.md section 6.2)."""
        if self.cause is not None:
            self._wish(Wish.CLOSE_AGENT)
            return
        self._send_agent = send
        if self._shortens:
            self.downlink.answer(send)
        self._to_agent(self._options.client_data, now_ns)

    def agent_message(self, data: bytes, now_ns: int) -> bool:
        """A text message of the agent. True if audio, or a `clear`, was written to the phone for it."""
        written = self.downlink.message(data, now_ns)
        return written if written is not None else self.agent_other(data, now_ns)

    def phone_written(self, read_ns: int, written_ns: int) -> None:
        """After `agent_message` answered True: when what it wrote was handed to the phone's socket."""
        playout = self.downlink.playout
        unheard_ms, playout.untold_ms = playout.untold_ms, None
        if unheard_ms is None:
            self.downlink.written(written_ns)
            return
        self.side.append((written_ns, BARGE_IN, unheard_ms))
        clear_us = (written_ns - read_ns) // 1000
        self._tell(EventKind.BARGE_IN, written_ns, unheard_ms=round(unheard_ms), clear_us=clear_us)

    def agent_binary(self, now_ns: int) -> None:
        """The service sends text only (elevenlabs.md section 1)."""
        self._count_malformed(Leg.AGENT, "binary message from the agent", now_ns)

    def agent_paused(self, paused: bool, now_ns: int) -> None:
        """The agent's socket takes no data (True), or does again."""
        self.uplink.pause(paused)
        self.waits.paused(Leg.AGENT, paused, now_ns)

    def agent_closed(self, code: int, reason: str, now_ns: int, *, ours: bool = False) -> None:
        """The conversation socket is gone; 1006 if without a close frame. `ours`: this side ended it."""
        self._send_agent = None
        self.downlink.answer(None)
        self.uplink.stop()
        cause = cause_of_close(code, reason, self._agent_error)
        normal = code == 1000 and bool(self.waits.agent_ready_ns)
        if cause is HangupCause.AGENT_ENDED and not normal:
            cause = HangupCause.AGENT_ERROR
        words = [words_of_close(Leg.AGENT, code, reason, ours=ours)]
        if self._agent_error and self._agent_error not in reason:
            words.append(self._agent_error)
        detail = "" if cause is HangupCause.AGENT_ENDED else "; ".join(words)
        self._end(cause, now_ns, detail, goodbye=normal)

    def agent_other(self, data: bytes, now_ns: int) -> bool:
        """A text message of the agent that `downlink.message` did not recognise."""
        self.wire((now_ns, FROM_AGENT, data))
        try:
            message = elevenlabs.decode(data)
        except WireError as error:
            self._count_malformed(Leg.AGENT, str(error), now_ns)
            return False
        match message:
            case elevenlabs.Ping():
                self._to_agent(elevenlabs.pong(message.ping_event.event_id), now_ns)
            case elevenlabs.Audio():
                event = message.audio_event
                return self.downlink.slow_audio(event.audio_base_64, elevenlabs.event_number(event.event_id), now_ns)
            case elevenlabs.Interruption():
                # `clear` is written inside; the fact waits for `phone_written`, which knows when.
                event_id = elevenlabs.event_number(message.interruption_event.event_id)
                return self.downlink.interrupt(event_id, now_ns) is not None
            case elevenlabs.UserTranscript():
                self._tell(EventKind.PARTY_SAID, now_ns, text=message.user_transcription_event.user_transcript)
            case elevenlabs.AgentResponse():
                self._tell(EventKind.AGENT_SAID, now_ns, text=message.agent_response_event.agent_response)
            case elevenlabs.Correction():
                corrected = message.agent_response_correction_event.corrected_agent_response
                self._tell(EventKind.AGENT_CORRECTED, now_ns, text=corrected)
            case elevenlabs.Metadata():
                self._agent_is_ready(message.conversation_initiation_metadata_event, now_ns)
            case elevenlabs.ClientToolCall():
                call = message.client_tool_call
                self._to_agent(elevenlabs.tool_refusal(call.tool_call_id, call.tool_name), now_ns)
                self._tell(
                    EventKind.WARNING, now_ns, text=f"the agent called a client tool nobody serves: {call.tool_name}"
                )
            case elevenlabs.ServerError():
                self._agent_error = message.text()
            case _:
                pass
        return False

    def _agent_is_ready(self, event: elevenlabs.MetadataEvent, now_ns: int) -> None:
        send = self._send_agent
        if self.waits.agent_ready_ns or send is None or self.cause is not None:
            return
        try:
            up, down = self._options.converters(event.user_input_audio_format, event.agent_output_audio_format)
        except ValueError as error:
            self.finish(HangupCause.AGENT_FORMAT_UNUSABLE, now_ns, str(error))
            return
        self.waits.agent_ready_ns = now_ns
        self._tell(
            EventKind.AGENT_READY,
            now_ns,
            conversation_id=event.conversation_id,
            input_format=event.user_input_audio_format,
            output_format=event.agent_output_audio_format,
            converted=up is not None or down is not None,
        )
        self.pressing = True
        self.downlink.use(down)
        self.wire((now_ns, NOTE, {"early": self.uplink.early_frames}))
        self.uplink.agent_ready(send, up)

    # Ending

    def finish(self, cause: HangupCause, now_ns: int, detail: str = "") -> None:
        """End the call for `cause`. Only the first cause counts; calling it again is harmless."""
        self._end(cause, now_ns, detail, goodbye=cause is HangupCause.AGENT_ENDED)

    def _end(self, cause: HangupCause, now_ns: int, detail: str, *, goodbye: bool) -> None:
        """The phone is hung up at once or, after a goodbye of the agent, when the party has heard it."""
        if self.cause is not None:
            if self._goodbye_ns and not goodbye:
                self._hang_up()  # whatever cuts a goodbye short ends it
            return
        self.cause, self.cause_detail = cause, detail
        self.uplink.stop()
        if self._send_agent is not None:
            self._wish(Wish.CLOSE_AGENT)
        if goodbye and self._send_phone is not None and self.downlink.busy:
            self._goodbye_ns = now_ns + int(self._limits.goodbye_s * NS_PER_S)
            self.downlink.mark_the_end(now_ns)
            return
        self._hang_up()

    def _goodbye_if_heard(self, now_ns: int) -> None:
        """By the marks; where they do not come, by our clock and some grace; at last, by the limit."""
        if not self._goodbye_ns:
            return
        down = self.downlink
        heard = not down.waiting and now_ns >= down.playout.plays_until_ns + _GRACE_NS
        if heard or not down.busy or now_ns >= self._goodbye_ns:
            self._hang_up()

    def _hang_up(self) -> None:
        self._goodbye_ns = 0
        self.downlink.stop()
        self._wish(Wish.HANG_UP)

    # Time

    def tick(self, now_ns: int) -> None:
        """To be called every 50 ms or so; all waits of the session are bounded here.

        Nearly always there is nothing to do, and nothing is noted either.
        """
        due = self.downlink.due(now_ns)
        overdue = self.waits.overdue(self.uplink.last_frame_ns, now_ns) if self.cause is None else None
        if not due and overdue is None and self.cause is None:
            return
        self.wire((now_ns, TICK, None))
        if due:
            self.downlink.tick(now_ns)
        if overdue is not None:
            self.finish(overdue[0], now_ns, overdue[1])
        elif self.cause is not None:
            self._goodbye_if_heard(now_ns)

    def _to_agent(self, message: bytes, now_ns: int) -> None:
        if self._send_agent is not None:
            self._send_agent(message)
            self.wire((now_ns, TO_AGENT, message))

    def _count_malformed(self, leg: Leg, what: str, now_ns: int) -> None:
        self.malformed += 1
        first, lately, too_many = self._oddities.count(leg, now_ns)
        if first:
            self._tell(EventKind.WARNING, now_ns, text=f"ignored: {what[:200]}")
        if too_many:
            cause = HangupCause.MEDIA_PROTOCOL if leg is Leg.PHONE else HangupCause.AGENT_ERROR
            self.finish(cause, now_ns, f"{lately} messages that follow no page: {what[:200]}")

    def _tell(self, kind: str, now_ns: int, /, **data: Any) -> None:
        self.facts.append(Fact(kind, now_ns, data))
        if "text" in data:
            self.side.append((now_ns, WORDS, (kind, data["text"])))

    def _wish(self, wish: Wish) -> None:
        if wish not in self._wished:
            self._wished.add(wish)
            self.wishes.append(wish)
            self.pressing = True
