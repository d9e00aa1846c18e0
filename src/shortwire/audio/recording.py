"""A stereo recording from a tape: the party left, the agent right, as both were heard.

Off the media path. Both channels lie on one clock, that of messages coming from the carrier to us: the party's
frames by their arrival, the agent's audio by the marks that confirmed it. The carrier delays both alike, so
gaps between the channels are the gaps the caller heard (docs/reference/measurements.md).
"""

from __future__ import annotations

import binascii
import io
import struct
import wave
from dataclasses import dataclass, field
from statistics import median

from ..call.tape import Kind, Record, Tape
from ..clock import NS_PER_MS
from ..ulaw import BYTES_PER_MS, SILENCE
from .mulaw import to_stereo_pcm16

__all__ = ["Heard", "Recording", "as_heard", "recording", "stereo_wav", "ulaw_wav"]

_NS_PER_BYTE = NS_PER_MS // BYTES_PER_MS
_BLOCK_FRAMES = 50
"""Within a second of frames the least delayed one says where all of them belong: the others only waited."""
_MOVED_NS = 10 * NS_PER_MS
"""Blocks that differ by less lie end to end: the carrier's clock drifts by a frame in minutes."""
_BROKEN_NS = 500 * NS_PER_MS
"""Frames that pause for so long were not delayed; there were none."""
_NEVER_CONFIRMED_NS = 150 * NS_PER_MS
"""From written to heard where no mark of the whole call says how long it took."""


@dataclass(slots=True)
class Heard:
    """Audio that was heard without a hole; a *run* of the agent's or a stretch of the party's frames."""

    start_ns: int
    audio: bytearray
    confirmed: bool = True
    """Whether the start was confirmed by a mark; else it is the write plus the call's usual delay."""

    @property
    def end_ns(self) -> int:
        return self.start_ns + len(self.audio) * _NS_PER_BYTE


@dataclass(frozen=True, slots=True)
class Recording:
    """Two mu-law channels of one length."""

    start_ns: int
    """Monotonic instant of the first sample, on the tape's clock."""
    party: bytes
    agent: bytes


@dataclass(slots=True)
class _Run:
    read_ns: int = 0
    """When the audio that began it was read."""
    written_ns: int | None = None
    heard_ns: int | None = None
    over: bool = False
    audio: bytearray = field(default_factory=bytearray)
    _last_ns: int = -1
    _last_at: int = 0
    """Where the audio that was read last begins (all of one instant counts as one)."""

    def add(self, at_ns: int, ulaw: bytes) -> None:
        if not self.audio:
            self.read_ns = at_ns
        if at_ns != self._last_ns:
            self._last_ns, self._last_at = at_ns, len(self.audio)
        self.audio += ulaw

    def split(self) -> _Run:
        """Take off the audio that was read last, as a run of its own."""
        rest = _Run()
        rest.add(self._last_ns, bytes(self.audio[self._last_at :]))
        del self.audio[self._last_at :]
        return rest

    def cut(self, unheard_ms: float) -> None:
        unheard = min(len(self.audio), round(unheard_ms * BYTES_PER_MS))
        del self.audio[len(self.audio) - unheard :]
        self.over = True


def as_heard(records: tuple[Record, ...]) -> tuple[list[Heard], list[Heard]]:
    """Party and agent audio with the instants at which it was heard, each in order of time."""
    return _party(records), _agent(records)


