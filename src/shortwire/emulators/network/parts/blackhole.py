"""Blackhole: what is sent this way vanishes, its end too; the sender is not held up and hears nothing.

For a way on which nothing is even taken from the sender, use a stall without an end.
"""

from __future__ import annotations

from ..chunk import StreamChunk
from ..part import NoOptions, Part

__all__ = ["Blackhole"]


class Blackhole(Part[NoOptions]):
    kind = "blackhole"
    Options = NoOptions

    def _begin(self, now_ns: int) -> None:
        self._end: StreamChunk | None = None

    def _accept(self, chunk: StreamChunk) -> None:
        if chunk.mark is not None:
            self._end = chunk
        self.counters["bytes_lost"] += len(chunk.data)

    def release(self, now_ns: int) -> list[StreamChunk]:
        """Bytes are lost for good, but an end that came meanwhile is still an end."""
        if self._end is not None:
            self._pass(self._end, now_ns)
        return super().release(now_ns)
