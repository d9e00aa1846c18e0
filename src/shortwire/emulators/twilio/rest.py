"""The REST API of 2010-04-01 at its door: credentials, paths, limits, faults, JSON or XML (twilio.md 3).

What a path does is in `rest_calls`, `rest_recordings`, `rest_streams` and `account`. JSON is spaced as captured; the
401 is compact, as captured.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import json
import re
import socket
import struct
import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

from .account import Account, AccountFacts
from .asked import Asked, Reply
from .config import TwilioConfig
from .exchange import Exchange
from .ledger import Entry
from .refusals import Refusal
from .rest_calls import Calls
from .rest_recordings import RecordingsApi
from .rest_streams import StreamsApi
from .stamps import mint
from .xml_form import xml_of

__all__ = ["RestApi"]

_PATH = re.compile(r"/2010-04-01/Accounts/(?P<account>[^/.]+)(?:/(?P<rest>.+?))?(?P<form>\.json|\.xml|\.wav|\.mp3)?")
_MEDIA = re.compile(r"/2010-04-01/Accounts/[^/]+/Recordings/[^/.]+(\.wav|\.mp3)?")
Handler = Callable[[Asked], Awaitable[Reply]]


class RestApi:
    """One handler for everything under /2010-04-01/."""

    def __init__(self, exchange: Exchange, account: AccountFacts | None = None) -> None:
        self._exchange = exchange
        self._config: TwilioConfig = exchange.config
        self._account = Account(exchange.config, account or AccountFacts())
        self._concurrent = 0
        calls = Calls(exchange)
        self._recordings = recordings = RecordingsApi(exchange, calls)
        streams = StreamsApi(exchange, calls)
        self._handlers: dict[tuple[str, str], Handler] = {
            ("POST", "Calls"): calls.create,
            ("GET", "Calls"): calls.list,
            ("GET", "Calls/*"): calls.fetch,
            ("POST", "Calls/*"): calls.update,
            ("DELETE", "Calls/*"): calls.delete,
            ("GET", "Calls/*/Notifications"): calls.notifications,
            ("GET", "Calls/*/Notifications/*"): calls.notification,
            ("GET", "Calls/*/Events"): calls.events,
            ("POST", "Calls/*/Recordings"): recordings.start,
            ("GET", "Calls/*/Recordings"): recordings.list_of_call,
            ("GET", "Calls/*/Recordings/*"): recordings.fetch_of_call,
            ("POST", "Calls/*/Recordings/*"): recordings.update,
            ("DELETE", "Calls/*/Recordings/*"): recordings.delete_of_call,
            ("GET", "Recordings"): recordings.list,
            ("GET", "Recordings/*"): recordings.fetch,
            ("DELETE", "Recordings/*"): recordings.delete,
            ("POST", "Calls/*/Streams"): streams.start,
            ("POST", "Calls/*/Streams/*"): streams.stop,
        }

    async def handle(self, request: web.Request) -> web.StreamResponse:
        began = time.monotonic()
        self._concurrent += 1
        entry = self._exchange.ledger.add("rest", method=request.method, path=request.path_qs)
        retry_after_s: int | None = None
        try:
            await asyncio.sleep(self._exchange.faults.on.rest_delay_ms / 1000)
            form = await _form(request)
            entry["form"] = form if request.method == "POST" else None
            self._refuse_on_purpose(request)
            reply = await self._dispatch(request, form)
            reply = await self._mischief(request, reply, entry)
        except Refusal as refusal:
            reply = Reply(refusal.status, dict(refusal.body()))
            retry_after_s = self._exchange.faults.on.retry_after_s if refusal.faulty else None
        finally:
            concurrent = self._concurrent
            self._concurrent -= 1
        seconds = time.monotonic() - began
        _complete(entry, reply, seconds)
        response = _response(request.path, reply, seconds, concurrent)
        if retry_after_s is not None:
            response.headers["Retry-After"] = str(retry_after_s)
        return response

    async def _dispatch(self, request: web.Request, form: dict[str, list[str]]) -> Reply:
        media = request.method == "GET" and _MEDIA.fullmatch(request.path) is not None
        if not media or self._config.recordings_need_auth:
            self._authenticate(request)
        if self._concurrent > self._config.max_concurrent_requests:
            raise Refusal.too_many_requests()
        match = _PATH.fullmatch(request.path)
        as_json = request.path if match is None else request.path.removesuffix(match["form"] or "") + ".json"
        if (answer := self._account.answer(request.method, as_json, form)) is not None:
            return Reply(*answer)
        if match is None or not match["rest"] or match["account"] != self._config.account_sid:
            raise Refusal.not_found(request.path)
        parts = match["rest"].split("/")
        shape = "/".join("*" if index % 2 else part for index, part in enumerate(parts))
        asked = Asked(form, request.path, tuple(parts[1::2]), _fields(request.query_string))
        if media:
            return await self._recordings.media(asked)
        handler = self._handlers.get((request.method, shape))
        if handler is None or match["form"] in {".wav", ".mp3"}:
            raise Refusal.not_found(request.path)
        return await handler(asked)

    def _authenticate(self, request: web.Request) -> None:
        scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
        try:
            user, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, ValueError):
            raise Refusal.unauthenticated() from None
        known = {self._config.account_sid: self._config.auth_token, **self._config.api_keys}
        expected = known.get(user)
        if (
            scheme.lower() != "basic"
            or expected is None
            or not hmac.compare_digest(expected.encode(), password.encode())
        ):
            raise Refusal.unauthenticated()

    def _refuse_on_purpose(self, request: web.Request) -> None:
        switch, faults = self._exchange.faults, self._exchange.faults.on
        if (
            faults.rest_status
            and faults.rest_method in {"", request.method}
            and faults.rest_path in request.path_qs
            and switch.strikes("rest_status", faults.rest_times)
        ):
            raise Refusal.on_purpose(faults.rest_status, faults.rest_code)

    async def _mischief(self, request: web.Request, reply: Reply, entry: Entry) -> Reply:
        """The call was created; the one who asked for it is not to know."""
        switch, faults = self._exchange.faults, self._exchange.faults.on
        created = request.method == "POST" and reply.status == 201 and (reply.body or {}).get("status") == "queued"
        if not (faults.create_then and created and switch.strikes("create_then", faults.create_times)):
            return reply
        assert reply.body is not None
        entry.update(call_sid=reply.body["sid"], fault=f"create then {faults.create_then}")
        if faults.create_then == "500":
            raise Refusal.on_purpose(500, 0)
        if faults.create_then == "timeout":
            await asyncio.sleep(faults.create_hold_ms / 1000)
        elif request.transport is not None:
            connection = request.transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # RST, not FIN
            request.transport.abort()
        return reply


async def _form(request: web.Request) -> dict[str, list[str]]:
    """Fields of the body (POST) or of the query, repeated keys kept."""
    if request.method != "POST":
        return _fields(request.query_string)
    text = (await request.read()).decode("utf-8", "replace")
    if text and request.content_type != "application/x-www-form-urlencoded":
        raise Refusal.bad_field(f"the body must be application/x-www-form-urlencoded, not {request.content_type}")
    return _fields(text)


def _fields(text: str) -> dict[str, list[str]]:
    form: dict[str, list[str]] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        form.setdefault(name, []).append(value)
    return form


def _complete(entry: Entry, reply: Reply, seconds: float) -> None:
    body = reply.body
    entry.update(
        status=reply.status,
        elapsed_ms=seconds * 1000,
        code=body.get("code") if body and reply.status >= 400 else None,
    )
    if body and str(body.get("sid", "")).startswith("CA"):
        entry["call_sid"] = body["sid"]


def _response(path: str, reply: Reply, seconds: float, concurrent: int) -> web.Response:
    headers = {
        "Twilio-Concurrent-Requests": str(concurrent),
        "Twilio-Request-Id": mint("RQ"),
        "Twilio-Request-Duration": f"{seconds:.3f}",
        "X-Home-Region": "us1",
        "X-Api-Domain": "api.twilio.com",
        "X-Powered-By": "AT-5000",
        "Strict-Transport-Security": "max-age=31536000",
        "Access-Control-Allow-Origin": "*",
        "Access-Control-Allow-Methods": "GET, POST, DELETE, OPTIONS",
    }
    if reply.status == 401:
        headers["WWW-Authenticate"] = 'Basic realm="Twilio API"'
    if reply.media is not None:
        return web.Response(status=reply.status, headers=headers, body=reply.media, content_type=reply.media_type)
    if reply.body is None:
        return web.Response(status=reply.status, headers=headers)
    if not path.endswith(".json") and path.startswith("/2010-04-01/"):  # newer APIs speak JSON only
        text = xml_of(reply.body, path)
        return web.Response(status=reply.status, headers=headers, text=text, content_type="application/xml")
    return web.Response(
        status=reply.status, headers=headers, text=_json(reply.status, reply.body), content_type="application/json"
    )


def _json(status: int, body: dict[str, Any]) -> str:
    return json.dumps(body, separators=(",", ":")) if status == 401 else json.dumps(body)
