"""The emulated service: one aiohttp server on loopback, with or without TLS, and its state.

In a test: ``async with ElevenLabsEmulator(config) as eleven: ... eleven.base_url``. It never listens
anywhere but on loopback.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from pathlib import Path
from typing import Any, Self

from aiohttp import web

from shortwire.emulators.elevenlabs.account import Subscription, SubscriptionFacts
from shortwire.emulators.elevenlabs.agents import AgentBook
from shortwire.emulators.elevenlabs.config import EmulatorConfig, Faults
from shortwire.emulators.elevenlabs.connections import WatchedConnection
from shortwire.emulators.elevenlabs.control import Control
from shortwire.emulators.elevenlabs.ledger import Ledger, RequestEntry
from shortwire.emulators.elevenlabs.recording import Recording
from shortwire.emulators.elevenlabs.rest import Rest
from shortwire.emulators.elevenlabs.signing import SignedUrls
from shortwire.emulators.elevenlabs.socket import ConversationSocket, conversation_endpoint
from shortwire.emulators.elevenlabs.webhooks import Webhooks

__all__ = ["ElevenLabsEmulator"]

_SECRETS = frozenset({"conversation_signature"})


async def _say_so(_: web.Request, response: web.StreamResponse) -> None:
    """Nobody who looks at an answer shall take it for the vendor's."""
    response.headers["Server"] = "shortwire-emulator (not ElevenLabs)"


class ElevenLabsEmulator:
    """Start it with ``async with``, or `start` and `stop`."""

    def __init__(self, config: EmulatorConfig | None = None) -> None:
        """Raises ValueError for a configuration that contradicts itself (an unknown override, format...)."""
        self.config = config or EmulatorConfig()
        self.ledger = Ledger()
        self.agents = AgentBook(self.config)
        self.signed_urls = SignedUrls(self.config.signed_url_lifetime_s, reuse=self.config.reuse_signed_urls)
        self.live: dict[str, ConversationSocket] = {}
        """Conversations with an open socket."""
        self.recordings: dict[str, Recording] = {}
        """Of conversations, with ``keep_audio``."""
        self.webhooks = Webhooks(self)
        self.subscription = SubscriptionFacts()
        """What ``GET /v1/user/subscription`` answers; change it at any time."""
        self.port = 0
        self.ca_pem: Path | None = None
        """With TLS: the certificate of our authority, for SSL_CERT_FILE."""
        self._faults = Faults()
        self._signed_url_faults_left = self._rest_faults_left = 0
        self._runner: web.AppRunner | None = None
        self._server: asyncio.Server | None = None

    # -- faults ----------------------------------------------------------------------------------------------------

    @property
    def faults(self) -> Faults:
        return self._faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        """For requests and conversations from now on."""
        self._faults = faults
        self._signed_url_faults_left = faults.signed_url_times or -1
        self._rest_faults_left = faults.rest_times or -1

    def signed_url_fault_due(self) -> bool:
        """Whether this request still gets the faulty status; counts it."""
        if self._signed_url_faults_left == 0:
            return False
        self._signed_url_faults_left -= 1
        return True

    def rest_fault_due(self) -> bool:
        """The same for ``rest_status``."""
        if self._rest_faults_left == 0:
            return False
        self._rest_faults_left -= 1
        return True

    def agent_name(self, agent_id: str) -> str | None:
        """None for an agent that does not exist any more."""
        agent = self.agents.get(agent_id)
        return None if agent is None else str(agent["name"])

    def reset(self) -> None:
        """Forget everything but what is live: ledger, faults, agents made or changed through the API."""
        self.ledger.clear()
        self.recordings = {key: kept for key, kept in self.recordings.items() if key in self.live}
        for conversation_id, socket in self.live.items():
            self.ledger.conversations[conversation_id] = socket.conversation.record
        self.faults = Faults()
        self.agents.reset()

    # -- running ---------------------------------------------------------------------------------------------------

    @property
    def base_url(self) -> str:
        """``http://127.0.0.1:PORT`` (or https), for the SDKs' base_url and ELEVENLABS_BASE_URL."""
        host = f"[{self.config.host}]" if ":" in self.config.host else self.config.host
        return f"{'https' if self.config.tls_dir is not None else 'http'}://{host}:{self.port}"

    async def start(self) -> None:
        """Listen. Raises OSError when the port is taken."""
        context = None if self.config.tls_dir is None else self._tls(self.config.tls_dir)
        app = web.Application(middlewares=[self._record], client_max_size=16 * 1024 * 1024)

        async def conversation(request: web.Request) -> web.StreamResponse:
            return await conversation_endpoint(request, self)

        app.router.add_routes([web.get("/v1/convai/conversation", conversation)])
        app.router.add_routes(Rest(self).routes())
        app.router.add_routes(Subscription(self, self.subscription).routes())
        app.router.add_routes(Control(self).routes())
        app.on_response_prepare.append(_say_so)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False)
        await self._runner.setup()
        make_protocol = self._runner.server
        assert make_protocol is not None
        self._server = await asyncio.get_running_loop().create_server(
            lambda: WatchedConnection(make_protocol(), self.ledger, self.config.idle_connection_s),
            self.config.host,
            self.config.port,
            ssl=context,
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close every conversation (1001) and stop listening."""
        if self._server is not None:
            self._server.close()
        for socket in list(self.live.values()):
            socket.end(1001, "")
        for _ in range(50):
            if not self.live:
                break
            await asyncio.sleep(0.02)
        if self._runner is not None:
            await self._runner.cleanup()
        await self.webhooks.stop()
        self._server = self._runner = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def _tls(self, folder: Path) -> ssl.SSLContext:
        import trustme  # an extra; only TLS needs it

        authority = trustme.CA()
        folder.mkdir(parents=True, exist_ok=True)
        self.ca_pem = folder / "ca.pem"
        authority.cert_pem.write_to_path(str(self.ca_pem))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1", "::1", "localhost").configure_cert(context)
        return context

    @web.middleware
    async def _record(self, request: web.Request, handler: Any) -> web.StreamResponse:
        """Every request of the emulated API into the ledger (the control API is not part of it)."""
        if request.path.startswith("/_emulator"):
            response: web.StreamResponse = await handler(request)
            return response
        query = {key: "..." if key in _SECRETS else value for key, value in request.query.items()}
        entry = RequestEntry(
            time.monotonic_ns(), request.method, request.path, query, 0, 0, request.headers.get("User-Agent", "")
        )
        watched = None if request.transport is None else request.transport.get_protocol()
        if isinstance(watched, WatchedConnection):
            entry.connection = watched.number
        self.ledger.requests.append(entry)
        try:
            response = await handler(request)
            entry.status = response.status
        except web.HTTPException as error:
            entry.status = error.status
            raise
        finally:
            entry.duration_ns = time.monotonic_ns() - entry.at_ns
        return response
