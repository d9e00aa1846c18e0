"""One call at the carrier's end: webhook, TwiML, stream. Follows protocols/twilio.md 2, 4.4 and 5."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from html import unescape
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from ..clock import SystemClock
from .line import Line, upgrade_request
from .stamp import Assembler

if TYPE_CHECKING:
    from .phones import PhoneSide

__all__ = ["Phone", "signature", "stream_of"]

_now_ns = SystemClock.now_ns
_STREAM = re.compile(rb"<Stream\b[^>]*?\burl=[\"']([^\"']+)[\"']")
_PARAMETER = re.compile(rb"<Parameter\b[^>]*?\bname=[\"']([^\"']*)[\"'][^>]*?\bvalue=[\"']([^\"']*)[\"']")
_MEDIA = (
    b'{"event":"media","sequenceNumber":"%d","media":{"track":"inbound","chunk":"%d","timestamp":"%d","payload":"%b"},'
    b'"streamSid":"%b"}'
)


def signature(auth_token: str, url: str, fields: dict[str, str] | None = None) -> str:
    """X-Twilio-Signature, as the carrier makes it (protocols/twilio.md 4.4)."""
    text = url + "".join(name + value for name, value in sorted((fields or {}).items()))
    return base64.b64encode(hmac.new(auth_token.encode(), text.encode(), hashlib.sha1).digest()).decode()


def stream_of(twiml: bytes) -> tuple[str, dict[str, str]] | None:
    """URL and parameters of the document's stream; None if it has none."""
    found = _STREAM.search(twiml)
    if found is None:
        return None
    parameters = {unescape(name.decode()): unescape(value.decode()) for name, value in _PARAMETER.findall(twiml)}
    return unescape(found[1].decode()), parameters


