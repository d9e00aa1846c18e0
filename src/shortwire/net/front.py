"""The listener: HTTP and media streams on one port.

HTTP is uvicorn. On an upgrade uvicorn makes whatever protocol it was configured with and hands it the
transport and the request: the lean way answers with picows on that very transport, with no ASGI in between
(docs/why/one-port.md). Whether a stream may open is decided before 101 is sent, in both ways, by one `admit`.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import structlog
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from ..errors import ConfigError
from ..ports import SocketListener
from .stock import StampedProtocol, serve_phone

__all__ = ["Admit", "Front", "FrontOptions"]

log = structlog.get_logger(__name__)

Admit = Callable[[str, str], SocketListener | None]
"""(path of the upgrade, X-Twilio-Signature or "") to the listener of that stream; None: 403."""


@dataclass(frozen=True, slots=True)
class FrontOptions:
    """How the listener listens."""

    host: str = "127.0.0.1"
    port: int = 8001
    lean: bool = True
    compression: bool = False
    """Accept permessage-deflate (stock sockets only)."""
    tuned: bool = True
    max_message: int = 64 * 1024
    """Longest message taken from the carrier, bytes."""


class _Server(uvicorn.Server):
    """Signals are the application's business."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Front:
    """The one port. `start`, then `stop`; `url` in between."""

    def __init__(self, app: ASGIApp, admit: Admit, options: FrontOptions) -> None:
        self._app = app
        self._admit = admit
        self._options = options
        self._server: _Server | None = None
        self._serving: asyncio.Task[None] | None = None
        self.port = options.port

    async def start(self) -> None:
        """Bind and serve. Raises `ConfigError` with one sentence if the address cannot be had."""
        options = self._options
        sock = self._bind()
        self.port = sock.getsockname()[1]
        config = uvicorn.Config(
            self._asgi,
            interface="asgi3",
            proxy_headers=False,  # the public URL is a setting; what a proxy says is never trusted
            http="httptools",
            loop="none",
            lifespan="off",
            ws=self._protocol(),  # type: ignore[arg-type]
            ws_max_size=options.max_message,
            ws_per_message_deflate=options.compression,
            ws_ping_interval=5.0 if options.tuned else 20.0,
            ws_ping_timeout=5.0 if options.tuned else 20.0,
            access_log=False,
            log_config=None,
            server_header=False,
            timeout_keep_alive=15,
            timeout_graceful_shutdown=5,
            h11_max_incomplete_event_size=16 * 1024,
        )
        self._server = _Server(config)
        self._serving = asyncio.create_task(self._server.serve(sockets=[sock]))
        while not self._server.started:
            if self._serving.done():
                self._serving.result()
                raise ConfigError("the HTTP server did not start", details="see the log")
            await asyncio.sleep(0.005)

    async def stop(self) -> None:
        """Stop taking requests; returns when the listener is closed."""
        if self._server is not None and self._serving is not None:
            self._server.should_exit = True
            await self._serving

    def _bind(self) -> socket.socket:
        options = self._options
        family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((options.host, options.port))
            # Listen at once: a second server on the port must fail here, not later.
            sock.listen(2048)
        except OSError as error:
            sock.close()
            raise ConfigError(
                f"cannot listen on {options.host} port {options.port}",
                details=f"{error.strerror}; stop the other server or choose another port with --port or SHORTWIRE_PORT",
            ) from None
        sock.setblocking(False)
        return sock

    def _protocol(self) -> Callable[..., asyncio.BaseProtocol]:
        """What uvicorn makes for each upgrade."""
        if not self._options.lean:
            return StampedProtocol
        from .lean_phone import protocol_factory

        return protocol_factory(self._admitted, self._options.max_message, tuned=self._options.tuned)

    async def _asgi(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket":
            await self._app(scope, receive, send)
            return
        websocket = WebSocket(scope, receive, send)
        # The whole target, as the lean way sees it: a query was either signed with it or does not belong there.
        query = b"?" + scope["query_string"] if scope["query_string"] else b""
        path = (scope["raw_path"] + query).decode("latin-1")
        listener = self._admitted(path, websocket.headers.get("x-twilio-signature", ""))
        if listener is None:
            await websocket.close(1008)  # before accept: the server answers 403
            return
        await serve_phone(websocket, listener)

    def _admitted(self, path: str, signature: str) -> SocketListener | None:
        try:
            return self._admit(path, signature)
        except Exception:
            log.exception("media.admit_failed")
            return None
