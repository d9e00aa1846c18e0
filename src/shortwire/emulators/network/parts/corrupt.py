"""Corrupt: now and then a byte is not the one that was sent. Neither lost nor added, so the lengths are right."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..chunk import StreamChunk
from ..part import FaultError, Part

__all__ = ["Corrupt", "CorruptOptions"]


@dataclass(frozen=True, slots=True)
class CorruptOptions:
    one_in_bytes: int = 10_000
    """The distance from one changed byte to the next is drawn, with this mean. 1: every byte."""

    def __post_init__(self) -> None:
        if self.one_in_bytes < 1:
            raise FaultError(f"one_in_bytes must be at least 1: {self.one_in_bytes}")


class Corrupt(Part[CorruptOptions]):
    kind = "corrupt"
    Options = CorruptOptions

    def _begin(self, now_ns: int) -> None:
        self._skip = self._distance()

    def _accept(self, chunk: StreamChunk) -> None:
        data = bytearray(chunk.data)
        at = self._skip
        while at < len(data):
            data[at] ^= self._dice.randint(1, 255)
            self.counters["bytes_changed"] += 1
            at += 1 + self._distance()
        self._skip = at - len(data)
        self._pass(replace(chunk, data=bytes(data)), chunk.at_ns)

    def change(self, options: CorruptOptions, now_ns: int) -> None:
        self.options = options
        self._skip = self._distance()

    def _distance(self) -> int:
        mean = self.options.one_in_bytes - 1
        return int(self._dice.expovariate(1 / mean)) if mean else 0
