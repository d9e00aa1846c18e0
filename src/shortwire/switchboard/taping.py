"""Writes a call's tape as it happens: side log in, blocks of the tape's format out, to a thread that appends."""

from __future__ import annotations

import os
import queue
import threading
from pathlib import Path

import structlog

from .. import __version__
from ..call.replay import replay_options
from ..call.session import SessionOptions
from ..call.side import SideEntry
from ..call.tape import TapeHeader, TapeWriter, from_side
from ..records import CallRecord
from ..terms import CallId
from .context import Context

__all__ = ["TapeFiles", "Taping"]

log = structlog.get_logger(__name__)


class Taping:
    """One call's tape; `write` is called with each batch of the side log."""

    def __init__(self, context: Context, record: CallRecord, created_ns: int, options: SessionOptions) -> None:
        assert context.write_tape is not None
        self._append = context.write_tape
        self._call_id = record.id
        more = {
            "version": __version__,
            "profile": record.profile.value,
            "direction": record.direction.value,
            "options": replay_options(options),
        }
        self._writer = TapeWriter(TapeHeader(record.id, created_ns, record.created_at, more))

    def write(self, entries: list[SideEntry]) -> None:
        """Encode a batch and hand it over; returns at once."""
        block = self._writer.records(from_side(entries))
        if block:
            self._append(self._call_id, block)


class TapeFiles:
    """One thread that appends blocks to files: a slow disk delays tapes and nothing else."""

    SUFFIX = ".tape"
    _PENDING = 10_000

    def __init__(self, directory: Path) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._directory = directory
        self._queue: queue.Queue[tuple[str, bytes] | None] = queue.Queue(self._PENDING)
        self.dropped = 0
        """Blocks that the disk could not take in time."""
        self._thread = threading.Thread(target=self._work, name="tapes", daemon=True)
        self._thread.start()

    def path(self, call_id: CallId) -> Path:
        return self._directory / f"{call_id}{self.SUFFIX}"

    def append(self, call_id: str, block: bytes) -> None:
        """From the loop's thread; never blocks."""
        try:
            self._queue.put_nowait((call_id, block))
        except queue.Full:
            self.dropped += 1

    def close(self) -> None:
        """Return when everything is written."""
        self._queue.put(None)
        self._thread.join(10)

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            call_id, block = item
            try:
                descriptor = os.open(self.path(CallId(call_id)), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
                with os.fdopen(descriptor, "ab") as file:
                    file.write(block)
            except OSError as error:
                self.dropped += 1
                log.error("tape.not_written", call_id=call_id, error=str(error))
