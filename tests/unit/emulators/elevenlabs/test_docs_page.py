"""The reference page names every fault, and every choice that the sources leave open."""

from __future__ import annotations

import ast
from dataclasses import fields
from itertools import pairwise
from pathlib import Path

import pytest

from shortwire.emulators.elevenlabs import config as config_module
from shortwire.emulators.elevenlabs.agent_rules import _RULES
from shortwire.emulators.elevenlabs.config import Behaviour, EmulatorConfig, Faults, PostCallWebhook

PAGE = (Path(__file__).parents[4] / "docs" / "reference" / "emulator-elevenlabs.md").read_text(encoding="utf-8")


def unconfirmed() -> list[str]:
    """Fields whose docstring says so."""
    found = []
    for kind in ast.parse(Path(config_module.__file__).read_text(encoding="utf-8")).body:
        body = kind.body if isinstance(kind, ast.ClassDef) else []
        for line, after in pairwise(body):
            text = after.value.value if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) else ""
            if isinstance(line, ast.AnnAssign) and isinstance(text, str) and "UNCONFIRMED" in text:
                found.append(line.target.id)
    return found


@pytest.mark.parametrize("name", [field.name for field in fields(Faults)])
def test_every_fault_is_on_the_page(name):
    assert f"`{name}`" in PAGE


def test_every_unconfirmed_choice_is_among_what_this_does_not_know():
    names = unconfirmed()
    known = {field.name for kind in (Behaviour, EmulatorConfig, PostCallWebhook) for field in fields(kind)}
    assert len(names) > 15
    assert set(names) <= known
    table = PAGE.partition("## What this does not know")[2].partition("## What proves it")[0]
    assert [name for name in names if f"`{name}" not in table] == []


def test_the_page_begins_with_what_is_not_known_and_says_that_it_was_never_run_live():
    headings = [line for line in PAGE.splitlines() if line.startswith("## ")]
    assert headings[0] == "## What this does not know"
    assert "never run here" in PAGE
    assert len(_RULES) > 50
