"""The media stream's client side: Twilio dials the bridge's WebSocket (pages "media-streams", "websocket-messages").

One instance per `<Stream>`. Sends through one outbox so that order is kept; a reader that cannot keep up
loses frames (31930), as with the vendor. Knows the line it listens to, not the call's TwiML.
"""

from __future__ import annotations

import asyncio
import random
import ssl
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from .config import TwilioConfig
from .faults import NO_FAULTS, FaultSwitch
from .line import Line
from .messages import CONNECTED, Clear, Media, ProtocolWarning, StreamTexts, parse_server_message
from .playout import Reached
from .signature import sign
from .verbs import Stream
from .ws_client import HandshakeRefused, WebSocketClient, connect

__all__ = ["MediaStream", "StreamRecord"]

Outcome = Literal["server-closed", "failed", "stopped"]
Notify = Callable[[int, str], None]

_STOP_SENT_S = 1.0
_PAYLOAD_HEADERS = (b"RIFF", b"OggS", b"ID3", b".snd")


@dataclass(slots=True)
class StreamRecord:
    """Everything that happened on one stream. `_ms` counts from the answer."""

    stream_sid: str
    url: str
    parameters: dict[str, str]
    opening_ms: float
    tracks: tuple[str, ...] = ("inbound",)
    bidirectional: bool = True
    open_ms: float | None = None
    """The upgrade was accepted."""
    closed_ms: float | None = None
    closed_by: str = ""
    close_code: int | None = None
    sent: dict[str, int] = field(default_factory=dict)
    """Messages to the bridge by kind."""
    received: dict[str, int] = field(default_factory=dict)
    """Messages from the bridge by kind; "refused" are the ones ignored with a warning."""
    received_audio_ms: float = 0.0
    first_frame_ms: float | None = None
    """Where chunk 1 begins on the call's time line."""
    first_audio_ms: float | None = None
    """Arrival of the first agent audio."""
    dropped_frames: int = 0
    """31930: the bridge did not read."""
    marks: list[dict[str, Any]] = field(default_factory=list)
    clears: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[dict[str, Any]] = field(default_factory=list)


