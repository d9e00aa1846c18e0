"""What a call tells: events that are numbered and stamped, for the store, the sinks and whoever follows."""

from __future__ import annotations

import asyncio
from typing import Any

from ..clock import NS_PER_S
from ..records import CallEvent, CallRecord
from .context import Context

__all__ = ["Telling"]


class Telling:
    """One call's. Its instants are of the clock that does not jump, from one look at the wall's."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._zero_s = context.clock.wall_s() - context.clock.now_ns() / NS_PER_S
        """Wall time of the clock's zero."""
        self._told_ns = 0
        self._seq = 0
        self._followers: list[asyncio.Queue[CallEvent]] = []

    def wall_s(self, now_ns: int) -> float:
        """An instant of the clock as wall time, s since the epoch."""
        return self._zero_s + now_ns / NS_PER_S

    def tell(self, record: CallRecord, now_ns: int, kind: str, data: dict[str, Any]) -> None:
        """One event; not older than the one before, not by a microsecond."""
        self._seq += 1
        self._told_ns = max(self._told_ns, now_ns)
        event = CallEvent(record.id, self._seq, self.wall_s(self._told_ns), kind, data)
        self._context.tell(record, event)
        for follower in self._followers:
            follower.put_nowait(event)

    def follow(self) -> asyncio.Queue[CallEvent]:
        """A queue of the events from now on; `unfollow` it."""
        queue: asyncio.Queue[CallEvent] = asyncio.Queue()
        self._followers.append(queue)
        return queue

    def unfollow(self, queue: asyncio.Queue[CallEvent]) -> None:
        """Harmless if it does not follow."""
        if queue in self._followers:
            self._followers.remove(queue)
