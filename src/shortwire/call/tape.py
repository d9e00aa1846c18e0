"""The tape: everything both wires of one call said, with monotonic instants, in one append-only file.

Sans-I/O: the writer returns bytes to append, the reader takes bytes. Whoever appends decides when; what was
appended is safe, because every block carries its own checksum and stands by itself. Format, byte by byte:
docs/reference/tape.md. Base64 audio is kept decoded, so a tape is about as large as its audio.
"""

from __future__ import annotations

import binascii
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from struct import Struct
from typing import Any
from zlib import crc32

from ..errors import UsageError
from . import side

__all__ = ["MAGIC", "VERSION", "Kind", "Record", "Tape", "TapeHeader", "TapeUnreadable", "TapeWriter", "from_side"]
__all__ += ["read_tape"]

MAGIC = b"\x89SWTAPE\n"
"""Not text from its first byte on, and broken visibly by whoever changes line ends."""
VERSION = 1

_PREFIX = Struct("<8sHI")  # magic, version, length of the header's JSON
_BLOCK = Struct("<II")  # length of the body, checksum of that length and the body
_CRC = Struct("<I")
_LENGTH = Struct("<I")


class TapeUnreadable(UsageError):
    """Not a tape, or one that this version cannot read."""

    code = "tape_unreadable"


class Kind(IntEnum):
    """What a record holds. Numbers are the format: new ones may come, none may change."""

    UPLINK_AUDIO = 1
    """Party audio read from the phone. data: payload, base64"""
    DOWNLINK_AUDIO = 2
    """Agent audio written to the phone. data: payload, base64 (mu-law, after conversion)"""
    DOWNLINK_DROPPED = 3
    """Agent audio that a barge-in had overtaken. data: payload, base64"""
    FROM_PHONE = 4
    """Any other message. data: its text"""
    FROM_AGENT = 5
    TO_PHONE = 6
    TO_AGENT = 7
    WRITTEN = 8
    """The first audio of a run was handed to the phone socket. data: JSON null"""
    HEARD = 9
    """A run began to be heard. data: JSON number, the instant it began at (ns, like `at_ns`)"""
    BARGE_IN = 10
    """`clear` was written. data: JSON number, how much was not heard (ms)"""
    UPLINK_KEPT = 12
    """Party audio read and not passed on when it came: kept for the agent, or dropped. data: payload, base64"""
    AGENT_AUDIO = 13
    """An audio message was read from the agent. data: JSON object: event_id; and payload, unless the audio records
    that follow hold it; `converted` instead when it was not mu-law"""
    TICK = 14
    """The session was told the time. No data"""
    NOTE = 11
    """Anything the driver adds: socket opened or closed, cause. data: JSON object"""


_AUDIO = frozenset({Kind.UPLINK_AUDIO, Kind.UPLINK_KEPT, Kind.DOWNLINK_AUDIO, Kind.DOWNLINK_DROPPED})
_DECODED, _AS_IT_CAME = 0, 1


@dataclass(frozen=True, slots=True)
class Record:
    """One thing that happened."""

    kind: Kind
    at_ns: int
    """Monotonic instant, same clock as `TapeHeader.clock_ns`."""
    data: bytes = b""
    """As it was on the wire; see `Kind`."""

    @property
    def ulaw(self) -> bytes:
        """Decoded audio of an audio record. Raises `ValueError` if the payload is not base64."""
        return binascii.a2b_base64(self.data)

    @property
    def value(self) -> Any:
        """Of a record that holds JSON."""
        return json.loads(self.data)


@dataclass(frozen=True, slots=True)
class TapeHeader:
    """What the records refer to."""

    call_id: str
    clock_ns: int
    """Monotonic instant at the start of the tape."""
    wall_s: float
    """Wall time at the same moment, seconds since the epoch."""
    more: Mapping[str, Any] = field(default_factory=dict)
    """Anything else worth knowing (product version, profile, node); JSON."""


@dataclass(frozen=True, slots=True)
class Tape:
    """What could be read."""

    header: TapeHeader | None
    """None only if the file ends before its header does."""
    records: tuple[Record, ...]
    damage: str | None = None
    """Where and why reading stopped early; everything before that place is in `records`."""
    skipped: int = 0
    """Records of kinds this version does not know."""


