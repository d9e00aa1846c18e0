"""When the party spoke: voiced frames joined to stretches of speech with true edges.

Sans-I/O; knows frames and instants, neither audio nor turns. Used live by the turn tracker and offline on
recordings, so that both mean the same by "the end of speech".
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from ..clock import NS_PER_MS
from ..ulaw import FRAME_MS

__all__ = ["HANGOVER_MS", "FrameClock", "Speech", "SpeechEdges"]

HANGOVER_MS = 260
"""Pauses up to here belong to the sentence: stop sounds and commas, but not the end of a turn."""

_FRAME_NS = FRAME_MS * NS_PER_MS
_SECOND = 50
_BROKEN_NS = 2000 * NS_PER_MS


@dataclass(slots=True)
class Speech:
    """One stretch of the party's speech, still growing while it is the last one."""

    start_ns: int
    end_ns: int
    sent_ns: int | None = None
    """When its last voiced frame went to the agent."""


class FrameClock:
    """When a frame ended at the carrier, plus the way to us: its arrival, with what only waited taken out.

    Frames are 20 ms apart when they are spoken, and none can arrive before that: the least delayed one of the last
    second says where all of them belong. Without this a stall of the line in the wrong moment makes the end of
    speech late and the response gap too short: it would flatter.
    """

    __slots__ = ("_delays", "_last_ns", "_least", "_spoken_ns")

    def __init__(self) -> None:
        self._delays: deque[int] = deque(maxlen=_SECOND)
        self._least = 0
        """The least of the delays."""
        self._spoken_ns = 0
        self._last_ns = 0

    def place(self, read_ns: int) -> int:
        """The instant of the next frame, which was read at `read_ns`; never later than that, never going back."""
        delays = self._delays
        self._spoken_ns += _FRAME_NS
        delay = read_ns - self._spoken_ns
        oldest = delays[0] if len(delays) == _SECOND else None
        delays.append(delay)
        if delay <= self._least or len(delays) == 1:
            self._least = delay
        elif oldest == self._least:
            self._least = min(delays)  # the least one has left: rare, so no cleverer structure is kept
        placed_ns = self._spoken_ns + self._least
        # Nothing is held back for so long: frames were left out, and the line has another delay from now on.
        if read_ns - placed_ns > _BROKEN_NS:
            delays.clear()
            delays.append(delay)
            self._least, placed_ns = delay, read_ns
        self._last_ns = max(placed_ns, min(self._last_ns, read_ns))
        return self._last_ns


class SpeechEdges:
    """Voiced frames to stretches of speech, with true edges.

    A stretch opens once `least_ms` of voiced frames came close together (a click is no speech) and takes in
    whatever voiced frame follows within `hangover_ms`. Its end is the end of its last voiced frame: the hang-over
    decides where a stretch is over, it is never part of one. Counted in frames, so a stalled socket splits nothing.
    """

    __slots__ = ("_begun", "_count", "_hangover", "_index", "_last", "_least", "_sent", "_voiced", "stretches")

    def __init__(self, *, hangover_ms: int = HANGOVER_MS, least_ms: int = 60) -> None:
        self.stretches: list[Speech] = []
        self._hangover = hangover_ms // FRAME_MS
        self._least = least_ms // FRAME_MS
        self._index = 0
        self._last = -1_000_000  # index of the last voiced frame
        self._count = 0  # voiced frames of a stretch that is not one yet; 0 while one is open
        self._begun = 0
        self._sent: int | None = None
        self._voiced = False

    def frame(self, now_ns: int, voiced: bool) -> None:
        """One frame of `FRAME_MS`, whose end was read at `now_ns`."""
        self._index += 1
        self._voiced = voiced
        if not voiced:
            return
        pause = self._index - self._last - 1
        self._last = self._index
        if self._count == 0 and self.stretches and pause <= self._hangover:
            self.stretches[-1].end_ns = now_ns
            return
        if self._count == 0 or pause > 1:
            self._count = 0
            self._begun = now_ns - _FRAME_NS
            self._sent = None
        self._count += 1
        if self._count >= self._least:
            self.stretches.append(Speech(self._begun, now_ns, self._sent))
            self._count = 0

    def sent(self, now_ns: int) -> None:
        """The last frame fed was forwarded."""
        if self._voiced:
            if self._count == 0:
                self.stretches[-1].sent_ns = now_ns
            else:
                self._sent = now_ns

    def run(self, frames: int, voiced: bool, first_ns: int, last_ns: int, sent_ns: int) -> None:
        """Several frames in a row, alike and all forwarded: as `frame` and `sent` for each. `first_ns`, `last_ns`:
        instants of the first and last; `sent_ns`: when the last went on."""
        self._voiced = voiced
        if not voiced:
            self._index += frames
            return
        self.frame(first_ns, True)
        self._index += frames - 1
        self._last = self._index
        if self._count == 0:
            self.stretches[-1].end_ns = last_ns
        elif (count := self._count + frames - 1) >= self._least:
            self.stretches.append(Speech(self._begun, last_ns))
            self._count = 0
        else:
            self._count = count
        self.sent(sent_ns)

    def before(self, instant_ns: int) -> Speech | None:
        """The last stretch that began before an instant."""
        return next((s for s in reversed(self.stretches) if s.start_ns < instant_ns), None)

    def overlapping(self, start_ns: int, end_ns: int) -> list[Speech]:
        """Stretches that share time with an interval, oldest first."""
        found = []
        for stretch in reversed(self.stretches):
            if stretch.end_ns <= start_ns:
                break
            if stretch.start_ns < end_ns:
                found.append(stretch)
        return found[::-1]
