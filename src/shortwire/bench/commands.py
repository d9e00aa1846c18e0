"""The benchmark's commands: measure, show, write; the exit status is 1 when audio was lost or damaged."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console

from ..descriptors import more_descriptors
from ..errors import UsageError
from . import beside as beside_work
from . import toggles as toggling
from .load import Load, Measured
from .machine import Cores, cores, facts
from .processes import BenchError
from .rounds import Progress
from .rounds import curve as measure_curve
from .run import Bench
from .show import INCLUDES, curve_lines, facts_lines, number, progress_bar, write_curve
from .slow import RECEIVE_BUFFER, Slowed
from .slow import slow as stop_reading
from .soak import Sample, Soaked
from .soak import soak as soak_server
from .subject import Subject, find_peers, shortwire
from .toggles import EFFECTS, Finding

__all__ = ["beside", "curve", "slow", "soak", "toggles"]

T = TypeVar("T")
PROFILES = ("optimized", "baseline")


def curve(
    *,
    calls: str,
    mode: str,
    rounds: int,
    seconds: float,
    warmup: float,
    ramp: float,
    profile: str,
    peers: str,
    peers_dir: Path | None,
    tls: bool,
    workers: int,
    out: Path,
) -> int:
    """The curve of concurrent calls. The exit status."""
    console = _console()
    counts, modes = _counts(calls), _modes(mode)
    subjects = _profiles(PROFILES if profile == "both" else (profile,), workers)
    names = None if peers == "all" else tuple(name.strip() for name in peers.split(",") if name.strip())
    for peer in [] if peers == "none" else find_peers(peers_dir, names):
        if peer.missing:
            console.print(f"left out: {peer.name}: {peer.missing}", style="yellow")
        else:
            subjects.append(peer)
    load = Load(seconds=seconds, warmup_s=warmup, ramp=ramp, tls=tls)
    runs_all = len(subjects) * len(counts) * len(modes) * rounds
    console.print(f"{runs_all} runs, about {_minutes(runs_all, load, max(counts))} minutes. {INCLUDES}", soft_wrap=True)

    async def measured(bench: Bench, progress: Progress) -> Any:
        return await measure_curve(bench, subjects, counts, modes, rounds=rounds, load=load, progress=progress)

    rows, runs = _measured(console, measured, workers)
    found = facts(_where(workers))
    for line in curve_lines(rows):
        console.print(line, soft_wrap=True, markup=False)
    _say_facts(console, found)
    for path in write_curve(out, rows, runs, found):
        console.print(f"  {path}")
    return 1 if any(row.problems for row in rows if row.subject in PROFILES) else 0


def toggles(
    *, calls: int, rounds: int, seconds: float, warmup: float, mode: str, tls: bool, only: str, alone: bool, out: Path
) -> int:
    """What each optimization is worth. The exit status."""
    console = _console()
    chosen = toggling.variants(only.split(","), alone=alone)
    load = Load(
        calls=calls, seconds=seconds, warmup_s=max(warmup, 5.0) if mode == "talk" else warmup, mode=mode, tls=tls
    )

    async def measured(bench: Bench, progress: Progress) -> Any:
        return await toggling.examine(bench, chosen, rounds, load, progress)

    findings, runs = _measured(console, measured)
    title = f"Each optimization, {calls} calls, {mode}, {rounds} rounds: paired difference and 95 % interval"
    return _effects(console, title, findings, runs, out / "toggles.json")


def beside(*, calls: int, rounds: int, seconds: float, warmup: float, tls: bool, only: str, out: Path) -> int:
    """What other work does to frames. The exit status."""
    console = _console()
    kinds = beside_work.chosen_kinds(only.split(","))
    load = Load(calls=calls, seconds=seconds, warmup_s=warmup, tls=tls)

    async def measured(bench: Bench, progress: Progress) -> Any:
        return await beside_work.beside(bench, kinds, rounds, load, progress)

    findings, runs = _measured(console, measured)
    title = f"Work beside the media path, {calls} calls, {rounds} rounds: effect on their frames, us"
    return _effects(console, title, findings, runs, out / "beside.json")


def soak(*, calls: int, minutes: float, call_seconds: float, mode: str, profile: str, out: Path) -> int:
    """A long run. The exit status."""
    console = _console()
    (subject,) = _profiles((profile,))
    load = Load(
        calls=calls, seconds=60 * minutes, warmup_s=2.0, mode=mode, call_s=call_seconds, forget=True, progress_s=5.0
    )

    def progress(sample: Sample) -> None:
        lag = "" if sample.lag_ms is None else f"  loop late {sample.lag_ms:.1f} ms"
        lag += "" if sample.own_lag_ms is None else f", {sample.own_lag_ms:.1f} of it its own"
        console.print(
            f"{sample.at_s:7.0f} s  {sample.rss_mib:7.1f} MiB  {sample.descriptors:5} descriptors  "
            f"{sample.threads:3} threads  {sample.cpu_s:6.1f} s CPU{lag}",
            soft_wrap=True,
        )

    async def run(bench: Bench) -> Soaked:
        return await soak_server(bench, subject, load, progress)

    found = _guarded(run)
    _show_soak(console, found)
    _write(out / "soak.json", found.as_dict())
    return 1 if found.problems else 0


def slow(*, calls: int, stopped: int, side: str, seconds: float, mode: str, out: Path) -> int:
    """Receivers that stop. The exit status."""
    console = _console()
    (subject,) = _profiles(("optimized",))
    results: list[Slowed] = []
    for which in ("agent", "phone") if side == "both" else (side,):
        load = Load(
            calls=calls,
            seconds=seconds,
            warmup_s=2.0,
            mode=mode,
            receive_buffer=RECEIVE_BUFFER if which == "agent" else 0,
            phone_receive_buffer=RECEIVE_BUFFER if which == "phone" else 0,
        )

        async def run(bench: Bench, which: str = which, load: Load = load) -> Slowed:
            console.print(f"The {which} of {min(stopped, calls)} of {calls} calls stops reading ...")
            return await stop_reading(bench, subject, load, side=which, count=stopped)

        results.append(_guarded(run))
        _show_slow(console, results[-1])
    _write(out / "slow.json", {"runs": [found.as_dict() for found in results]})
    return 1 if any(found.problems for found in results) else 0


# Parts


def _console() -> Console:
    return Console(highlight=False)


def _where(server: int = 1) -> Cores:
    return _looked_up(server)


@cache
def _looked_up(server: int) -> Cores:
    """Once: later we are pinned ourselves, and would find ourselves on one core."""
    return cores(server)


def _counts(text: str) -> list[int]:
    try:
        found = [int(word) for word in text.split(",") if word.strip()]
    except ValueError:
        found = []
    if not found or min(found) < 1:
        raise UsageError(f"--calls {text!r}: write numbers with commas, such as 10,50,100")
    return found


def _modes(text: str) -> list[str]:
    found = [word.strip() for word in text.split(",") if word.strip()]
    if not found or set(found) - {"echo", "talk"}:
        raise UsageError(f"--mode {text!r}: write echo, talk, or echo,talk")
    return found


def _profiles(names: Sequence[str], workers: int = 1) -> list[Subject]:
    return [shortwire(name, SHORTWIRE_PROFILE=name, SHORTWIRE_WORKERS=str(workers)) for name in names]


def _minutes(runs: int, load: Load, most: int) -> int:
    return max(1, round(runs * (load.seconds + load.warmup_s + most / load.ramp / 2 + 7) / 60))


def _guarded(run: Callable[[Bench], Awaitable[T]], server: int = 1) -> T:
    """A bench with its folder, on the load's cores; what cannot be measured becomes one sentence."""
    if sys.platform == "win32":
        raise UsageError("the benchmark needs Linux or macOS", details="on Windows, run it in WSL")
    where = _where(server)
    more_descriptors()
    if where.pinned:
        os.sched_setaffinity(0, where.agent)  # away from the server

    async def within(folder: str) -> T:
        task = asyncio.current_task()
        assert task is not None
        # The server under test is not told by the end of an input: whoever ends us must not leave it behind.
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await run(Bench(where, Path(folder)))

    with tempfile.TemporaryDirectory(prefix="shortwire-bench-") as folder:
        try:
            return asyncio.run(within(folder))
        except BenchError as error:
            raise UsageError("the benchmark could not be run", details=str(error)) from None
        except asyncio.CancelledError:
            raise SystemExit(128 + signal.SIGTERM) from None
        except KeyboardInterrupt:
            sys.stderr.write("\ninterrupted; everything was stopped\n")
            raise SystemExit(128 + signal.SIGINT) from None