class Phone:
    """Dials at once. `speak` sends a frame when `streaming`."""

    def __init__(self, side: PhoneSide, number: int, slot: int) -> None:
        self.side, self.number, self.slot = side, number, slot
        self.call_sid = f"CA{number:032x}"
        self.stream_sid = f"MZ{number:032x}"
        self._sid = self.stream_sid.encode()
        self.streaming = False
        self.trouble = ""
        self.sent = 0
        self.clears: list[int] = []
        self.times: dict[str, int] = {"dialled": _now_ns()}
        self._pieces = Assembler()
        self._sequence = 1
        self._ended = False
        self._parameters: dict[str, str] = {}
        try:
            self._line = self._webhook()
        except OSError as error:
            self._over(f"webhook: {error}")

    def _webhook(self) -> Line:
        config = self.side.config
        line = Line.connect(self.side.loop, config["server_port"])
        fields = {
            "AccountSid": config["account_sid"],
            "ApiVersion": "2010-04-01",
            "CallSid": self.call_sid,
            "CallStatus": "ringing",
            "Direction": "inbound",
            "From": f"+1202555{self.number % 10000:04}",
            "To": config["our_number"],
        }
        body = urlencode(fields).encode()
        host = config["public_host"]
        signed = signature(config["auth_token"], f"https://{host}{config['voice_path']}", fields)
        head = (
            f"POST {config['voice_path']} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n"
            "Content-Type: application/x-www-form-urlencoded; charset=UTF-8\r\n"
            f"X-Twilio-Signature: {signed}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        line.on_http, line.on_closed = self._twiml, lambda: self._over("the webhook was not answered")
        line.write(head.encode() + body)
        return line

    def _twiml(self, head: bytes, body: bytes) -> None:
        self._line.on_closed = lambda: None
        self._line.close()
        self.times["answered"] = _now_ns()
        status = head.split(b" ", 2)[1]
        found = stream_of(body)
        if status != b"200" or found is None:
            self._over(f"the webhook was answered with {status.decode()} and no stream")
            return
        url, self._parameters = found
        self.side.loop.after(self.side.config["ring_s"], lambda: self._dial_stream(url))

    def _dial_stream(self, url: str) -> None:
        config = self.side.config
        signed = signature(config["auth_token"], url)
        self.times["stream_dialled"] = _now_ns()
        try:
            self._line = Line.connect(
                self.side.loop, config["server_port"], receive_buffer=config["phone_receive_buffer"]
            )
        except OSError as error:
            self._over(f"stream: {error}")
            return
        self._line.on_http, self._line.on_closed = self._upgraded, lambda: self._over("the stream was not taken")
        self._line.on_text = self._text
        more = {"X-Twilio-Signature": signed, "User-Agent": "Twilio.TmeWs/1.0"}
        self._line.write(upgrade_request(urlsplit(url).path, config["public_host"], more))

    def _upgraded(self, head: bytes, _body: bytes) -> None:
        status = head.split(b" ", 2)[1]
        if status != b"101":
            self._over(f"the stream was answered with {status.decode()}")
            return
        line = self._line
        line.to_websocket()
        line.on_closed = lambda: self._over("" if self._ended else "the server closed the stream")
        start = {
            "event": "start",
            "sequenceNumber": "1",
            "start": {
                "accountSid": self.side.config["account_sid"],
                "streamSid": self.stream_sid,
                "callSid": self.call_sid,
                "tracks": ["inbound"],
                "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
                "customParameters": self._parameters,
            },
            "streamSid": self.stream_sid,
        }
        line.send(b'{"event":"connected","protocol":"Call","version":"1.0.0"}')
        self.times["started"] = _now_ns()
        line.send(json.dumps(start, separators=(",", ":")).encode())
        self.streaming = True
        self.side.connected(self)

    def speak(self, now_ns: int) -> None:
        """One frame, stamped."""
        line = self._line
        if line.waiting > 65536:
            return  # the server does not read: the carrier drops, too
        self._sequence += 1
        payload = self.side.voice.piece(self.number, self.sent, now_ns)
        self.sent += 1
        line.send(_MEDIA % (self._sequence, self.sent, 20 * self.sent, payload, self._sid))

    def _text(self, payload: bytes, now_ns: int) -> None:
        at = payload.find(b'"payload"')
        if at >= 0:
            begin = payload.find(b'"', at + 9) + 1
            if "first_audio" not in self.times:
                self.times["first_audio"] = now_ns
            for stamp, read_ns in self._pieces.take(payload[begin : payload.find(b'"', begin)], now_ns):
                self.side.tally.take(stamp, self.number, read_ns, self.side.loop.woken_ns)
            return
        message: dict[str, Any] = json.loads(payload)
        event = message.get("event")
        if event == "mark":
            self._sequence += 1
            name = json.dumps(message["mark"]["name"]).encode()
            self._line.send(
                b'{"event":"mark","sequenceNumber":"%d","streamSid":"%b","mark":{"name":%b}}'
                % (self._sequence, self._sid, name)
            )
        elif event == "clear":
            self.clears.append(now_ns)
            self._pieces.forget()

    def mute(self) -> None:
        self._line.mute()

    def hang_up(self) -> None:
        """The party hangs up: `stop`, and the stream is closed."""
        self._ended = True
        self._sequence += 1
        stop = {
            "event": "stop",
            "sequenceNumber": str(self._sequence),
            "streamSid": self.stream_sid,
            "stop": {"accountSid": self.side.config["account_sid"], "callSid": self.call_sid},
        }
        self._line.send(json.dumps(stop, separators=(",", ":")).encode())
        self._line.send((1000).to_bytes(2, "big"), 8)
        # The server answers the close; a server that does not is left all the same.
        self.side.loop.after(1.0, self._line.close)

    def _over(self, trouble: str) -> None:
        if self.side.phase == "ending":
            trouble = ""
        self.streaming = False
        self.trouble = self.trouble or trouble
        self.times["ended"] = _now_ns()
        self.side.over(self)
