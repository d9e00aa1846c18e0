"""Makes a call's tape as it happens: side log in, blocks of the tape's format out."""

from __future__ import annotations

from .. import __version__
from ..call.replay import replay_options
from ..call.session import SessionOptions
from ..call.side import SideEntry
from ..call.tape import TapeHeader, TapeWriter, from_side
from ..records import CallRecord
from .tape_files import TapeFile

__all__ = ["Taping"]


class Taping:
    """One call's tape; `write` is called with each batch of the side log."""

    def __init__(self, tape: TapeFile, record: CallRecord, created_ns: int, options: SessionOptions) -> None:
        self._tape = tape
        self._complained = False
        more = {
            "version": __version__,
            "profile": record.profile.value,
            "direction": record.direction.value,
            "options": replay_options(options),
        }
        self._writer = TapeWriter(TapeHeader(record.id, created_ns, record.created_at, more))

    def write(self, entries: list[SideEntry]) -> None:
        """Encode a batch and hand it over; returns at once."""
        if self._tape.lost:
            return
        block = self._writer.records(from_side(entries))
        if block:
            self._tape.append(block)

    def complaint(self) -> str:
        """One sentence the first time that the tape is found to have ended; else empty."""
        if self._complained or not self._tape.lost:
            return ""
        self._complained = True
        return f"the tape ends before the call: {self._tape.lost}"
