"""What a check is, what it can find, and the registry of all of them.

A check is an async function with a name, a sentence on what it measures, and a table of the problems it can find: each
with what it costs the caller and what to change. The function only says which problem it saw and what it measured.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .bench import Bench

__all__ = ["CHECKS", "GROUPS", "Check", "Finding", "Fix", "Outcome", "Problem", "Tell", "check", "fail", "warn"]

GROUPS = {
    "settings": "Settings",
    "machine": "This machine",
    "carrier": "The telephone line (Twilio)",
    "agent": "The agent (ElevenLabs)",
    "way_in": "The way in: the public address",
    "network": "The network",
    "call": "A whole call",
}
"""In the order in which they are shown."""


class Outcome(StrEnum):
    PASS = "pass"  # noqa: S105 - not a password
    WARN = "warn"
    FAIL = "fail"
    UNKNOWN = "cannot tell"

    @property
    def rank(self) -> int:
        """For the worst of many. Not knowing is worse than a pass and better than a warning."""
        return [Outcome.PASS, Outcome.UNKNOWN, Outcome.WARN, Outcome.FAIL].index(self)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that a check can find."""

    slug: str
    outcome: Outcome
    meaning: str
    """What is wrong, one clause."""
    effect: str
    """What a caller or the owner notices of it."""
    remedy: str
    """The exact thing to change. ``{name}`` is filled in by the check."""


def fail(slug: str, meaning: str, effect: str, remedy: str) -> Problem:
    return Problem(slug, Outcome.FAIL, meaning, effect, remedy)


def warn(slug: str, meaning: str, effect: str, remedy: str) -> Problem:
    return Problem(slug, Outcome.WARN, meaning, effect, remedy)


@dataclass(frozen=True, slots=True)
class Fix:
    """A line for `.env` that may be written without harm."""

    setting: str
    value: str
    why: str


@dataclass(frozen=True, slots=True)
class Finding:
    """What came out of a check, once or several times per check."""

    check: str
    outcome: Outcome
    text: str
    """What was measured or seen."""
    problem: str = ""
    effect: str = ""
    remedy: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
    fix: Fix | None = None

    @property
    def anchor(self) -> str:
        """Where the docs speak of it."""
        return f"docs/reference/doctor.md#{self.check.replace('.', '')}"

    def as_dict(self) -> dict[str, Any]:
        shown: dict[str, Any] = {"check": self.check, "outcome": self.outcome.value, "text": self.text}
        for name in ("problem", "effect", "remedy"):
            if value := getattr(self, name):
                shown[name] = value
        if self.values:
            shown["values"] = dict(self.values)
        if self.fix is not None:
            shown["fix"] = {"setting": self.fix.setting, "value": self.fix.value}
        shown["docs"] = self.anchor
        return shown


Run = Callable[["Bench", "Tell"], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Check:
    id: str
    title: str
    measures: str
    problems: Mapping[str, Problem]
    run: Run
    deadline_s: float
    needs_settings: bool
    slow: bool
    """Left out by ``--quick``; run after the others, alone."""

    @property
    def group(self) -> str:
        return self.id.partition(".")[0]


CHECKS: dict[str, Check] = {}
"""By id, in the order of registration."""


class Tell:
    """How a check says what it found."""

    def __init__(self, check: Check) -> None:
        self._check = check
        self.findings: list[Finding] = []

    def ok(self, text: str, **values: Any) -> None:
        self.findings.append(Finding(self._check.id, Outcome.PASS, text, values=values))

    def problem(
        self,
        slug: str,
        text: str,
        /,
        *,
        fix: Fix | None = None,
        effect: str = "",
        values: Mapping[str, Any] | None = None,
        **fill: Any,
    ) -> None:
        """`text`: what was measured. `fill`: the names in the remedy. `effect`: a measured one for the general one."""
        known = self._check.problems[slug]
        self.findings.append(
            Finding(
                self._check.id,
                known.outcome,
                text,
                problem=slug,
                effect=effect or known.effect,
                remedy=known.remedy.format(**fill),
                values=values or {},
                fix=fix,
            )
        )

    def unknown(self, why: str) -> None:
        self.findings.append(Finding(self._check.id, Outcome.UNKNOWN, why))

    @property
    def known_problems(self) -> frozenset[str]:
        """What this check can find."""
        return frozenset(self._check.problems)

    @property
    def silent(self) -> bool:
        return not self.findings


def check(
    id: str,
    title: str,
    measures: str,
    *problems: Problem,
    deadline_s: float = 15.0,
    needs_settings: bool = True,
    slow: bool = False,
) -> Callable[[Run], Run]:
    """Register the function below as a check."""

    def register(run: Run) -> Run:
        assert id not in CHECKS, id
        assert id.partition(".")[0] in GROUPS, id
        table = {problem.slug: problem for problem in problems}
        assert len(table) == len(problems), id
        CHECKS[id] = Check(id, title, measures, table, run, deadline_s, needs_settings, slow)
        return run

    return register
