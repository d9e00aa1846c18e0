"""Every module says what it offers, and says the truth."""

from __future__ import annotations

import ast
import importlib
import pkgutil
from pathlib import Path
from types import ModuleType

import pytest

import shortwire

SILENT = {
    "shortwire.doctor.groups": "each check registers itself where it is defined; nobody imports one by name",
    "shortwire.store.migrations": "Alembic loads these files itself, by path",
}
"""Modules (and what is below them) without `__all__`, and why. Empty package files need none."""


def names() -> list[str]:
    found = [m.name for m in pkgutil.walk_packages(shortwire.__path__, "shortwire.", onerror=lambda _name: None)]
    loud = [name for name in ["shortwire", *found] if not any((name + ".").startswith(s + ".") for s in SILENT)]
    # The first are run, never imported; the others are compiled, and have no source to read here.
    return [name for name in loud if not name.endswith(".__main__") and ".native._" not in name]


def source_of(name: str) -> ast.Module:
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert spec.loader is not None
    text = spec.loader.get_source(name)  # type: ignore[attr-defined]
    return ast.parse(text or "")


def offers(tree: ast.Module) -> list[str] | None:
    """The literal `__all__`, added to or not; None if there is none."""
    found: list[str] | None = None
    for node in tree.body:
        if not isinstance(node, ast.Assign | ast.AugAssign):
            continue
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        if any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets):
            found = (found or []) + list(ast.literal_eval(node.value))
    return found


def test_the_modules_were_found() -> None:
    assert {"shortwire.wire.splice", "shortwire.call.session", "shortwire.cli.root"} <= set(names())
    assert len(names()) > 50


@pytest.mark.parametrize("name", names())
def test_all_is_there_and_true(name: str) -> None:
    tree = source_of(name)
    offered = offers(tree)
    if offered is None:
        only_docstring = all(isinstance(node, ast.Expr) for node in tree.body)
        assert only_docstring, "a module with code says in __all__ what it offers"
        return
    assert len(set(offered)) == len(offered)
    assert [n for n in offered if n.startswith("_") and n != "__version__"] == [], "private names are not offered"
    module: ModuleType = importlib.import_module(name)
    assert [n for n in offered if not hasattr(module, n)] == [], "offered, and not there"


@pytest.mark.parametrize("name", names())
def test_every_module_opens_with_what_it_is(name: str) -> None:
    docstring = ast.get_docstring(source_of(name))
    assert docstring
    assert len(docstring.splitlines()) <= 30


def test_every_test_file_has_a_name_of_its_own() -> None:
    names = [path.name for path in (Path(__file__).parent.parent).rglob("test_*.py")]
    assert sorted(names) == sorted(set(names)), "pytest imports test files by their bare name"
