"""The listener: HTTP and media streams on one port.

HTTP is uvicorn. On an upgrade uvicorn makes whatever protocol it was configured with and hands it the
transport and the request: the lean way answers with picows on that very transport, with no ASGI in between
(docs/why/one-port.md). Whether a stream may open is decided before 101 is sent, in both ways, by one `admit`.
One of several workers does not listen: it is handed connections (docs/why/workers.md).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import structlog
import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from ..errors import ConfigError
from ..ports import SocketListener
from .heads import PATIENCE_S, bounded_http
from .stock import StampedProtocol, serve_phone

__all__ = ["Admit", "Front", "FrontOptions", "listen"]

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
    patience_s: float = PATIENCE_S
    """How long the head of a request may take: see `heads`."""
    handed: bool = False
    """Listen on nothing: connections come by `Front.take`, and each carries one request."""


class _Server(uvicorn.Server):
    """Signals are the application's business."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _remedy(error: OSError) -> str:
    if error.errno == errno.EADDRNOTAVAIL:
        return "set --host or SHORTWIRE_HOST to an address of this machine"
    if error.errno == errno.EACCES:
        return "choose a port of 1024 or more with --port or SHORTWIRE_PORT"
    return "stop the other server or choose another port with --port or SHORTWIRE_PORT"


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens. Raises `ConfigError` with one sentence if the address cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        # Listen at once: a second server on the port must fail here, not later.
        sock.listen(2048)
    except OSError as error:
        sock.close()
        raise ConfigError(
            f"cannot listen on {host} port {port}",
            details=f"{error.strerror}; {_remedy(error)}",
        ) from None
    sock.setblocking(False)
    return sock


class Front:
    """The one port. `start`, then `stop`."""

    def __init__(self, app: ASGIApp, admit: Admit, options: FrontOptions) -> None:
        self._app = app
        self._admit = admit
        self._options = options
        self._server: _Server | None = None
        self._serving: asyncio.Task[None] | None = None
        self._taking: set[asyncio.Task[None]] = set()
        self.port = options.port

    async def start(self) -> None:
        """Bind and serve. Raises `ConfigError` with one sentence if the address cannot be had."""
        options = self._options
        sockets = [] if options.handed else [listen(options.host, options.port)]
        if sockets:
            self.port = sockets[0].getsockname()[1]
        config = uvicorn.Config(
            self._asgi,
            interface="asgi3",
            proxy_headers=False,  # the public URL is a setting; what a proxy says is never trusted
            http=bounded_http(options.patience_s),  # type: ignore[arg-type]
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
        )
        self._server = _Server(config)
        self._serving = asyncio.create_task(self._server.serve(sockets=sockets))
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

    @property
    def connections(self) -> int:
        """Of HTTP, open now; media streams are no longer among them."""
        return len(self._taking) + (len(self._server.server_state.connections) if self._server is not None else 0)

    def take(self, sock: socket.socket) -> None:
        """Serve a connection that somebody else has accepted, and of which nothing has been read."""
        task = asyncio.create_task(self._take(sock))
        self._taking.add(task)
        task.add_done_callback(self._taking.discard)

    async def _take(self, sock: socket.socket) -> None:
        server = self._server
        if server is None or server.should_exit:
            sock.close()
            return
        config = server.config

        def protocol() -> asyncio.Protocol:
            # As uvicorn makes it for a listener of its own.
            make: Any = config.http_protocol_class
            made: asyncio.Protocol = make(
                config=config, server_state=server.server_state, app_state=server.lifespan.state
            )
            return made

        try:
            sock.setblocking(False)
            await asyncio.get_running_loop().connect_accepted_socket(protocol, sock)
        except OSError as error:  # it has gone meanwhile
            log.debug("connection.gone", error=str(error))
            sock.close()

    def _protocol(self) -> Callable[..., asyncio.BaseProtocol]:
        """What uvicorn makes for each upgrade."""
        if not self._options.lean:
            return StampedProtocol
        from .lean_phone import protocol_factory

        return protocol_factory(self._admitted, self._options.max_message, tuned=self._options.tuned)

    async def _asgi(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket":
            await self._app(scope, receive, _last_answer(send) if self._options.handed else send)
            return
        websocket = WebSocket(scope, receive, send)
        # The whole target, as the lean way sees it: a query was either signed with it or does not belong there.
        query = b"?" + scope["query_string"] if scope["query_string"] else b""
        path = (scope["raw_path"] + query).decode("latin-1")
        listener = self._admitted(path, websocket.headers.get("x-twilio-signature", ""))
        if listener is None:
            await websocket.close(1008)  # before accept: the server answers 403
            return
        await serve_phone(websocket, listener, tuned=self._options.tuned)

    def _admitted(self, path: str, signature: str) -> SocketListener | None:
        try:
            return self._admit(path, signature)
        except Exception:
            log.exception("media.admit_failed")
            return None


def _last_answer(send: Send) -> Send:
    """Close the connection behind the answer: the next request on it may be another worker's."""

    async def closing(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), (b"connection", b"close")]}
        await send(message)

    return closing
