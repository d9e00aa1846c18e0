"""One relayed connection: two sockets, a line each way, and the faults that hit it."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import Any, Literal

from .chunk import Mark
from .end import End
from .fault import Fault
from .line import Line
from .part import Part
from .parts import PARTS
from .parts.latency import Latency
from .scheduler import Alarm, Scheduler

__all__ = ["Connection"]

Way = Literal["up", "down"]


class Connection:
    """From `client`, who connected to the relay, up to `upstream`, and back down."""

    def __init__(
        self, number: int, client: End, scheduler: Scheduler, *, seed: int, on_gone: Callable[[Connection], None]
    ) -> None:
        self.number = number
        self.opened_ns = scheduler.now_ns()
        self.alarms: list[Alarm] = []
        """Faults that are still to come or to go on this connection."""
        self.up = Line(scheduler, lambda mark: self._marked("up", mark))
        self.down = Line(scheduler, lambda mark: self._marked("down", mark))
        self._client = client
        self._upstream: End | None = None
        self._scheduler = scheduler
        self._seed = seed
        self._on_gone = on_gone
        self._over = False
        self._upstream_vanished = False
        self._parts: dict[str, list[tuple[Line, Part[Any]]]] = {}
        self._join(client, self.up)

    def upstream_ready(self, upstream: End) -> None:
        if self._over or self._upstream_vanished:
            upstream.abort()
            return
        self._upstream = upstream
        self._join(upstream, self.down)
        upstream.on_writable = self.up.flush
        self._client.on_writable = self.down.flush
        self.down.connect(self._client)
        self.up.connect(upstream)

    def charge_handshake(self) -> None:
        """The kernel's loopback handshake is free, a real one costs a round trip: hold the first bytes that long.

        A server that speaks first is not heard before the client's handshake is through, either.
        """
        parts = (*self.up.chain.parts, *self.down.chain.parts)
        trip_ms = sum(part.options.one_way_ms for part in parts if isinstance(part, Latency))
        self.up.held_until_ns = self.down.held_until_ns = self.opened_ns + round(trip_ms * 1e6)

    def put_in(self, fault: Fault) -> bool:
        """Let a fault hit this connection, unless chance or its number spares it. Whether it does."""
        if self._over or fault.connection not in (None, self.number) or fault.name in self._parts:
            return False
        # Drawn from names, not from a common sequence: one fault more does not change what the others do.
        if random.Random(f"{self._seed}:{fault.name}:{self.number}").random() >= fault.toxicity:  # noqa: S311
            return False
        self._parts[fault.name] = parts = []
        lines: dict[Way, Line] = {"up": self.up, "down": self.down}
        for way, line in lines.items():
            if fault.direction in (way, "both"):
                dice = random.Random(f"{self._seed}:{fault.name}:{self.number}:{way}")  # noqa: S311
                part = PARTS[fault.kind](fault.options, now_ns=self._scheduler.now_ns(), dice=dice)
                parts.append((line, part))
                line.add(part)
        return True

    def change(self, name: str, options: Any) -> None:
        """Other options for a fault that hits this connection."""
        for line, part in self._parts.get(name, ()):
            part.change(options, self._scheduler.now_ns())
            line.flush()

    def take_out(self, name: str) -> Counter[str]:
        """Spare this connection from now on; what the fault held goes on. What it counted."""
        counted = self.counters(name)
        for line, part in self._parts.pop(name, ()):
            line.remove(part)
        return counted

    def counters(self, name: str) -> Counter[str]:
        return sum((part.counters for _, part in self._parts.get(name, ())), Counter())

    def held(self, name: str) -> int:
        """Bytes inside a fault's parts."""
        return sum(part.held for _, part in self._parts.get(name, ()))

    @property
    def faults(self) -> list[str]:
        """Names of those that hit it."""
        return list(self._parts)

    def abort(self) -> None:
        """Break both ends, dropping what is in flight."""
        self.up.stop()
        self.down.stop()
        for end in (self._client, self._upstream):
            if end is not None:
                end.abort()
        self._finish()

    def _join(self, end: End, line: Line) -> None:
        end.outlet = line
        line.read_from(end)
        end.on_lost = lambda error: self._lost(line, error)

    def _marked(self, way: Way, mark: Mark) -> None:
        """A direction has come to its end."""
        source, target = (self._client, self._upstream) if way == "up" else (self._upstream, self._client)
        if mark is Mark.RESET:
            self.abort()
        elif mark is Mark.GONE:
            (self.down if way == "up" else self.up).stop()
            if target is not None:
                target.abort()
            else:
                self._upstream_vanished = True
        elif target is None:
            pass
        elif mark is Mark.BROKEN:
            target.abort()
        elif source is None or source.gone:
            target.close()  # closed altogether: buffered bytes are still written
        else:
            target.write_eof()

    def _lost(self, line: Line, error: Exception | None) -> None:
        """One end is gone for good; the other end hears of it after the delay."""
        if error is not None:
            line.broken()
        else:
            line.end()
        nobody_behind = self._upstream_vanished if self._upstream is None else self._upstream.gone
        if self._client.gone and nobody_behind:
            self._finish()

    def _finish(self) -> None:
        if not self._over:
            self._over = True
            for alarm in self.alarms:
                alarm.cancel()
            self._on_gone(self)
