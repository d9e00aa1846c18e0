"""A long run with calls coming and going: what grows, and what is left behind."""

from __future__ import annotations

import asyncio
import http.client
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from ..clock import SystemClock
from .load import Load, Measured
from .machine import Usage, usage
from .processes import Process
from .run import Bench, Standing
from .stats import slope
from .subject import Subject

__all__ = ["Asked", "Sample", "Soaked", "judge", "soak"]

MIB = 1024 * 1024
_SETTLE_S = 20.0
_LOOK_S = 0.25
_LOOKED_AT = 3
"""Single calls that a client of the API looks at between two lists of as many as there may be in one."""
_DESCRIPTORS = 4
"""A listener's accept and a database's journal may be open at the moment of the look."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The server at an instant of the run."""

    at_s: float
    rss_mib: float
    descriptors: int
    threads: int
    cpu_s: float
    lag_ms: float | None
    """How late the server's own clock was (its /v1/health)."""
    own_lag_ms: float | None = None
    """How much of it at most was the server's own doing."""


@dataclass(slots=True)
class Asked:
    """Requests of the client who uses the API."""

    answered: int = 0
    failed: int = 0


@dataclass(slots=True)
class Soaked:
    """A soak's result."""

    calls: int
    seconds: float
    samples: list[Sample]
    before: Usage | None
    after: Usage | None
    live_after: int | None
    tasks_before: int | None
    tasks_after: int | None
    measured: Measured
    dialled: int = 0
    asked: Asked | None = None
    """None: no server of ours."""
    problems: list[str] = field(default_factory=list)

    @property
    def slope_mib_per_hour(self) -> float | None:
        """Of the second half: the first one fills heaps and caches."""
        half = self.seconds / 2
        found = slope([(s.at_s, s.rss_mib) for s in self.samples if s.at_s >= half])
        return None if found is None else found * 3600

    def as_dict(self) -> dict[str, Any]:
        return {
            "calls": self.calls,
            "seconds": self.seconds,
            "dialled": self.dialled,
            "asked": None if self.asked is None else asdict(self.asked),
            "slope_mib_per_hour": self.slope_mib_per_hour,
            "before": None if self.before is None else asdict(self.before),
            "after": None if self.after is None else asdict(self.after),
            "live_after": self.live_after,
            "tasks_before": self.tasks_before,
            "tasks_after": self.tasks_after,
            "problems": self.problems,
            "measured": self.measured.as_dict(),
            "samples": [asdict(sample) for sample in self.samples],
        }


async def soak(bench: Bench, subject: Subject, load: Load, progress: Callable[[Sample], None]) -> Soaked:
    """Run it. Raises `BenchError` when it cannot be run to its end."""
    samples: list[Sample] = []
    asked = Asked() if subject.ours else None
    every_s = max(0.5, min(30.0, load.seconds / 60))

    async def watch(standing: Standing, _phones: Process) -> None:
        client = asyncio.create_task(_use_api(standing, asked)) if asked is not None else None
        try:
            await look(standing)
        finally:
            if client is not None:
                client.cancel()
                await asyncio.wait({client})

    async def look(standing: Standing) -> None:
        began_ns = SystemClock.now_ns()
        while True:
            at_s = (SystemClock.now_ns() - began_ns) / 1e9
            found = await _sample(standing, at_s)
            if found is not None:
                samples.append(found)
                progress(found)
            await asyncio.sleep(every_s - at_s % every_s)

    async with bench.stand(subject, load) as standing:
        # Kept-alive connections of the call to warm up are no part of the baseline.
        standing.agent.ask({"drop": True})
        await asyncio.sleep(0.5)
        before, tasks_before = usage(standing.server.pid), await _tasks(standing)
        measured, report, _ = await bench.load(standing, watch)
        standing.agent.ask({"drop": True})
        after = await _settled(standing, before)
        health = await standing.api("/v1/health") if subject.ours else {}
    found = Soaked(
        load.calls,
        load.seconds,
        samples,
        before,
        after,
        health.get("calls"),
        tasks_before,
        health.get("tasks"),
        measured,
        dialled=report["dialled"],
        asked=asked,
    )
    found.problems = judge(found)
    return found


def judge(found: Soaked) -> list[str]:
    """What did not come back, and what went wrong on the way."""
    problems = list(found.measured.problems)
    if found.asked is not None and (found.asked.failed or not found.asked.answered):
        problems.append(f"requests to the API: {found.asked.answered} answered, {found.asked.failed} failed")
    if found.live_after:
        problems.append(f"{found.live_after} calls still live")
    if found.tasks_before is not None and found.tasks_after is not None and found.tasks_after > found.tasks_before + 2:
        problems.append(f"tasks: {found.tasks_before} before, {found.tasks_after} after")
    if found.before is not None and found.after is not None:
        if found.after.descriptors > found.before.descriptors + _DESCRIPTORS:
            problems.append(f"descriptors: {found.before.descriptors} before, {found.after.descriptors} after")
        # asyncio's pool of threads grows to its bound on first use and stays.
        if found.after.threads > found.before.threads + (os.cpu_count() or 1) + 4:
            problems.append(f"threads: {found.before.threads} before, {found.after.threads} after")
    return problems


async def _sample(standing: Standing, at_s: float) -> Sample | None:
    now = usage(standing.server.pid)
    if now is None:
        return None
    health = await standing.api("/v1/health") if standing.subject.ours else {}
    lags = health.get("loop_lag_ms"), health.get("loop_lag_own_ms")
    return Sample(at_s, now.rss_bytes / MIB, now.descriptors, now.threads, now.cpu_ns / 1e9, *lags)


async def _use_api(standing: Standing, asked: Asked) -> None:
    """A client who looks at calls all the time: at the list, then at some by themselves."""
    while True:
        try:
            calls = (await standing.api("/v1/calls?limit=200"))["calls"]
            asked.answered += 1
            for call in calls[:_LOOKED_AT]:
                await asyncio.sleep(_LOOK_S)
                await standing.api(f"/v1/calls/{call['id']}")
                asked.answered += 1
        except (OSError, http.client.HTTPException, ValueError):
            asked.failed += 1
        await asyncio.sleep(_LOOK_S)


async def _tasks(standing: Standing) -> int | None:
    """Tasks of the server's loop, where its health page tells."""
    return (await standing.api("/v1/health")).get("tasks") if standing.subject.ours else None


async def _settled(standing: Standing, before: Usage | None) -> Usage | None:
    """As soon as descriptors are back, or after the time in which they should be."""
    deadline = asyncio.get_running_loop().time() + _SETTLE_S
    while True:
        found = usage(standing.server.pid)
        if found is None or before is None or found.descriptors <= before.descriptors:
            return found
        if asyncio.get_running_loop().time() > deadline:
            return found
        await asyncio.sleep(0.5)
