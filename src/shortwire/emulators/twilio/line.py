"""The line of one answered call: frame clock, playout, party and the two-channel recording on one time axis.

Frame k covers [20k, 20k+20) ms from the answer and leaves when it is over. Knows no socket: the bidirectional stream
sets `on_frame`; whoever else listens (other streams, digits, detection, the other leg) adds a tap.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from ..ulaw import FRAME_BYTES, stereo_wav
from .frame_clock import FRAME_NS, FrameClock, Lateness, aligned
from .party import Party
from .playout import Playout, Reached
from .tones import KEYS, keys_of

__all__ = ["Line", "Tap"]

Tap = Callable[[bytes, bytes], None]
"""Told every frame: what the party said and what it heard in the same 20 ms."""


def _nobody(_: bytes) -> None: ...


def _no_mark(_: Reached) -> None: ...


def _no_key(_: str) -> None: ...


class Line:
    """Starts at construction: that instant is the answer."""

    def __init__(self, party: Party, hang_up: Callable[[], None], lateness: Lateness | None = None) -> None:
        self.answered_ns = aligned(time.monotonic_ns())
        self.party = party
        self.playout = Playout(self.answered_ns)
        self.spoken = bytearray()
        """Everything the party said since the answer: the other channel of the recording."""
        self.on_frame: Callable[[bytes], None] = _nobody
        self.on_mark: Callable[[Reached], None] = _no_mark
        self.on_key: Callable[[str], None] = _no_key
        self.taps: list[Tap] = []
        self.key_taps: list[Callable[[str], None]] = []
        """Told every key the party presses, whoever else is."""
        self._hang_up = hang_up
        self._mark_timer: asyncio.TimerHandle | None = None
        self._mark_due_ns: int | None = None
        self._clock = FrameClock(self.answered_ns, self._tick, lateness)

    @property
    def now_ms(self) -> float:
        """Since the answer."""
        return (time.monotonic_ns() - self.answered_ns) / 1e6

    @property
    def latest_tick_ms(self) -> float:
        """How late the latest frame was sent: the emulator's own steadiness."""
        return self._clock.latest_ns / 1e6

    def listen(
        self, frame: Callable[[bytes], None], mark: Callable[[Reached], None], key: Callable[[str], None]
    ) -> None:
        self.on_frame, self.on_mark, self.on_key = frame, mark, key

    def ignore(self, *, drop: bool = True) -> None:
        """Nobody listens any more; audio that was not played is dropped, its marks with it."""
        self.listen(_nobody, _no_mark, _no_key)
        if not drop:
            return
        now_ns = time.monotonic_ns()
        self.playout.advance(now_ns)
        self.playout.clear(now_ns)
        self._rearm()

    def play(self, ulaw: bytes) -> None:
        self._settle(self.playout.push(ulaw, time.monotonic_ns()))

    async def play_out(self, ulaw: bytes) -> None:
        """Play and wait until it was heard. Cancelled: the rest is not played."""
        self.play(ulaw)
        try:
            await asyncio.sleep(self.playout.queued_ms / 1000)
        except asyncio.CancelledError:
            self.ignore_queue()
            raise

    async def press_out(self, digits: str) -> None:
        """Keys pressed on our side, as tones the party hears; `w` and `W` wait."""
        for key, ulaw in keys_of(digits):
            if key in KEYS:
                self.party.digits_heard.append((key, self.now_ms))
            await self.play_out(ulaw)

    def ignore_queue(self) -> None:
        """Drop what was not played; whoever listens goes on listening."""
        now_ns = time.monotonic_ns()
        self.playout.advance(now_ns)
        self.playout.clear(now_ns)
        self._rearm()

    def mark(self, name: str) -> None:
        self._settle(self.playout.mark(name, time.monotonic_ns()))

    def clear(self) -> tuple[float, tuple[Reached, ...]]:
        """Dropped audio (ms) and the marks that came back because of it, already reported."""
        now_ns = time.monotonic_ns()
        self._settle(self.playout.advance(now_ns))
        cleared = self.playout.clear(now_ns)
        self._settle(list(cleared.marks))
        return cleared.dropped_ms, cleared.marks

    def stop(self) -> None:
        self._clock.stop()
        if self._mark_timer is not None:
            self._mark_timer.cancel()
            self._mark_timer = None
        self.playout.advance(time.monotonic_ns())
        self.playout.clear(time.monotonic_ns())
        self.taps.clear()
        self.key_taps.clear()

    def wav(self) -> bytes:
        """Left: the party as it spoke. Right: the agent as the party heard it."""
        return stereo_wav(self.spoken, self.playout.heard)

    def _tick(self, frame: int) -> None:
        if reached := self.playout.advance(self.answered_ns + (frame + 1) * FRAME_NS):
            self._settle(reached)
        spoken = self.party.take()
        self.spoken += spoken
        self.on_frame(spoken)
        heard = bytes(self.playout.heard[frame * FRAME_BYTES : (frame + 1) * FRAME_BYTES])
        for tap in tuple(self.taps) if self.taps else ():
            tap(spoken, heard)
        for act in self.party.hear(heard):
            if act == "hang-up":
                self._hang_up()
            else:
                self.on_key(act)
                for key_tap in tuple(self.key_taps):
                    key_tap(act)

    def _settle(self, reached: list[Reached]) -> None:
        for mark in reached:
            self.on_mark(mark)
        self._rearm()

    def _rearm(self) -> None:
        due_ns = self.playout.next_mark_ns()
        if due_ns == self._mark_due_ns:
            return  # as after nearly every frame
        self._mark_due_ns = due_ns
        if self._mark_timer is not None:
            self._mark_timer.cancel()
            self._mark_timer = None
        if due_ns is not None:
            delay_s = max(0.0, (due_ns - time.monotonic_ns()) / 1e9)
            self._mark_timer = asyncio.get_running_loop().call_later(delay_s, self._mark_due)

    def _mark_due(self) -> None:
        self._mark_timer = self._mark_due_ns = None
        self._settle(self.playout.advance(time.monotonic_ns()))
