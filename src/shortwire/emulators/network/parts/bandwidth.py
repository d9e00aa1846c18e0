"""Bandwidth: bytes pass at a rate, in packets, and wait in a queue of a router's size before."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from ..chunk import StreamChunk
from ..part import FaultError, Part

__all__ = ["Bandwidth", "BandwidthOptions"]

_PACKET: Final = 1460
"""Bytes that travel together: an Ethernet packet's load."""


@dataclass(frozen=True, slots=True)
class BandwidthOptions:
    kbit_per_s: float
    queue_bytes: int = 65_536
    """More than this is not read from the source: its writes pile up instead."""

    def __post_init__(self) -> None:
        if self.kbit_per_s <= 0 or self.queue_bytes <= 0:
            raise FaultError("kbit_per_s and queue_bytes must be above zero; a stall lets nothing through")


class Bandwidth(Part[BandwidthOptions]):
    kind = "bandwidth"
    Options = BandwidthOptions

    def _begin(self, now_ns: int) -> None:
        self._free_ns = now_ns

    def _accept(self, chunk: StreamChunk) -> None:
        self._free_ns = max(self._free_ns, chunk.at_ns)
        for start in range(0, len(chunk.data) or 1, _PACKET):
            data = chunk.data[start : start + _PACKET]
            self._free_ns += round(len(data) * 8e6 / self.options.kbit_per_s)
            self._pass(replace(chunk, data=data), self._free_ns)

    def change(self, options: BandwidthOptions, now_ns: int) -> None:
        """What waits, waits at the new rate."""
        self.options = options
        self._free_ns = now_ns
        self._again(now_ns)

    @property
    def full(self) -> bool:
        return self.held > self.options.queue_bytes
