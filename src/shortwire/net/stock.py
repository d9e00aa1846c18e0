"""Stock WebSocket legs: the `websockets` client, and whatever uvicorn serves through ASGI.

What most people would have written, behind the same port as the lean legs: the baseline profile, compression,
and machines on which picows cannot be built. As in a plain bridge, a relayed message costs a receive and an
awaited send: a leg writes into its outbox, and the loop that received awaits the outboxes empty.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import structlog
from starlette.websockets import WebSocket, WebSocketDisconnect
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.proxy import get_proxy

from ..call.setup import ConnectionInstants
from ..clock import SystemClock
from ..ports import SocketListener, WarmConnection
from .agent_host import AgentSocketOptions, refusal_of_status, tell_connected, unreachable
from .outbound import UNSENT, bound_writes
from .reach import Reached, reach

__all__ = ["StampedProtocol", "StockAgentDialer", "StockSocket", "serve_phone"]

log = structlog.get_logger(__name__)
_now_ns = SystemClock.now_ns

_BACKLOG_MESSAGES = 250
"""Messages that may wait to be sent before the listener is told to hold on: 5 s of frames."""
_PATIENCE_S = 0.25
"""How long a receive loop waits for the other leg to take a message. A plain bridge waits for ever, and so
stops hearing one side because the other one is slow; that is a fault of it, not a side of a toggle."""
_CLOSE_S = 2.0
"""How long the closing handshake may take."""
_READ_NS = "shortwire.read_ns"
_PROTOCOL = "shortwire.protocol"
_BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
_GONE = (ConnectionClosed, WebSocketDisconnect, RuntimeError, OSError)


class _Written:
    """The sockets written to while a message was being handled: the receive loop empties their outboxes."""

    collecting = False
    sockets: list[StockSocket]


_written = _Written()
_written.sockets = []


class StockSocket:
    """A `MessageSocket` over an awaitable ``send`` and ``close``."""

    def __init__(
        self,
        listener: SocketListener,
        send: Callable[[str], Awaitable[None]],
        close: Callable[[int, str], Awaitable[None]],
        abort: Callable[[], None],
        *,
        waits_first: bool,
    ) -> None:
        """`waits_first`: whether `send` waits for room before it writes, or writes and waits for room then."""
        self._listener = listener
        self._send = send
        self._close = close
        self._abort = abort
        self._waits_first = waits_first
        self._stuck = False
        """The peer takes nothing; a task of its own sends what waits."""
        self._outbox: deque[bytes] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._writing = asyncio.Lock()
        self._paused = False
        self._closed: tuple[int, str] | None = None
        self.ours = False
        """See `MessageSocket`."""

    def send(self, message: bytes) -> None:
        if self._closed is not None:
            return
        self._outbox.append(message)
        if len(self._outbox) > _BACKLOG_MESSAGES:
            self._hold_on()
        if _written.collecting:
            if self not in _written.sockets:
                _written.sockets.append(self)
        else:  # not caused by a message: a timer, a hang-up
            self._spawn(self.drain())

    def close(self, code: int, reason: str) -> None:
        if self._closed is None:
            self._closed, self.ours = (code, reason), True
            self._spawn(self._say_goodbye(code, reason))

    def ended(self, code: int, reason: str, *, ours: bool = False) -> None:
        """The connection is gone: tell the listener, once. `ours`: the library ended it."""
        said = self._closed
        self.ours = self.ours or ours
        self._closed = (code, reason)
        self._outbox.clear()
        for task in self._tasks:
            task.cancel()
        self._listener.closed(*(said or (code, reason)))

    async def drain(self) -> None:
        """Send what waits, in order."""
        async with self._writing:
            try:
                while self._outbox:
                    await self._send_one(self._outbox.popleft())
            except _GONE as error:
                # The receiving side of this socket sees the same end and tells the listener.
                log.debug("stock.send_failed", error=str(error))
                self._outbox.clear()
        if self._paused and self._closed is None:
            self._paused = False
            self._listener.paused(False)

    async def drain_soon(self) -> None:
        """`drain`, but when the peer does not read, go on without it: it is told to the listener, who drops."""
        if self._stuck:
            return
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await self.drain()
        except TimeoutError:
            self._stuck = True
            self._hold_on()
            self._spawn(self._drain_stuck())

    async def _drain_stuck(self) -> None:
        try:
            await self.drain()
        finally:
            self._stuck = False

    async def _send_one(self, message: bytes) -> None:
        try:
            await self._send(message.decode())
        except asyncio.CancelledError:
            if self._waits_first:
                self._outbox.appendleft(message)
            raise

    def _hold_on(self) -> None:
        if not self._paused and self._closed is None:
            self._paused = True
            self._listener.paused(True)

    async def _say_goodbye(self, code: int, reason: str) -> None:
        try:
            async with asyncio.timeout(_CLOSE_S), self._writing:
                await self._close(code, reason)
        except TimeoutError:
            self._abort()
        except _GONE as error:
            log.debug("stock.close_failed", error=str(error))

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _handle(listener: SocketListener, data: str | bytes | None, read_ns: int) -> None:
    """One received message, and the sends it causes."""
    if not isinstance(data, str):
        listener.binary()
        return
    _written.collecting = True
    try:
        relayed = listener.message(data.encode(), read_ns)
    finally:
        _written.collecting = False
        sockets, _written.sockets = _written.sockets, []
    for written in sockets:
        await written.drain_soon()
    if relayed:
        listener.relayed(read_ns, _now_ns())


class _StampedConnection(ClientConnection):
    """Knows when its latest bytes were read from the system."""

    read_ns = 0
    listener: SocketListener | None = None
    reached: Reached | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self.listener is not None:
            tell_connected(self.listener, self._made(transport))
        super().connection_made(transport)

    def _made(self, transport: asyncio.BaseTransport) -> ConnectionInstants:
        now_ns, reached = _now_ns(), self.reached
        if reached is None:
            return ConnectionInstants(connected_ns=now_ns)
        secure = transport.get_extra_info("sslcontext") is not None
        return ConnectionInstants(reached.looked_up_ns, reached.tcp_ns, now_ns if secure else 0)

    def data_received(self, data: bytes) -> None:
        self.read_ns = _now_ns()
        super().data_received(data)


@dataclass(slots=True)
class _Way:
    """How the latest attempt came to its connection; None: not by us."""

    reached: Reached | None = None


class _Connect(connect):
    """The library's way to a connection, in steps that can be told apart; as it is through a proxy."""

    def __init__(self, *arguments: Any, way: _Way, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._way = way

    async def open_tcp_connection(self) -> ClientConnection:
        self._way.reached = None
        if get_proxy(self.ws_uri) is not None:
            return await super().open_tcp_connection()
        self._way.reached = reached = await reach(self.ws_uri.host, self.ws_uri.port)
        given = self.create_connection_kwargs
        self.create_connection_kwargs = {**given, "sock": reached.system}
        try:
            return await super().open_tcp_connection()
        finally:
            self.create_connection_kwargs = given  # a redirect is followed on a connection of its own


class StampedProtocol(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket; leaves in the scope when its latest bytes were read from the system, and itself."""

    cut = False
    """The connection ended without a close frame; uvicorn reports 1005 for that, too."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.close_timeout = _CLOSE_S

    async def run_asgi(self) -> None:
        self.scope[_PROTOCOL] = self  # type: ignore[literal-required]
        await super().run_asgi()

    def connection_lost(self, exc: Exception | None) -> None:
        self.cut = self.conn.close_rcvd is None and not self.close_sent
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        scope: Any = getattr(self, "scope", None)
        if scope is not None:
            scope[_READ_NS] = _now_ns()
        super().data_received(data)
        if scope is None and not self.handshake_initiated:
            # uvicorn hands over a whole request: one that is not understood by now never will be.
            self.transport.write(_BAD_REQUEST)
            self.transport.close()


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
        options, way = self._options, _Way()

        def stamped(*arguments: Any, **more: Any) -> _StampedConnection:
            # Knows the way, not who goes it: the two would hold each other, and the call, after its end.
            made = _StampedConnection(*arguments, **more)
            made.listener, made.reached = listener, way.reached
            return made

        try:
            connection = await _Connect(
                url,
                way=way,
                ssl=self._tls if url.startswith("wss:") else None,
                compression="deflate" if self._compression else None,
                max_size=options.max_message,
                open_timeout=5 if options.tuned else 10,
                ping_interval=5 if options.tuned else 20,
                ping_timeout=5 if options.tuned else 20,
                close_timeout=_CLOSE_S,
                create_connection=stamped,
            )
        except InvalidStatus as error:
            raise refusal_of_status(error.response.status_code) from None
        except (OSError, TimeoutError, WebSocketException) as error:
            raise unreachable(url, error) from None
        assert isinstance(connection, _StampedConnection)
        if options.tuned:
            _bound(connection.transport, UNSENT[0])
        made = StockSocket(listener, connection.send, connection.close, connection.transport.abort, waits_first=False)
        listener.opened(made)
        task = asyncio.create_task(self._receive(connection, made, listener))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return False

    @staticmethod
    async def _receive(connection: _StampedConnection, made: StockSocket, listener: SocketListener) -> None:
        try:
            async for data in connection:
                await _handle(listener, data, connection.read_ns)
        except ConnectionClosed:
            pass
        except Exception:
            log.exception("socket.listener_failed")
            await connection.close(1011, "internal error")
        code, reason = connection.close_code, connection.close_reason or ""
        sent = connection.protocol.close_sent
        if code in (None, 1006) and sent is not None:
            code, reason = sent.code, sent.reason  # the library ended it: a message it would not take
        ours = sent is not None and not connection.protocol.close_rcvd_then_sent
        made.ended(code if code is not None else 1006, reason, ours=ours)


def _bound(transport: asyncio.BaseTransport, write_limit: int) -> None:
    """`bound_writes`, for connections over TCP."""
    system = transport.get_extra_info("socket")
    if system is not None and system.family in (socket.AF_INET, socket.AF_INET6):
        bound_writes(system, write_limit)


async def serve_phone(websocket: WebSocket, listener: SocketListener, *, tuned: bool) -> None:
    """Accept an admitted media stream and feed it to its listener until it ends. `tuned`: TUNE_SOCKETS."""
    await websocket.accept()
    protocol: StampedProtocol = websocket.scope[_PROTOCOL]
    if tuned:
        _bound(protocol.transport, UNSENT[1])
    made = StockSocket(listener, websocket.send_text, websocket.close, protocol.transport.abort, waits_first=True)
    listener.opened(made)
    code, reason = 1006, ""
    try:
        while True:
            event = await websocket.receive()
            if event["type"] == "websocket.disconnect":
                code, reason = event.get("code") or 1006, event.get("reason") or ""
                if protocol.cut:
                    code = 1006
                break
            await _handle(listener, event.get("text"), websocket.scope.get(_READ_NS) or _now_ns())
    except Exception:
        log.exception("socket.listener_failed")
        with contextlib.suppress(*_GONE):
            await websocket.close(1011, "internal error")
    finally:
        made.ended(code, reason)
