"""A conference: everybody hears the sum of the others, 50 times a second (page "twiml/conference").

Members are calls of this account. Mixes samples; knows no TwiML and no REST.
"""

from __future__ import annotations

import asyncio
import time
from array import array
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..ulaw import FRAME_BYTES, SILENCE, decode, encode
from .frame_clock import FrameClock, aligned
from .stamps import mint

if TYPE_CHECKING:
    from .call import Call
    from .line import Tap

__all__ = ["Room"]

_HELD_FRAMES = 5
"""Frames of a member that wait for the mixer: the two clocks are not in step."""
_SILENT = bytes([SILENCE]) * FRAME_BYTES


@dataclass(slots=True, eq=False)
class _Member:
    call: Call
    muted: bool
    ends_it: bool
    frames: deque[bytes] = field(default_factory=lambda: deque(maxlen=_HELD_FRAMES))
    out: asyncio.Event = field(default_factory=asyncio.Event)


class Room:
    """Exists from its first member to its last; `sid` is new each time."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.sid = mint("CF")
        self.started = False
        self._members: list[_Member] = []
        self._clock: FrameClock | None = None

    @property
    def calls(self) -> list[Call]:
        return [member.call for member in self._members]

    async def stay(self, call: Call, *, muted: bool, starts_it: bool, ends_it: bool) -> None:
        """Until the conference is over for this member, or its call is (cancelled)."""
        assert call.line is not None
        member = _Member(call, muted, ends_it)
        tap = self._tap(member)
        call.line.taps.append(tap)
        self._members.append(member)
        self.started = self.started or starts_it
        if self._clock is None:
            self._clock = FrameClock(aligned(time.monotonic_ns()), self._mix)
        try:
            await member.out.wait()
        finally:
            self._members.remove(member)
            if tap in call.line.taps:
                call.line.taps.remove(tap)
            if member.ends_it:
                for other in self._members:
                    other.out.set()
            if not self._members:
                self._clock.stop()
                self._clock = None

    @staticmethod
    def _tap(member: _Member) -> Tap:
        def hear(spoken: bytes, _: bytes) -> None:
            member.frames.append(_SILENT if member.muted else spoken)

        return hear

    def _mix(self, _: int) -> None:
        if not self.started:
            return
        said = [(member, decode(member.frames.popleft())) for member in self._members if member.frames]
        for member in self._members:
            others = [samples for other, samples in said if other is not member]
            if others and member.call.line is not None and not member.call.ending_soon:
                member.call.line.play(encode(_sum(others)))


def _sum(voices: list[array[int]]) -> array[int]:
    if len(voices) == 1:
        return voices[0]
    return array("h", (max(-32768, min(32767, sum(column))) for column in zip(*voices, strict=True)))
