"""HTTP connections with bounds on what may come before anybody is known: how long a head is, how long it takes.

uvicorn's protocol bounds neither (`h11_max_incomplete_event_size` is its other parser's): a stranger could send headers
for ever, or say nothing for ever and keep a descriptor. Here a head has a deadline from the connection on, a later one
on the same connection from its first byte on; the idle time between is uvicorn's keep-alive.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

__all__ = ["LONGEST_HEAD", "PATIENCE_S", "TOO_LARGE", "TOO_SLOW", "BoundedHttp", "bounded_http"]

PATIENCE_S: Final = 10.0
"""From the connection to the end of the request's head. A carrier needs one packet."""
LONGEST_HEAD: Final = 16 * 1024
"""Bytes from the request line to the empty line; the carrier's has about 700. One that begins in the same piece as the
end of the request before it may have twice as many: where it began is not looked for."""
_LONGEST_REST: Final = 1024 * 1024
"""Bytes behind the head as they come. The longest body that is read (web/options.py) fits in chunks of one byte each;
trailers, which no application sees, do not go on for ever."""
TOO_SLOW: Final = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
TOO_LARGE: Final = b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class BoundedHttp(HttpToolsProtocol):
    """uvicorn's, with the bounds. Nothing of it is on a stream's way: an upgrade leaves it.

    It leaves no cycle behind when a stream takes its connection over; uvicorn's own then waits for the collector, and
    the collector's looks are what frames wait for.
    """

    def __init__(self, *arguments: Any, patience_s: float = PATIENCE_S, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._patience_s = patience_s
        self._deadline: asyncio.TimerHandle | None = None
        self._in_head = True
        """A head is awaited or incomplete; otherwise a body is."""
        self._room = LONGEST_HEAD
        """Bytes that may still come of it."""
        self._silent = True
        self._refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        self._expect_no_more()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        self._silent = False
        if self.timeout_keep_alive_task is not None:
            # The idle time is over, whatever this is: a head, a line's end, the body of a request answered long ago.
            self._expect()
        while data:
            size = min(self._room, LONGEST_HEAD)
            piece, data = data[:size], data[size:]
            self._room -= len(piece)
            super().data_received(piece)
            if self.parser is None or self.transport.is_closing():
                return
            if self._room <= 0:
                self._refuse()
                return

    def handle_websocket_upgrade(self) -> None:
        super().handle_websocket_upgrade()
        self.parser = None  # type: ignore[assignment]

    def on_message_begin(self) -> None:
        self._expect()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._expect_no_more()
        self._in_head, self._room = False, _LONGEST_REST
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_head, self._room = True, LONGEST_HEAD
        super().on_message_complete()

    def _expect(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(self._patience_s, self._too_slow)

    def _expect_no_more(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_slow(self) -> None:
        self._deadline = None
        if self.flow.read_paused:  # by us, for what came before: nobody is slow
            self._expect()
        elif self._refused:
            self.transport.abort()
        else:
            if not self._silent and self._nothing_is_answered():
                self.transport.write(TOO_SLOW)
            self.transport.close()

    def _refuse(self) -> None:
        if not self._nothing_is_answered():
            self.transport.close()
            return
        # Closing with bytes unread would reset the connection, and the answer with it. So what still comes is thrown
        # away until they have read it and close, or until the deadline.
        self._refused = True
        self._expect()
        self.transport.write(TOO_LARGE)
        self.transport.write_eof()

    def _nothing_is_answered(self) -> bool:
        """Whether an answer to a head may be written: not into another one, nor behind that of a body's rest."""
        return self._in_head and not (self.cycle and not self.cycle.response_complete)


def bounded_http(patience_s: float) -> Callable[..., BoundedHttp]:
    """What uvicorn is configured with as its HTTP class."""

    def make(**uvicorns: Any) -> BoundedHttp:
        return BoundedHttp(patience_s=patience_s, **uvicorns)

    return make
