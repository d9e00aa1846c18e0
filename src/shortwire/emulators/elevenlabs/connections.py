"""What happens to a TCP connection before its first request: counted, and dropped when it idles too long.

A client may open connections ahead of a call. A real host tolerates that only for so long; this is
where the emulator does the same.
"""

from __future__ import annotations

import asyncio
import time
from typing import cast

from shortwire.emulators.elevenlabs.ledger import ConnectionEntry, Ledger

__all__ = ["WatchedConnection"]


class WatchedConnection(asyncio.Protocol):
    """In front of the HTTP server's protocol, passing everything on."""

    def __init__(self, inner: asyncio.Protocol, ledger: Ledger, idle_s: float | None) -> None:
        self._inner = inner
        self._ledger = ledger
        self._idle_s = idle_s
        self._entry: ConnectionEntry | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def number(self) -> int | None:
        """Of the connection in the ledger."""
        return None if self._entry is None else self._entry.number

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._entry = ConnectionEntry(next(self._ledger.numbers), time.monotonic_ns())
        self._ledger.connections.append(self._entry)
        if self._idle_s is not None:
            self._timer = asyncio.get_running_loop().call_later(
                self._idle_s, self._idle_too_long, cast(asyncio.Transport, transport)
            )
        self._inner.connection_made(transport)

    def _idle_too_long(self, transport: asyncio.Transport) -> None:
        assert self._entry is not None
        self._entry.idle_closed = True
        transport.close()

    def data_received(self, data: bytes) -> None:
        if self._entry is not None and self._entry.first_bytes_ns is None:
            self._entry.first_bytes_ns = time.monotonic_ns()
            self._stop_timer()
        self._inner.data_received(data)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        if self._entry is not None:
            self._entry.closed_ns = time.monotonic_ns()
        self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()
