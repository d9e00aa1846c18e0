"""The guard in front of every route: who asks, and how much they may say.

Plain ASGI, outside the framework, because the framework reads a body before it asks for
credentials. The rule is closed by default: a path is public, or the carrier's (signed), or needs the
API key; a route nobody thought of needs the key. Signatures: protocols/twilio.md 4.4.
"""

from __future__ import annotations

import hmac
import logging
import secrets
from collections.abc import Sequence
from urllib.parse import parse_qsl

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..beside import give_way
from .answers import error_answer, is_webhook
from .body import Refusal, read_body
from .options import WebOptions

__all__ = ["PUBLIC", "Guard"]

PUBLIC = frozenset({"/healthz", "/readyz", "/docs", "/openapi.json"})
"""What anybody may read. A path not here and not the carrier's needs the API key."""

_FORM = "application/x-www-form-urlencoded"
_METHODS_WITH_BODY = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_log = logging.getLogger("shortwire.web")

_SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
}


class Guard:
    """ASGI middleware; sockets and start-up messages pass untouched (sockets have a gate of their own)."""

    def __init__(self, app: ASGIApp, options: WebOptions) -> None:
        self._app = app
        self._options = options
        self._key = options.api_key.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"]
        if (echo := self._options.echo) is not None and echo.takes(path):
            # Opened by a ticket, not by a key.
            await echo(scope, receive, send, self._options.body_deadline_s)
            return
        started = False

        async def send_guarded(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                for name, value in _SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            receive = await self._admit(scope, receive)
            await give_way()
            await self._app(scope, receive, send_guarded)
        except Refusal as refusal:
            await refusal.send(scope, receive, send_guarded)
        except Exception:
            reference = secrets.token_hex(4)
            _log.exception("request failed, reference %s, path %s", reference, path)
            if started:
                raise
            details = f"the server's log has it under reference {reference}"
            answer = error_answer(path, 500, "internal_error", "something went wrong in Shortwire", details)
            await answer(scope, receive, send_guarded)

    async def _admit(self, scope: Scope, receive: Receive) -> Receive:
        """Check credentials and bound the body; the `receive` that replays it. Raises `Refusal`."""
        path, headers = scope["path"], Headers(scope=scope)
        if is_webhook(path):
            return await self._admit_carrier(scope, headers, receive)
        if path not in PUBLIC:
            self._check_key(headers)
        if scope["method"] not in _METHODS_WITH_BODY:
            return receive
        limit = 0 if path in PUBLIC else self._options.api_body_bytes
        return _replay(await read_body(headers, receive, limit, self._options.body_deadline_s), receive)

    def _check_key(self, headers: Headers) -> None:
        """Raises `Refusal`."""
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        given = [headers.get("x-api-key", ""), bearer.strip() if scheme.lower() == "bearer" else ""]
        # Both are compared, whatever the first said: time tells nothing.
        matches = [hmac.compare_digest(key.encode("utf-8", "replace"), self._key) for key in given]
        if not any(matches):
            raise Refusal(
                401,
                "unauthorized",
                "this API key is not that of the server" if any(given) else "an API key is needed",
                "send the server's SHORTWIRE_API_KEY as 'Authorization: Bearer ...' or 'X-API-Key: ...'",
                WWW_Authenticate="Bearer",
            )

    async def _admit_carrier(self, scope: Scope, headers: Headers, receive: Receive) -> Receive:
        signature = headers.get("x-twilio-signature", "")
        if not signature:
            raise _forbidden()
        now = self._options.public_address
        url = (now() if now is not None else self._options.public_url) + _raw_path(scope)
        query = scope["query_string"].decode("latin-1")
        if query:
            url += "?" + query
        fields: Sequence[tuple[str, str]] = ()
        body = b""
        if scope["method"] == "POST":
            kind = headers.get("content-type", "").partition(";")[0].strip().lower()
            if kind not in ("", _FORM):
                raise Refusal(415, "unsupported_media_type", "only a form is understood here", _FORM)
            options = self._options
            body = await read_body(headers, receive, options.webhook_body_bytes, options.body_deadline_s)
            fields = self._fields(body)
        await give_way()
        if not self._options.verify_signature(url, fields, signature):
            _log.warning("webhook with a wrong signature, path %s", scope["path"])
            raise _forbidden()
        if scope["method"] == "GET":
            fields = self._fields(scope["query_string"])
        scope.setdefault("state", {})["form"] = dict(fields)
        return _replay(body, receive)

    def _fields(self, text: bytes) -> list[tuple[str, str]]:
        # Twilio writes a space as + in some requests and as %20 in others; parse_qsl reads both.
        try:
            return parse_qsl(
                text.decode("latin-1"), keep_blank_values=True, max_num_fields=self._options.webhook_fields
            )
        except ValueError:
            raise Refusal(400, "bad_form", "the form has too many fields") from None


def _forbidden() -> Refusal:
    return Refusal(
        403,
        "forbidden",
        "no valid X-Twilio-Signature",
        "check TWILIO_AUTH_TOKEN and that SERVER_URL is the address Twilio calls",
    )


def _raw_path(scope: Scope) -> str:
    """The path as it came, still encoded: that is what was signed."""
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    return raw.partition(b"?")[0].decode("latin-1")


def _replay(body: bytes, receive: Receive) -> Receive:
    told = False

    async def replay() -> Message:
        nonlocal told
        if told:
            return await receive()
        told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
