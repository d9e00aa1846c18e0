"""The table of checks itself: complete, documented, every remedy fillable; and how a finding is shown."""

from __future__ import annotations

import asyncio
import string
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from shortwire.doctor import CHECKS, Check, Finding, Outcome, Problem, examine, load_checks
from shortwire.doctor.bench import Bench
from shortwire.doctor.check import GROUPS, Fix, Tell, check
from shortwire.doctor.report import as_json, lines, page
from shortwire.doctor.runner import Examination
from shortwire.errors import ConfigError
from shortwire.telemetry.redaction import Redactor

ROOT = Path(__file__).resolve().parents[3]


def test_every_group_has_checks_and_every_problem_says_what_to_change() -> None:
    checks = load_checks()
    assert {known.group for known in checks.values()} == set(GROUPS)
    for known in checks.values():
        assert known.measures.endswith("."), known.id
        for problem in known.problems.values():
            assert problem.remedy, (known.id, problem.slug)
            assert problem.effect, (known.id, problem.slug)
            assert list(string.Formatter().parse(problem.remedy))


def test_the_page_of_docs_is_current() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts/make_doctor_page.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_the_page_has_the_anchor_of_every_check() -> None:
    text = page(load_checks())
    for name in CHECKS:
        assert f"### {name}\n" in text
        anchor = Finding(name, Outcome.PASS, "").anchor
        assert anchor == f"docs/reference/doctor.md#{name.replace('.', '')}"


def test_a_problem_is_shown_with_effect_remedy_and_anchor_and_masked() -> None:
    known = load_checks()["carrier.number"]
    tell = Tell(known)
    tell.problem("not_owned", "+14155550177 is none of the account's 1", instead="+14155550100")
    text = "\n".join(lines(known, tell.findings, Redactor(["s3cret-word"])))
    assert text.startswith("FAIL carrier.number: ")
    assert "change  set TWILIO_PHONE_NUMBER to +1******0100" in text
    assert "effect  every call from it is refused (21210)" in text
    assert "docs    docs/reference/doctor.md#carriernumber" in text
    assert "4155550177" not in text


def test_json_is_masked_and_complete() -> None:
    known = load_checks()["settings.valid"]
    tell = Tell(known)
    tell.problem("own_value", "X", name="A", where="B", fix=Fix("SHORTWIRE_API_KEY", "new-random-key-1", "new"))
    document = as_json(Examination(tuple(tell.findings)), Redactor(["new-random-key-1"]))
    assert document["worst"] == "fail"
    assert document["findings"][0]["fix"] == {"setting": "SHORTWIRE_API_KEY", "value": "[redacted]"}
    assert document["counts"] == {"pass": 0, "warn": 0, "fail": 1, "cannot tell": 0}


@pytest.mark.parametrize(
    ("outcomes", "status"),
    [
        ([Outcome.PASS], 0),
        ([Outcome.PASS, Outcome.UNKNOWN], 4),
        ([Outcome.UNKNOWN, Outcome.WARN, Outcome.PASS], 3),
        ([Outcome.WARN, Outcome.FAIL, Outcome.UNKNOWN], 1),
    ],
)
def test_the_worst_decides_the_exit_status(outcomes: list[Outcome], status: int) -> None:
    assert Examination(tuple(Finding("x.y", outcome, "") for outcome in outcomes)).exit_status == status


@pytest.fixture
def extra_checks() -> Iterator[None]:
    """An empty table for the checks of one test; the doctor's own stand in it again after."""
    before = dict(load_checks())
    CHECKS.clear()
    yield
    CHECKS.clear()
    CHECKS.update(before)


async def test_a_check_that_hangs_breaks_or_is_silent_cannot_tell(extra_checks: None) -> None:
    async def hang(bench: Bench, tell: Tell) -> None:
        await asyncio.sleep(3600)

    async def crash(bench: Bench, tell: Tell) -> None:
        raise LookupError("never mind")

    async def silent(bench: Bench, tell: Tell) -> None: ...

    async def fine(bench: Bench, tell: Tell) -> None:
        tell.ok("fine")

    for name, run in (("hang", hang), ("crash", crash), ("silent", silent), ("fine", fine)):
        problems: dict[str, Problem] = {}
        CHECKS[f"machine.{name}"] = Check(f"machine.{name}", name, "x.", problems, run, 0.05, False, False)
    seen: list[str] = []
    found = await examine(Bench(given=None, environment={}), progress=lambda known, _: seen.append(known.id))
    texts = {finding.check: (finding.outcome, finding.text) for finding in found.findings}
    assert texts["machine.hang"] == (Outcome.UNKNOWN, "not done within 0.05 s")
    assert texts["machine.crash"][1] == "a mistake in this check: LookupError: never mind"
    assert texts["machine.silent"][0] is Outcome.UNKNOWN
    assert texts["machine.fine"] == (Outcome.PASS, "fine")
    assert seen[-1] == "machine.hang"


async def test_without_settings_the_rest_waits() -> None:
    problem = ConfigError(
        "1 setting has to be changed", details="SERVER_URL is not set; write for example SERVER_URL=x"
    )
    bench = Bench(given=None, problems=problem, environment={})
    found = await examine(bench, only=["settings.valid", "carrier.balance", "agent"])
    by_check = {finding.check: finding for finding in found.findings}
    assert by_check["settings.valid"].remedy == "write in .env: SERVER_URL=x"
    assert by_check["carrier.balance"].text == "the settings have to be right first"
    assert found.exit_status == 1


def test_two_checks_cannot_have_one_name() -> None:
    load_checks()
    with pytest.raises(AssertionError):
        check("carrier.number", "again", "x.")
        check("carrier.number", "again", "x.")(lambda bench, tell: asyncio.sleep(0))
