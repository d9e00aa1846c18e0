"""What a carrier does with a media stream, in virtual time: the truth that the ledgers are held against.

A virtual playout buffer: audio plays in real time in the order of arrival, a mark is echoed when playout has
reached it, a clear drops the audio and returns the marks first. Messages stay in order, as on one connection.
"""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass, field

from shortwire.ulaw import payload_bytes

__all__ = ["MS", "Carrier", "Piece"]

MS = 1_000_000


@dataclass
class Piece:
    """Audio as it was written."""

    ms: float
    payload: bytes = b""
    run: int | None = None
    """The number of the run that it begins, for whoever writes it."""
    left_ns: int = field(init=False)

    def __post_init__(self) -> None:
        self.left_ns = round(self.ms * MS)


@dataclass
class Carrier:
    """One stream. `way_ns` is the time to and from; `send` may be given more for one message."""

    way_ns: int = 0
    now_ns: int = 0
    heard_ns: int = 0
    heard: list[bytes] = field(default_factory=list)
    """Payloads of which anything was heard, in order."""
    dropped_ns: int = 0
    clears: list[int] = field(default_factory=list)
    """What each clear dropped, ns."""
    run_began_ns: dict[int, int] = field(default_factory=dict)
    holes_ns: dict[int, int] = field(default_factory=dict)
    """Silence within a run, so far."""
    echoes: deque[tuple[int, str]] = field(default_factory=deque)
    """(when it reaches us, name)"""
    _wire: deque[tuple[int, object]] = field(default_factory=deque)
    _buffer: deque[Piece | str] = field(default_factory=deque)
    _run: int | None = None

    def send(self, item: Piece | str | None, now_ns: int, extra_ns: int = 0) -> None:
        """Audio, a mark's name, or None for a clear, leaves us now."""
        arrives_ns = now_ns + self.way_ns + extra_ns
        if self._wire:
            arrives_ns = max(arrives_ns, self._wire[-1][0])
        self._wire.append((arrives_ns, item))

    def send_message(self, message: bytes, now_ns: int) -> None:
        """The same, from the wire."""
        parsed = json.loads(message)
        match parsed["event"]:
            case "media":
                payload = parsed["media"]["payload"].encode()
                self.send(Piece(payload_bytes(payload) / 8, payload), now_ns)
            case "mark":
                self.send(parsed["mark"]["name"], now_ns)
            case "clear":
                self.send(None, now_ns)
            case other:
                raise AssertionError(f"the carrier knows no {other}")

    @property
    def in_flight(self) -> bool:
        return bool(self._wire)

    def advance(self, to_ns: int) -> None:
        """Let time pass."""
        while self._wire and self._wire[0][0] <= to_ns:
            arrives_ns, item = self._wire.popleft()
            self._play(arrives_ns)
            if item is None:
                self._clear()
            else:
                assert isinstance(item, Piece | str)
                self._buffer.append(item)
                self._play(arrives_ns)
        self._play(to_ns)

    def _play(self, to_ns: int) -> None:
        while self._buffer:
            head = self._buffer[0]
            if isinstance(head, str):
                self.echoes.append((self.now_ns + self.way_ns, head))
                self._buffer.popleft()
                continue
            if head.left_ns == round(head.ms * MS):
                if head.run is not None:
                    self._run = head.run
                    self.run_began_ns[head.run] = self.now_ns
                    self.holes_ns[head.run] = 0
                if to_ns > self.now_ns:
                    self.heard.append(head.payload)
            played_ns = min(head.left_ns, to_ns - self.now_ns)
            self.now_ns += played_ns
            self.heard_ns += played_ns
            head.left_ns -= played_ns
            if head.left_ns:
                return
            self._buffer.popleft()
        if self._run is not None:
            self.holes_ns[self._run] += to_ns - self.now_ns
        self.now_ns = to_ns

    def _clear(self) -> None:
        self.echoes.extend((self.now_ns + self.way_ns, mark) for mark in self._buffer if isinstance(mark, str))
        dropped_ns = sum(piece.left_ns for piece in self._buffer if isinstance(piece, Piece))
        self._buffer.clear()
        self.dropped_ns += dropped_ns
        self.clears.append(dropped_ns)
