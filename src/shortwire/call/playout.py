"""What the party has heard: a ledger of the audio sent to the phone, confirmed by the carrier's marks.

Sans-I/O. Positions are milliseconds of audio since the call began, cleared audio left out. A *run* is audio
that plays without a hole; it begins when audio is written while nothing is left to play. An echoed mark says
that playout has reached it, or that a `clear` dropped it (protocols/twilio.md section 1.3): the epoch in
the name tells the two apart.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple, Protocol

__all__ = [
    "MARK_EVERY_MS",
    "REFINED_MS",
    "RUN_GAP_MS",
    "Confirmed",
    "PlainPlayout",
    "PlainWritten",
    "Playout",
    "Written",
]

RUN_GAP_MS = 200.0
"""Audio that follows the estimated end of the last one by less continues the run: networks jitter."""

REFINED_MS = 10_000.0
"""How much of a run's audio may put its beginning earlier. Crystals differ, up to 100 ppm with cheap ones: a carrier
that is ahead by that much returns the marks of a long run 6 ms too early in each minute."""

MARK_EVERY_MS = (500.0, 2000.0)
"""Audio between two marks of a run: at first, and at last. Between these a quarter of the run so far: the beginning of
a run is what many marks tell the better, and a long one would pay for them with each."""

_NS_PER_MS = 1_000_000
_RUN_GAP_NS = int(RUN_GAP_MS * _NS_PER_MS)
_LONG_AGO_NS = -(1 << 62)


class Confirmed(NamedTuple):
    """A mark came back and says something new."""

    position_ms: float
    """The party has heard everything up to here."""
    run_started_ns: int | None
    """Our instant at which the mark of the very beginning of a run would have come back: when the run
    began to be heard, plus the way back from the carrier. With the first confirmation of a run, and with a later
    one of its first `REFINED_MS` that came back sooner: the least delayed mark is the truest."""


class Written(Protocol):
    """How much was written to the phone: the part of the ledger that each message changes."""

    ms: float
    """End of the audio written."""
    marked_ms: float
    """Position of the newest mark."""
    run_ms: float
    """Where the run began."""
    at_ns: int
    """When something was written last."""
    plays_until_ns: int

    def extends(self, now_ns: int, ms: float, /) -> bool:
        """Audio of `ms` is written and continues a run: noted. False: it would begin one, and nothing is noted."""
        ...

    def mark_due(self) -> bool:
        """Whether a mark should follow what is written: `MARK_EVERY_MS`."""
        ...


class Playout(Protocol):
    """One call's playout ledger."""

    confirmed_ms: float
    """End of the audio known to be heard."""
    returned_marks: int
    run_fresh: bool
    """The first audio of a run was written, and nobody has said yet when that was; reset by whoever does."""
    untold_ms: float | None
    """What `cleared` has answered last, until somebody has told it and resets this."""
    stale_below: int
    """Audio of older events was overtaken by a barge-in. Set by whoever clears."""

    @property
    def written(self) -> Written: ...

    @property
    def written_ms(self) -> float:
        """End of the audio written."""
        ...

    @property
    def last_mark_ms(self) -> float:
        """Position of the newest mark."""
        ...

    @property
    def queued_ms(self) -> float:
        """Audio written and not confirmed. An upper bound of what is still to be heard."""
        ...

    @property
    def outstanding_marks(self) -> int: ...

    @property
    def plays_until_ns(self) -> int:
        """When the audio written will have been played, by our clock: the way to the carrier is not in it."""
        ...

    def overdue_ms(self, now_ns: int, /) -> float:
        """For how long the oldest outstanding mark should have been back, by our clock; at least: where there were
        holes between, it is longer. 0: not at all."""
        ...

    def begins_run(self, now_ns: int, /) -> bool:
        """Whether audio written now would begin a run."""
        ...

    def wrote(self, now_ns: int, ms: float, /) -> None:
        """Audio of `ms` was written to the phone."""
        ...

    def mark(self) -> str:
        """A mark is being written behind the audio so far; its name."""
        ...

    def mark_returned(self, name: str, now_ns: int, /) -> tuple[float, int | None] | None:
        """A mark came back: `Confirmed`, or as much as a plain tuple. None if it was cleared, is a stranger, or says
        nothing new."""
        ...

    def cleared(self, now_ns: int, /) -> float:
        """A clear was written: how much audio the party will not hear (ms, at most; estimated by the clock).

        Marks that return from now on belong to dropped audio.
        """
        ...