class TapeWriter:
    """Turns records into bytes to append, in order."""

    def __init__(self, header: TapeHeader) -> None:
        self._header: TapeHeader | None = header
        self._origin_ns = header.clock_ns

    def records(self, batch: Iterable[Record]) -> bytes:
        """One block of a batch, the file's header before the first; ``b""`` if there is nothing to append."""
        out = b""
        if self._header is not None:
            out, self._header = _encode_header(self._header), None
        body = bytearray()
        before_ns = self._origin_ns
        for record in batch:
            data = _encode_data(record)
            if not body:
                # The block's own start, so that it can be read without the ones before it.
                _put_varint(body, _zigzag(record.at_ns - self._origin_ns))
                before_ns = record.at_ns
            body.append(record.kind)
            _put_varint(body, _zigzag(record.at_ns - before_ns))
            _put_varint(body, len(data))
            body += data
            before_ns = record.at_ns
        if not body:
            return out
        return out + _BLOCK.pack(len(body), _block_crc(body)) + body


def from_side(entries: Sequence[side.SideEntry]) -> Iterator[Record]:
    """Records of a piece of the side log of a call (`shortwire.call.side`), in order.

    What became of one agent message must not be cut in two (the driver takes whole turns of the loop).
    """
    for index, (at_ns, kind, value) in enumerate(entries):
        if kind == side.AGENT_AUDIO:
            yield Record(Kind.AGENT_AUDIO, at_ns, _agent_audio(entries, index))
        elif kind == side.RELAYED:
            event_id, payload, _ms = value
            yield Record(Kind.AGENT_AUDIO, at_ns, b'{"event_id": %d}' % event_id)
            yield Record(Kind.DOWNLINK_AUDIO, at_ns, payload)
        elif kind == side.DOWNLINK:
            payload, dropped, _event_id = value
            yield Record(Kind.DOWNLINK_DROPPED if dropped else Kind.DOWNLINK_AUDIO, at_ns, payload)
        elif kind == side.TICK:
            yield Record(Kind.TICK, at_ns)
        elif kind in _SIDE_BYTES:
            yield Record(_SIDE_BYTES[kind], at_ns, value)
        elif kind == side.HEARD:
            # Later marks of a run are on the tape as the carrier's messages.
            if value[0] is not None:
                yield Record(Kind.HEARD, at_ns, json.dumps(value[0]).encode())
        elif kind in _SIDE_JSON:
            yield Record(_SIDE_JSON[kind], at_ns, json.dumps(value).encode())


def _agent_audio(entries: Sequence[side.SideEntry], index: int) -> bytes:
    """The event's id, and its audio unless the records that follow hold all of it."""
    event_id, payload, converted = entries[index][2]
    found: dict[str, Any] = {"event_id": event_id}
    if converted:
        found["converted"] = True
    elif payload != b"".join(_pieces(entries, index)):
        found["payload"] = payload.decode(
            "ascii", "replace"
        )  # held, or lost to a full socket: nowhere else on the tape
    return json.dumps(found).encode()


def _pieces(entries: Sequence[side.SideEntry], index: int) -> Iterator[bytes]:
    for _, kind, value in entries[index + 1 :]:
        if kind == side.DOWNLINK:
            yield value[0]
        elif kind != side.TO_PHONE:
            return


_SIDE_BYTES = {
    side.UPLINK: Kind.UPLINK_AUDIO,
    side.UPLINK_KEPT: Kind.UPLINK_KEPT,
    side.FROM_PHONE: Kind.FROM_PHONE,
    side.FROM_AGENT: Kind.FROM_AGENT,
    side.TO_PHONE: Kind.TO_PHONE,
    side.TO_AGENT: Kind.TO_AGENT,
}
_SIDE_JSON = {side.WRITTEN: Kind.WRITTEN, side.BARGE_IN: Kind.BARGE_IN, side.NOTE: Kind.NOTE}


def read_tape(data: bytes) -> Tape:
    """Read a tape, or as much of it as is sound.

    Raises `TapeUnreadable` for a file that is no tape or comes from a newer Shortwire. Damage is no error:
    `Tape.damage` says where it begins, and all blocks before it are returned.
    """
    if data[: len(MAGIC)] != MAGIC[: len(data)]:
        raise TapeUnreadable("this file is not a Shortwire tape", details="it does not begin with the tape's mark")
    if len(data) < _PREFIX.size:
        return Tape(None, (), f"the file ends at byte {len(data)}, inside its header")
    _, version, length = _PREFIX.unpack_from(data)
    if version > VERSION:
        raise TapeUnreadable(
            f"this tape was written by a newer Shortwire (tape format {version}, this one reads up to {VERSION})",
            details="read it with that version",
        )
    end = _PREFIX.size + length + _CRC.size
    if len(data) < end:
        return Tape(None, (), f"the file ends at byte {len(data)}, inside its header")
    if crc32(data[: end - _CRC.size]) != _CRC.unpack_from(data, end - _CRC.size)[0]:
        return Tape(None, (), "the header is damaged: its checksum does not fit")
    header = _decode_header(data[_PREFIX.size : end - _CRC.size])
    return _read_blocks(data, end, header)


