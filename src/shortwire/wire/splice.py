"""The media path's two cuts: the payload out of one vendor's message, untouched, for the other's.

A cut is taken only when the message has, byte for byte, the shape that live messages have
(`protocols/corpus`: key order and spacing of all captured media). Anything else, however slightly
odd, answers None and takes the typed parse in `twilio` or `elevenlabs`; both ways give the same
payload, which is tested on the corpus and on fuzzed input. Nothing here decodes audio.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

import msgspec

from .elevenlabs import event_number

__all__ = ["BASE64", "PhoneCut", "before_mark", "cut_agent_audio", "phone_cut", "phone_ending"]

BASE64: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="
"""What may stand in a payload. No quote and no backslash: a payload can be cut and pasted between JSON texts."""

# One table look-up a byte and one test: a third of what deleting all that may stand there costs.
_FOREIGN: Final = bytes(0 if code in BASE64 else 0x80 for code in range(256))
_NO_DIGITS: Final = bytes(0x30 if 0x30 <= code <= 0x39 else code for code in range(256))
"""All digits become 0: two heads that differ in their numbers alone are the same then."""

PhoneCut = Callable[[bytes], bytes | None]

# Twilio media, all captures: {"event":"media","sequenceNumber":"N","media":{"track":"inbound","chunk":"N",
# "timestamp":"N","payload":"..."},"streamSid":"MZ..."}. The whole head is matched, not searched for, so that a
# key of the same name elsewhere cannot pass for it.
_PHONE_HEAD = re.compile(
    rb'\{"event":"media","sequenceNumber":"\d{1,12}","media":\{"track":"inbound",'
    rb'"chunk":"\d{1,12}","timestamp":"\d{1,12}","payload":"'
).match

# ElevenLabs audio, all captures: the payload object first, "type" last; after the payload comes the id, then
# `is_final` (2026) or `alignment` (2025).
_AGENT_HEAD: Final = b'{"audio_event":{"audio_base_64":"'
_AGENT_HEAD_LEN: Final = len(_AGENT_HEAD)
_AGENT_TAIL = re.compile(rb'","event_id":(0|[1-9]\d{0,14})(?:,"is_final":(?:true|false))?\},"type":"audio"\}').fullmatch


class _AudioEvent(msgspec.Struct):
    audio_base_64: msgspec.Raw
    event_id: int


class _Audio(msgspec.Struct):
    type: str
    audio_event: _AudioEvent


_decode_around = msgspec.json.Decoder(_Audio).decode


def phone_ending(stream_sid: str) -> bytes:
    """What follows the payload in a live-shaped media message of a stream."""
    return f'"}},"streamSid":"{stream_sid}"}}'.encode()


def before_mark(stream_sid: str) -> bytes:
    """What stands between the sequence number and the name in a live-shaped mark that comes back."""
    return f'","streamSid":"{stream_sid}","mark":{{"name":"'.encode()


def phone_cut(stream_sid: str) -> PhoneCut:
    """The cut for one media stream: ``cut(message)`` is the payload of a live-shaped media message, or None.

    The stream's own id is part of the expected tail, so a message of another stream is never cut. The id
    has to be checked before (letters, digits, ``_`` and ``-``): it is not escaped here.
    """
    tail = phone_ending(stream_sid)
    before_tail = -len(tail)
    known, size = b"?", 1

    def cut(message: bytes) -> bytes | None:
        nonlocal known, size
        # A head like the last one, but for its digits, is a head: the pattern is only asked when a number has grown.
        if message[:size].translate(_NO_DIGITS) != known:
            head = _PHONE_HEAD(message)
            if head is None:
                return None
            size = head.end()
            known = message[:size].translate(_NO_DIGITS)
        if not message.endswith(tail):
            return None
        payload = message[size:before_tail]
        # Only what may stand in base64: this also refuses a message in which head and tail belong to different
        # members. Nothing to begin with is refused too: there, head and tail may share a quote.
        return payload if payload and payload.translate(_FOREIGN).isascii() else None

    return cut


def cut_agent_audio(message: bytes) -> tuple[bytes, int] | None:
    """Payload and ``event_id`` of a live-shaped audio message, or None.

    Members that follow the payload other than the usual ones (`alignment`) are parsed; the payload itself is
    skipped over, never copied into a parser.
    """
    if not message.startswith(_AGENT_HEAD):
        return None
    end = message.find(b'"', _AGENT_HEAD_LEN)
    payload = message[_AGENT_HEAD_LEN:end]
    if end < 0 or not payload.translate(_FOREIGN).isascii():
        return None
    if tail := _AGENT_TAIL(message, end):
        return payload, int(tail[1])
    try:
        parsed = _decode_around(message)
        message[end:].decode()  # the parser above skips over what it does not want without looking at it
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    # A parser takes the last of several members of one name, the cut has taken the first: they must be equal.
    if parsed.type != "audio" or bytes(parsed.audio_event.audio_base_64) != message[_AGENT_HEAD_LEN - 1 : end + 1]:
        return None
    return payload, event_number(parsed.audio_event.event_id)