class MediaStream:
    """Run it once with `run`; `stop` ends it from the call's side."""

    def __init__(
        self,
        verb: Stream,
        *,
        stream_sid: str,
        call_sid: str,
        config: TwilioConfig,
        line: Line,
        context: ssl.SSLContext,
        dice: random.Random,
        notify: Notify,
        faults: FaultSwitch,
        tracks: Sequence[str] = ("inbound",),
        bidirectional: bool = True,
    ) -> None:
        self.stream_sid = stream_sid
        self.record = StreamRecord(
            stream_sid, verb.url, dict(verb.parameters), line.now_ms, tuple(tracks), bidirectional=bidirectional
        )
        self._verb = verb
        self._config = config
        self._line = line
        self._context = context
        self._dice = dice
        self._notify = notify
        self._faults = faults
        self._bidirectional = bidirectional
        self._tracks = tuple(tracks)
        self._texts = StreamTexts(config.account_sid, call_sid, stream_sid, tracks)
        self._ws: WebSocketClient | None = None
        self._opened_s = 0.0
        self._outbox: deque[tuple[float, str, str]] = deque()
        """When each message may leave (loop time), its kind and text; empty while the bridge reads."""
        self._most_waiting = config.choices.outbox_frames * len(self._tracks)
        self._all_sent = asyncio.Event()
        self._stopping = False
        self._clearing = False
        self._frames = 0
        self._first_timestamp_ms = dice.randint(*config.choices.first_timestamp_ms)
        self._warned: set[int] = set()

    async def run(self, opened: Callable[[], None]) -> tuple[Outcome, str]:
        """Until somebody ends it. Gives who did, and the error text when it failed."""
        try:
            ws = self._ws = await self._open()
        except _Failed as failure:
            self._notify(failure.code, str(failure))
            return "failed", f"Stream error, code: {failure.code}"
        ws.on_text, ws.on_binary, ws.on_ping = self._on_text, self._on_binary, self._on_ping
        ws.on_writable = self._flush
        self.record.open_ms = self._line.now_ms
        self._opened_s = asyncio.get_running_loop().time()
        self._post("connected", CONNECTED)
        absent = self._config.choices.empty_parameters == "absent" and not self._verb.parameters
        self._post("start", self._texts.start(None if absent else self._verb.parameters))
        cut = self._arm_reset(ws)
        opened()
        if self._bidirectional:
            self._line.listen(self._on_frame, self._on_mark, self._on_key)
        else:
            self._line.taps.append(self._on_tap)
        try:
            violation = await asyncio.shield(ws.ended)
            ended = self._ended(ws, str(violation) if violation else "")
            if ended[0] == "server-closed" and self._config.choices.play_out_after_close and self._bidirectional:
                self._line.ignore(drop=False)
                await asyncio.sleep(self._line.playout.queued_ms / 1000)
            return ended
        finally:
            self.record.closed_ms = self._line.now_ms
            self._leave()
            self._stopping = True
            self._all_sent.set()
            if cut is not None:
                cut.cancel()
            if not ws.ended.done():
                ws.close(self._config.choices.close_code)

    async def stop(self) -> None:
        """The call ends or runs another document: `stop`, then close. Returns when `stop` was sent."""
        if self._stopping or self._ws is None or self.record.open_ms is None:
            return
        self.record.closed_by = "carrier"
        self._leave()
        if not self._faults.on.missing_stop:
            self._post("stop", self._texts.stop())
        self._stopping = True
        try:
            if self._outbox:
                await asyncio.wait_for(self._all_sent.wait(), _STOP_SENT_S)
        except TimeoutError:
            self._warn(31930, "the bridge does not read: stop could not be sent")
        self._ws.close(self._config.choices.close_code)

    def _leave(self) -> None:
        """Listen to the line no more; once."""
        if self._stopping:
            return
        if self._bidirectional:
            self._line.ignore()
        elif self._on_tap in self._line.taps:
            self._line.taps.remove(self._on_tap)

    async def _open(self) -> WebSocketClient:
        headers = [
            ("User-Agent", "Twilio.TmeWs/1.0"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Key", ""),  # filled in by the client
            ("Sec-WebSocket-Version", "13"),
            ("Upgrade", "websocket"),
            ("X-Twilio-Signature", sign(self._config.auth_token, self._verb.url)),
            ("Accept-Encoding", "gzip"),
        ]
        await asyncio.sleep(self._faults.on.upgrade_delay_ms / 1000)
        try:
            async with asyncio.timeout(self._config.webhooks.total_timeout_s):
                return await connect(
                    self._verb.url,
                    headers,
                    self._context,
                    max_message_bytes=self._config.choices.max_message_bytes,
                )
        except HandshakeRefused as error:
            raise _Failed(31920, f"handshake: {error}") from None
        except ssl.SSLError as error:
            raise _Failed(31910, f"TLS: {error}") from None
        except TimeoutError:
            raise _Failed(31901, "no answer to the connection request") from None
        except ValueError as error:
            raise _Failed(31923, f"malformed URL: {error}") from None
        except OSError as error:
            raise _Failed(31902, f"connection refused: {error}") from None

    def _arm_reset(self, ws: WebSocketClient) -> asyncio.TimerHandle | None:
        after_ms = self._faults.on.reset_after_ms
        if after_ms is None:
            return None

        def cut() -> None:
            self.record.closed_by = "fault"
            ws.abort()

        return asyncio.get_running_loop().call_later(after_ms / 1000, cut)

    def _ended(self, ws: WebSocketClient, violation: str) -> tuple[Outcome, str]:
        if self._stopping:
            return "stopped", ""
        self.record.closed_by = self.record.closed_by or "bridge"
        if violation:
            self._notify(31924, f"WebSocket protocol violation: {violation}")
            return "failed", "Stream error, code: 31924"
        if ws.close_code is not None:
            self.record.close_code = ws.close_code
            self._notify(31921, f"the server closed the stream (code {ws.close_code})")
            return "server-closed", ""
        self.record.close_code = 1006
        self._notify(31903, "the connection was closed abruptly")
        return "failed", "Stream error, code: 31903"

    # --- from the bridge ----------------------------------------------------------------------------------

    def _on_binary(self, _: bytes) -> None:
        self._count("binary")
        self._warn(31950, "binary message")

    def _on_ping(self) -> None:
        self._count("ping")

    def _on_text(self, text: str) -> None:
        if self._stopping:
            return
        if not self._bidirectional:
            self._count("refused")
            self._warn(31924, "a message on a unidirectional stream")
            return
        try:
            message = parse_server_message(text, self.stream_sid)
        except ProtocolWarning as warning:
            self._count("refused")
            self._warn(31951, str(warning))
            return
        if isinstance(message, Media):
            self._count("media")
            self._play(message.ulaw)
        elif isinstance(message, Clear):
            self._count("clear")
            self._clear()
        else:
            self._count("mark")
            self._line.mark(message.name)

    def _play(self, ulaw: bytes) -> None:
        if self.record.first_audio_ms is None:
            self.record.first_audio_ms = self._line.now_ms
        self.record.received_audio_ms += len(ulaw) / 8
        if ulaw.startswith(_PAYLOAD_HEADERS):
            self._note_warning(0, "the payload starts with a container header, which is played as noise")
        limit_ms = self._config.choices.max_queued_ms
        if limit_ms and self._line.playout.queued_ms + len(ulaw) / 8 > limit_ms:
            self._note_warning(0, f"more than {limit_ms} ms queued: audio dropped")
            return
        self._line.play(ulaw)

    def _clear(self) -> None:
        queued_ms = self._line.playout.queued_ms
        self._clearing = True
        dropped_ms, marks = self._line.clear()
        self._clearing = False
        self.record.clears.append(
            {
                "at_ms": self._line.now_ms,
                "queued_ms": queued_ms,
                "dropped_ms": dropped_ms,
                "marks": [mark.name for mark in marks],
            }
        )

    def _on_mark(self, mark: Reached) -> None:
        self.record.marks.append(
            {
                "name": mark.name,
                "sent_ms": mark.sent_ms,
                "due_ms": mark.at_ms,
                "returned_ms": self._line.now_ms,
                "cleared": self._clearing,
            }
        )
        self._post("mark", self._texts.mark(mark.name))

    def _on_key(self, digit: str) -> None:
        self._post("dtmf", self._texts.dtmf(digit))

    # --- to the bridge ------------------------------------------------------------------------------------

    def _on_frame(self, ulaw: bytes) -> None:
        self._post_media("inbound", ulaw, self._timestamp(len(ulaw)))

    def _on_tap(self, spoken: bytes, heard: bytes) -> None:
        timestamp_ms = self._timestamp(len(spoken))
        for track in self._tracks:
            self._post_media(track, spoken if track == "inbound" else heard, timestamp_ms)

    def _timestamp(self, frame_bytes: int) -> int:
        # -1, 0 or 1; randint would take a tenth of the frame's whole time.
        wobble = (int(self._dice.random() * 3) - 1) * self._config.choices.timestamp_wobble_ms if self._frames else 0
        if not self._frames:
            self.record.first_frame_ms = (len(self._line.spoken) - frame_bytes) / 8
        timestamp_ms = self._first_timestamp_ms + 20 * self._frames + wobble
        self._frames += 1
        return timestamp_ms

    def _post_media(self, track: str, ulaw: bytes, timestamp_ms: int) -> None:
        if len(self._outbox) >= self._most_waiting and not (
            self._faults.on.media_delay_ms or self._faults.on.media_stall_ms
        ):
            self.record.dropped_frames += 1
            self._warn(31930, "the bridge does not read fast enough: audio discarded")
            return
        self._post("media", self._texts.media(ulaw, timestamp_ms, track))

    def _post(self, kind: str, text: str) -> None:
        if self._stopping or self._ws is None:
            return
        if self._faults.on is not NO_FAULTS:
            if self._faults.on.unknown_keys:
                text = f'{text[:-1]},"unknown":{{"key":1}}}}'
            due_s = self._due_s()
            if due_s > 0.0 or self._outbox:
                self._outbox.append((due_s, kind, text))
                self._flush()
                return
        elif self._outbox or self._ws.congested:
            self._outbox.append((0.0, kind, text))
            self._flush()
            return
        self._ws.send_text(text)
        self.record.sent[kind] = self.record.sent.get(kind, 0) + 1

    def _due_s(self) -> float:
        """Loop time before which a message posted now may not leave; 0.0 when no fault holds it back."""
        faults = self._faults.on
        now_s = asyncio.get_running_loop().time()
        due_s = now_s + faults.media_delay_ms / 1000 if faults.media_delay_ms else 0.0
        if faults.media_stall_ms is not None:
            begin_s = self._opened_s + faults.media_stall_ms[0] / 1000
            end_s = begin_s + faults.media_stall_ms[1] / 1000
            if begin_s <= now_s < end_s:
                due_s = max(due_s, end_s)
        return due_s

    def _flush(self) -> None:
        """Send what may leave; called again when more may."""
        ws = self._ws
        if ws is None:
            return
        loop = asyncio.get_running_loop()
        while self._outbox and not ws.congested and not ws.ended.done():
            due_s, kind, text = self._outbox[0]
            if due_s > loop.time():
                loop.call_at(due_s, self._flush)
                return
            self._outbox.popleft()
            ws.send_text(text)
            self.record.sent[kind] = self.record.sent.get(kind, 0) + 1
        if not self._outbox or ws.ended.done():
            self._all_sent.set()

    def _count(self, kind: str) -> None:
        self.record.received[kind] = self.record.received.get(kind, 0) + 1

    def _warn(self, code: int, text: str) -> None:
        """Every case is kept in the record; the account hears of each code once per stream."""
        self._note_warning(code, text)
        if code not in self._warned:
            self._warned.add(code)
            self._notify(code, text)

    def _note_warning(self, code: int, text: str) -> None:
        if len(self.record.warnings) < 1000:  # a flood must not fill the memory
            self.record.warnings.append(
                {"code": code, "text": text, "at_ms": self._line.now_ms, "ns": time.monotonic_ns()}
            )


class _Failed(Exception):
    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
