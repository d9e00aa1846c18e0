"""Slicer: what was read in one piece arrives in many, so that no reader may count on whole messages."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..chunk import StreamChunk
from ..part import FaultError, Part, not_negative

__all__ = ["Slicer", "SlicerOptions"]


@dataclass(frozen=True, slots=True)
class SlicerOptions:
    size_bytes: int = 1
    spread_bytes: int = 0
    """Each slice is longer by up to this much, drawn evenly."""
    gap_ms: float = 0.0
    """Between two slices of a read. 0: each is written in a turn of the event loop of its own; a reader in
    another process may still find two together."""

    def __post_init__(self) -> None:
        not_negative(spread_bytes=self.spread_bytes, gap_ms=self.gap_ms)
        if self.size_bytes < 1:
            raise FaultError(f"size_bytes must be at least 1: {self.size_bytes}")


class Slicer(Part[SlicerOptions]):
    kind = "slicer"
    Options = SlicerOptions

    def _accept(self, chunk: StreamChunk) -> None:
        options = self.options
        start, at_ns = 0, max(chunk.at_ns, self._last_ns)
        while start < len(chunk.data):
            size = options.size_bytes + (self._dice.randint(0, options.spread_bytes) if options.spread_bytes else 0)
            self._pass(replace(chunk, data=chunk.data[start : start + size], apart=True), at_ns)
            self.counters["slices"] += 1
            start += size
            at_ns += round(options.gap_ms * 1e6)
        if chunk.mark is not None:
            self._pass(chunk, at_ns)
