"""Latency: everything is late by the same time, one way."""

from __future__ import annotations

from dataclasses import dataclass

from ..chunk import StreamChunk
from ..part import Part, not_negative

__all__ = ["Latency", "LatencyOptions"]


@dataclass(frozen=True, slots=True)
class LatencyOptions:
    one_way_ms: float
    """A connection that is opened while this stands also pays a round trip for its handshake."""

    def __post_init__(self) -> None:
        not_negative(one_way_ms=self.one_way_ms)


class Latency(Part[LatencyOptions]):
    kind = "latency"
    Options = LatencyOptions

    def _accept(self, chunk: StreamChunk) -> None:
        self._pass(chunk, chunk.at_ns + round(self.options.one_way_ms * 1e6))
