"""The house rule of imports: they only go down, the cores touch no machine, and one file reads the time.

Read from the sources, so that late imports inside functions count too. A new package has to be given its
place in `LAYERS` before this passes.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import shortwire

ROOT = Path(shortwire.__file__).parent

LAYERS = (
    ("__main__",),
    ("cli", "demo", "tuning"),
    ("workers",),  # several processes, each of them an `app`
    ("app",),
    ("address",),  # the half of the composition root that looks after the public address
    ("doctor", "bench"),
    ("web", "agent_tuning"),
    ("switchboard", "dialer", "net", "store", "telemetry", "audio", "report"),
    ("ports", "settings"),
    ("call", "campaign"),
    ("wire",),
    # Shapes and checks without behaviour of a call: the cores speak in `records` (EventKind), settings in `numbers`.
    ("records", "numbers", "ulaw", "owner"),
    ("errors", "terms", "clock", "descriptors", "beside", "fast_loop", "interpreter", "native"),
)
"""Top first. A module imports what stands below it; of its own layer only its own package."""

BESIDE = {
    ("tuning", "demo"): "it plays the demo's stage again and again, with other settings",
    ("switchboard", "audio"): "turns are made from voice activity; both are off the media path",
}
"""Neighbours of one layer that may be imported all the same, and why."""

OWED: dict[tuple[str, str], str] = {}
"""Breaks of the rule that are known and have to be mended where they are; none may be added without its mending."""

OPENS_EMULATORS = {
    "cli": "`emulate`",
    "demo": "both sides of the conversation are emulated",
    "doctor": "its rehearsal places a call with the user's own settings, on this machine",
    "tuning": "the same scenario on an emulated network, setting by setting",
}

MACHINE = {"asyncio", "time", "socket", "logging", "structlog", "threading", "datetime", "random", "secrets", "os"}
"""What a pure core does not know."""

CLOCKS = {
    "time": {"time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "process_time"},
    "datetime": {"now", "utcnow", "today"},
    "date": {"today"},
}
READS_TIME = {
    "clock": "the one place",
    "cli/agent": "the date under which a person's settings are kept, to be put back",
    "cli/report": "`--since` counts back from now",
    "demo/performance": "how long the demo took, for a person",
    "demo/outcome": "the date on the demo's page",
}
"""Module to reason. Emulators are programs of their own and share no code with the product, its clock included."""


@dataclass(frozen=True)
class Import:
    """One import of one module."""

    line: int
    target: tuple[str, ...]


@dataclass(frozen=True)
class Module:
    """A source file of the package."""

    path: Path

    @property
    def parts(self) -> tuple[str, ...]:
        return self.path.relative_to(ROOT).with_suffix("").parts

    @property
    def top(self) -> str:
        return self.parts[0]

    @property
    def name(self) -> str:
        return "/".join(self.parts)

    def tree(self) -> ast.Module:
        text = self.path.read_text(encoding="utf-8")
        try:
            return ast.parse(text)
        except SystemError:  # CPython before 3.11.5: when another one is parsed in the middle of it (gh-106905)
            return ast.parse(text)

    def imports(self) -> Iterator[Import]:
        """Absolute names of everything imported, wherever it stands."""
        package = ["shortwire", *self.parts[:-1]]
        for node in ast.walk(self.tree()):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield Import(node.lineno, tuple(alias.name.split(".")))
            elif isinstance(node, ast.ImportFrom):
                base = package[: len(package) - node.level + 1] if node.level else []
                base = base + (node.module.split(".") if node.module else [])
                for alias in node.names:
                    yield Import(node.lineno, (*base, alias.name))


MODULES = [Module(path) for path in sorted(ROOT.rglob("*.py")) if path != ROOT / "__init__.py"]
PRODUCT = [module for module in MODULES if module.top != "emulators"]
RANK = {name: len(LAYERS) - depth for depth, layer in enumerate(LAYERS) for name in layer}


def ours(module: Module) -> Iterator[tuple[Import, str]]:
    """What a module imports of the other parts of the house, and of which."""
    for found in module.imports():
        if (
            found.target[0] == "shortwire"
            and len(found.target) > 1
            and found.target[1] not in (module.top, "__version__")
        ):
            yield found, found.target[1]


def test_the_sources_were_found() -> None:
    assert {"call", "wire", "clock", "app", "emulators"} <= {module.top for module in MODULES}
    session = next(module for module in MODULES if module.name == "call/session")
    assert "wire" in {name for _, name in ours(session)}
    assert "re" in {found.target[0] for found in session.imports()}


def test_every_part_of_the_house_has_its_place() -> None:
    homeless = {module.top for module in PRODUCT} - RANK.keys()
    assert not homeless, f"give {sorted(homeless)} a place in LAYERS"


@pytest.mark.parametrize("module", [m for m in PRODUCT if m.top in RANK], ids=lambda module: module.name)
def test_imports_only_go_down(module: Module) -> None:
    for found, name in ours(module):
        if name == "emulators":
            assert module.top in OPENS_EMULATORS, f"line {found.line}: only {sorted(OPENS_EMULATORS)} start emulators"
            continue
        assert name in RANK, f"line {found.line}: {name} has no place in LAYERS"
        down = RANK[name] < RANK[module.top]
        known = (module.top, name) in BESIDE or (module.top, name) in OWED
        assert down or known, f"line {found.line}: {module.top} may not import {name}"


def test_the_exceptions_are_still_needed() -> None:
    used = {(module.top, name) for module in PRODUCT for _, name in ours(module)}
    assert BESIDE.keys() | OWED.keys() <= used
    assert {(opener, "emulators") for opener in OPENS_EMULATORS if opener != "cli"} <= used


@pytest.mark.parametrize("module", [m for m in MODULES if m.top == "emulators"], ids=lambda module: module.name)
def test_emulators_share_no_code_with_the_product(module: Module) -> None:
    assert [(found.line, name) for found, name in ours(module)] == []


@pytest.mark.parametrize("module", [m for m in MODULES if m.top in ("call", "wire", "campaign")], ids=lambda m: m.name)
def test_the_cores_know_no_machine(module: Module) -> None:
    assert [(i.line, i.target[0]) for i in module.imports() if i.target[0] in MACHINE] == []


def clock_reads(module: Module) -> list[tuple[int, str]]:
    """Every place that takes a reading, or the function for it; `from time import monotonic` included."""
    found = [
        (node.lineno, f"{node.value.id}.{node.attr}")
        for node in ast.walk(module.tree())
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.attr in CLOCKS.get(node.value.id, ())
    ]
    named = [
        (i.line, ".".join(i.target))
        for i in module.imports()
        if i.target[0] == "time" and i.target[-1] in CLOCKS["time"] and len(i.target) == 2
    ]
    return found + named


@pytest.mark.parametrize("module", PRODUCT, ids=lambda module: module.name)
def test_one_file_reads_the_time(module: Module) -> None:
    if module.name not in READS_TIME:
        assert clock_reads(module) == []


def test_clock_readers_are_seen_and_the_exceptions_needed() -> None:
    readers = {module.name for module in PRODUCT if clock_reads(module)}
    assert "clock" in readers
    assert READS_TIME.keys() <= readers, f"no longer needed: {sorted(READS_TIME.keys() - readers)}"
