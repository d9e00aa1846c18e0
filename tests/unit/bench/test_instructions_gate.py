"""The gate on instructions: what fails, what is skipped and says so; and that its load still runs."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

HERE = Path(__file__).resolve().parents[3] / "benchmarks"
FIGURES = {"3.11": {"uplink": 1, "downlink": 1, "analyst": 1}, "3.99 optimised": {"uplink": 1000, "downlink": 1000}}


@pytest.fixture
def gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("instructions", HERE / "instructions.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    figures = tmp_path / "instructions.json"
    figures.write_text(json.dumps(FIGURES))
    monkeypatch.setattr(made, "FIGURES", figures)
    monkeypatch.setattr(made, "flavour", lambda: "3.99 optimised")
    monkeypatch.setattr(made.native, "AVAILABLE", False)
    monkeypatch.setattr(made.shutil, "which", lambda name: name)
    monkeypatch.setattr(made.subprocess, "run", lambda *_, **__: None)
    return made


def run(gate: ModuleType, monkeypatch: pytest.MonkeyPatch, costs: int, *flags: str) -> int:
    monkeypatch.setattr(gate, "count", lambda row, messages: 5_000_000 + costs * messages)
    monkeypatch.setattr(sys, "argv", ["instructions.py", *flags])
    return int(gate.main())


@pytest.mark.parametrize(("costs", "status"), [(900, 0), (1000, 0), (1099, 0), (1101, 1)])
def test_ten_per_cent_more_is_too_much(
    gate: ModuleType, monkeypatch: pytest.MonkeyPatch, costs: int, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(gate, monkeypatch, costs) == status
    said = capsys.readouterr().out
    assert ("dearer: uplink, downlink;" in said) is bool(status)
    assert f"{costs}  (no figure to compare with)" in said  # the analyst


def test_another_build_is_not_compared(
    gate: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gate, "flavour", lambda: "3.99")
    monkeypatch.setattr(gate, "count_all", lambda known: pytest.fail("nothing is to be counted"))
    assert run(gate, monkeypatch, 1) == 0
    assert "skipped, no figures for Python 3.99" in capsys.readouterr().out


def test_new_figures_leave_those_of_other_builds(gate: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(gate, monkeypatch, 2000, "--write") == 0
    kept = json.loads(gate.FIGURES.read_text())
    assert kept == {"3.11": FIGURES["3.11"], "3.99 optimised": dict.fromkeys(gate.ROWS, 2000)}


def test_only_counting_judges_and_keeps_nothing(gate: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(gate, monkeypatch, 9000, "--count") == 0
    assert json.loads(gate.FIGURES.read_text()) == FIGURES


def test_without_valgrind_the_gate_does_not_pass(gate: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate.shutil, "which", lambda name: None)
    assert run(gate, monkeypatch, 1) == 2


@pytest.mark.parametrize("row", ["uplink", "downlink", "analyst"])
def test_the_load_runs(row: str) -> None:
    """It checks by itself that every message was relayed, and that marks come back."""
    subprocess.run([sys.executable, HERE / "instructions_load.py", row, "200"], check=True)
