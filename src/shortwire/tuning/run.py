"""`shortwire tune`: the trials in their order, a bar while they run, and what came out of them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from .. import __version__
from ..clock import SystemClock
from ..emulators.network import NETWORKS
from ..emulators.scenario import Scenario, ScenarioError, find, load
from ..errors import UsageError
from ..settings import Settings, load_settings
from ..telemetry.redaction import mask_number
from .page import page
from .ranking import Rank, env_lines, rank
from .trial import FIGURES, Journal, Trial, order, remaining
from .variants import Variant, variants

__all__ = ["SCENARIO", "run", "trials"]

SCENARIO = Path(__file__).parent / "tune.toml"
_CALL_S = 18.0
"""What a call of the usual scenario takes, with its servers' start and end."""
EXIT_INTERRUPTED = 130
Play = Callable[[Variant, int], Awaitable[Trial]]


def run(
    *,
    network: str,
    rounds: int,
    only: str,
    scenario: Path | None,
    live: str,
    consent: bool,
    billed: bool,
    fresh: bool,
    out: Path,
) -> int:
    """Everything. The exit status: 1 when calls failed. Raises `UsageError`, `ConfigError`."""
    console = Console(highlight=False)
    settings = _may_call(live, consent=consent)
    if network not in NETWORKS:
        raise UsageError(f"no network is called {network!r}", details=f"networks: {', '.join(NETWORKS)}")
    file = find(scenario) if scenario else SCENARIO
    # Before anything is written: a folder with a wrong run's plan in it would refuse the right one.
    script = _script(file)
    chosen = variants(only.split(","), billed=billed or not live)
    planned = order([variant.name for variant in chosen], rounds)
    plan = {
        "where": f"live {mask_number(live)}" if live else network,
        "scenario": file.name if not live else "",
        "variants": [variant.name for variant in chosen],
        "version": __version__,
    }
    # More rounds of the same plan go on with what is there.
    journal = _journal(out, plan, fresh=fresh)
    todo = remaining(planned, journal.trials)
    if journal.trials and todo:
        console.print(f"going on: {len(planned) - len(todo)} of {len(planned)} calls are there already")
    play = _called(live, settings, out) if settings is not None else _emulated(network, file, script, out)
    console.print(
        f"{len(todo)} calls to play, one after the other, about {max(1, round(len(todo) * _CALL_S / 60))} min"
    )
    try:
        asyncio.run(trials(console, todo, {variant.name: variant for variant in chosen}, play, journal))
    except (KeyboardInterrupt, asyncio.CancelledError):
        console.print("\ninterrupted; everything was stopped. The same command goes on from here.")
        return EXIT_INTERRUPTED
    ranks = rank(chosen, [trial for trial in journal.trials if trial.round < rounds])
    _show(console, ranks, journal.trials, rounds)
    _write(out, ranks, plan, rounds)
    console.print(f"  {out / 'tune.html'}\n  {out / 'tune.json'}\n  {out / 'tune.env'}", soft_wrap=True)
    return 1 if any(not trial.ok for trial in journal.trials) else 0


def _may_call(live: str, *, consent: bool) -> Settings | None:
    """The settings, if a real telephone is to ring; None on the emulators."""
    if not live:
        if consent:
            raise UsageError("--consent without a number: say whom to call with --live NUMBER")
        return None
    if not consent:
        raise UsageError(
            "real calls are billed and ring somebody's telephone",
            details="add --consent if the person at that number has agreed to be called this often",
        )
    from ..numbers import check_number

    settings = load_settings()
    check_number(live, settings.allowed_countries)
    return settings


def _called(phone: str, settings: Settings, out: Path) -> Play:
    from . import live as real

    return lambda variant, number: real.play(variant, number, phone=phone, settings=settings, folder=out / "live")


def _script(file: Path) -> Scenario:
    try:
        return load(file)
    except ScenarioError as error:
        raise UsageError("this scenario cannot be played", details=str(error)) from None


def _journal(out: Path, plan: dict[str, Any], *, fresh: bool) -> Journal:
    try:
        return Journal(out / "trials.jsonl", plan, fresh=fresh)
    except (OSError, ValueError) as error:
        what = f"{out} is no folder" if out.exists() and not out.is_dir() else f"{out} cannot be used ({error})"
        raise UsageError(what, details="choose another folder with --out") from None


def _emulated(network: str, file: Path, script: Scenario, out: Path) -> Play:
    from . import emulated

    return lambda variant, number: emulated.play(
        variant,
        number,
        network=network,
        scenario=file.absolute(),
        script=script,
        folder=(out / "calls" / f"{number:02}-{variant.name}").absolute(),
    )


async def trials(
    console: Console, todo: Sequence[tuple[int, str]], by_name: dict[str, Variant], play: Play, journal: Journal
) -> None:
    """One call after the other: two at a time would measure each other."""
    task = asyncio.current_task()
    assert task is not None
    with contextlib.suppress(NotImplementedError):  # Windows
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
    ) as bar:
        shown = bar.add_task("starting", total=len(todo))
        for number, name in todo:
            bar.update(shown, description=f"round {number + 1}: {name}")
            trial = await play(by_name[name], number)
            journal.add(trial)
            bar.advance(shown)
            if not console.is_terminal:
                told = ", ".join(f"{label} {_ms(getattr(trial, key))}" for key, label in FIGURES.items())
                said = "; ".join(trial.problems) or told
                console.print(f"round {number + 1}: {name}: {said}", markup=False, soft_wrap=True)


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f} ms"


def _show(console: Console, ranks: Sequence[Rank], done: Sequence[Trial], rounds: int) -> None:
    reference = [trial for trial in done if trial.variant == "reference" and trial.ok]
    console.print(f"\nReference: the optimized profile, {len(reference)} calls")
    for key, label in FIGURES.items():
        values = sorted(value for trial in reference if (value := getattr(trial, key)) is not None)
        if values:
            console.print(f"  {label:22} {values[len(values) // 2]:.0f} ms")
    console.print("\nInstead of it, the worst first (median paired difference, 95 % interval):")
    for entry in ranks:
        lost = f"  [{entry.failed} calls failed]" if entry.failed else ""
        console.print(f"  {entry.variant.name:36} {entry.text}{lost}", soft_wrap=True, markup=False)
    if rounds < 5:
        console.print("Fewer than 5 rounds: nothing can be called measurable.", style="yellow")
    console.print("\nSettings to write:")
    for line in env_lines(ranks):
        console.print(f"  {line}", soft_wrap=True, markup=False)


def _write(out: Path, ranks: Sequence[Rank], plan: dict[str, Any], rounds: int) -> None:
    lines = env_lines(ranks)
    made = datetime.fromtimestamp(SystemClock.wall_s(), UTC).strftime("%Y-%m-%d %H:%M UTC")
    facts = {"where": plan["where"], "scenario": plan["scenario"] or "a person", "rounds": str(rounds), "made": made}
    (out / "tune.env").write_text("\n".join([f"# shortwire tune, {facts['where']}, {made}", *lines, ""]), "utf-8")
    (out / "tune.html").write_text(page(ranks, lines, facts), encoding="utf-8")
    document = {"plan": plan, "rounds": rounds, "made": made, "ranking": [entry.as_dict() for entry in ranks]}
    (out / "tune.json").write_text(json.dumps({**document, "env": lines}, indent=1) + "\n", encoding="utf-8")
