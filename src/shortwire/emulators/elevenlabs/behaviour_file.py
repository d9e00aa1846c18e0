"""A `Behaviour` from a TOML file: its fields at the top, ``[[tools]]``, ``[[events]]`` and ``[[mcp_servers]]`` below.

Unknown keys are refused: a typo must not become a default.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from shortwire.emulators.elevenlabs.config import Behaviour
from shortwire.emulators.elevenlabs.scripted import McpServer, ScriptedEvent, ScriptedTool

__all__ = ["load_behaviour", "parse_behaviour"]

T = TypeVar("T")

_PARTS = {"tools": ScriptedTool, "events": ScriptedEvent, "mcp_servers": McpServer}


def _build(kind: type[T], table: Mapping[str, Any], where: str) -> T:
    known = {f.name for f in fields(kind)}  # type: ignore[arg-type]
    if strangers := sorted(set(table) - known):
        raise ValueError(f"{where}: unknown key {strangers[0]!r}; known: {', '.join(sorted(known))}")
    try:
        return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in table.items()})
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}: {error}") from None


def parse_behaviour(document: Mapping[str, Any]) -> Behaviour:
    """From a parsed document. Raises ValueError."""
    top = dict(document)
    for name, kind in _PARTS.items():
        entries = top.pop(name, [])
        top[name] = [_build(kind, entry, f"{name}[{number}]") for number, entry in enumerate(entries)]
    return _build(Behaviour, top, "behaviour")


def load_behaviour(path: str | Path) -> Behaviour:
    """From a file. Raises ValueError with the file's name in it."""
    try:
        return parse_behaviour(tomllib.loads(Path(path).read_text(encoding="utf-8")))
    except (OSError, tomllib.TOMLDecodeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from None
