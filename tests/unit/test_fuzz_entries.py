"""The fuzz entry points run, find what is planted, and find nothing on a few hundred inputs of a fixed seed."""

from __future__ import annotations

import importlib
import random
import subprocess
import sys
from pathlib import Path

import pytest

FUZZ = Path(__file__).parents[2] / "fuzz"
ENTRIES = sorted(path.stem for path in FUZZ.glob("fuzz_*.py"))


@pytest.fixture(autouse=True)
def on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FUZZ))


def test_the_entry_points_were_found() -> None:
    assert ENTRIES == ["fuzz_agent", "fuzz_phone", "fuzz_session", "fuzz_tape"]


@pytest.mark.parametrize(
    ("name", "inputs"), [("fuzz_agent", 3_000), ("fuzz_phone", 3_000), ("fuzz_session", 500), ("fuzz_tape", 500)]
)
def test_nothing_is_found(name: str, inputs: int) -> None:
    fuzzing, entry = importlib.import_module("fuzzing"), importlib.import_module(name)
    assert all(issubclass(allowed, Exception) for allowed in entry.ALLOWED)
    fed, finding = fuzzing.run(entry.target, seed=20261122, inputs=inputs)
    assert finding is None, str(finding)
    assert fed == inputs


def test_a_cut_that_lies_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oracle can fail: without the look at the payload, the cut takes what a parser would not."""
    fuzzing, entry = importlib.import_module("fuzzing"), importlib.import_module("fuzz_agent")
    honest = entry.cut_agent_audio

    def careless(message: bytes) -> tuple[bytes, int] | None:
        found = honest(message)
        return found if found is None else (found[0], found[1] + (b"\\" in message or len(message) > 130))

    monkeypatch.setattr(entry, "cut_agent_audio", careless)
    fed, finding = fuzzing.run(entry.target, seed=1, inputs=3_000)
    assert finding is not None
    assert fed == finding.number + 1
    assert finding.data
    assert str(finding.number) in str(finding)


def test_an_error_that_is_not_allowed_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    fuzzing, entry = importlib.import_module("fuzzing"), importlib.import_module("fuzz_phone")

    def decode(message: bytes) -> None:
        raise RecursionError

    monkeypatch.setattr(entry.twilio, "decode", decode)
    _, finding = fuzzing.run(entry.target, seed=1, inputs=10)
    assert isinstance(finding.error, RecursionError)


def test_the_same_seed_gives_the_same_inputs() -> None:
    entry = importlib.import_module("fuzz_phone")
    assert [entry.target(random.Random(f"1/{n}")) for n in range(50)] == [
        entry.target(random.Random(f"1/{n}")) for n in range(50)
    ]


@pytest.mark.parametrize("name", ENTRIES)
def test_as_a_program(name: str) -> None:
    command = [sys.executable, str(FUZZ / f"{name}.py"), "--seconds", "60", "--inputs", "20", "--seed", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "20 inputs, nothing found (seed 1)\n"
