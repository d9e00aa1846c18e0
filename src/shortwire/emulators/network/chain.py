"""The chain of one direction, without sockets and clocks::

    put -> part -> part -> ... -> part -> out

Each part gives what is due to the next one; `advance` moves everything as far as it may go at an instant.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final

from .chunk import NEVER_NS, StreamChunk
from .part import Part

__all__ = ["IN_FLIGHT_LIMIT", "Chain"]

IN_FLIGHT_LIMIT: Final = 4 << 20
"""Bytes per direction on the wire: more than a fast line at 200 ms holds; beyond it reading pauses."""


class Chain:
    """Parts in the order in which the bytes meet them."""

    def __init__(self) -> None:
        self.parts: list[Part[Any]] = []
        self.out: deque[StreamChunk] = deque()
        """What has left the last part and waits for the target."""

    def put(self, chunk: StreamChunk) -> None:
        self._into(0, chunk)

    def advance(self, now_ns: int) -> None:
        """Everything that is due moves on; what leaves the last part is in `out`."""
        for place, part in enumerate(self.parts, 1):
            for chunk in part.take(now_ns):
                self._into(place, chunk)

    def due_ns(self) -> int:
        """When `advance` next has something to do; `NEVER_NS` if that is not known."""
        return min((part.due_ns() for part in self.parts), default=NEVER_NS)

    def add(self, part: Part[Any]) -> None:
        """At the end of the chain."""
        self.parts.append(part)

    def remove(self, part: Part[Any], now_ns: int) -> None:
        """Take a part out; what it holds goes on at once, before anything that comes later."""
        place = self.parts.index(part)
        self.parts.pop(place)
        for chunk in part.release(now_ns):
            self._into(place, chunk)

    @property
    def held(self) -> int:
        """Bytes on their way."""
        return sum(part.held for part in self.parts) + sum(len(chunk.data) for chunk in self.out)

    @property
    def full(self) -> bool:
        """Whether the source should not be read from."""
        return any(part.full for part in self.parts) or self.held > IN_FLIGHT_LIMIT

    @property
    def roomy(self) -> bool:
        """Whether a source that was too fast may be read from again."""
        return not any(part.full for part in self.parts) and self.held <= IN_FLIGHT_LIMIT // 2

    def _into(self, place: int, chunk: StreamChunk) -> None:
        if place < len(self.parts):
            self.parts[place].put(chunk)
        else:
            self.out.append(chunk)