def _measured(console: Console, measured: Callable[[Bench, Progress], Awaitable[T]], server: int = 1) -> T:
    """With a bar while it runs."""
    with progress_bar(console) as bar:
        task = bar.add_task("starting", total=None)

        def progress(done: int, total: int, text: str) -> None:
            bar.update(task, completed=done, total=total, description=text)
            if not console.is_terminal:
                console.print(f"[{done}/{total}] {text}", markup=False)

        async def run(bench: Bench) -> T:
            return await measured(bench, progress)

        return _guarded(run, server)


def _say_facts(console: Console, found: dict[str, Any]) -> None:
    for line in facts_lines(found):
        console.print(line, style="dim", soft_wrap=True)


def _effects(
    console: Console, title: str, findings: Sequence[Finding], runs: dict[str, list[Measured]], file: Path
) -> int:
    for line in effects_lines(title, findings):
        console.print(line, soft_wrap=True, markup=False)
    troubled = {name: row.problems[0] for name, rows in runs.items() for row in rows if row.problems}
    for name, problem in troubled.items():
        console.print(f"{name}: {problem}", style="red")
    noisy = sum(row.noisy for rows in runs.values() for row in rows)
    if noisy:
        total = sum(len(rows) for rows in runs.values())
        console.print(f"NOISY: in {noisy} of {total} runs the load was late or others used the machine", style="yellow")
    _say_facts(console, facts(_where()))
    document = {
        "machine": facts(_where()),
        "findings": [finding.as_dict() for finding in findings],
        "runs": {name: [row.as_dict() for row in rows] for name, rows in runs.items()},
    }
    _write(file, document)
    console.print(f"  {file}")
    return 1 if troubled else 0