def recording(tape: Tape) -> Recording | None:
    """Lay both channels out from the first audio to the last; None if the tape holds no audio."""
    party, agent = as_heard(tape.records)
    pieces = party + agent
    if not pieces:
        return None
    start_ns = min(piece.start_ns for piece in pieces)
    end_ns = max(piece.end_ns for piece in pieces)
    length = -(-(end_ns - start_ns) // _NS_PER_BYTE)
    return Recording(start_ns, _channel(party, start_ns, length), _channel(agent, start_ns, length))


def stereo_wav(tape: Tape) -> bytes | None:
    """The recording as a WAV file: 8 kHz, 16 bit, party left, agent right. None if the tape holds no audio."""
    found = recording(tape)
    if found is None:
        return None
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(BYTES_PER_MS * 1000)
        file.writeframes(to_stereo_pcm16(found.party, found.agent))
    return out.getvalue()


def ulaw_wav(found: Recording) -> bytes:
    """The recording as a WAV file of mu-law (format 7), party left: half the size, for what has to be small."""
    audio = bytearray(2 * len(found.party))
    audio[0::2], audio[1::2] = found.party, found.agent
    rate = BYTES_PER_MS * 1000
    shape = struct.pack("<HHIIHHH", 7, 2, rate, 2 * rate, 2, 8, 0)
    chunks = b"".join(
        name + struct.pack("<I", len(data)) + data
        for name, data in ((b"fmt ", shape), (b"fact", struct.pack("<I", len(found.party))), (b"data", bytes(audio)))
    )
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


def _channel(pieces: list[Heard], start_ns: int, length: int) -> bytes:
    channel = bytearray([SILENCE]) * length
    for piece in pieces:
        at = (piece.start_ns - start_ns) // _NS_PER_BYTE
        channel[at : at + len(piece.audio)] = piece.audio
    return bytes(channel[:length])


def _ulaw(record: Record) -> bytes:
    try:
        return record.ulaw
    except binascii.Error:
        return b""  # the tape keeps what came; what is not audio was not heard


def _party(records: tuple[Record, ...]) -> list[Heard]:
    """Frames end to end, placed by arrival with the jitter taken out."""
    pieces: list[Heard] = []
    block: list[tuple[int, bytes]] = []
    end_ns = 0
    for record in records:
        if record.kind not in (Kind.UPLINK_AUDIO, Kind.UPLINK_KEPT) or not (ulaw := _ulaw(record)):
            continue
        if block and (len(block) == _BLOCK_FRAMES or record.at_ns - end_ns > _BROKEN_NS):
            _place(block, pieces)
            block = []
        block.append((record.at_ns, ulaw))
        end_ns = record.at_ns
    if block:
        _place(block, pieces)
    return pieces


def _place(block: list[tuple[int, bytes]], pieces: list[Heard]) -> None:
    """Put a block of frames where its least delayed frame belongs, or behind the piece that ends there."""
    start_ns, length = block[0][0], 0
    for at_ns, ulaw in block:
        length += len(ulaw)
        start_ns = min(start_ns, at_ns - length * _NS_PER_BYTE)
    audio = b"".join(ulaw for _, ulaw in block)
    if pieces and abs(start_ns - pieces[-1].end_ns) < _MOVED_NS:
        pieces[-1].audio += audio
    else:
        pieces.append(Heard(start_ns, bytearray(audio)))


def _agent(records: tuple[Record, ...]) -> list[Heard]:
    """Runs of audio from the ledger's entries, cut where a barge-in threw the rest away."""
    runs: list[_Run] = []
    for record in records:
        match record.kind:
            case Kind.DOWNLINK_AUDIO:
                if not runs or runs[-1].over:
                    runs.append(_Run())
                runs[-1].add(record.at_ns, _ulaw(record))
            case Kind.WRITTEN if runs:
                # Told right behind the audio that began the run: everything before it was another one.
                if runs[-1].written_ns is not None:
                    runs.append(runs[-1].split())
                runs[-1].written_ns = record.at_ns
            case Kind.HEARD:
                run = next((r for r in reversed(runs) if r.read_ns <= record.value), None)
                if run is not None:
                    run.heard_ns = record.value if run.heard_ns is None else min(run.heard_ns, record.value)
            case Kind.BARGE_IN if runs:
                runs[-1].cut(float(record.value or 0))
            case _:
                pass
    usual_ns = _usual_delay_ns(runs)
    heard = []
    for run in runs:
        start_ns = run.heard_ns if run.heard_ns is not None else (run.written_ns or run.read_ns) + usual_ns
        if run.audio:
            heard.append(Heard(start_ns, run.audio, confirmed=run.heard_ns is not None))
    return heard


def _usual_delay_ns(runs: list[_Run]) -> int:
    known = [r.heard_ns - r.written_ns for r in runs if r.heard_ns is not None and r.written_ns is not None]
    return int(median(known)) if known else _NEVER_CONFIRMED_NS
