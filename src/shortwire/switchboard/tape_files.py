"""Tapes on disk: one thread appends what calls hand over. A slow disk delays tapes, a bad one ends them, and neither
keeps a call waiting.

A tape ends with the first block that is lost. What is on disk is sound up to there; going on behind a gap would make a
file that replays differently and does not say so.
"""

from __future__ import annotations

import os
import queue
import threading
from contextlib import suppress
from pathlib import Path
from typing import Final

import structlog

from ..terms import CallId

__all__ = ["SUFFIX", "TapeFile", "TapeFiles"]

log = structlog.get_logger(__name__)

SUFFIX: Final = ".tape"
_PENDING: Final = 10_000
"""Blocks that wait for the disk, of all calls: more than a minute of two hundred."""
_CLOSE_S: Final = 10.0


class TapeFile:
    """One call's; made by `TapeFiles.open`."""

    __slots__ = ("_files", "broken", "call_id", "lost")

    def __init__(self, files: TapeFiles, call_id: CallId) -> None:
        self._files = files
        self.call_id = call_id
        self.lost = ""
        """Why the tape ended before its call; empty while it goes on."""
        self.broken = False
        """For the writing thread: what waits of it is not written any more."""

    def append(self, block: bytes) -> None:
        """From the loop's thread; never blocks, never raises. Nothing once the tape has ended."""
        if not self.lost:
            self._files.put(self, block)


class TapeFiles:
    """A directory of them, and the thread."""

    def __init__(self, directory: Path, *, pending: int = _PENDING) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._directory = directory
        self._pending = pending
        self._waiting: queue.SimpleQueue[tuple[TapeFile, bytes] | None] = queue.SimpleQueue()
        self._closed = False
        self._cutting = threading.Lock()
        self.cut_short = 0
        """Tapes that ended before their calls did."""
        self._thread = threading.Thread(target=self._work, name="tapes", daemon=True)
        self._thread.start()

    def open(self, call_id: CallId) -> TapeFile:
        """A call's tape. The file is made with its first block."""
        return TapeFile(self, call_id)

    def path(self, call_id: CallId) -> Path:
        return self._directory / f"{call_id}{SUFFIX}"

    def put(self, tape: TapeFile, block: bytes) -> None:
        """For `TapeFile.append`."""
        if self._closed or self._waiting.qsize() >= self._pending:
            self._cut(tape, "the disk does not keep up" if not self._closed else "the server has stopped")
        else:
            self._waiting.put((tape, block))

    def close(self, within_s: float = _CLOSE_S) -> None:
        """Return when everything is written, or after so long."""
        self._closed = True
        self._waiting.put(None)
        self._thread.join(within_s)
        if self._thread.is_alive():
            log.error(
                "tapes.not_written", blocks=self._waiting.qsize(), error=f"the disk took nothing for {within_s:g} s"
            )

    def _work(self) -> None:
        while (item := self._waiting.get()) is not None:
            tape, block = item
            if tape.broken:
                continue
            try:
                append_whole(self.path(tape.call_id), block)
            except OSError as error:
                tape.broken = True
                self._cut(tape, error.strerror or str(error))

    def _cut(self, tape: TapeFile, why: str) -> None:
        """Once a tape, whichever thread comes first."""
        with self._cutting:
            if tape.lost:
                return
            tape.lost = why
            self.cut_short += 1
        log.error("tape.cut_short", call_id=tape.call_id, error=why)


def append_whole(path: Path, block: bytes) -> None:
    """All of a block or nothing: what a full disk took of it is taken back. Raises `OSError`."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags, 0o600)
    before: int | None = None
    try:
        before = os.fstat(descriptor).st_size
        left = memoryview(block)
        while left:
            left = left[os.write(descriptor, left) :]
    except OSError:
        # A reader stops at a torn block as well, but would call the tape damaged.
        with suppress(OSError):
            if before is not None:
                os.ftruncate(descriptor, before)
            if before == 0:
                path.unlink()
        raise
    finally:
        os.close(descriptor)
