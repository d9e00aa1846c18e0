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
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Literal

import aiohttp
from yarl import URL

from .config import TwilioConfig
from .line import Line
from .messages import CONNECTED, Clear, Media, ProtocolWarning, StreamTexts, parse_server_message
from .playout import Reached
from .signature import sign
from .twiml import Stream

__all__ = ["MediaStream", "StreamRecord"]

Outcome = Literal["server-closed", "failed", "stopped"]
Spawn = Callable[[Coroutine[Any, Any, None], str], object]
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
        session: aiohttp.ClientSession,
        dice: random.Random,
        spawn: Spawn,
        notify: Notify,
    ) -> None:
        self.stream_sid = stream_sid
        self.record = StreamRecord(stream_sid, verb.url, dict(verb.parameters), line.now_ms)
        self._verb = verb
        self._config = config
        self._line = line
        self._session = session
        self._dice = dice
        self._spawn = spawn
        self._notify = notify
        self._texts = StreamTexts(config.account_sid, call_sid, stream_sid)
        self._outbox: deque[tuple[str, str]] = deque()
        self._news = asyncio.Event()
        self._all_sent = asyncio.Event()
        self._stopping = False
        self._clearing = False
        self._frames = 0
        self._first_timestamp_ms = dice.randint(*config.choices.first_timestamp_ms)
        self._warned: set[int] = set()

    async def run(self, opened: Callable[[], None]) -> tuple[Outcome, str]:
        """Until somebody ends it. Gives who did, and the error text when it failed."""
        try:
            ws = await self._open()
        except _Failed as failure:
            self._notify(failure.code, str(failure))
            return "failed", f"Stream error, code: {failure.code}"
        self.record.open_ms = self._line.now_ms
        self._post("connected", CONNECTED)
        absent = self._config.choices.empty_parameters == "absent" and not self._verb.parameters
        self._post("start", self._texts.start(None if absent else self._verb.parameters))
        self._spawn(self._send_all(ws), f"stream {self.stream_sid} sender")
        opened()
        self._line.listen(self._on_frame, self._on_mark, self._on_key)
        try:
            ended = await self._receive_all(ws)
            if ended[0] == "server-closed" and self._config.choices.play_out_after_close:
                self._line.ignore(drop=False)
                await asyncio.sleep(self._line.playout.queued_ms / 1000)
            return ended
        finally:
            self.record.closed_ms = self._line.now_ms
            if not self._stopping:
                self._line.ignore()
                self._stopping = True
            self._news.set()

    async def stop(self) -> None:
        """The call ends or runs another document: `stop`, then close. Returns when `stop` was sent."""
        if self._stopping or self.record.open_ms is None:
            return
        self.record.closed_by = "carrier"
        self._line.ignore()
        self._post("stop", self._texts.stop())
        self._stopping = True
        try:
            await asyncio.wait_for(self._all_sent.wait(), _STOP_SENT_S)
        except TimeoutError:
            self._warn(31930, "the bridge does not read: stop could not be sent")

    async def _open(self) -> aiohttp.ClientWebSocketResponse[bool]:
        headers = {
            "User-Agent": "Twilio.TmeWs/1.0",
            "Connection": "Upgrade",
            "Sec-WebSocket-Key": "",  # filled in at this place by the client
            "Sec-WebSocket-Version": "13",
            "Upgrade": "websocket",
            "X-Twilio-Signature": sign(self._config.auth_token, self._verb.url),
            "Accept-Encoding": "gzip",
        }
        try:
            async with asyncio.timeout(self._config.webhooks.total_timeout_s):
                return await self._session.ws_connect(
                    URL(self._verb.url, encoded=True),
                    headers=headers,
                    autoping=False,
                    max_msg_size=self._config.choices.max_message_bytes,
                    timeout=aiohttp.ClientWSTimeout(ws_receive=None, ws_close=2.0),
                )
        except aiohttp.WSServerHandshakeError as error:
            raise _Failed(31920, f"handshake: HTTP status {error.status} instead of 101") from None
        except (aiohttp.ClientSSLError, ssl.SSLError) as error:
            raise _Failed(31910, f"TLS: {error}") from None
        except (TimeoutError, aiohttp.ServerTimeoutError):
            raise _Failed(31901, "no answer to the connection request") from None
        except ValueError as error:
            raise _Failed(31923, f"malformed URL: {error}") from None
        except (aiohttp.ClientError, OSError) as error:
            raise _Failed(31902, f"connection refused: {error}") from None

    async def _send_all(self, ws: aiohttp.ClientWebSocketResponse[bool]) -> None:
        try:
            while True:
                while self._outbox:
                    kind, text = self._outbox[0]
                    await ws.send_str(text)
                    self._outbox.popleft()
                    self.record.sent[kind] = self.record.sent.get(kind, 0) + 1
                if self._stopping:
                    break
                self._news.clear()
                await self._news.wait()
        except (aiohttp.ClientError, ConnectionError):
            self._outbox.clear()  # the receiving side tells who closed and why
        finally:
            self._all_sent.set()
        await ws.close(code=self._config.choices.close_code)

    async def _receive_all(self, ws: aiohttp.ClientWebSocketResponse[bool]) -> tuple[Outcome, str]:
        while True:
            message = await ws.receive()
            if message.type is aiohttp.WSMsgType.TEXT:
                self._on_text(message.data)
            elif message.type is aiohttp.WSMsgType.BINARY:
                self._count("binary")
                self._warn(31950, "binary message")
            elif message.type is aiohttp.WSMsgType.PING:
                self._count("ping")
                await ws.pong(message.data)
            elif message.type is not aiohttp.WSMsgType.PONG:
                return self._ended(message, ws.close_code)

    def _ended(self, message: Any, close_code: int | None) -> tuple[Outcome, str]:
        if self._stopping:
            return "stopped", ""
        self.record.closed_by = "bridge"
        if message.type is aiohttp.WSMsgType.ERROR:
            self.record.close_code = close_code
            self._notify(31924, f"WebSocket protocol violation: {message.data}")
            return "failed", "Stream error, code: 31924"
        if message.type is aiohttp.WSMsgType.CLOSE:
            self.record.close_code = message.data
            self._notify(31921, f"the server closed the stream (code {message.data})")
            return "server-closed", ""
        self.record.close_code = 1006
        self._notify(31903, "the connection was closed abruptly")
        return "failed", "Stream error, code: 31903"

    def _on_text(self, text: str) -> None:
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

    def _on_frame(self, ulaw: bytes) -> None:
        wobble = self._dice.randint(-1, 1) * self._config.choices.timestamp_wobble_ms if self._frames else 0
        if not self._frames:
            self.record.first_frame_ms = (len(self._line.spoken) - len(ulaw)) / 8
        timestamp_ms = self._first_timestamp_ms + 20 * self._frames + wobble
        self._frames += 1
        if len(self._outbox) >= self._config.choices.outbox_frames:
            self.record.dropped_frames += 1
            self._warn(31930, "the bridge does not read fast enough: audio discarded")
            return
        self._post("media", self._texts.media(ulaw, timestamp_ms))

    def _post(self, kind: str, text: str) -> None:
        if not self._stopping:
            self._outbox.append((kind, text))
            self._news.set()

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
