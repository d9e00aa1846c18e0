"""What `doctor` asks through the public address: is it you, and what of my request has reached you?

Whoever holds the API key makes a ticket; the ticket, once, opens an echo over HTTP or over a WebSocket. The answer
names this process and tells what a proxy left of path, query, form and signature, so that the API key never has to
travel to an address that is still in question. Signatures: protocols/twilio.md 4.4.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

from fastapi import APIRouter
from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from .. import __version__
from ..clock import NS_PER_S, Clock, SystemClock
from ..owner import ticket_mark
from ..ports import MessageSocket, SocketListener
from .body import Refusal, read_body
from .options import SignatureCheck

__all__ = ["ECHO_PATH", "DoctorEcho", "echo_routes"]

ECHO_PATH = "/doctor/echo/"
_TICKET_S = 60
_MOST_TICKETS = 64
_LONGEST_BODY = 4 * 1024
_LONGEST_SOCKET_S = 30.0
Admit = Callable[[str, str], SocketListener | None]


class DoctorEcho:
    """The tickets and both echoes of one process. On the event loop's thread."""

    def __init__(
        self,
        public_url: str,
        verify_signature: SignatureCheck,
        clock: Clock | None = None,
        *,
        worker: int | None = None,
    ) -> None:
        """`worker`: which of several this process is; its tickets say so, and so their requests come here."""
        self.instance = secrets.token_hex(8)
        """Names this process for as long as it lives."""
        self.public_url = public_url
        self._verify = verify_signature
        self._clock = clock or SystemClock()
        self._tickets: dict[str, int] = {}
        self._mark = ticket_mark(worker)

    def ticket(self) -> str:
        """A key that opens one echo within the next minute."""
        now_ns = self._clock.now_ns()
        self._tickets = {ticket: until for ticket, until in self._tickets.items() if until > now_ns}
        while len(self._tickets) >= _MOST_TICKETS:
            self._tickets.pop(next(iter(self._tickets)))
        ticket = self._mark + secrets.token_urlsafe(24)
        self._tickets[ticket] = now_ns + _TICKET_S * NS_PER_S
        return ticket

    async def pledge(self) -> tuple[str, str]:
        """The name of this process, and a ticket that it alone redeems."""
        return self.instance, self.ticket()

    def takes(self, path: str) -> bool:
        """Whether a path is the echo's. Anywhere in it: a proxy that puts something before it is to be found out."""
        return ECHO_PATH in path

    async def __call__(self, scope: Scope, receive: Receive, send: Send, body_deadline_s: float) -> None:
        """The echo over HTTP. Nothing is read of a body for whom the ticket is wrong."""
        headers = Headers(scope=scope)
        try:
            if not self._spend(scope["path"]):
                raise Refusal(404, "no_such_ticket", "this ticket opens nothing", "make a new one")
            body = await read_body(headers, receive, _LONGEST_BODY, body_deadline_s)
        except Refusal as refusal:
            await refusal.send(scope, receive, send)
            return
        await self._tell(scope, headers, body)(scope, receive, send)

    def _tell(self, scope: Scope, headers: Headers, body: bytes) -> Response:
        path: str = scope["path"]
        raw_path = (scope.get("raw_path") or path.encode()).partition(b"?")[0].decode("latin-1")
        query = scope["query_string"].decode("latin-1")
        url = self.public_url + raw_path + (f"?{query}" if query else "")
        fields = parse_qsl(body.decode("latin-1"), keep_blank_values=True) if scope["method"] == "POST" else []
        signature = headers.get("x-twilio-signature", "")
        seen = {
            "method": scope["method"],
            "path": raw_path,
            "query": query,
            "host": headers.get("host", ""),
            "forwarded_proto": headers.get("x-forwarded-proto", ""),
            "forwarded_host": headers.get("x-forwarded-host", ""),
            "content_type": headers.get("content-type", ""),
            "body_bytes": len(body),
            "fields": [[name, value] for name, value in fields],
            "signature_came": bool(signature),
            "signature_valid": bool(signature) and self._verify(url, fields, signature),
            "hashed_url": url,
        }
        return JSONResponse({**self.who(), "seen": seen}, headers={"Cache-Control": "no-store"})

    def who(self) -> dict[str, str]:
        """What names this process."""
        return {"shortwire": __version__, "instance": self.instance, "public_url": self.public_url}

    def admit(self, path: str, signature: str) -> SocketListener | None:
        """The echo over a WebSocket: a listener for a path with a good ticket, else None."""
        if not self._spend(path.partition("?")[0]):
            return None
        url = self.public_url.replace("http", "ws", 1) + path
        valid = bool(signature) and self._verify(url, (), signature)
        seen = {"path": path, "signature_came": bool(signature), "signature_valid": valid, "hashed_url": url}
        return _SocketEcho(json.dumps({**self.who(), "seen": seen}).encode())

    def before(self, admit: Admit) -> Admit:
        """The listener's gate: the echo's own paths here, all others as they were."""
        return lambda path, signature: (self.admit if self.takes(path) else admit)(path, signature)

    def _spend(self, path: str) -> bool:
        until = self._tickets.pop(path.rpartition(ECHO_PATH)[2].strip("/"), 0)
        return until > self._clock.now_ns()


class _SocketEcho:
    """Says who it is, then gives back what comes, message by message; closes itself after half a minute."""

    def __init__(self, greeting: bytes) -> None:
        self._greeting = greeting
        self._socket: MessageSocket | None = None
        self._timer: asyncio.TimerHandle | None = None

    def opened(self, socket: MessageSocket) -> None:
        self._socket = socket
        self._timer = asyncio.get_running_loop().call_later(_LONGEST_SOCKET_S, socket.close, 1000, "the test is over")
        socket.send(self._greeting)

    def media(self, data: bytes, read_ns: int) -> bool | None:
        del data, read_ns
        return None

    def message(self, data: bytes, read_ns: int) -> bool:
        del read_ns
        if self._socket is not None:
            self._socket.send(data)
        return False

    def other(self, data: bytes, read_ns: int) -> bool:
        return self.message(data, read_ns)

    def relayed(self, read_ns: int, written_ns: int) -> None:
        del read_ns, written_ns

    def binary(self) -> None: ...

    def paused(self, paused: bool) -> None:
        if paused and self._socket is not None:
            self._socket.close(1000, "too much")

    def closed(self, code: int, reason: str) -> None:
        del code, reason
        self._socket = None
        if self._timer is not None:
            self._timer.cancel()


def echo_routes(echo: DoctorEcho) -> APIRouter:
    """Where a ticket is made; the guard asks for the API key."""
    router = APIRouter(include_in_schema=False)

    @router.post("/doctor/tickets")
    async def tickets(count: int = 1) -> dict[str, Any]:
        return {**echo.who(), "tickets": [echo.ticket() for _ in range(min(max(count, 1), 16))]}

    return router
