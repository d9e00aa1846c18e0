"""The REST API of 2010-04-01, as far as calls go: create, fetch, list, update, delete, notifications (twilio.md 3).

Strict about credentials, paths and fields. JSON is spaced as captured; the 401 is compact, as captured.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

from .account import Account, AccountFacts
from .call import FINAL, Call
from .config import TwilioConfig
from .exchange import Exchange
from .fields import check_create, check_update
from .program import Source
from .refusals import Refusal
from .resources import call_resource, notification_resource, page
from .stamps import mint

__all__ = ["RestApi"]

_PATH = re.compile(r"/2010-04-01/Accounts/(?P<account>[^/]+)/(?P<rest>.+)\.json")
_FILTERS = {"To", "From", "ParentCallSid", "Status", "PageSize", "Page", "PageToken"} | {
    f"{name}{sign}" for name in ("StartTime", "EndTime") for sign in ("", "<", ">")
}
_STATUSES = {"queued", "ringing", "in-progress", *FINAL}
Handler = Callable[[Mapping[str, list[str]], str], Awaitable[tuple[int, dict[str, Any] | None]]]


class RestApi:
    """One handler for everything under /2010-04-01/."""

    def __init__(self, exchange: Exchange, account: AccountFacts | None = None) -> None:
        self._exchange = exchange
        self._config: TwilioConfig = exchange.config
        self._account = Account(exchange.config, account or AccountFacts())
        self._concurrent = 0

    async def handle(self, request: web.Request) -> web.Response:
        began = time.monotonic()
        self._concurrent += 1
        entry = self._exchange.ledger.add("rest", method=request.method, path=request.path_qs)
        try:
            form = await _form(request)
            entry["form"] = form if request.method == "POST" else None
            status, body = await self._dispatch(request, form)
        except Refusal as refusal:
            status, body = refusal.status, refusal.body()
        finally:
            concurrent = self._concurrent
            self._concurrent -= 1
        seconds = time.monotonic() - began
        entry.update(
            status=status, elapsed_ms=seconds * 1000, code=body.get("code") if body and status >= 400 else None
        )
        if body and str(body.get("sid", "")).startswith("CA"):
            entry["call_sid"] = body["sid"]
        return _response(status, body, seconds, concurrent)

    async def _dispatch(self, request: web.Request, form: dict[str, list[str]]) -> tuple[int, dict[str, Any] | None]:
        self._authenticate(request)
        if (answer := self._account.answer(request.method, request.path, form)) is not None:
            return answer
        match = _PATH.fullmatch(request.path)
        if match is None or match["account"] != self._config.account_sid:
            raise Refusal.not_found(request.path)
        parts = match["rest"].split("/")
        handler: Handler | None = self._route(request.method, parts)
        if handler is None:
            raise Refusal.not_found(request.path)
        return await handler(form, request.path)

    def _route(self, method: str, parts: list[str]) -> Any:
        shape = "/".join("*" if index == 1 else part for index, part in enumerate(parts))
        return {
            ("POST", "Calls"): self._create,
            ("GET", "Calls"): self._list,
            ("GET", "Calls/*"): self._fetch,
            ("POST", "Calls/*"): self._update,
            ("DELETE", "Calls/*"): self._delete,
            ("GET", "Calls/*/Notifications"): self._notifications,
        }.get((method, shape))

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

    async def _create(self, form: Mapping[str, list[str]], path: str) -> tuple[int, dict[str, Any]]:
        del path
        fields = check_create(form, self._config)
        call = self._exchange.place(fields, [event for event in form.get("StatusCallbackEvent", []) if event])
        return 201, call_resource(call, just_created=True)

    async def _fetch(self, form: Mapping[str, list[str]], path: str) -> tuple[int, dict[str, Any]]:
        del form
        return 200, call_resource(self._call(path))

    async def _delete(self, form: Mapping[str, list[str]], path: str) -> tuple[int, None]:
        del form
        call = self._call(path)
        if call.status not in FINAL:
            raise Refusal.not_in_progress()
        del self._exchange.calls[call.sid]
        return 204, None

    async def _update(self, form: Mapping[str, list[str]], path: str) -> tuple[int, dict[str, Any]]:
        call = self._call(path)
        fields = check_update(form, self._config)
        if call.status in FINAL or call.ending_soon:
            raise Refusal.not_in_progress()
        if "Status" in fields:
            await self._end(call, fields["Status"])
            return 200, call_resource(call)
        if "Url" in fields or "Twiml" in fields:
            if call.status != "in-progress":
                raise Refusal.not_in_progress()
            call.redirect(
                Source(
                    url=fields.get("Url", ""),
                    method=fields.get("Method", "POST"),
                    text=fields.get("Twiml"),
                    fallback_url=fields.get("FallbackUrl", ""),
                    fallback_method=fields.get("FallbackMethod", "POST"),
                )
            )
        if "TimeLimit" in fields:
            call.set_time_limit(int(fields["TimeLimit"]))
        if "StatusCallback" in fields:
            _, _, events = call.status_callback
            call.status_callback = (fields["StatusCallback"], fields.get("StatusCallbackMethod", "POST"), events)
        return 200, call_resource(call)

    async def _end(self, call: Call, status: str) -> None:
        answered = call.status == "in-progress"
        if status == "canceled" and answered:
            raise Refusal.not_in_progress()
        final = "completed" if answered else self._config.choices.completed_while_ringing
        call.end("canceled" if status == "canceled" else final, "api", 200 if answered else 487)
        await call.ended()

    async def _list(self, form: Mapping[str, list[str]], path: str) -> tuple[int, dict[str, Any]]:
        query = {name: values[-1] for name, values in form.items()}
        if strangers := sorted(set(query) - _FILTERS):
            raise Refusal.bad_field(f"{strangers[0]} is not a filter of this list")
        if query.get("Status", "queued") not in _STATUSES:
            raise Refusal.bad_field(f"Status is not valid: {query['Status']}")
        calls = [call for call in reversed(self._exchange.calls.values()) if _matches(call, query)]
        return 200, _paged("calls", [call_resource(call) for call in calls], path, query)

    async def _notifications(self, form: Mapping[str, list[str]], path: str) -> tuple[int, dict[str, Any]]:
        call = self._call(path)
        query = {name: values[-1] for name, values in form.items()}
        rows = [notification_resource(call, note) for note in call.notifications]
        if "Log" in query:
            rows = [row for row in rows if row["log"] == query["Log"]]
        return 200, _paged("notifications", rows, path, query)

    def _call(self, path: str) -> Call:
        sid = path.partition("/Calls/")[2].partition("/")[0].removesuffix(".json")
        call = self._exchange.calls.get(sid)
        if call is None:
            raise Refusal.not_found(path)
        return call


async def _form(request: web.Request) -> dict[str, list[str]]:
    """Fields of the body (POST) or of the query, repeated keys kept."""
    if request.method == "POST":
        text = (await request.read()).decode("utf-8", "replace")
        if text and request.content_type != "application/x-www-form-urlencoded":
            raise Refusal.bad_field(f"the body must be application/x-www-form-urlencoded, not {request.content_type}")
    else:
        text = request.query_string
    form: dict[str, list[str]] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        form.setdefault(name, []).append(value)
    return form


def _paged(key: str, rows: list[dict[str, Any]], path: str, query: Mapping[str, str]) -> dict[str, Any]:
    size, number = query.get("PageSize", "50"), query.get("Page", "0")
    if not (size.isdecimal() and number.isdecimal() and 1 <= int(size) <= 1000):
        raise Refusal.bad_field(f"PageSize must be 1 to 1000 and Page a whole number: {size}, {number}")
    return page(key, rows, path, query, number=int(number), size=int(size))


def _matches(call: Call, query: Mapping[str, str]) -> bool:
    if query.get("ParentCallSid"):
        return False  # no call here has a parent
    same = (("To", call.to), ("From", call.sender), ("Status", call.status))
    if any(query.get(name, actual) != actual for name, actual in same):
        return False
    return all(
        _in_time(at_s, query.get(f"{name}{sign}"), sign)
        for name, at_s in (("StartTime", call.start_s), ("EndTime", call.end_s))
        for sign in ("", "<", ">")
    )


def _in_time(at_s: float | None, wanted: str | None, sign: str) -> bool:
    """`<` and `>` include the given instant; without a sign, the whole day."""
    if wanted is None:
        return True
    try:
        limit = datetime.fromisoformat(wanted)
    except ValueError:
        raise Refusal.bad_field(f"not a date: {wanted}") from None
    if at_s is None:
        return False
    limit = limit if limit.tzinfo else limit.replace(tzinfo=UTC)
    at = datetime.fromtimestamp(at_s, UTC)
    if sign == "<":
        return at <= limit
    return at >= limit if sign == ">" else limit <= at < limit + timedelta(days=1)


def _response(status: int, body: dict[str, Any] | None, seconds: float, concurrent: int) -> web.Response:
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
    if status == 401:
        headers["WWW-Authenticate"] = 'Basic realm="Twilio API"'
    if body is None:
        return web.Response(status=status, headers=headers)
    text = json.dumps(body, separators=(",", ":")) if status == 401 else json.dumps(body)
    return web.Response(status=status, headers=headers, text=text, content_type="application/json")
