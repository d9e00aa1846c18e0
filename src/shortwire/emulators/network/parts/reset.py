"""Reset: the connection breaks, for both ends at once, as when a box between them loses its memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from ..chunk import Mark, StreamChunk
from ..part import Part, not_negative

__all__ = ["Reset", "ResetOptions"]


@dataclass(frozen=True, slots=True)
class ResetOptions:
    after_bytes: int = 0
    """So many bytes still pass in this direction. 0: at once, even if nothing is sent."""

    def __post_init__(self) -> None:
        not_negative(after_bytes=self.after_bytes)


class Reset(Part[ResetOptions]):
    kind = "reset"
    Options = ResetOptions

    def _begin(self, now_ns: int) -> None:
        self._left = self.options.after_bytes
        self._broken = False
        if self._left == 0:
            self._break(now_ns)

    def _accept(self, chunk: StreamChunk) -> None:
        if self._broken:
            self.counters["bytes_lost"] += len(chunk.data)
            return
        if len(chunk.data) < self._left or chunk.mark is not None:
            self._left -= len(chunk.data)
            self._pass(chunk, chunk.at_ns)
            return
        self._pass(replace(chunk, data=chunk.data[: self._left]), chunk.at_ns)
        self.counters["bytes_lost"] += len(chunk.data) - self._left
        self._break(chunk.at_ns)

    def take(self, now_ns: int) -> Iterator[StreamChunk]:
        for chunk in super().take(now_ns):
            self.counters["resets"] += chunk.mark is Mark.RESET
            yield chunk

    def change(self, options: ResetOptions, now_ns: int) -> None:
        """The count begins anew."""
        self.options = options
        if not self._broken:
            self._begin(now_ns)

    def _break(self, at_ns: int) -> None:
        self._broken = True
        self._pass(StreamChunk(b"", at_ns, Mark.RESET), at_ns)