def _read_blocks(data: bytes, at: int, header: TapeHeader) -> Tape:
    records: list[Record] = []
    skipped = 0
    damage = None
    while at < len(data):
        if len(data) - at < _BLOCK.size:
            damage = f"the file ends at byte {len(data)}, inside the block that begins at byte {at}"
            break
        length, checksum = _BLOCK.unpack_from(data, at)
        body = data[at + _BLOCK.size : at + _BLOCK.size + length]
        if len(body) == length and _block_crc(body) == checksum:
            try:
                found, unknown = _decode_block(body, header.clock_ns)
            except ValueError as error:
                damage = f"the block at byte {at} does not make sense: {error}"
                break
            records += found
            skipped += unknown
            at += _BLOCK.size + length
            continue
        if len(body) < length:
            damage = f"the file ends at byte {len(data)}, inside the block that begins at byte {at}"
        else:
            damage = f"the block at byte {at} is damaged: its checksum does not fit"
        break
    return Tape(header, tuple(records), damage, skipped)


def _encode_header(header: TapeHeader) -> bytes:
    document = {
        "call_id": header.call_id,
        "clock": "monotonic",
        "clock_ns": header.clock_ns,
        "wall_s": header.wall_s,
        "more": dict(header.more),
    }
    text = json.dumps(document).encode()
    out = _PREFIX.pack(MAGIC, VERSION, len(text)) + text
    return out + _CRC.pack(crc32(out))


def _decode_header(text: bytes) -> TapeHeader:
    try:
        found = json.loads(text)
        return TapeHeader(str(found["call_id"]), int(found["clock_ns"]), float(found["wall_s"]), found.get("more", {}))
    except (ValueError, KeyError, TypeError) as error:
        raise TapeUnreadable("the tape's header does not make sense", details=repr(error)) from None


def _block_crc(body: bytes | bytearray) -> int:
    # The length is part of what is checked: a flipped bit in it must not pass for a short file.
    return crc32(body, crc32(_LENGTH.pack(len(body))))


def _encode_data(record: Record) -> bytes:
    if record.kind not in _AUDIO:
        return record.data
    try:
        audio = binascii.a2b_base64(record.data)
    except binascii.Error:
        audio = b""
    # Text that decoding and encoding would not give back (no padding, line ends) is kept as it came:
    # a tape must replay exactly.
    if binascii.b2a_base64(audio, newline=False) == record.data:
        return bytes((_DECODED,)) + audio
    return bytes((_AS_IT_CAME,)) + record.data


def _decode_data(kind: Kind, data: bytes) -> bytes:
    if kind not in _AUDIO:
        return data
    if data[:1] == bytes((_DECODED,)):
        return binascii.b2a_base64(data[1:], newline=False)
    if data[:1] == bytes((_AS_IT_CAME,)):
        return data[1:]
    raise ValueError("an audio record of unknown encoding")


def _decode_block(body: bytes, origin_ns: int) -> tuple[list[Record], int]:
    base, at = _get_varint(body, 0)
    now_ns = origin_ns + _unzigzag(base)
    records: list[Record] = []
    skipped = 0
    while at < len(body):
        number = body[at]
        delta, at = _get_varint(body, at + 1)
        length, at = _get_varint(body, at)
        if at + length > len(body):
            raise ValueError("a record is longer than its block")
        now_ns += _unzigzag(delta)
        data = body[at : at + length]
        at += length
        if number in _KNOWN:
            kind = Kind(number)
            records.append(Record(kind, now_ns, _decode_data(kind, data)))
        else:
            skipped += 1
    return records, skipped


_KNOWN = frozenset(kind.value for kind in Kind)


def _zigzag(number: int) -> int:
    """Signed to unsigned, small stays small."""
    return number << 1 if number >= 0 else (-number << 1) - 1


def _unzigzag(number: int) -> int:
    return -(number + 1 >> 1) if number & 1 else number >> 1


def _put_varint(out: bytearray, number: int) -> None:
    """Seven bits a byte, lowest first, the highest bit set on all but the last."""
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)


def _get_varint(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise ValueError("a number is cut off")
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
    raise ValueError("a number does not end")
