"""What really happened, in order, with monotonic and wall times: the judge's book.

Append-only and plain (every entry can be written as JSON). Frames are counted elsewhere, never listed here.
"""

from __future__ import annotations

import time
from collections import deque
from typing import Any

__all__ = ["Entry", "Ledger"]

Entry = dict[str, Any]


class Ledger:
    """Kinds: rest, webhook, callback, transition, stream, party, notification, not_imitated, emulator_error."""

    def __init__(self, keep: int = 100_000) -> None:
        self._entries: deque[Entry] = deque(maxlen=keep)
        self._count = 0

    def add(self, kind: str, call_sid: str | None = None, **facts: Any) -> Entry:
        """Write it down now; the entry may be completed later by whoever added it (a webhook's answer)."""
        self._count += 1
        entry = {
            "n": self._count,
            "kind": kind,
            "call_sid": call_sid,
            "mono_ns": time.monotonic_ns(),
            "wall": time.time(),
            **facts,
        }
        self._entries.append(entry)
        return entry

    def entries(self, kind: str | None = None, call_sid: str | None = None) -> list[Entry]:
        """Oldest first."""
        return [
            entry
            for entry in self._entries
            if (kind is None or entry["kind"] == kind) and (call_sid is None or entry["call_sid"] == call_sid)
        ]

    def clear(self) -> None:
        self._entries.clear()
