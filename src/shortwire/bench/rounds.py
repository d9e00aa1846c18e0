"""Rounds: every subject in its turn, in rotated order, and the medians over the rounds that were not disturbed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from .load import Load, Measured
from .run import Bench, measure
from .stats import median_of
from .subject import Subject

__all__ = ["FIGURES", "Progress", "Row", "curve", "rotated", "summary"]

FIGURES = (
    "up_p50_us",
    "up_p99_us",
    "down_p50_us",
    "down_p99_us",
    "clear_p50_us",
    "cpu_us",
    "cpu_share",
    "memory_kib",
    "webhook_ms",
    "setup_ms",
    "answer_ms",
    "first_audio_ms",
    "late_p99_us",
    "own_share_p99_us",
    "load_share",
    "others_share",
)

Progress = Callable[[int, int, str], None]
"""(runs done, runs in all, what was or is being done)."""


@dataclass(slots=True)
class Row:
    """One subject under one load: medians over rounds."""

    subject: str
    calls: int
    mode: str
    values: dict[str, float | None]
    rounds: int
    clean: int
    """Rounds in which neither the load was late nor anybody else used the machine."""
    lost: int = 0
    disordered: int = 0
    damaged: int = 0
    problems: list[str] = field(default_factory=list)
    noise: list[str] = field(default_factory=list)

    @property
    def noisy(self) -> bool:
        return self.clean == 0

    @property
    def verdict(self) -> str:
        """What the reader must know before the figures."""
        parts = []
        if self.problems:
            parts.append("; ".join(self.problems))
        if self.noisy and self.noise:
            parts.append(f"NOISY: {self.noise[0]}")
        return " | ".join(parts) or "ok"

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "noisy": self.noisy, "verdict": self.verdict}


def rotated(subjects: Sequence[Subject], round_number: int) -> list[Subject]:
    """Everybody, another one first each round: whoever comes first finds the quieter machine."""
    at = round_number % len(subjects) if subjects else 0
    return [*subjects[at:], *subjects[:at]]


def summary(runs: Sequence[Measured]) -> Row:
    """The row of one subject's rounds: of the clean ones, or of all of them, and then it says NOISY."""
    clean = [run for run in runs if not run.noisy and run.ok]
    used = clean or [run for run in runs if run.relayed] or list(runs)
    problems = [problem for run in runs for problem in run.problems]
    return Row(
        subject=runs[0].subject,
        calls=runs[0].calls,
        mode=runs[0].mode,
        values={name: median_of([getattr(run, name) for run in used]) for name in FIGURES},
        rounds=len(runs),
        clean=len(clean),
        lost=sum(run.lost for run in runs),
        disordered=sum(run.disordered for run in runs),
        damaged=sum(run.damaged for run in runs),
        problems=list(dict.fromkeys(problems))[:3],
        noise=[noise for run in runs for noise in run.noise],
    )


async def curve(
    bench: Bench,
    subjects: Sequence[Subject],
    calls: Sequence[int],
    modes: Sequence[str],
    *,
    rounds: int,
    load: Load,
    progress: Progress,
    talk_warmup_s: float = 5.0,
) -> tuple[list[Row], list[Measured]]:
    """All of them under all loads. A subject that saturated is measured on: that is its curve."""
    total, done = len(subjects) * len(calls) * len(modes) * rounds, 0
    rows: list[Row] = []
    everything: list[Measured] = []
    for mode in modes:
        for count in calls:
            found: dict[str, list[Measured]] = {subject.name: [] for subject in subjects}
            warmup_s = max(load.warmup_s, talk_warmup_s) if mode == "talk" else load.warmup_s
            for number in range(rounds):
                for subject in rotated(subjects, number):
                    progress(done, total, f"{mode}, {count} calls, round {number + 1} of {rounds}: {subject.name}")
                    run = await measure(bench, subject, replace(load, calls=count, mode=mode, warmup_s=warmup_s))
                    found[subject.name].append(run)
                    everything.append(run)
                    done += 1
            rows += [summary(found[subject.name]) for subject in subjects]
    progress(done, total, "done")
    return rows, everything
