"""What was found, for a terminal, for a program and for the page of docs. Secrets and numbers are masked in all."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from ..telemetry.redaction import Redactor
from .check import GROUPS, Check, Finding, Outcome
from .runner import Examination

__all__ = ["MARKS", "as_json", "lines", "page", "recap", "summary"]

MARKS = {Outcome.PASS: "ok  ", Outcome.WARN: "warn", Outcome.FAIL: "FAIL", Outcome.UNKNOWN: "?   "}


def lines(check: Check, findings: Sequence[Finding], redactor: Redactor, *, width: int = 100) -> list[str]:
    """One check on a terminal: a line for a pass, a paragraph for a problem."""
    shown = []
    for finding in findings:
        shown.append(_fold(f"{MARKS[finding.outcome]} {check.id}: ", redactor.text(finding.text), width))
        if finding.problem:
            meaning = check.problems[finding.problem].meaning
            shown.append(_fold("       what    ", meaning, width))
            shown.append(_fold("       effect  ", redactor.text(finding.effect), width))
            # A command or a setting must be copied as it is: it is not folded.
            shown.append(f"       change  {redactor.text(finding.remedy)}")
            shown.append(f"       docs    {finding.anchor}")
    return shown


def _fold(head: str, text: str, width: int) -> str:
    inner = textwrap.wrap(text, max(20, width - len(head)), break_long_words=False, break_on_hyphens=False) or [""]
    return head + f"\n{' ' * len(head)}".join(inner)


def summary(found: Examination) -> str:
    counts = {outcome: found.count(outcome) for outcome in Outcome}
    parts = [f"{count} {outcome.value}" for outcome, count in counts.items() if count]
    return ", ".join(parts)


def recap(found: Examination, redactor: Redactor) -> list[str]:
    """Everything to change in one place, the worst first: the last lines are the ones that are read."""
    problems = [finding for finding in found.findings if finding.problem]
    problems.sort(key=lambda finding: -finding.outcome.rank)
    return [f"{MARKS[finding.outcome]} {finding.check}: {redactor.text(finding.remedy)}" for finding in problems]


def as_json(found: Examination, redactor: Redactor) -> dict[str, Any]:
    """For programs. A fix that would write a secret or a number shows its name only."""
    document = {
        "worst": found.worst.value,
        "exit_status": found.exit_status,
        "counts": {outcome.value: found.count(outcome) for outcome in Outcome},
        "findings": [finding.as_dict() for finding in found.findings],
    }
    masked: dict[str, Any] = redactor.value(document)
    return masked


def page(checks: Mapping[str, Check]) -> str:
    """docs/reference/doctor.md."""
    problems = sum(len(check.problems) for check in checks.values())
    parts = [_HEAD.format(checks=len(checks), problems=problems)]
    for group, title in GROUPS.items():
        parts.append(f"## {title}\n")
        for check in checks.values():
            if check.group == group:
                parts.append(_check_section(check))
    return "\n".join(parts)


def _check_section(check: Check) -> str:
    rows = [f"### {check.id}\n", f"{check.title}. {check.measures}"]
    if check.slow:
        rows.append("\nLeft out by `--quick`.")
    if check.problems:
        rows += ["", "| Problem | | What is wrong | What a caller notices | What to change |", "|---|---|---|---|---|"]
        for problem in check.problems.values():
            cells = (problem.meaning, problem.effect, problem.remedy)
            rows.append(f"| `{problem.slug}` | {problem.outcome.value} | {' | '.join(map(_cell, cells))} |")
    return "\n".join([*rows, ""])


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("{{", "{").replace("}}", "}")


_HEAD = """# The checks of `shortwire doctor`

<!-- Made by scripts/make_doctor_page.py from src/shortwire/doctor/groups. Change those, not this page. -->

{checks} checks, which find {problems} problems by name. Every check ends as *pass*, *warn*, *fail* or *cannot tell*.
Names in braces are filled in with what was measured. How to use it: [how-to/doctor.md](../how-to/doctor.md).

Exit status: 0 nothing but passes, 1 something fails, 3 warnings at worst, 4 something could not be told and
nothing is worse.
"""
