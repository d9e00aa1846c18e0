"""Texts of the media stream, both ways (page "websocket-messages"; key order and spacing as captured live).

Pure. What the server sends must have exactly the documented keys: the vendor warns of missing ones and of extra ones.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Clear", "Mark", "Media", "ProtocolWarning", "StreamTexts", "parse_server_message"]


def _compact(message: dict[str, Any]) -> str:
    return json.dumps(message, separators=(",", ":"), ensure_ascii=False)


CONNECTED = '{"event":"connected","protocol":"Call","version":"1.0.0"}'


class StreamTexts:
    """Writes the messages of one stream and numbers them."""

    def __init__(self, account_sid: str, call_sid: str, stream_sid: str, tracks: Sequence[str] = ("inbound",)) -> None:
        self._tracks = list(tracks)
        self._account_sid = account_sid
        self._call_sid = call_sid
        self._stream_sid = stream_sid
        self._sequence = 0
        self._chunk = 0

    def start(self, parameters: Mapping[str, str] | None) -> str:
        """`parameters` None: the key is left out, as in the oldest captures."""
        start: dict[str, Any] = {
            "accountSid": self._account_sid,
            "streamSid": self._stream_sid,
            "callSid": self._call_sid,
            "tracks": self._tracks,
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        }
        if parameters is not None:
            start["customParameters"] = dict(parameters)
        return _compact(
            {"event": "start", "sequenceNumber": self._next(), "start": start, "streamSid": self._stream_sid}
        )

    def media(self, ulaw: bytes, timestamp_ms: int, track: str = "inbound") -> str:
        """The chunk counter runs across both tracks, as in the documentation's example."""
        self._chunk += 1
        # Written out, not dumped: this is the one message that is sent 50 times a second.
        payload = binascii.b2a_base64(ulaw, newline=False).decode()
        return (
            f'{{"event":"media","sequenceNumber":"{self._next()}","media":{{"track":"{track}","chunk":"{self._chunk}",'
            f'"timestamp":"{timestamp_ms}","payload":"{payload}"}},"streamSid":"{self._stream_sid}"}}'
        )

    def dtmf(self, digit: str) -> str:
        return _compact(
            {
                "event": "dtmf",
                "streamSid": self._stream_sid,
                "sequenceNumber": self._next(),
                "dtmf": {"track": "inbound_track", "digit": digit},
            }
        )

    def mark(self, name: str) -> str:
        return _compact(
            {
                "event": "mark",
                "sequenceNumber": self._next(),
                "streamSid": self._stream_sid,
                "mark": {"name": name},
            }
        )

    def stop(self) -> str:
        stop = {"accountSid": self._account_sid, "callSid": self._call_sid}
        return _compact({"event": "stop", "sequenceNumber": self._next(), "streamSid": self._stream_sid, "stop": stop})

    def _next(self) -> str:
        self._sequence += 1
        return str(self._sequence)


@dataclass(frozen=True, slots=True)
class Media:
    ulaw: bytes


@dataclass(frozen=True, slots=True)
class Mark:
    name: str


@dataclass(frozen=True, slots=True)
class Clear:
    pass


class ProtocolWarning(ValueError):
    """Warning 31951; the message is ignored, the stream goes on."""


_KEYS = {
    "media": {"event", "streamSid", "media"},
    "mark": {"event", "streamSid", "mark"},
    "clear": {"event", "streamSid"},
}


def parse_server_message(text: str, stream_sid: str) -> Media | Mark | Clear:
    """Raises `ProtocolWarning` with the reason."""
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        raise ProtocolWarning("not JSON") from None
    if not isinstance(message, dict):
        raise ProtocolWarning("not a JSON object")
    event = message.get("event")
    if not isinstance(event, str) or event not in _KEYS:
        raise ProtocolWarning(f"unknown event {event!r}")
    _exactly(message, _KEYS[event], event)
    if message["streamSid"] != stream_sid:
        raise ProtocolWarning(f"{event}: wrong streamSid {message['streamSid']!r}")
    if event == "clear":
        return Clear()
    body = message[event]
    if not isinstance(body, dict):
        raise ProtocolWarning(f"{event}: {event!r} must be an object")
    if event == "mark":
        _exactly(body, {"name"}, "mark.mark")
        if not isinstance(body["name"], str):
            raise ProtocolWarning("mark: name must be a string")
        return Mark(body["name"])
    _exactly(body, {"payload"}, "media.media")
    return Media(_ulaw(body["payload"]))


def _exactly(message: dict[str, Any], keys: set[str], where: str) -> None:
    if missing := keys - message.keys():
        raise ProtocolWarning(f"{where}: missing {', '.join(sorted(missing))}")
    if extra := message.keys() - keys:
        raise ProtocolWarning(f"{where}: not allowed: {', '.join(sorted(extra))}")


def _ulaw(payload: object) -> bytes:
    if not isinstance(payload, str) or not payload:
        raise ProtocolWarning("media: payload must be base64 text")
    try:
        return base64.b64decode(payload, validate=True)
    except (binascii.Error, ValueError):
        raise ProtocolWarning("media: payload is not base64") from None
