"""Half-open: one end is gone and the other has not heard of it (RFC 9293 section 3.5.1).

The target of the direction sees its connection break; the source sees nothing at all, and what it sends vanishes.
"""

from __future__ import annotations

from ..chunk import Mark, StreamChunk
from ..part import NoOptions, Part

__all__ = ["HalfOpen"]


class HalfOpen(Part[NoOptions]):
    kind = "half_open"
    Options = NoOptions
    one_direction = True

    def _begin(self, now_ns: int) -> None:
        self._pass(StreamChunk(b"", now_ns, Mark.GONE), now_ns)

    def _accept(self, chunk: StreamChunk) -> None:
        self.counters["bytes_lost"] += len(chunk.data)
