"""One socket of a relayed connection: hands what it reads to an outlet, writes what it is told."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Protocol, cast

__all__ = ["End", "Outlet"]


class Outlet(Protocol):
    """Where an end's bytes go."""

    def put(self, data: bytes) -> None: ...

    def end(self) -> None:
        """The peer sends no more."""
        ...


class End(asyncio.Protocol):
    """A socket; `ready` is called when it is connected."""

    def __init__(self, ready: Callable[[End], None]) -> None:
        self._ready = ready
        self.outlet: Outlet | None = None
        self.on_lost: Callable[[Exception | None], None] = _nothing_lost
        self.on_writable: Callable[[], None] = _nothing
        self.writable = True
        self.gone = False
        self._transport: asyncio.Transport | None = None
        self._half_closed = False
        self._read_to_end = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none of asyncio's classes, so this is a cast and no assertion.
        self._transport = cast(asyncio.Transport, transport)
        raw = transport.get_extra_info("socket")
        if raw is not None:
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._ready(self)

    def data_received(self, data: bytes) -> None:
        if self.outlet is not None:
            self.outlet.put(data)

    def eof_received(self) -> bool:
        if self.outlet is not None:
            self.outlet.end()
        self._read_to_end = True
        return not self._half_closed  # the other direction may go on; when it has ended too, the socket closes

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone = True
        self.on_lost(exc)

    def pause_writing(self) -> None:
        self.writable = False

    def resume_writing(self) -> None:
        self.writable = True
        self.on_writable()

    def write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing() and not self._half_closed:
            self._transport.write(data)

    def write_eof(self) -> None:
        if self._transport is not None and not self._transport.is_closing() and not self._half_closed:
            self._half_closed = True
            if self._read_to_end:
                self._transport.close()  # both directions have ended; buffered bytes are still written
            else:
                self._transport.write_eof()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Break it: the other side gets a reset, not an end of file."""
        if self._transport is not None:
            raw = self._transport.get_extra_info("socket")
            if raw is not None and not self._transport.is_closing():
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._transport.abort()

    def pause_reading(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()


def _nothing() -> None: ...


def _nothing_lost(error: Exception | None) -> None:
    del error
