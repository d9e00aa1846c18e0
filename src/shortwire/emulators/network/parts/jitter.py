"""Jitter: each read is late by a time of its own. Order is kept, so a late one makes the next ones wait."""

from __future__ import annotations

from dataclasses import dataclass

from ..chunk import StreamChunk
from ..part import Part, not_negative

__all__ = ["Jitter", "JitterOptions"]


@dataclass(frozen=True, slots=True)
class JitterOptions:
    up_to_ms: float
    """Drawn evenly between zero and this, for each read."""

    def __post_init__(self) -> None:
        not_negative(up_to_ms=self.up_to_ms)


class Jitter(Part[JitterOptions]):
    kind = "jitter"
    Options = JitterOptions

    def _accept(self, chunk: StreamChunk) -> None:
        late_ns = round(self._dice.uniform(0.0, self.options.up_to_ms) * 1e6)
        self.counters["late_us_total"] += late_ns // 1000
        self._pass(chunk, chunk.at_ns + late_ns)
