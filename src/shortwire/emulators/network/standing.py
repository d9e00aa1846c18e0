"""The faults of a relay: which of them wait for their moment, which hit now, what they have done so far.

Puts them on connections and takes them off again; knows the relay's connections only as what it is handed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

from .connection import Connection
from .fault import Fault, FaultError
from .scheduler import Alarm, Scheduler

__all__ = ["StandingFaults"]


@dataclass(slots=True)
class _Standing:
    fault: Fault
    state: Literal["waiting", "active", "lifted"] = "waiting"
    hit: int = 0
    """Connections."""
    past: Counter[str] = field(default_factory=Counter)
    """Counted on connections that are over, or no longer hit."""
    alarms: list[Alarm] = field(default_factory=list)

    def silence(self) -> None:
        for alarm in self.alarms:
            alarm.cancel()
        self.alarms.clear()


class StandingFaults:
    """Keeps them by name, in the order in which the bytes meet them."""

    def __init__(self, live: Collection[Connection], scheduler: Scheduler) -> None:
        self._live = live
        self._scheduler = scheduler
        self._all: dict[str, _Standing] = {}

    def add(self, fault: Fault) -> None:
        if fault.name in self._all:
            raise FaultError(f"a fault named {fault.name!r} stands already: change it, remove it, or give a name")
        standing = self._all[fault.name] = _Standing(fault)
        if fault.since == "start":
            self._begin(standing)
        elif fault.since == "connection":
            standing.state = "active"
            for connection in list(self._live):
                self._on_connection(standing, connection)

    def change(self, name: str, changes: Mapping[str, Any]) -> Fault:
        standing = self._find(name)
        standing.fault = standing.fault.changed(changes)
        for connection in list(self._live):
            connection.change(name, standing.fault.options)
        return standing.fault

    def remove(self, name: str) -> None:
        standing = self._find(name)
        standing.silence()
        self._lift(standing)
        del self._all[name]

    def replace_all(self, faults: Sequence[Fault]) -> None:
        """As at the relay's start, with these."""
        for name in list(self._all):
            self.remove(name)
        for fault in faults:
            self.add(fault)

    def trigger(self, name: str) -> list[str]:
        """Something happened: faults that wait for it begin to count, again if they are over. Their names."""
        woken = [s for s in self._all.values() if s.fault.since == name and s.state != "active" and not s.alarms]
        for standing in woken:
            self._begin(standing)
        return [standing.fault.name for standing in woken]

    def meet(self, connection: Connection) -> None:
        """A connection has just been opened."""
        for standing in self._all.values():
            if standing.state == "active":
                self._on_connection(standing, connection)

    def part_from(self, connection: Connection) -> None:
        """A connection is over: what was counted on it is kept."""
        for name in connection.faults:
            if name in self._all:
                self._all[name].past.update(connection.counters(name))

    def describe(self, name: str | None = None) -> list[dict[str, Any]]:
        """All of them, or one, as tables with `state`, `connections_hit`, `bytes_held` and `counters`."""
        chosen = list(self._all.values()) if name is None else [self._find(name)]
        return [self._describe(standing) for standing in chosen]

    def _describe(self, standing: _Standing) -> dict[str, Any]:
        name = standing.fault.name
        counters = sum((c.counters(name) for c in self._live), Counter(standing.past))
        return standing.fault.as_table() | {
            "state": standing.state,
            "connections_hit": standing.hit,
            "bytes_held": sum(connection.held(name) for connection in self._live),
            "counters": dict(counters),
        }

    def _find(self, name: str) -> _Standing:
        if name not in self._all:
            raise FaultError(f"no fault is named {name!r}; there are: {', '.join(self._all) or 'none'}")
        return self._all[name]

    def _begin(self, standing: _Standing) -> None:
        if standing.fault.at_s:
            standing.state = "waiting"
            self._in_s(standing.fault.at_s, partial(self._activate, standing), standing.alarms)
        else:
            self._activate(standing)

    def _activate(self, standing: _Standing) -> None:
        standing.silence()
        standing.state = "active"
        for connection in list(self._live):
            standing.hit += connection.put_in(standing.fault)
        if standing.fault.lift_after_s:
            self._in_s(standing.fault.lift_after_s, partial(self._lift, standing), standing.alarms)

    def _lift(self, standing: _Standing) -> None:
        standing.silence()
        standing.state = "lifted"
        for connection in list(self._live):
            standing.past.update(connection.take_out(standing.fault.name))

    def _on_connection(self, standing: _Standing, connection: Connection) -> None:
        fault = standing.fault
        if fault.since != "connection":
            standing.hit += connection.put_in(fault)
            return

        def begin() -> None:
            if standing.state != "active" or self._all.get(fault.name) is not standing:
                return
            hit = connection.put_in(standing.fault)
            standing.hit += hit
            if hit and fault.lift_after_s:
                self._in_s(fault.lift_after_s, end, connection.alarms)

        def end() -> None:
            if self._all.get(fault.name) is standing:
                standing.past.update(connection.take_out(fault.name))

        if fault.at_s:
            self._in_s(fault.at_s, begin, connection.alarms)
        else:
            begin()

    def _in_s(self, delay_s: float, callback: Any, alarms: list[Alarm]) -> None:
        alarms.append(self._scheduler.call_at(self._scheduler.now_ns() + round(delay_s * 1e9), callback))
