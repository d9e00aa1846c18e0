"""Slow receivers: one side of a few calls stops reading, and everybody else's delay is watched.

What a bridge should do: bounded, counted, audio dropped rather than delayed, the call ended with a cause when the
side does not recover, and memory flat.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from ..clock import SystemClock
from .load import Load, Measured
from .machine import usage
from .processes import Process
from .run import Bench, Standing
from .subject import Subject

__all__ = ["Slowed", "slow"]

STOPS_AFTER_S = 2.0
_OF_ITSELF = (None, "party_hangup", "agent_ended")
"""Causes of a call that simply went on to the run's end."""
ENDED_WITHIN_S = 20.0
"""From the stop to the end of a call: what fills the buffers, 10 s (`shortwire.net.outbound`), and the winding up."""
RECEIVE_BUFFER = 8192
"""Bytes of the stopped side's socket buffers: with the system's, a telephone call would take minutes to fill them."""


@dataclass(slots=True)
class Slowed:
    """What a stopped side did."""

    side: str
    stopped: list[int]
    measured: Measured
    """All calls; the stopped ones' losses are theirs, and expected."""
    rss_mib: list[tuple[float, float]] = field(default_factory=list)
    endings: list[dict[str, Any]] = field(default_factory=list)
    """Of the stopped calls: cause, and seconds from the stop to the end (None: they lasted)."""

    @property
    def problems(self) -> list[str]:
        """What a bridge should not do: other calls' trouble, or a stopped call that went on as if nothing were."""
        found = list(self.measured.problems)
        for ending in self.endings:
            if ending["cause"] in _OF_ITSELF:
                found.append(f"call {ending['call']} was not ended for it: its audio waits in the system's buffers")
            elif ending["after_s"] is None or ending["after_s"] > ENDED_WITHIN_S:
                found.append(f"call {ending['call']} was ended for it, but not within {ENDED_WITHIN_S:g} s")
        return found

    @property
    def growth_mib(self) -> float | None:
        """From the stop to the end of the window."""
        after = [mib for at_s, mib in self.rss_mib if at_s >= STOPS_AFTER_S]
        return after[-1] - after[0] if len(after) > 1 else None

    def as_dict(self) -> dict[str, Any]:
        return {
            "side": self.side,
            "stopped": self.stopped,
            "growth_mib": self.growth_mib,
            "endings": self.endings,
            "problems": self.problems,
            "rss_mib": self.rss_mib,
            "measured": self.measured.as_dict(),
        }


async def slow(bench: Bench, subject: Subject, load: Load, *, side: str, count: int) -> Slowed:
    """One run in which `count` calls' `side` (agent or phone) stops reading. Raises `BenchError`."""
    samples: list[tuple[float, float]] = []
    muted: list[int] = []
    stopped_at = 0.0

    async def during(standing: Standing, phones: Process) -> None:
        nonlocal stopped_at
        began_ns = SystemClock.now_ns()
        while True:
            at_s = (SystemClock.now_ns() - began_ns) / 1e9
            found = usage(standing.server.pid)
            if found is not None:
                samples.append((round(at_s, 2), found.rss_bytes / 1024 / 1024))
            if at_s >= STOPS_AFTER_S and not stopped_at:
                stopped_at = SystemClock.wall_s()
                (standing.agent if side == "agent" else phones).ask({"mute": count})
                if side == "agent":
                    muted.extend((await standing.agent.answer("muted", 10))["muted"])
            await asyncio.sleep(0.5)

    async with bench.stand(subject, load) as standing:
        measured, report, agent = await bench.load(standing, during)
        for said in standing.heard:
            muted.extend(said.get("muted", ()))
        endings = await _endings(standing, muted, stopped_at) if subject.ours else []
    _others_only(measured, muted, report, agent)
    return Slowed(side, muted, measured, samples, endings)


def _others_only(measured: Measured, muted: list[int], report: dict[str, Any], agent: dict[str, Any]) -> None:
    """Losses and failures of the stopped calls are what is being asked about, not faults."""
    names = {str(number) for number in muted}
    for call in names:
        sent, arrived = report["sent"].get(call, 0), agent["arrived"].get(call, 0)
        measured.lost -= max(0, sent - agent["first"].get(call, 0) - arrived) if call in agent["first"] else 0
        if call not in report["clears"]:
            measured.lost -= max(0, agent["sent"].get(call, 0) - report["arrived"].get(call, 0))
    measured.problems = [problem for problem in measured.problems if not problem.endswith(" lost")]
    if measured.lost > 0:
        measured.problems.append(f"{measured.lost} lost")
    failed = [text for text in report["failed"] if text.split(":")[0].removeprefix("call ") not in names]
    measured.problems = [problem for problem in measured.problems if "calls failed" not in problem]
    if failed:
        measured.problems.append(f"{len(failed)} other calls failed, first: {failed[0]}")


async def _endings(standing: Standing, muted: list[int], stopped_at: float) -> list[dict[str, Any]]:
    sids = {f"CA{number:032x}": number for number in muted}
    # A call that ends with the run may still be winding up.
    for _ in range(20):
        calls = [c for c in (await standing.api("/v1/calls?limit=200"))["calls"] if c["call_sid"] in sids]
        if all(call["ended_at"] is not None for call in calls):
            break
        await asyncio.sleep(0.5)
    found = []
    for call in calls:
        ended, cause = call["ended_at"], call["cause"] or {}
        found.append(
            {
                "call": sids[call["call_sid"]],
                "cause": cause.get("slug"),
                "meaning": cause.get("meaning"),
                "after_s": None if ended is None else round(ended - stopped_at, 1),
            }
        )
    return found
