"""A whole demonstration: both stages up, the calls one after the other, everything shown and written.

The only module that knows the order of things; it touches no socket and judges nothing itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import signal
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from .. import __version__
from ..emulators.scenario import Scenario, load
from ..report.figures import side_by_side
from ..report.page import render
from ..report.terminal import check_lines, comparison_table, setup_table, turn_table
from ..report.view import Report
from .narrator import Narrator
from .outcome import Outcome, judge, measured, report_of
from .stage import Played, Stage

__all__ = ["SCENARIO", "perform"]

SCENARIO = Path(__file__).parent.parent / "emulators" / "scenarios" / "reservation.toml"


async def perform(console: Console, folder: Path, network: str, chosen: Sequence[str], as_json: bool) -> bool:
    """Play the chosen profiles into `folder`, print and write everything; whether every check passed.

    Raises `ChildDied`, `ApiError`, `TimeoutError` (possibly in a group) when it cannot be played to its end.
    """
    began = time.monotonic()
    scenario = load(SCENARIO)
    outcomes: list[Outcome] = []
    async with _stages(console, folder, network, chosen) as stages:
        for stage in stages:
            console.print()
            console.print(Text(f"{stage.profile.capitalize()} profile", style="bold underline"))
            played = await stage.play(Narrator(console))
            _keep(stage.folder, played)
            outcomes.append(judge(played, scenario))
        facts = _facts(network, stages[0].facts, scenario)
    page = folder / "report.html"
    report = report_of(outcomes, facts)
    await asyncio.to_thread(_write_page, page, report)
    passed = all(outcome.verdict.passed for outcome in outcomes)
    if as_json:
        print(json.dumps(_summary(outcomes, folder, passed), indent=2))
    else:
        _show(console, outcomes, report, folder, time.monotonic() - began)
    return passed


@contextlib.asynccontextmanager
async def _stages(console: Console, folder: Path, network: str, chosen: Sequence[str]) -> AsyncIterator[list[Stage]]:
    """All servers and emulators, standing; all of them down afterwards, whatever happened, SIGTERM included."""
    task = asyncio.current_task()
    assert task is not None
    with contextlib.suppress(NotImplementedError):  # Windows
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    async with AsyncExitStack() as exits:
        stages = [Stage(name, network=network, scenario=SCENARIO, folder=folder / name) for name in chosen]
        for stage in stages:
            await asyncio.to_thread(shutil.rmtree, stage.folder, ignore_errors=True)
        console.print(Text("Starting the emulators, the network between them and the servers ...", style="dim"))
        # Side by side: they wait, idle, for their call; the calls themselves come one after the other.
        async with asyncio.TaskGroup() as group:
            for stage in stages:
                group.create_task(exits.enter_async_context(stage))
        yield stages


def _facts(network: str, said: Mapping[str, Any], scenario: Scenario) -> dict[str, str]:
    legs = said["network"]
    delays = ", ".join(f"{name} {leg['one_way_ms']:g} ms one way" for name, leg in legs.items())
    return {
        "network": f"{network} ({delays})",
        "scenario": scenario.name,
        "vendors": "emulated on this machine",
        "version": __version__,
        "python": ".".join(map(str, sys.version_info[:3])),
    }


def _keep(folder: Path, played: Played) -> None:
    """Everything known of a call, as files; the recording is there already."""
    documents: dict[str, object] = {
        "call.json": played.call,
        "events.json": played.events,
        "carrier-ledger.json": played.carrier,
        "agent-ledger.json": played.agent,
    }
    for name, document in documents.items():
        (folder / name).write_text(json.dumps(document, indent=1, ensure_ascii=False), encoding="utf-8")
    (folder / "server.log").write_text("\n".join([*played.server_log, ""]), encoding="utf-8")
    if played.backstage_log:
        (folder / "emulators.log").write_text("\n".join([*played.backstage_log, ""]), encoding="utf-8")
    shutil.rmtree(folder / "tls", ignore_errors=True)
    tapes = [path for path in (folder / "data").rglob("*") if path.is_file() and str(played.call["id"]) in path.name]
    for tape in tapes:
        shutil.copyfile(tape, folder / f"call{tape.suffix}")


def _write_page(path: Path, report: Report) -> None:
    path.write_text(render(report), encoding="utf-8")


def _summary(outcomes: Sequence[Outcome], folder: Path, passed: bool) -> dict[str, Any]:
    return {
        "passed": passed,
        "folder": str(folder),
        "figures": side_by_side(
            {outcome.played.profile: outcome.played.call for outcome in outcomes}, measured(outcomes)
        ),
        "profiles": {
            outcome.played.profile: {
                "gaps": [gap.as_dict() for gap in outcome.gaps],
                "setup": [{"key": key, "label": label, "ms": ms} for key, label, ms in outcome.evidence.setup],
                "checks": [check.as_dict() for check in outcome.verdict.checks],
            }
            for outcome in outcomes
        },
    }


def _show(console: Console, outcomes: Sequence[Outcome], report: Report, folder: Path, took_s: float) -> None:
    console.print()
    console.print(comparison_table(report.figures))
    if (setup := setup_table(report.calls)) is not None:
        console.print()
        console.print(setup)
    for call in report.calls:
        console.print()
        console.print(turn_table(call))
    for outcome, call in zip(outcomes, report.calls, strict=True):
        console.print()
        console.print(Text(f"Did it go as scripted? {outcome.played.profile}", style="bold"))
        for line in check_lines(call.checks):
            console.print(line, soft_wrap=True)
    console.print()
    for call in report.calls:
        console.print(f"  {folder / call.profile}{'/'}", style="dim", soft_wrap=True)
    console.print(f"  {folder / 'report.html'}", style="bold", soft_wrap=True)
    passed = all(outcome.verdict.passed for outcome in outcomes)
    done = "Everything went as scripted" if passed else "Something did not go as scripted"
    console.print(Text(f"{done} ({took_s:.0f} s).", style="bold green" if passed else "bold red"))
