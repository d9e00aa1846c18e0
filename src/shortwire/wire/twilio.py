"""Twilio Media Streams, both directions, as typed messages (protocols/twilio.md sections 1 and 2).

Tolerant where we receive (unknown keys and events are kept from harm, not refused), exact where we
send: Twilio warns 31951 about any missing or extra key. The audio itself takes `splice`, not this.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any, Final

import msgspec

__all__ = [
    "MARK_TAIL",
    "MEDIA_TAIL",
    "Connected",
    "Dtmf",
    "Mark",
    "Media",
    "MediaFormat",
    "PhoneMessage",
    "Start",
    "Stop",
    "Unknown",
    "WireError",
    "clear_message",
    "decode",
    "mark_head",
    "mark_message",
    "media_head",
    "media_plain",
]


class WireError(ValueError):
    """The message does not follow the vendor's page; the text says how."""


class Connected(msgspec.Struct, tag="connected", tag_field="event"):
    protocol: str = ""
    version: str = ""


class MediaFormat(msgspec.Struct):
    encoding: str
    sampleRate: int  # noqa: N815, the wire's spelling
    channels: int


class StartBody(msgspec.Struct):
    streamSid: str  # noqa: N815
    callSid: str  # noqa: N815
    accountSid: str = ""  # noqa: N815
    mediaFormat: MediaFormat | None = None  # noqa: N815
    customParameters: dict[str, Any] | None = None  # noqa: N815, absent in old captures


class Start(msgspec.Struct, tag="start", tag_field="event"):
    start: StartBody


class MediaBody(msgspec.Struct):
    payload: str
    track: str = "inbound"
    timestamp: str = ""


class Media(msgspec.Struct, tag="media", tag_field="event"):
    media: MediaBody
    streamSid: str = ""  # noqa: N815


class MarkBody(msgspec.Struct):
    name: str


class Mark(msgspec.Struct, tag="mark", tag_field="event"):
    mark: MarkBody
    streamSid: str = ""  # noqa: N815


class DtmfBody(msgspec.Struct):
    digit: str


class Dtmf(msgspec.Struct, tag="dtmf", tag_field="event"):
    dtmf: DtmfBody
    streamSid: str = ""  # noqa: N815


class Stop(msgspec.Struct, tag="stop", tag_field="event"):
    streamSid: str = ""  # noqa: N815


class Unknown(msgspec.Struct):
    """An event that is not on the page; ignored, counted."""

    event: str = ""


PhoneMessage = Connected | Start | Media | Mark | Dtmf | Stop | Unknown

_decode_known: Callable[[bytes], PhoneMessage] = msgspec.json.Decoder(
    Connected | Start | Media | Mark | Dtmf | Stop
).decode
_decode_any = msgspec.json.Decoder(Unknown).decode
_KNOWN: Final = frozenset({"connected", "start", "media", "mark", "dtmf", "stop"})


def decode(message: bytes) -> PhoneMessage:
    """A message of the carrier. Raises `WireError` for what is no message of the page at all."""
    try:
        return _decode_known(message)
    except RecursionError:
        raise WireError("not a stream message: nested too deeply") from None
    except msgspec.DecodeError as error:
        try:
            unknown = _decode_any(message)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise WireError(f"not a stream message: {error}") from None
        if unknown.event in _KNOWN:
            raise WireError(f"a {unknown.event} message of an unknown shape: {error}") from None
        return unknown
    except UnicodeDecodeError as error:
        raise WireError(f"not UTF-8: {error}") from None


# Sent messages: exactly these keys, section 1.2.

MEDIA_TAIL: Final = b'"}}'
MARK_TAIL: Final = b'"}}'


def media_head(stream_sid: str) -> bytes:
    """What stands before the payload of audio for the phone; `MEDIA_TAIL` stands behind it."""
    return f'{{"event":"media","streamSid":"{stream_sid}","media":{{"payload":"'.encode()


def mark_head(stream_sid: str) -> bytes:
    """What stands before the name of a mark; `MARK_TAIL` stands behind it."""
    return f'{{"event":"mark","streamSid":"{stream_sid}","mark":{{"name":"'.encode()


def mark_message(stream_sid: str, name: str) -> bytes:
    return mark_head(stream_sid) + name.encode() + MARK_TAIL


def clear_message(stream_sid: str) -> bytes:
    return f'{{"event":"clear","streamSid":"{stream_sid}"}}'.encode()


def media_plain(stream_sid: str) -> Callable[[bytes], bytes | None]:
    """The other side of OPTIMIZE_AUDIO_PARSING: what most bridges do to every frame.

    JSON object, base64 decoded, base64 encoded again. The answer's contract is that of `splice.phone_cut`.
    """

    def reencode(message: bytes) -> bytes | None:
        try:
            parsed = json.loads(message)
            if not isinstance(parsed, dict) or parsed.get("event") != "media" or parsed["streamSid"] != stream_sid:
                return None
            media = parsed["media"]
            if media["track"] != "inbound":
                return None
            return base64.b64encode(base64.b64decode(media["payload"], validate=True)) or None
        except (ValueError, KeyError, TypeError, RecursionError):
            return None

    return reencode
