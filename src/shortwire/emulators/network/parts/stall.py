"""Stall: for a while nothing passes; then everything does, in one burst, as after a lost packet or a sleeping radio."""

from __future__ import annotations

from dataclasses import dataclass

from ..chunk import NEVER_NS, StreamChunk
from ..part import Part, not_negative

__all__ = ["Stall", "StallOptions"]


@dataclass(frozen=True, slots=True)
class StallOptions:
    for_ms: float
    """How long. 0: until it is taken out."""
    every_s: float = 0.0
    """0: once, at once. Otherwise again and again; the time from one stall to the next is drawn, with this mean."""
    queue_bytes: int = 65_536
    """More than this is not read from the source: its writes pile up instead."""

    def __post_init__(self) -> None:
        not_negative(for_ms=self.for_ms, every_s=self.every_s, queue_bytes=self.queue_bytes)


class Stall(Part[StallOptions]):
    kind = "stall"
    Options = StallOptions

    def _begin(self, now_ns: int) -> None:
        self._from_ns = now_ns + self._rest_ns()
        self._to_ns = self._end_ns()

    def _accept(self, chunk: StreamChunk) -> None:
        while chunk.at_ns >= self._to_ns and self.options.every_s:
            self._from_ns = self._to_ns + self._rest_ns()
            self._to_ns = self._end_ns()
        stalled = self._from_ns <= chunk.at_ns < self._to_ns
        if stalled and chunk.mark is None:
            self.counters["stalled_chunks"] += 1
        self._pass(chunk, self._to_ns if stalled else chunk.at_ns)

    def change(self, options: StallOptions, now_ns: int) -> None:
        """A new stall begins now (or after a rest), for what is inside too."""
        self.options = options
        self._begin(now_ns)
        self._again(now_ns)

    @property
    def full(self) -> bool:
        return self.held > self.options.queue_bytes

    def _rest_ns(self) -> int:
        mean_s = self.options.every_s
        return round(self._dice.expovariate(1 / mean_s) * 1e9) if mean_s else 0

    def _end_ns(self) -> int:
        return self._from_ns + round(self.options.for_ms * 1e6) if self.options.for_ms else NEVER_NS
