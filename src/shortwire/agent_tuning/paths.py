"""Dotted paths into a configuration: reading, comparing, and the smallest document that changes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

__all__ = ["MISSING", "change_of", "differences", "value_at"]


class _Missing:
    def __repr__(self) -> str:
        return "(not there)"


MISSING: Final = _Missing()
"""Stands for a field that a configuration does not have; null is a value."""

IGNORED = frozenset({"metadata", "version_id", "branch_id", "main_branch_id", "access_info", "phone_numbers"})
"""Top-level members that the service changes by itself."""


def value_at(document: Mapping[str, Any], path: str) -> Any:
    """The value at a dotted path, or `MISSING`."""
    found: Any = document
    for key in path.split("."):
        if not isinstance(found, Mapping) or key not in found:
            return MISSING
        found = found[key]
    return found


def change_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """The document that sets these paths and nothing else (PATCH merges deeply, section 4.2)."""
    document: dict[str, Any] = {}
    for path, value in values.items():
        *parents, leaf = path.split(".")
        node = document
        for key in parents:
            node = node.setdefault(key, {})
        node[leaf] = value
    return document


def differences(
    before: Mapping[str, Any], after: Mapping[str, Any], ignored: Iterable[str] = IGNORED
) -> list[tuple[str, Any, Any]]:
    """(path, before, after) of every value that differs. Lists are values; tables are walked."""
    found: list[tuple[str, Any, Any]] = []
    skip = frozenset(ignored)
    for key in sorted(set(before) | set(after)):
        if key not in skip:
            _compare(key, before.get(key, MISSING), after.get(key, MISSING), found)
    return found


def _compare(path: str, before: Any, after: Any, found: list[tuple[str, Any, Any]]) -> None:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in sorted(set(before) | set(after)):
            _compare(f"{path}.{key}", before.get(key, MISSING), after.get(key, MISSING), found)
    elif before != after or type(before) is not type(after):
        # 1 and 1.0 are one number on the wire; true and 1 are not.
        numbers = {type(before), type(after)} <= {int, float}
        if not (numbers and before == after):
            found.append((path, before, after))
