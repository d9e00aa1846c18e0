"""Audio that says when it was sent, by which call, as which one in order, and whether it is whole.

The first 24 bytes of each piece hold the stamp, the rest is noise both sides know. 24 bytes are 32 characters of
base64 without padding, so a stamp is put in and read without touching the rest of the text.
"""

from __future__ import annotations

import binascii
import random
import struct
from typing import NamedTuple

__all__ = ["EXTRA", "FRAME_BYTES", "NOBODY", "Assembler", "Stamp", "Voice", "read"]

FRAME_BYTES = 160
"""20 ms of mu-law at 8 kHz: what the carrier sends at a time (protocols/twilio.md)."""
NOBODY = 0xFFFF_FFFF
"""The call's number while the agent does not know it."""
EXTRA = 1_000_000_000
"""Calls from this number on are company: they are bridged like all others, and not measured."""

_HEAD = struct.Struct(">4sQIII")  # mark, instant in ns, call, number in the call, length in bytes
_MARK = b"swb1"
_NOISES = 16


class Stamp(NamedTuple):
    """What a piece of audio says of itself. A tuple, because thousands are made a second."""

    sent_ns: int
    call: int
    number: int
    size: int
    """Bytes of audio in the piece."""
    whole: bool
    """Whether every other byte is the one that was sent."""


class Voice:
    """Makes the pieces of one length, bytes (at least 24)."""

    def __init__(self, size: int = FRAME_BYTES) -> None:
        if size < _HEAD.size:
            raise ValueError(f"a stamped piece has at least {_HEAD.size} bytes")
        self.size = size
        self._tails = [_tail(size, number) for number in range(_NOISES)]

    def piece(self, call: int, number: int, now_ns: int) -> bytes:
        """Base64 text of one piece, stamped."""
        head = binascii.b2a_base64(_HEAD.pack(_MARK, now_ns, call, number, self.size), newline=False)
        return head + self._tails[number % _NOISES]


_known: dict[tuple[int, int], bytes] = {}


def read(payload: bytes) -> Stamp | None:
    """The stamp of a piece given as base64 text; None when there is none where it should be."""
    try:
        mark, sent_ns, call, number, size = _HEAD.unpack(binascii.a2b_base64(payload[:32]))
    except (binascii.Error, struct.error):
        return None
    if mark != _MARK or size > 1 << 20:
        return None
    return Stamp(sent_ns, call, number, size, payload[32:] == _tail_of(size, number))


class Assembler:
    """Pieces put together again: a bridge may cut a chunk into several messages."""

    def __init__(self) -> None:
        self._pending = bytearray()
        self._head_ns = 0

    def take(self, payload: bytes, read_ns: int) -> list[tuple[Stamp | None, int]]:
        """Pieces that are complete now, each with the instant at which its beginning was read; None: damaged."""
        if not self._pending:
            stamp = read(payload)
            if stamp is not None and stamp.whole:
                return [(stamp, read_ns)]
        try:
            self._pending += binascii.a2b_base64(payload)
        except binascii.Error:
            return [(None, read_ns)]
        found: list[tuple[Stamp | None, int]] = []
        while len(self._pending) >= _HEAD.size:
            self._head_ns = self._head_ns or read_ns
            mark, sent_ns, call, number, size = _HEAD.unpack_from(self._pending)
            if mark != _MARK or size > 1 << 20:
                self.forget()
                found.append((None, read_ns))
                break
            if len(self._pending) < size:
                break
            tail = binascii.b2a_base64(self._pending[_HEAD.size : size], newline=False)
            found.append((Stamp(sent_ns, call, number, size, tail == _tail_of(size, number)), self._head_ns))
            del self._pending[:size]
            self._head_ns = 0
        return found

    def forget(self) -> None:
        """What was begun will not be completed: the bridge was told to drop it."""
        self._pending.clear()
        self._head_ns = 0


def _tail_of(size: int, number: int) -> bytes:
    key = (size, number % _NOISES)
    tail = _known.get(key)
    if tail is None:
        tail = _known[key] = _tail(size, number)
    return tail


def _tail(size: int, number: int) -> bytes:
    noise = random.Random(size * _NOISES + number % _NOISES)  # noqa: S311 - noise, not secrets
    return binascii.b2a_base64(noise.randbytes(size - _HEAD.size), newline=False)
