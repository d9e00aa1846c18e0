"""Arithmetic on base64 text of 8 kHz mu-law audio: how long it is, where it may be cut, silence.

The media path moves payloads without decoding them, so everything here follows from lengths alone:
8 bytes are one millisecond, 4 characters are 3 bytes. Never decodes; imports nothing of ours.
Follows Twilio, "Media Streams - WebSocket Messages" (payload: base64 of audio/x-mulaw, 8000 Hz).
"""

from __future__ import annotations

import binascii
from functools import lru_cache

__all__ = [
    "BYTES_PER_MS",
    "CUT_BYTES",
    "CUT_CHARS",
    "CUT_MS",
    "FRAME_BYTES",
    "FRAME_MS",
    "SILENCE",
    "SILENCE_FRAME",
    "payload_bytes",
    "payload_ms",
    "silence_payload",
    "split_payload",
]

BYTES_PER_MS = 8
FRAME_MS = 20
FRAME_BYTES = FRAME_MS * BYTES_PER_MS
SILENCE = 0xFF
"""The mu-law byte of amplitude zero."""
SILENCE_FRAME = bytes([SILENCE]) * FRAME_BYTES
"""One frame of silence, decoded."""

# Text can be cut where 3-byte groups end, audio should be cut where 160-byte frames end (segments that are
# no multiple of a frame are reported to crackle, protocols page 1.3): both hold every 480 bytes.
CUT_MS = 60
CUT_BYTES = CUT_MS * BYTES_PER_MS
CUT_CHARS = CUT_BYTES // 3 * 4
_PADDING = ord("=")


def payload_bytes(payload: bytes) -> int:
    """Decoded length of a payload. Padding is allowed to be missing; nothing is checked or decoded."""
    chars = len(payload)
    # Padding is at most two characters, so two comparisons replace rstrip and its copy.
    if chars > 1 and payload[-1] == _PADDING:
        chars -= 2 if payload[-2] == _PADDING else 1
    return chars * 3 >> 2


def payload_ms(payload: bytes) -> int | float:
    """Length of a payload's audio in ms: an int where it is whole, else a float (steps of 0.125)."""
    # `payload_bytes`, written out: once per message of the media path.
    chars = len(payload)
    if chars > 1 and payload[-1] == _PADDING:
        chars -= 2 if payload[-2] == _PADDING else 1
    size = chars * 3 >> 2
    return size / BYTES_PER_MS if size & 7 else size >> 3


def split_payload(payload: bytes, first_ms: int) -> tuple[bytes, bytes]:
    """Cut a payload in two without decoding it: ``(head, tail)``, each a complete base64 text.

    The cut falls on the largest multiple of `CUT_MS` not above `first_ms`, so the head is whole frames and
    the tail starts on a frame. A payload that is not longer than that comes back as ``(payload, b"")``.
    Raises `ValueError` if `first_ms` is under `CUT_MS`: no cut is possible there.
    """
    if first_ms < CUT_MS:
        raise ValueError(f"base64 audio can be cut every {CUT_MS} ms at the earliest, not after {first_ms} ms")
    at = first_ms // CUT_MS * CUT_CHARS
    if payload_bytes(payload) <= at // 4 * 3:
        return payload, b""
    return payload[:at], payload[at:]


@lru_cache(maxsize=64)
def silence_payload(ms: int) -> bytes:
    """`ms` milliseconds of silence as a payload. Raises `ValueError` for a negative length."""
    if ms < 0:
        raise ValueError(f"silence cannot last {ms} ms")
    return binascii.b2a_base64(bytes([SILENCE]) * (ms * BYTES_PER_MS), newline=False)
