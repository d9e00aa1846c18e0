"""The server that the public address should lead to: the one that runs here, or a stand-in on its port.

With a running server, tickets are made with the API key over loopback. Without one, the same echo listens on the same
port for the time of the examination, so that the way in can be tested before the first start.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from ..errors import BridgeError, ConfigError, PeerError
from ..net.front import Front, FrontOptions
from ..net.probes import http_request
from ..settings import Settings
from ..web.echo import ECHO_PATH, DoctorEcho
from ..web.guard import Guard
from ..web.options import WebOptions
from ..wire.signature import verify

__all__ = ["Way", "WayBlocked", "find_way"]

_RECENT = 20
"""Calls that are looked at. A long one is 100 KiB with its turns."""
_LONGEST_LIST = 8 * 2**20
"""Bytes of their list."""


class WayBlocked(BridgeError):
    """Something else has our port; `code` says what."""


@dataclass(slots=True)
class Way:
    """Where we are, and how an echo is asked for."""

    local_url: str
    public_url: str
    instance: str
    stand_in: bool
    _api_key: str
    _tickets: list[str] = field(default_factory=list)
    _echo: DoctorEcho | None = None
    _front: Front | None = None

    def ticket(self) -> str:
        """A path that opens one echo."""
        return ECHO_PATH + (self._echo.ticket() if self._echo is not None else self._tickets.pop())

    async def recent_calls(self, http: aiohttp.ClientSession) -> Sequence[Mapping[str, Any]]:
        """The newest calls, newest first (GET /v1/calls). Raises `AnswerTooLong`."""
        headers = {"Authorization": f"Bearer {self._api_key}"}
        url = f"{self.local_url}/v1/calls?limit={_RECENT}"
        answer = await http_request(http, "GET", url, headers=headers, whole=_LONGEST_LIST)
        calls = _document(answer.body).get("calls") if answer.status == 200 else None
        return [call for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []

    async def close(self) -> None:
        if self._front is not None:
            front, self._front = self._front, None
            await front.stop()


async def find_way(settings: Settings, http: aiohttp.ClientSession, deadline_s: float) -> Way:
    """Raises `WayBlocked`, or `ConfigError` when nothing can listen there."""
    if settings.port == 0:
        raise WayBlocked("SHORTWIRE_PORT is 0: the port is known only to the server", code="port_unknown")
    host = "127.0.0.1" if settings.shortwire_host in ("0.0.0.0", "") else settings.shortwire_host  # noqa: S104
    local = f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"
    key = settings.shortwire_api_key.get_secret_value()
    headers = {"Authorization": f"Bearer {key}"}
    try:
        answer = await http_request(
            http, "POST", f"{local}/doctor/tickets?count=16", headers=headers, deadline_s=deadline_s
        )
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        if _is_free(settings):
            return await _stand_in(settings, local)
        raise WayBlocked(f"port {settings.port} is taken and does not speak HTTP", code="not_shortwire") from error
    document = _document(answer.body)
    if answer.status == 200 and isinstance(document.get("tickets"), list):
        return Way(local, document["public_url"], document["instance"], False, key, _tickets=list(document["tickets"]))
    if isinstance(document.get("error"), dict) and answer.status == 401:
        raise WayBlocked(f"the server on port {settings.port} knows another API key", code="other_key")
    raise WayBlocked(f"port {settings.port} is taken by a program that is not Shortwire", code="not_shortwire")


def _document(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _is_free(settings: Settings) -> bool:
    family = socket.AF_INET6 if ":" in settings.shortwire_host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.shortwire_host, settings.port))
        except OSError:
            return False
    return True


async def _stand_in(settings: Settings, local: str) -> Way:
    if not settings.server_url:
        raise PeerError(
            "the tunnel's address is known only to a running server",
            details="start `shortwire serve --tunnel ngrok` and run doctor beside it",
            code="tunnel_unknown",
        )
    token = settings.twilio_auth_token.get_secret_value()
    key = settings.shortwire_api_key.get_secret_value()

    def signed(url: str, fields: Sequence[tuple[str, str]], signature: str) -> bool:
        return verify(token, url, fields, signature)

    echo = DoctorEcho(settings.server_url, signed)
    guard = Guard(_nothing, WebOptions(settings.server_url, key, signed, echo=echo))
    front = Front(
        guard,
        echo.before(lambda _path, _signature: None),
        FrontOptions(
            host=settings.shortwire_host, port=settings.port, lean=settings.toggles.disable_websocket_compression
        ),
    )
    try:
        await front.start()
    except ImportError as error:
        raise ConfigError("no server could be started here", details=str(error)) from error
    return Way(local, settings.server_url, echo.instance, True, key, _echo=echo, _front=front)


async def _nothing(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse("doctor listens here for a moment", 404)(scope, receive, send)
