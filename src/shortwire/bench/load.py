"""What a run is made of: the load, and how a result is read from what both of its sides counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from .machine import Usage
from .stamp import EXTRA

__all__ = ["Load", "Measured", "evaluate"]

LATE_US = 1000.0
"""A generator later than this at p99 makes an uneven load: the row is noisy."""
OTHERS_SHARE = 0.10
"""Of all cores' time, used by nobody of ours."""


@dataclass(frozen=True, slots=True)
class Load:
    """One load. ``_s`` seconds, ``_ms`` audio."""

    calls: int = 50
    seconds: float = 5.0
    """Measured, after the warm-up."""
    warmup_s: float = 2.0
    """After the last call opened; nothing sent in it is counted."""
    mode: str = "echo"
    """`echo`: a piece for each frame, the same load both ways. `talk`: chunks, with barge-in."""
    barge_in: bool = True
    chunk_ms: int = 500
    ramp: float = 50.0
    """Calls dialled a second."""
    ring_s: float = 0.2
    """From the webhook's answer to the stream's dialling: what a carrier takes at least, and a prewarm may use."""
    call_s: float = 0.0
    """Mean length of a call, each followed by another (soak); 0: all calls last the whole run."""
    compression: bool = False
    """Whether the agent accepts permessage-deflate from whoever offers it."""
    tls: bool = False
    """Whether the agent speaks TLS."""
    phone_receive_buffer: int = 0
    """Bytes of the phones' socket buffers; 0: the system's. Small ones make slow receivers slow sooner."""
    receive_buffer: int = 0
    """The same for the agent's."""
    forget: bool = False
    """Keep no books of single calls (long runs): lost is then what is missing between two that arrived."""
    agent_host: str = "127.0.0.1"
    """`localhost` makes the server look the name up."""
    seed: int = 1
    progress_s: float = 1.0

    def config(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(slots=True)
class Measured:
    """One run. Figures are None where they could not be measured."""

    subject: str
    calls: int
    mode: str
    up_p50_us: float | None = None
    up_p99_us: float | None = None
    down_p50_us: float | None = None
    down_p99_us: float | None = None
    clear_p50_us: float | None = None
    """The agent's `interruption` sent to `clear` read at the phone."""
    cpu_us: float | None = None
    """Per relayed message."""
    cpu_share: float | None = None
    """Of one core."""
    memory_kib: float | None = None
    """Per call: at the end of the window minus before the first call."""
    webhook_ms: float | None = None
    setup_ms: float | None = None
    """The stream's `start` sent to the agent's socket open; 0 if it was open before. Median."""
    answer_ms: float | None = None
    """The webhook's answer read (the call is answered) to the agent's socket open. Median."""
    first_audio_ms: float | None = None
    late_p99_us: float | None = None
    own_share_p99_us: float | None = None
    load_share: float | None = None
    """CPU of phones and agent together, of one core: near 1 on two cores, the load is at its own limit."""
    others_share: float | None = None
    relayed: int = 0
    lost: int = 0
    dropped_at_clear: int = 0
    disordered: int = 0
    damaged: int = 0
    early: int = 0
    """Frames sent before the first one that reached the agent: a bridge may drop them while it dials."""
    problems: list[str] = field(default_factory=list)
    noise: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.problems

    @property
    def noisy(self) -> bool:
        return bool(self.noise)

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "ok": self.ok, "noisy": self.noisy}


@dataclass(frozen=True, slots=True)
class Costs:
    """What the run cost, from the window's begin to its end."""

    idle: Usage | None
    """The server before the first call."""
    begin: Usage | None
    end: Usage | None
    load_ns: int
    """CPU of phones and agent."""
    ours_ns: int
    """CPU of server, load, runner and whatever else the benchmark has started."""
    busy_ns: int | None
    window_ns: int
    cores: int


def evaluate(
    subject: str, load: Load, phones: Mapping[str, Any], agent: Mapping[str, Any], *, costs: Costs, window_open: int
) -> Measured:
    """From what both sides reported (keys of mappings are texts: they came as JSON)."""
    found = Measured(subject, load.calls, load.mode)
    found.up_p50_us, found.up_p99_us = agent["delay_us"]["p50"], agent["delay_us"]["p99"]
    found.down_p50_us, found.down_p99_us = phones["delay_us"]["p50"], phones["delay_us"]["p99"]
    found.relayed = agent["in_window"] + phones["in_window"]
    found.late_p99_us = phones["late_us"]["p99"]
    found.own_share_p99_us = max((r["own_share_us"]["p99"] or 0.0 for r in (phones, agent)), default=None)
    found.disordered = agent["disordered"] + phones["disordered"]
    found.damaged = agent["damaged"] + phones["damaged"]
    _losses(found, load, phones, agent)
    _times(found, phones, agent)
    _costs(found, load, costs)
    found.problems = _problems(found, load, phones, agent, window_open)
    found.noise = _noise(found, phones)
    return found


