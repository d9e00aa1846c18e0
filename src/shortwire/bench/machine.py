"""The machine under the benchmark: its cores, who uses them, what a process tree costs.

Linux keeps count exactly (`/proc`); elsewhere the figures are None and the tables say "not known here".
"""

from __future__ import annotations

import contextlib
import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from .. import __version__
from ..clock import SystemClock

__all__ = ["Cores", "Usage", "busy_ns", "cores", "facts", "on", "step_back", "tree", "usage"]

_PROC = Path("/proc")
_LIBRARIES = ("picows", "aiofastnet", "uvloop", "uvicorn", "fastapi", "websockets")


@dataclass(frozen=True, slots=True)
class Cores:
    """Who runs where. Empty: wherever the system likes."""

    server: frozenset[int] = frozenset()
    phones: frozenset[int] = frozenset()
    agent: frozenset[int] = frozenset()

    @property
    def pinned(self) -> bool:
        return bool(self.server)

    def text(self) -> str:
        if not self.pinned:
            return "nobody pinned"
        server, phones, agent = (",".join(map(str, sorted(c))) for c in (self.server, self.phones, self.agent))
        return f"server on core {server}, phones on {phones}, agent on {agent}"


@dataclass(frozen=True, slots=True)
class Usage:
    """A process tree at an instant."""

    cpu_ns: int
    rss_bytes: int
    descriptors: int
    threads: int
    processes: int


def cores(server: int = 1) -> Cores:
    """The server alone on the first cores we may use, `server` of them, the load on the next ones.

    Nobody is pinned if that leaves the load none.
    """
    if not hasattr(os, "sched_getaffinity"):
        return Cores()
    ours = sorted(os.sched_getaffinity(0))
    if len(ours) <= server:
        return Cores()
    phones, rest = frozenset(ours[server : server + 1]), frozenset(ours[server + 1 : server + 2])
    return Cores(frozenset(ours[:server]), phones, rest or phones)


@contextlib.contextmanager
def on(chosen: frozenset[int]) -> Iterator[None]:
    """Children started within run on these cores from their first instruction on."""
    if not chosen:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, chosen)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def step_back() -> None:
    """This thread runs only while nobody else wants its core: those who make work for the server must not delay those
    who measure. Linux; elsewhere nothing happens."""
    if hasattr(os, "SCHED_IDLE"):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def tree(root: int) -> set[int]:
    """A process and everything below it."""
    parents: dict[int, int] = {}
    for entry in _PROC.iterdir() if _PROC.is_dir() else ():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, IndexError):
                parents[int(entry.name)] = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
    found = {root}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def usage(root: int) -> Usage | None:
    """What a process tree has used and holds; None where the system does not tell."""
    if not (_PROC / str(root)).is_dir():
        return None
    cpu = rss = descriptors = threads = count = 0
    page = os.sysconf("SC_PAGE_SIZE")
    for pid in tree(root):
        with contextlib.suppress(OSError, ValueError, IndexError):
            folder = _PROC / str(pid)
            # The process' own schedstat is its first thread's alone.
            for task in (folder / "task").iterdir():
                with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                    cpu += int((task / "schedstat").read_text().split()[0])
                    threads += 1
            rss += int((folder / "statm").read_text().split()[1]) * page
            descriptors += sum(1 for _ in (folder / "fd").iterdir())
            count += 1
    return Usage(cpu, rss, descriptors, threads, count)


def busy_ns() -> int | None:
    """CPU time of all processes and interrupts and what a hypervisor took, all cores; None where nobody tells."""
    try:
        fields = (_PROC / "stat").read_text().split("\n", 1)[0].split()[1:9]
    except OSError:
        return None
    user, nice, system, _, _, irq, softirq, stolen = map(int, fields)
    return (user + nice + system + irq + softirq + stolen) * 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def facts(where: Cores) -> dict[str, Any]:
    """What a reader has to know to compare: machine, versions, date, and the command as typed."""
    from datetime import UTC, datetime

    return {
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "pinning": where.text(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "shortwire": __version__,
        "libraries": {name: found for name in _LIBRARIES if (found := _version(name))},
        "date": datetime.fromtimestamp(SystemClock.wall_s(), UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "command": " ".join(["shortwire", *sys.argv[1:]]),
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _cpu_name() -> str:
    with contextlib.suppress(OSError):
        for line in (_PROC / "cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
