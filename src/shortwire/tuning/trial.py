"""One call of a run of trials: what was tried, and what the caller heard. Kept line by line in a file.

A run that was broken off goes on where it stopped: the file's first line says what it is a run of, and a file of
another run is refused rather than mixed in.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..errors import UsageError

__all__ = ["FIGURES", "Journal", "Trial", "order", "remaining"]

FIGURES = {
    "first_word_ms": "answer to first word",
    "gap_ms": "response gap",
    "stop_ms": "barge-in stop",
}
"""Each as heard; a call with several gaps counts with their mean, so that a pair of calls is one pair."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One call. A figure is None when there was none to measure."""

    variant: str
    round: int
    first_word_ms: float | None = None
    gap_ms: float | None = None
    stop_ms: float | None = None
    problems: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.problems


class Journal:
    """The file. `plan` is what makes two runs the same: anything that would change a figure."""

    def __init__(self, path: Path, plan: Mapping[str, Any], *, fresh: bool = False) -> None:
        """Raises `UsageError` when the file is of another plan, or not a journal."""
        self._path = path
        self.trials: list[Trial] = []
        if path.exists() and not fresh:
            self._read(plan)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"plan": dict(plan)}) + "\n", encoding="utf-8")

    def _read(self, plan: Mapping[str, Any]) -> None:
        lines = self._path.read_text(encoding="utf-8").splitlines()
        try:
            before = json.loads(lines[0])["plan"]
            whole = [line for line in lines if line.endswith("}")]
            self.trials = [Trial(**json.loads(line)) for line in whole[1:]]
        except (ValueError, KeyError, IndexError, TypeError):
            raise UsageError(f"{self._path} is not a journal of trials", details="start anew with --fresh") from None
        if before != dict(plan):
            differ = sorted(name for name in {*before, *plan} if before.get(name) != plan.get(name))
            raise UsageError(
                f"{self._path} belongs to another run ({', '.join(differ)} differ)",
                details="start anew with --fresh, or choose another folder with --out",
            )
        if whole != lines:
            # What was being written when the machine stopped is tried again; the next line must not be glued to it.
            self._path.write_text("\n".join([*whole, ""]), encoding="utf-8")

    def add(self, trial: Trial) -> None:
        self.trials.append(trial)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(trial)) + "\n")


def order(variants: Sequence[str], rounds: int) -> list[tuple[int, str]]:
    """(round, variant): everybody once a round, another one first each time."""
    found = []
    for number in range(rounds):
        at = number % len(variants)
        found += [(number, name) for name in [*variants[at:], *variants[:at]]]
    return found


def remaining(planned: Sequence[tuple[int, str]], trials: Sequence[Trial]) -> list[tuple[int, str]]:
    """What is still to be tried. A trial that failed is not tried again: it is part of the result."""
    done = {(trial.round, trial.variant) for trial in trials}
    return [step for step in planned if step not in done]