class PlainWritten:
    """`Written` in Python. A shortcut keeps its own."""

    __slots__ = ("at_ns", "marked_ms", "ms", "plays_until_ns", "run_ms")

    def __init__(self) -> None:
        self.ms = self.marked_ms = self.run_ms = 0.0
        self.at_ns = 0
        self.plays_until_ns = _LONG_AGO_NS

    def extends(self, now_ns: int, ms: float, /) -> bool:
        """See `Written`."""
        until = self.plays_until_ns
        if now_ns > until:
            if now_ns - until > _RUN_GAP_NS:
                return False
            until = now_ns
        self.plays_until_ns = until + int(ms * _NS_PER_MS)
        self.ms += ms
        self.at_ns = now_ns
        return True

    def mark_due(self) -> bool:
        """See `Written`."""
        least_ms, most_ms = MARK_EVERY_MS
        return self.ms - self.marked_ms >= min(most_ms, max(least_ms, (self.ms - self.run_ms) / 4))


class PlainPlayout:
    """`Playout` in Python. A shortcut keeps its own."""

    __slots__ = (
        "_epoch",
        "_outstanding",
        "_run_confirmed",
        "_run_started_ns",
        "_serial",
        "confirmed_ms",
        "returned_marks",
        "run_fresh",
        "stale_below",
        "untold_ms",
        "written",
    )

    def __init__(self) -> None:
        self.written: Written = PlainWritten()
        self.confirmed_ms = 0.0
        self.returned_marks = 0
        self.run_fresh = False
        self.untold_ms: float | None = None
        self.stale_below = 0
        self._outstanding: deque[tuple[str, float]] = deque()
        self._epoch = 0
        self._serial = 0
        self._run_confirmed = True
        self._run_started_ns = 0

    @property
    def written_ms(self) -> float:
        """See `Playout`."""
        return self.written.ms

    @property
    def last_mark_ms(self) -> float:
        """See `Playout`."""
        return self.written.marked_ms

    @property
    def queued_ms(self) -> float:
        """See `Playout`."""
        return self.written_ms - self.confirmed_ms

    @property
    def outstanding_marks(self) -> int:
        """See `Playout`."""
        return len(self._outstanding)

    @property
    def plays_until_ns(self) -> int:
        """See `Playout`."""
        return self.written.plays_until_ns

    def overdue_ms(self, now_ns: int) -> float:
        """See `Playout`."""
        if not self._outstanding:
            return 0.0
        behind_ms = self.written_ms - self._outstanding[0][1]
        return max(0.0, (now_ns - self.written.plays_until_ns) / _NS_PER_MS + behind_ms)

    def begins_run(self, now_ns: int) -> bool:
        """See `Playout`."""
        return now_ns - self.written.plays_until_ns > _RUN_GAP_NS

    def wrote(self, now_ns: int, ms: float) -> None:
        """See `Playout`."""
        written = self.written
        if not written.extends(now_ns, ms):
            written.run_ms = written.ms
            self._run_confirmed = False
            self.run_fresh = True
            written.plays_until_ns = now_ns
            written.extends(now_ns, ms)

    def mark(self) -> str:
        """See `Playout`."""
        self._serial += 1
        name = f"{self._epoch}.{self._serial}"
        self._outstanding.append((name, self.written_ms))
        self.written.marked_ms = self.written.ms
        return name

    def mark_returned(self, name: str, now_ns: int) -> Confirmed | None:
        """See `Playout`."""
        outstanding = self._outstanding
        # The oldest, nearly always.
        if not outstanding or (outstanding[0][0] != name and all(known != name for known, _ in outstanding)):
            return None
        # Playout is in order: a mark that came back implies those before it, lost ones included.
        while True:
            known, position_ms = outstanding.popleft()
            self.returned_marks += 1
            if known == name:
                break
        if position_ms <= self.confirmed_ms:
            return None
        self.confirmed_ms = position_ms
        started_ns = None
        of_run_ms = position_ms - self.written.run_ms
        if of_run_ms > 0:
            at_ns = now_ns - int(of_run_ms * _NS_PER_MS)
            if not self._run_confirmed or (of_run_ms <= REFINED_MS and at_ns < self._run_started_ns):
                self._run_confirmed = True
                self._run_started_ns = started_ns = at_ns
        if not outstanding and self.written_ms == position_ms:
            # Earlier than by the clock, where the carrier is ahead of it. Not later: the way back would be in it.
            self.written.plays_until_ns = min(self.written.plays_until_ns, now_ns)
        return Confirmed(position_ms, started_ns)

    def cleared(self, now_ns: int) -> float:
        """See `Playout`."""
        written = self.written
        left_ms = max(0.0, (written.plays_until_ns - now_ns) / _NS_PER_MS)
        unheard_ms = min(self.queued_ms, left_ms)
        self._outstanding.clear()
        self._epoch += 1
        written.ms = written.marked_ms = self.confirmed_ms = written.ms - unheard_ms
        written.plays_until_ns = now_ns - int((RUN_GAP_MS + 1) * _NS_PER_MS)
        self._run_confirmed = True
        self.untold_ms = unheard_ms
        return unheard_ms
