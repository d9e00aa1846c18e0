"""What can be measured: Shortwire under any settings, and the peers beside it.

A peer is a folder with a `peer.json` (name, what it is, command, what it needs) and gets the same environment;
`{python}` in its command is this interpreter. The contract is in docs/reference/bench.md.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import UsageError

__all__ = ["Subject", "find_peers", "shortwire"]

_INHERITED = ("PATH", "PYTHONPATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "VIRTUAL_ENV")
"""All that the children see of our environment: somebody's real keys must not reach a benchmark."""


@dataclass(frozen=True, slots=True)
class Subject:
    """Something that answers a webhook and bridges a media stream."""

    name: str
    command: tuple[str, ...]
    settings: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None
    ours: bool = True
    """Whether it is Shortwire, whose API can be asked."""
    missing: str = ""
    """Why it cannot run here, and what to do; empty if it can."""

    def environment(self, common: Mapping[str, str]) -> dict[str, str]:
        inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        return {**inherited, "PYTHONUNBUFFERED": "1", "NO_PROXY": "*", **common, **self.settings}


def shortwire(name: str, **settings: str) -> Subject:
    """This installation's server; `settings` are environment variables."""
    return Subject(name, (sys.executable, "-c", "from shortwire.cli import main; main()", "serve"), settings)


def find_peers(folder: Path | None, wanted: tuple[str, ...] | None) -> list[Subject]:
    """The peers of a folder, by name; by default `benchmarks/peers` of this checkout, and all of them.

    Peers live beside the package, not in it: an installation without a checkout has none. Raises `UsageError`
    for a wanted one that is not there.
    """
    found: dict[str, Subject] = {}
    for place in [folder] if folder is not None else _places():
        for file in sorted(place.glob("*/peer.json")):
            found.setdefault(file.parent.name, _peer(file))
    for name in wanted or ():
        if name not in found:
            raise UsageError(f"there is no peer {name}", details=f"peers here: {', '.join(found) or 'none'}")
    return [peer for name, peer in found.items() if wanted is None or name in wanted]


def _places() -> list[Path]:
    return [Path.cwd() / "benchmarks" / "peers", Path(__file__).parents[3] / "benchmarks" / "peers"]


def _peer(file: Path) -> Subject:
    said = json.loads(file.read_text(encoding="utf-8"))
    command = tuple(sys.executable if word == "{python}" else word for word in said["command"])
    missing = ""
    if shutil.which(command[0]) is None:
        missing = f"{command[0]} is not installed"
    for need in said.get("needs_files", ()):
        if not (file.parent / need).exists():
            missing = f"run  {said['setup']}  in {file.parent.name}"
    return Subject(said["name"], command, {}, file.parent, ours=False, missing=missing)
