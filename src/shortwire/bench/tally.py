"""What one side of the load counts: delays, order, damage, and its own lateness."""

from __future__ import annotations

from typing import Any

from ..call.summary import Histogram
from .stamp import Stamp

__all__ = ["Tally", "figures"]


class Tally:
    """Audio that arrived on one side. Delays count only what was sent within the window."""

    def __init__(self) -> None:
        self.delay = Histogram()
        self.own_share = Histogram()
        """From our process' waking up to its reading of the piece."""
        self.arrived: dict[int, int] = {}
        """Pieces by call."""
        self.first: dict[int, int] = {}
        self.last: dict[int, int] = {}
        self.in_window = 0
        self.damaged = self.disordered = self.strangers = 0
        self.gaps = 0
        """Pieces missing between two that arrived."""
        self.begin_ns = self.end_ns = 0

    def window(self, begin_ns: int, end_ns: int) -> None:
        self.begin_ns, self.end_ns = begin_ns, end_ns

    def take(self, stamp: Stamp | None, call: int, read_ns: int, woken_ns: int) -> None:
        """One piece; `call` is the one whose socket it came over."""
        if stamp is None or not stamp.whole:
            self.damaged += 1
            return
        if stamp.call != call:
            self.strangers += 1
            return
        last = self.last.get(call)
        if last is None:
            self.first[call] = stamp.number
            self.arrived[call] = 1
        else:
            if stamp.number <= last:
                self.disordered += 1
                return
            self.arrived[call] += 1
            self.gaps += stamp.number - last - 1
        self.last[call] = stamp.number
        if self.begin_ns <= stamp.sent_ns < self.end_ns:
            self.in_window += 1
            self.delay.record(read_ns - stamp.sent_ns)
            self.own_share.record(max(0, read_ns - woken_ns))

    def report(self) -> dict[str, Any]:
        return {
            "delay_us": figures(self.delay),
            "own_share_us": figures(self.own_share),
            "in_window": self.in_window,
            "damaged": self.damaged + self.strangers,
            "disordered": self.disordered,
            "gaps": self.gaps,
            "arrived": self.arrived,
            "first": self.first,
            "last": self.last,
        }


def figures(histogram: Histogram) -> dict[str, float | int | None]:
    """p50, p99, max in µs, and the count."""

    def us(percent: float) -> float | None:
        found = histogram.quantile_ns(percent)
        return None if found is None else round(found / 1000, 1)

    return {"p50": us(50), "p99": us(99), "max": round(histogram.max_ns / 1000, 1), "n": histogram.n}
