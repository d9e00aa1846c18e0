"""The service's own pings: a JSON message every 1.7 s on a counter of its own, answered by ``pong``.

As captured: the first after 1.83 s with event_id 2 and no estimate, then with the measured round trip.
"""

from __future__ import annotations

from shortwire.emulators.elevenlabs import messages
from shortwire.emulators.elevenlabs.config import Behaviour
from shortwire.emulators.elevenlabs.messages import Message

__all__ = ["Pings"]

_MS = 1_000_000


class Pings:
    """One conversation's pings."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.sent = 0
        self.next_ns: int | None = None
        self.given_up = False
        """More pings went unanswered than are tolerated."""
        self._behaviour = behaviour
        self._withheld = False
        self._allowed = behaviour.unanswered_pings
        self._open: dict[int, int] = {}
        self._round_trip_ms: int | None = None
        self._event_id = 1

    def faulty(self, *, withheld: bool, allowed: int | None) -> None:
        """The faults of the moment: no pings at all, or an end after so many without a pong."""
        self._withheld = withheld
        self._allowed = self._behaviour.unanswered_pings if allowed is None else allowed

    def opened(self, now_ns: int) -> None:
        self.next_ns = now_ns + self._behaviour.ping_first_ms * _MS

    def due(self, now_ns: int) -> list[Message]:
        """The ping to send now, if it is time."""
        if self.next_ns is None or now_ns < self.next_ns:
            return []
        if self._withheld:
            self.next_ns = now_ns + self._behaviour.ping_interval_ms * _MS
            return []
        allowed = self._allowed
        if allowed is not None and len(self._open) >= allowed:
            self.given_up = True
            return []
        self._event_id += 1
        self.sent += 1
        self._open[self._event_id] = now_ns
        self.next_ns += self._behaviour.ping_interval_ms * _MS
        if self.next_ns <= now_ns:  # this process was asleep; no flood
            self.next_ns = now_ns + self._behaviour.ping_interval_ms * _MS
        return [messages.ping(self._event_id, self._round_trip_ms)]

    def answered(self, event_id: int, now_ns: int) -> float | None:
        """The round trip in ms; None when this ping is not open."""
        sent_ns = self._open.pop(event_id, None)
        if sent_ns is None:
            return None
        took_ms = (now_ns - sent_ns) / _MS
        self._round_trip_ms = round(took_ms)
        return took_ms
