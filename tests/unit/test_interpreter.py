"""How a Python was built, and which one `make` takes: any that works, rather one that is fast."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from shortwire.interpreter import flavour, optimised

ROOT = Path(__file__).resolve().parents[2]
CHOOSE = ROOT / "scripts/choose_python.sh"
PLAIN = ("posix_prefix", "venv")

posix = pytest.mark.skipif(os.name != "posix", reason="a shell script")


@pytest.mark.parametrize(
    ("schemes", "arguments", "fast"),
    [
        (PLAIN, "'--prefix=/x' '--enable-shared'", False),
        (PLAIN, "'--prefix=/x' '--enable-optimizations' '--with-lto'", True),
        (("deb_system", *PLAIN), "'--enable-shared' '--prefix=/usr'", True),
        (PLAIN, "", True),
    ],
)
def test_how_it_was_built(schemes: tuple[str, ...], arguments: str, fast: bool) -> None:
    assert optimised(schemes, arguments) is fast


def test_the_flavour_of_this_one() -> None:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert flavour() == (f"{version} optimised" if optimised() else version)


def stand_in(folder: Path, name: str, answer: str) -> Path:
    """A Python that only says how it was built; an empty answer: it cannot be used."""
    folder.mkdir(exist_ok=True)
    python = folder / name
    python.write_text(f"#!/bin/sh\n{f'echo {answer}' if answer else 'exit 1'}\n")
    python.chmod(0o755)
    return python


def choose(*folders: Path, python: str = "") -> subprocess.CompletedProcess[str]:
    path = ":".join(map(str, folders))
    return subprocess.run([CHOOSE], env={"PATH": path, "PYTHON": python}, capture_output=True, text=True, check=False)


@posix
def test_a_fast_one_is_taken_though_a_newer_one_comes_first(tmp_path: Path) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    stand_in(a, "python3.13", "plain 3.13.0")
    stand_in(a, "python3.11", "plain 3.11.7")
    fast = stand_in(b, "python3.11", "optimised 3.11.2")
    chosen = choose(a, b)
    assert chosen.stdout.strip() == str(fast)
    assert chosen.stderr == f"Python: 3.11.2, {fast}, an optimised build\n"


@posix
def test_without_a_fast_one_the_first_that_works(tmp_path: Path) -> None:
    stand_in(tmp_path / "a", "python3.13", "")
    slow = stand_in(tmp_path / "a", "python3.12", "plain 3.12.1")
    stand_in(tmp_path / "b", "python3.11", "plain 3.11.7")
    chosen = choose(tmp_path / "a", tmp_path / "b", tmp_path / "nowhere")
    assert chosen.stdout.strip() == str(slow)
    assert "built without optimisations" in chosen.stderr
    assert chosen.returncode == 0


@posix
def test_who_asks_for_one_gets_it(tmp_path: Path) -> None:
    slow = stand_in(tmp_path, "python3.12", "plain 3.12.1")
    stand_in(tmp_path, "python3.13", "optimised 3.13.0")
    chosen = choose(tmp_path, python=str(slow))
    assert chosen.stdout.strip() == str(slow)
    assert "because PYTHON says so" in chosen.stderr
    assert choose(tmp_path, python=str(tmp_path / "none")).returncode == 1


@posix
def test_without_any_the_reason_is_said(tmp_path: Path) -> None:
    stand_in(tmp_path, "python3", "")
    chosen = choose(tmp_path)
    assert (chosen.returncode, chosen.stdout) == (1, "")
    assert "needs Python 3.11 or newer" in chosen.stderr


@posix
def test_the_one_that_runs_this_can_be_judged() -> None:
    done = subprocess.run(
        [sys.executable, "-I", str(ROOT / "src/shortwire/interpreter.py")], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["optimised" if optimised() else "plain", sys.version.split()[0]]