def effects_lines(title: str, findings: Sequence[Finding]) -> list[str]:
    """A line a variant and figure that moved; what did not move is said once a variant."""
    lines = [title]
    for name in dict.fromkeys(finding.variant for finding in findings):
        mine = [finding for finding in findings if finding.variant == name]
        remark = f"  [{mine[0].remark}]" if mine[0].remark else ""
        lines.append(f"{name}, against {mine[0].against}{remark}")
        still = []
        for finding in mine:
            title = EFFECTS.get(finding.figure, finding.figure)
            found = finding.effect
            if found is None or not found.measurable:
                still.append(title)
                continue
            between = f"{found.low:+.1f} to {found.high:+.1f}"
            lines.append(f"    {title:28} {finding.text:>18}   {between}, of {found.reference:.1f}, n {found.pairs}")
        if still:
            lines.append(f"    no measurable effect: {', '.join(still)}")
    return lines


def _show_soak(console: Console, found: Soaked) -> None:
    console.print(f"{found.dialled} calls in {found.seconds:.0f} s, {found.calls} at a time")
    if found.asked is not None:
        console.print(f"requests to the API: {found.asked.answered} answered")
    console.print(f"memory's slope in the second half: {number(found.slope_mib_per_hour, 1)} MiB/h")
    if found.before is not None and found.after is not None:
        for name in ("descriptors", "threads"):
            console.print(f"{name}: {getattr(found.before, name)} before, {getattr(found.after, name)} after")
    tasks = "not told by this server" if found.tasks_after is None else f"{found.tasks_before} -> {found.tasks_after}"
    console.print(f"tasks: {tasks}; live calls after: {found.live_after}")
    lags = [sample.lag_ms for sample in found.samples if sample.lag_ms is not None]
    own = [sample.own_lag_ms for sample in found.samples if sample.own_lag_ms is not None]
    console.print(
        f"latest tick seen: {number(max(lags, default=None), 1)} ms; "
        f"of one, at most computed by the server: {number(max(own, default=None), 1)} ms"
    )
    for problem in found.problems:
        console.print(f"NOT BACK: {problem}", style="red")
    for noise in found.measured.noise:
        console.print(f"NOISY: {noise}", style="yellow")
    _say_facts(console, facts(_where()))


def _show_slow(console: Console, found: Slowed) -> None:
    run = found.measured
    console.print(
        f"  others: uplink p50 {number(run.up_p50_us)} p99 {number(run.up_p99_us)} us, "
        f"downlink p50 {number(run.down_p50_us)} p99 {number(run.down_p99_us)} us, lost {run.lost}"
    )
    console.print(f"  memory after the stop: {number(found.growth_mib, 1)} MiB more")
    for ending in found.endings:
        when = "lasted to the end" if ending["after_s"] is None else f"ended after {ending['after_s']:g} s"
        console.print(f"  stopped call {ending['call']}: {when}, {ending['cause'] or 'no cause'}")
    for problem in found.problems:
        console.print(f"  PROBLEM: {problem}", style="red")
    for noise in run.noise:
        console.print(f"  NOISY: {noise}", style="yellow")


def _write(file: Path, document: Any) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
