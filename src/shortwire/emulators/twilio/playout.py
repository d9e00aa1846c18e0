"""What the party hears: Twilio's playout buffer as a virtual line of 8000 bytes per second.

Pure: time is a parameter (`now_ns`). Audio plays in real time from the instant it arrives, byte by byte;
where there is none, silence. Marks are positions in it. Follows "websocket-messages" (media, mark, clear).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from ..ulaw import SILENCE

__all__ = ["Cleared", "Playout", "Reached"]

_NS_PER_BYTE = 125_000
_FRAME = 160
_SILENT_FRAME = bytes([SILENCE]) * _FRAME


@dataclass(frozen=True, slots=True)
class Reached:
    """A mark that is due back."""

    name: str
    at_ms: float
    """When playout came to it (or it was dropped), from the answer."""
    sent_ms: float
    """When it was enqueued, from the answer."""


@dataclass(frozen=True, slots=True)
class Cleared:
    """What a `clear` threw away."""

    dropped_ms: float
    marks: tuple[Reached, ...]


@dataclass(slots=True)
class _Mark:
    name: str
    position: int
    sent_ms: float


class Playout:
    """The agent's channel of one call, from the answer on."""

    def __init__(self, start_ns: int) -> None:
        self.start_ns = start_ns
        """The instant of the answer (monotonic)."""
        self.heard = bytearray()
        """Everything heard since the answer: the recording of this channel."""
        self.played: list[list[float]] = []
        """Stretches [begin_ms, end_ms] in which the buffer had audio, from the answer."""
        self._queue: deque[bytes] = deque()
        self._head = 0
        self._pushed = 0
        self._consumed = 0
        self._marks: deque[_Mark] = deque()

    @property
    def queued_ms(self) -> float:
        return (self._pushed - self._consumed) / 8

    def ms_at(self, now_ns: int) -> float:
        return (now_ns - self.start_ns) / 1e6

    def advance(self, now_ns: int) -> list[Reached]:
        """Play up to `now_ns`; gives the marks that were reached on the way, in order."""
        missing = (now_ns - self.start_ns) // _NS_PER_BYTE - len(self.heard)
        if missing > 0:
            self._play(missing)
        return self._due()

    def push(self, ulaw: bytes, now_ns: int) -> list[Reached]:
        reached = self.advance(now_ns)
        if ulaw:
            self._queue.append(ulaw)
            self._pushed += len(ulaw)
        return reached

    def mark(self, name: str, now_ns: int) -> list[Reached]:
        """Behind everything queued; due at once when nothing is."""
        reached = self.advance(now_ns)
        self._marks.append(_Mark(name, self._pushed, self.ms_at(now_ns)))
        return reached + self._due()

    def clear(self, now_ns: int) -> Cleared:
        """Empty the buffer. Marks reached before `now_ns` must be collected with `advance` first."""
        dropped = self._pushed - self._consumed
        at_ms = self.ms_at(now_ns)
        marks = tuple(Reached(mark.name, at_ms, mark.sent_ms) for mark in self._marks)
        self._marks.clear()
        self._queue.clear()
        self._head = 0
        self._consumed = self._pushed
        return Cleared(dropped / 8, marks)

    def next_mark_ns(self) -> int | None:
        """When the next mark will be reached if nothing changes."""
        if not self._marks:
            return None
        ahead = self._marks[0].position - self._consumed
        return self.start_ns + (len(self.heard) + ahead) * _NS_PER_BYTE

    def _play(self, missing: int) -> None:
        queued = self._pushed - self._consumed
        if not queued:
            self.heard += _SILENT_FRAME if missing == _FRAME else bytes([SILENCE]) * missing
            return
        begin_ms = len(self.heard) / 8
        audible = min(missing, queued)
        left = audible
        while left:
            chunk = self._queue[0]
            piece = chunk[self._head : self._head + left]
            self.heard += piece
            left -= len(piece)
            self._head += len(piece)
            if self._head == len(chunk):
                self._queue.popleft()
                self._head = 0
        self._consumed += audible
        self._note_played(begin_ms, begin_ms + audible / 8)
        if missing > audible:
            self.heard += bytes([SILENCE]) * (missing - audible)

    def _note_played(self, begin_ms: float, end_ms: float) -> None:
        if self.played and self.played[-1][1] == begin_ms:
            self.played[-1][1] = end_ms
        else:
            self.played.append([begin_ms, end_ms])

    def _due(self) -> list[Reached]:
        due = []
        while self._marks and self._marks[0].position <= self._consumed:
            mark = self._marks.popleft()
            behind = self._consumed - mark.position
            # Silence after the last byte is in `heard` too: the mark was passed when its byte was, or at once.
            at_ms = max(mark.sent_ms, self._position_ms(behind))
            due.append(Reached(mark.name, at_ms, mark.sent_ms))
        return due

    def _position_ms(self, behind: int) -> float:
        return (self.played[-1][1] - behind / 8) if self.played else 0.0
