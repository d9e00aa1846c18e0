"""Child processes that end when we do, and what they cost.

Every child gets a session of its own, so that Ctrl-C in the terminal reaches only us and we end them
in our order; its output is read line by line as it comes.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import itertools
import os
import secrets
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

__all__ = ["Child", "ChildDied", "cpu_ns", "free_port"]

_TAIL_LINES = 40
_FIRST_PORT = 20_000
_BLOCK = 250
_BLOCKS = 12_000 // _BLOCK
_ports_looked_at = itertools.count(secrets.randbelow(_BLOCK))


class ChildDied(RuntimeError):
    """A child ended or stayed silent when it was needed; the text holds its last lines."""


def free_port() -> int:
    """A port nobody listens on at this moment, below those that systems give to outgoing connections.

    A port from the system's own range could be gone again before it is used: every connection takes one. Each process
    goes through a block of its own: two that look at the same moment do not find the same port, nor does one twice.
    """
    while True:
        port = _FIRST_PORT + os.getpid() % _BLOCKS * _BLOCK + next(_ports_looked_at) % _BLOCK
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port


def cpu_ns(pid: int) -> int:
    """CPU time a process has used so far, nanoseconds, all threads.

    Linux: the scheduler's own count (first field of ``/proc/<pid>/task/*/schedstat``); elsewhere
    psutil's, which is coarser. 0 when neither is to be had.
    """
    total = 0
    tasks = Path(f"/proc/{pid}/task")
    with contextlib.suppress(OSError, ValueError, IndexError):
        for task in tasks.iterdir():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                total += int((task / "schedstat").read_text().split()[0])
        return total
    try:
        import psutil  # type: ignore[import-untyped]
    except ImportError:
        return 0
    with contextlib.suppress(psutil.Error):
        times = psutil.Process(pid).cpu_times()
        return int((times.user + times.system) * 1e9)
    return 0


class Child:
    """One child process."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, on_line: Callable[[str], None]) -> None:
        self.name = name
        self._process = process
        self._on_line = on_line
        self._tail: list[str] = []
        self._reader = asyncio.create_task(self._read(), name=f"output of {name}")
        # The last resort, for a second Ctrl-C in the middle of an orderly end.
        atexit.register(self.kill)

    @classmethod
    async def start(
        cls,
        name: str,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
        on_line: Callable[[str], None] = lambda line: None,
    ) -> Child:
        """Start it; `on_line` gets every line it prints (both streams), without its end."""
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=dict(environment) if environment is not None else None,
            cwd=folder,
            start_new_session=True,
            limit=2**20,
        )
        return cls(name, process, on_line)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.returncode

    async def ended(self) -> int:
        """Wait until it ends by itself; its exit status."""
        return await self._process.wait()

    def ask(self, line: str) -> None:
        """One line to its standard input."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n".encode())

    def death(self, expected: str) -> ChildDied:
        """The error to raise when it did not do what was expected of it."""
        state = "is still running" if self.returncode is None else f"ended with exit status {self.returncode}"
        tail = "\n".join(f"    {line}" for line in self._tail)
        return ChildDied(f"{self.name} {expected}; it {state}. Its last words:\n{tail}")

    async def stop(self, *, patience_s: float = 15.0) -> int:
        """Ask it to end (SIGTERM), wait, and end it for good if it does not. Its exit status."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(patience_s):
                await self._process.wait()
        except TimeoutError:
            self.kill()
            await self._process.wait()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2):
                await self._reader
        atexit.unregister(self.kill)
        return self._process.returncode or 0

    def kill(self) -> None:
        """End it and whatever it started, at once."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

    async def _read(self) -> None:
        assert self._process.stdout is not None
        while raw := await self._process.stdout.readline():
            line = raw.decode("utf-8", "replace").rstrip()
            self._tail = [*self._tail[1 - _TAIL_LINES :], line]
            self._on_line(line)
