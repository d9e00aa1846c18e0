"""Stock WebSocket legs: the `websockets` client, and whatever uvicorn serves through ASGI.

What most people would have written, behind the same port as the lean legs: the baseline profile, compression,
and machines on which picows cannot be built. A leg writes into a list; whoever caused the writing awaits it
out (`drain`), so that a relayed frame costs a receive and an awaited send, as in a plain bridge.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Awaitable, Callable

import structlog
from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from ..ports import SocketListener, WarmConnection
from .agent_socket import AgentSocketOptions, refusal_of_status, unreachable

__all__ = ["StockAgentDialer", "StockSocket", "serve_phone"]

log = structlog.get_logger(__name__)

_BACKLOG_MESSAGES = 250
"""Messages that may wait to be sent before the listener is told to hold on: 5 s of frames."""


class StockSocket:
    """A `MessageSocket` over an awaitable ``send`` and ``close``."""

    def __init__(
        self,
        listener: SocketListener,
        send: Callable[[str], Awaitable[None]],
        close: Callable[[int, str], Awaitable[None]],
    ) -> None:
        self._listener = listener
        self._send = send
        self._close = close
        self._outbox: deque[bytes] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._draining = False
        self._paused = False
        self._closed: tuple[int, str] | None = None

    def send(self, message: bytes) -> None:
        if self._closed is not None:
            return
        self._outbox.append(message)
        if len(self._outbox) > _BACKLOG_MESSAGES and not self._paused:
            self._paused = True
            self._listener.paused(True)
        if not self._draining:
            self._draining = True
            self._spawn(self._drain())

    def close(self, code: int, reason: str) -> None:
        if self._closed is None:
            self._closed = (code, reason)
            self._spawn(self._say_goodbye(code, reason))

    def ended(self, code: int, reason: str) -> None:
        """The connection is gone: tell the listener, once."""
        said = self._closed
        self._closed = (code, reason)
        self._outbox.clear()
        self._listener.closed(*(said or (code, reason)))

    async def _drain(self) -> None:
        try:
            while self._outbox:
                await self._send(self._outbox.popleft().decode())
                if self._paused and not self._outbox:
                    self._paused = False
                    self._listener.paused(False)
        except (ConnectionClosed, WebSocketDisconnect, RuntimeError, OSError) as error:
            # The receiving side of this socket sees the same end and tells the listener.
            log.debug("stock.send_failed", error=str(error))
            self._outbox.clear()
        finally:
            self._draining = False

    async def _say_goodbye(self, code: int, reason: str) -> None:
        while self._draining:
            await asyncio.sleep(0)
        try:
            await self._close(code, reason)
        except (ConnectionClosed, WebSocketDisconnect, RuntimeError, OSError) as error:
            log.debug("stock.close_failed", error=str(error))

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class StockAgentDialer:
    """`AgentDialer` on the `websockets` library. Cannot be warmed: there is no way in below its `connect`."""

    def __init__(self, options: AgentSocketOptions, tls: ssl.SSLContext, *, compression: bool) -> None:
        self._options = options
        self._tls = tls
        self._compression = compression
        self._tasks: set[asyncio.Task[None]] = set()

    async def warm(self, url: str) -> WarmConnection | None:
        """Always None; see the class."""
        return None

    async def connect(self, url: str, listener: SocketListener, warm: WarmConnection | None = None) -> bool:
        """See `AgentDialer.connect`."""
        options = self._options
        try:
            connection = await connect(
                url,
                ssl=self._tls if url.startswith("wss:") else None,
                compression="deflate" if self._compression else None,
                max_size=options.max_message,
                open_timeout=5 if options.tuned else 10,
                ping_interval=5 if options.tuned else 20,
                ping_timeout=5 if options.tuned else 20,
            )
        except InvalidStatus as error:
            raise refusal_of_status(error.response.status_code) from None
        except (OSError, TimeoutError, WebSocketException) as error:
            raise unreachable(url, error) from None
        socket = StockSocket(listener, connection.send, connection.close)
        listener.opened(socket)
        task = asyncio.create_task(self._receive(connection, socket, listener))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return False

    @staticmethod
    async def _receive(connection: ClientConnection, socket: StockSocket, listener: SocketListener) -> None:
        try:
            async for data in connection:
                listener.message(data.encode()) if isinstance(data, str) else listener.binary()
        except ConnectionClosed:
            pass
        code = connection.close_code
        socket.ended(code if code is not None else 1006, connection.close_reason or "")


async def serve_phone(websocket: WebSocket, listener: SocketListener) -> None:
    """Accept an admitted media stream and feed it to its listener until it ends."""
    await websocket.accept()
    socket = StockSocket(listener, websocket.send_text, lambda code, reason: websocket.close(code, reason))
    listener.opened(socket)
    code, reason = 1006, ""
    try:
        while True:
            event = await websocket.receive()
            if event["type"] == "websocket.disconnect":
                code, reason = event.get("code") or 1006, event.get("reason") or ""
                break
            text = event.get("text")
            listener.message(text.encode()) if text is not None else listener.binary()
    finally:
        socket.ended(code, reason)

