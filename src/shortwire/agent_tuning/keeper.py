"""What an agent was like before we changed it, on disk, so that it can be put back exactly.

One JSON file per change under the data directory: the whole configuration before, the values set, and the instant.
Written before the change is made; readable by its owner only, because a prompt may be confidential.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..errors import ConfigError, NotFound
from .paths import MISSING, value_at

__all__ = ["Keeper", "Kept"]


@dataclass(frozen=True, slots=True)
class Kept:
    """One change and what was before it."""

    id: str
    """Sorts by time."""
    agent_id: str
    base_url: str
    before: Mapping[str, Any]
    """The configuration as GET gave it."""
    changed: Mapping[str, Any]
    """Dotted path to the value that was set."""
    restored: bool = False

    @property
    def previous(self) -> dict[str, Any]:
        """Dotted path to the value that puts things back. Raises `ConfigError` for a field that was not there."""
        values = {path: value_at(self.before, path) for path in self.changed}
        if absent := [path for path, value in values.items() if value is MISSING]:
            raise ConfigError(
                "the change cannot be taken back exactly",
                details=f"{', '.join(absent)} did not exist before, and a merge cannot remove it",
            )
        return values


class Keeper:
    """The kept configurations of all agents."""

    def __init__(self, data_dir: Path) -> None:
        self._folder = data_dir / "agent-configurations"

    def keep(
        self, agent_id: str, base_url: str, before: Mapping[str, Any], changed: Mapping[str, Any], now_s: float
    ) -> Kept:
        """Write one down, durably. Raises `ConfigError` when the directory cannot be written."""
        stamp = datetime.fromtimestamp(now_s, UTC).strftime("%Y%m%dT%H%M%S")
        kept = Kept(f"{stamp}-{int(now_s * 1e6) % 1_000_000:06d}", agent_id, base_url, before, changed)
        _ = kept.previous
        self._write(kept)
        return kept

    def all(self, agent_id: str) -> list[Kept]:
        """Oldest first."""
        folder = self._of(agent_id)
        if not folder.is_dir():
            return []
        return [self._read(path) for path in sorted(folder.glob("*.json"))]

    def one(self, agent_id: str, kept_id: str = "") -> Kept:
        """The one with this id, or the last that was not put back. Raises `NotFound`."""
        every = self.all(agent_id)
        found = [kept for kept in every if kept.id == kept_id] if kept_id else [k for k in every if not k.restored]
        if not found:
            raise NotFound(
                "no configuration of this agent is kept here" if not kept_id else f"no {kept_id} is kept here",
                details="only changes made with `shortwire agent tune --apply` from this data directory can be undone",
            )
        return found[-1]

    def mark_restored(self, kept: Kept) -> None:
        self._write(Kept(kept.id, kept.agent_id, kept.base_url, kept.before, kept.changed, restored=True))

    def _of(self, agent_id: str) -> Path:
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,128}", agent_id):
            raise ConfigError(f"{agent_id} is not an agent's id")
        return self._folder / agent_id

    def _write(self, kept: Kept) -> None:
        document = {
            "agent_id": kept.agent_id,
            "base_url": kept.base_url,
            "changed": dict(kept.changed),
            "restored": kept.restored,
            "before": dict(kept.before),
        }
        path = self._of(kept.agent_id) / f"{kept.id}.json"
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            draft = path.with_suffix(".tmp")
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
                json.dump(document, file, ensure_ascii=False, indent=1)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        except OSError as error:
            raise ConfigError(
                "the agent's configuration could not be kept, so nothing was changed",
                details=f"{error.strerror or error}; make SHORTWIRE_DATA_DIR writable",
            ) from error

    def _read(self, path: Path) -> Kept:
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            return Kept(
                path.stem, found["agent_id"], found["base_url"], found["before"], found["changed"], found["restored"]
            )
        except (OSError, ValueError, KeyError) as error:
            raise ConfigError(f"{path} cannot be read", details=str(error)) from error
