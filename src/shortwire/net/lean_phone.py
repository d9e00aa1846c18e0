"""Lean media streams: picows takes the connection over from uvicorn, on the listener's own transport.

picows does not publish the class that is handed over (docs/why/one-port.md): `self_test` tries it at start,
and where it does not work the stock sockets serve, and say so.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from picows import WSAutoPingStrategy, WSUpgradeRequest, WSUpgradeResponse, WSUpgradeResponseWithListener
from picows.picows import WSProtocol  # type: ignore[attr-defined]

from ..ports import SocketListener
from .heads import LONGEST_HEAD, TOO_LARGE
from .lean import LeanSocket

__all__ = ["HandOver", "protocol_factory", "self_test"]

_log = logging.getLogger("picows.phone")

_WRITE_LIMIT = 1024 * 1024
"""Bytes of agent audio that may wait in user space: a burst of a minute's audio on a slow network is normal."""


class HandOver(WSProtocol):  # type: ignore[misc]
    """picows' protocol, fed with the upgrade request that uvicorn has already read.

    Only with that: from then on the transport writes into picows' buffer. Bytes that a client sends behind its
    request without waiting for the answer are lost in uvicorn; RFC 6455 section 4.1 makes it wait.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:
        self._uvicorns_transport = transport
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        if len(data) > LONGEST_HEAD:
            self._uvicorns_transport.write(TOO_LARGE)
            self._uvicorns_transport.close()
            return
        rest = memoryview(data)
        while rest:
            # The buffer has its own idea of its size; it grows when it is full.
            buffer = self.get_buffer(len(rest))
            taken = min(len(buffer), len(rest))
            buffer[:taken] = rest[:taken]
            self.buffer_updated(taken)
            rest = rest[taken:]


def protocol_factory(
    admit: Callable[[str, str], SocketListener | None], max_message: int, *, tuned: bool = True
) -> Callable[..., HandOver]:
    """What uvicorn is configured with as its WebSocket class. `admit`: see `front.Admit`; `tuned`: TUNE_SOCKETS."""

    def route(request: WSUpgradeRequest) -> LeanSocket | WSUpgradeResponseWithListener:
        listener = admit(request.path.decode("latin-1"), request.headers.get("X-Twilio-Signature", ""))
        if listener is None:
            return WSUpgradeResponseWithListener(WSUpgradeResponse.create_error_response(403, b"Forbidden"), None)
        return LeanSocket(listener, max_message=max_message, write_limit=_WRITE_LIMIT, tuned=tuned)

    def make(**_uvicorns: Any) -> HandOver:
        return HandOver(
            host_port=None,
            ws_path=None,
            is_client_side=False,
            ws_listener_factory=route,
            logger=_log,
            disconnect_on_exception=True,
            websocket_handshake_timeout=5.0,
            enable_auto_ping=False,  # the carrier's frames are its heartbeat (Limits.frame_gap_s)
            auto_ping_idle_timeout=10.0,
            auto_ping_reply_timeout=10.0,
            auto_ping_strategy=WSAutoPingStrategy.PING_WHEN_IDLE,
            enable_auto_pong=True,
            max_frame_size=max_message,
            extra_headers=None,
            read_buffer_init_size=4 * 1024,
        )

    return make


def self_test() -> None:
    """Build one, as an upgrade would. Raises whatever keeps lean sockets from being used. Needs a running loop."""
    made = protocol_factory(lambda _path, _signature: None, 65_536)()
    made.get_buffer(1)
