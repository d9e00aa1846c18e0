"""The benchmark's children: started on their cores, asked by JSON lines, ended with us."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from .machine import on

__all__ = ["BenchError", "Process", "free_port", "started"]

_TAIL = 2000


class BenchError(RuntimeError):
    """A run that could not be made; the text says why."""


def free_port() -> int:
    """A port nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Process:
    """One child; what it prints goes to `log`, or comes as answers when it was started with `talks`."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, log: Path | None) -> None:
        self.name = name
        self._process = process
        self._log = log

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.returncode is None

    def ask(self, question: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(question).encode() + b"\n")

    async def answer(self, key: str, within_s: float) -> dict[str, Any]:
        """The next answer that has `key`; others before it are passed over. Raises `BenchError`."""
        try:
            async with asyncio.timeout(within_s):
                async for found in self.answers():
                    if key in found:
                        return found
        except TimeoutError:
            raise BenchError(f"{self.name} said nothing of {key!r} within {within_s:g} s") from None
        raise BenchError(f"{self.name} ended early: {self.last_words()}")

    async def answers(self) -> AsyncIterator[dict[str, Any]]:
        """Everything it says, until it ends."""
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            yield json.loads(line)

    def last_words(self) -> str:
        if self._log is None or not self._log.exists():
            return ""
        return self._log.read_bytes()[-_TAIL:].decode("utf-8", "replace").strip()

    async def stop(self, patience_s: float = 10.0) -> None:
        """The end of its input if it has one, SIGTERM to its whole group, then SIGKILL."""
        if self._process.stdin is not None:
            self._process.stdin.close()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(2):
                    await self._process.wait()
        for how, wait_s in ((signal.SIGTERM, patience_s), (signal.SIGKILL, 5.0)):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, how)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._process.wait()
                    return


@contextlib.asynccontextmanager
async def started(
    name: str,
    command: Sequence[str],
    *,
    cores: frozenset[int],
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    log: Path,
    first: Mapping[str, Any] | None = None,
) -> AsyncIterator[Process]:
    """A child for the time of the block. With `first`, it is a program of ours that is asked and answers."""
    with log.open("ab") as out, on(cores):
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE if first is not None else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE if first is not None else out,
            stderr=out,
            env=dict(environment) if environment is not None else None,
            cwd=folder,
            # Not a session: Linux gives each a share of a core of its own (sched_autogroup), and whoever steps back in
            # it does so before nobody but itself.
            process_group=0,
            limit=1 << 26,
        )
    child = Process(name, process, log)
    try:
        if first is not None:
            child.ask(first)
        yield child
    finally:
        await child.stop()