def _losses(found: Measured, load: Load, phones: Mapping[str, Any], agent: Mapping[str, Any]) -> None:
    if load.forget:
        found.lost = agent["gaps"]
        if load.mode == "talk" and load.barge_in:
            found.dropped_at_clear = phones["gaps"]
        else:
            found.lost += phones["gaps"]
        return
    for call, sent in phones["sent"].items():
        first = agent["first"].get(call)
        if first is None:
            found.early += sent
            continue
        found.early += first
        found.lost += max(0, sent - first - agent["arrived"].get(call, 0))
    for call, sent in agent["sent"].items():
        if int(call) >= EXTRA:
            continue
        missing = max(0, sent - phones["arrived"].get(call, 0))
        if call in phones["clears"]:
            found.dropped_at_clear += missing
        else:
            found.lost += missing


def _times(found: Measured, phones: Mapping[str, Any], agent: Mapping[str, Any]) -> None:
    from .stats import median_of

    setups, answers, webhooks, firsts = [], [], [], []
    for call, times in phones["times"].items():
        if "answered" in times:
            webhooks.append((times["answered"] - times["dialled"]) / 1e6)
        opened = agent["opened"].get(call)
        if opened is not None and "started" in times:
            setups.append(max(0.0, (opened - times["started"]) / 1e6))
            answers.append((opened - times["answered"]) / 1e6)
        if "first_audio" in times:
            firsts.append((times["first_audio"] - times["started"]) / 1e6)
    found.webhook_ms, found.setup_ms = median_of(webhooks), median_of(setups)
    found.answer_ms, found.first_audio_ms = median_of(answers), median_of(firsts)
    clears = []
    for call, asked in agent["interruptions"].items():
        told = phones["clears"].get(call, [])
        for begin, until in zip(asked, [*asked[1:], float("inf")], strict=True):
            after = [at for at in told if begin <= at < until]
            if after:
                clears.append((after[0] - begin) / 1000)
    found.clear_p50_us = median_of(clears)


def _costs(found: Measured, load: Load, costs: Costs) -> None:
    if costs.begin is not None and costs.end is not None:
        spent = costs.end.cpu_ns - costs.begin.cpu_ns
        found.cpu_us = spent / 1000 / found.relayed if found.relayed else None
        found.cpu_share = spent / costs.window_ns
        if costs.idle is not None:
            found.memory_kib = (costs.end.rss_bytes - costs.idle.rss_bytes) / 1024 / load.calls
    found.load_share = costs.load_ns / costs.window_ns
    if costs.busy_ns is not None:
        found.others_share = max(0.0, (costs.busy_ns - costs.ours_ns) / costs.window_ns / costs.cores)


def _problems(
    found: Measured, load: Load, phones: Mapping[str, Any], agent: Mapping[str, Any], window_open: int
) -> list[str]:
    """What makes the figures those of a bridge that did not do its work."""
    problems = []
    for count, text in ((found.lost, "lost"), (found.disordered, "out of order"), (found.damaged, "damaged")):
        if count:
            problems.append(f"{count} {text}")
    if window_open < load.calls and not load.call_s:
        problems.append(f"only {window_open} of {load.calls} calls were up")
    if failed := phones["failed"]:
        problems.append(f"{len(failed)} calls failed, first: {failed[0]}")
    if agent["open"]:
        problems.append(f"{agent['open']} agent sockets left open")
    if not found.relayed:
        problems.append("nothing was relayed")
    return problems


def _noise(found: Measured, phones: Mapping[str, Any]) -> list[str]:
    """What makes the figures those of the load or of the machine rather than of the bridge."""
    noise = []
    if (found.late_p99_us or 0) > LATE_US:
        noise.append(f"load late by {found.late_p99_us:.0f} us at p99")
    if (found.own_share_p99_us or 0) > LATE_US:
        noise.append(f"load read late by {found.own_share_p99_us:.0f} us at p99")
    if phones["skipped"]:
        noise.append(f"{phones['skipped']} frames never sent")
    if (found.others_share or 0) > OTHERS_SHARE:
        noise.append(f"others used {found.others_share:.0%} of the machine")
    return noise
