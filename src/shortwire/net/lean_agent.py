"""Lean conversation sockets to the agent's host, on picows and aiofastnet; cold, or on a warm connection.

A warm connection is a TCP and TLS connection on which nothing has been said; the WebSocket protocol is put
on it when somebody picks up, which leaves one round trip (docs/why/prewarm.md). Page: elevenlabs.md section 6.1.
"""

from __future__ import annotations

import asyncio
import logging
import ssl

import aiofastnet
import structlog
from picows import WSAutoPingStrategy, WSError
from picows.picows import WSProtocol  # type: ignore[attr-defined]
from picows.url import parse_url

from ..beside import give_way
from ..call.setup import ConnectionInstants
from ..clock import SystemClock
from ..errors import AgentError
from ..ports import SocketListener, WarmConnection
from .agent_host import AgentSocketOptions, refusal_of_status, tell_connected, unreachable, where_of
from .heartbeat import Heartbeat
from .lean import LeanSocket
from .reach import reach
from .undecoded import undecoded

__all__ = ["LeanAgentDialer"]

log = structlog.get_logger(__name__)
_picows_log = logging.getLogger("picows.agent")

_WRITE_LIMIT = 4_096
"""Bytes that may wait in user space before frames are dropped: about ten frames. The kernel's buffer is before."""

_READ_BUFFER = 8 * 1024
"""Bytes, at first: 0.7 s of mu-law in one message. It grows with the first longer one, and stays so."""


class _Idle(asyncio.Protocol):
    """Sits on a warm connection: nothing is expected but the end."""

    def __init__(self) -> None:
        self.lost = False

    def data_received(self, data: bytes) -> None:
        self.lost = True  # a host that speaks first is no WebSocket host

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True


class _Warm:
    """A warm connection of the lean dialer."""

    def __init__(
        self, transport: asyncio.Transport, idle: _Idle, where: tuple[str, int, bool], made: ConnectionInstants
    ) -> None:
        self.transport: asyncio.Transport | None = transport
        self.where = where
        self.made = made
        self._idle = idle

    @property
    def alive(self) -> bool:
        return self.transport is not None and not self._idle.lost and not self.transport.is_closing()

    def take(self) -> asyncio.Transport:
        assert self.transport is not None
        transport, self.transport = self.transport, None
        return transport

    def close(self) -> None:
        if self.transport is not None:
            self.transport.abort()
            self.transport = None


class LeanAgentDialer:
    """`AgentDialer` on picows and aiofastnet."""

    def __init__(self, options: AgentSocketOptions, tls: ssl.SSLContext) -> None:
        """`tls` has to check certificates, and is this dialer's alone from now on (`undecoded`)."""
        self._options = options
        self._tls = undecoded(tls)
        self._heartbeat = Heartbeat() if options.tuned else None

    async def warm(self, url: str) -> WarmConnection | None:
        """See `AgentDialer.warm`."""
        where = where_of(url)
        await give_way()
        try:
            async with asyncio.timeout(self._options.connect_s):
                return _Warm(*await self._connection(where))
        except (OSError, TimeoutError) as error:
            log.info("agent.warm_failed", host=where[0], error=str(error))
            return None

    async def connect(self, url: str, listener: SocketListener, warm: WarmConnection | None = None) -> bool:
        """See `AgentDialer.connect`."""
        if isinstance(warm, _Warm) and warm.alive and warm.where == where_of(url):
            try:
                # Told again for a cold one: one that was made while it rang cost the party nothing.
                tell_connected(listener, warm.made)
                await self._upgrade(url, listener, warm.take())
                return True
            except (OSError, TimeoutError) as error:
                # The host may drop an idle connection at any moment; nothing was said on it yet.
                log.info("agent.warm_lost", error=str(error))
        elif warm is not None:
            warm.close()
        await self._cold(url, listener)
        return False

    def _socket(self, listener: SocketListener) -> LeanSocket:
        options = self._options
        return LeanSocket(
            listener,
            max_message=options.max_message,
            write_limit=_WRITE_LIMIT,
            tuned=options.tuned,
            heartbeat=self._heartbeat,
        )

    async def _upgrade(self, url: str, listener: SocketListener, transport: asyncio.Transport) -> None:
        """Put the WebSocket protocol on a connection that is already there."""
        parsed = parse_url(url)
        protocol = WSProtocol(
            host_port=parsed.netloc,
            ws_path=parsed.resource_name,
            is_client_side=True,
            ws_listener_factory=lambda: self._socket(listener),
            logger=_picows_log,
            disconnect_on_exception=True,
            enable_auto_pong=True,
            max_frame_size=self._options.max_message,
            extra_headers=None,
            read_buffer_init_size=_READ_BUFFER,
            enable_auto_ping=False,  # there is one `Heartbeat` for all
            auto_ping_idle_timeout=5.0,
            auto_ping_reply_timeout=5.0,
            auto_ping_strategy=WSAutoPingStrategy.PING_WHEN_IDLE,
            websocket_handshake_timeout=5.0,
        )
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        try:
            await protocol.wait_until_handshake_complete()
        except WSError as error:
            transport.abort()
            raise _refusal(error) from None
        except BaseException:
            transport.abort()  # given up: nobody else knows of this connection
            raise
        if protocol.listener is None:
            raise ConnectionResetError("the connection was closed before the upgrade was answered")

    async def _connection(
        self, where: tuple[str, int, bool]
    ) -> tuple[asyncio.Transport, _Idle, tuple[str, int, bool], ConnectionInstants]:
        """TCP and, for https and wss, TLS; on it nobody speaks. Raises `OSError`."""
        host, port, secure = where
        reached = await reach(host, port)
        try:
            loop = asyncio.get_running_loop()
            if secure:
                transport, idle = await aiofastnet.create_connection(
                    loop, _Idle, sock=reached.system, ssl=self._tls, server_hostname=host
                )
            else:  # without TLS the loop's own transport is the cheaper one, by about 1 us a message
                transport, idle = await loop.create_connection(_Idle, sock=reached.system)
        except BaseException:
            reached.system.close()
            raise
        tls_ns = SystemClock.now_ns() if secure else 0
        return transport, idle, where, ConnectionInstants(reached.looked_up_ns, reached.tcp_ns, tls_ns)

    async def _cold(self, url: str, listener: SocketListener) -> None:
        try:
            async with asyncio.timeout(self._options.connect_s):
                transport, _, _, made = await self._connection(where_of(url))
                tell_connected(listener, made)
                await self._upgrade(url, listener, transport)
        except WSError as error:
            raise _refusal(error) from None
        except (OSError, TimeoutError, ValueError) as error:
            raise unreachable(url, error) from None


def _refusal(error: WSError) -> AgentError:
    response = getattr(error, "response", None)
    return refusal_of_status(int(response.status) if response is not None else 0, str(error))
