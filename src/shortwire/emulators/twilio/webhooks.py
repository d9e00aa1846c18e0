"""Requests to the public web server: signed, with the vendor's time limits, retries and redirects (twilio.md 4.1, 4.4).

One instance per call: cookies last as long as the call does.
"""

from __future__ import annotations

import asyncio
import ssl
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl, quote, quote_plus, urlencode, urljoin, urlsplit, urlunsplit

import aiohttp
from yarl import URL

from .config import TwilioConfig, WebhookManners
from .faults import FaultSwitch
from .ledger import Entry, Ledger
from .signature import sign, signed_url

__all__ = ["Answer", "Unanswered", "WebhookSender"]

Params = list[tuple[str, str]]
MAX_REDIRECTS = 10
MAX_BODY = 1 << 20
_KEPT_BODY = 4000
_POLICIES = {"ct", "rt", "4xx", "5xx", "all"}


class Unanswered(Exception):
    """No usable answer; `code` is the vendor's runtime error."""

    def __init__(self, code: int, message: str, url: str, *, connecting: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.url = url
        self.connecting = connecting
        """It failed before anything was sent: may be tried again."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    content_type: str
    body: bytes
    url: str
    """Where the document came from, after redirects: what its relative URLs are relative to."""


@dataclass(frozen=True, slots=True)
class _Request:
    url: str
    method: str
    params: Params
    token: str
    spaces_as_plus: bool
    manners: _Manners
    authorization: str = ""


class WebhookSender:
    """Sends for one call."""

    def __init__(
        self,
        config: TwilioConfig,
        ledger: Ledger,
        call_sid: str,
        connector: Callable[[], aiohttp.BaseConnector],
        faults: FaultSwitch,
    ) -> None:
        self._faults = faults
        self._config = config
        self._ledger = ledger
        self._call_sid = call_sid
        self._connector = connector
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def fetch_document(self, url: str, method: str, params: Params) -> Answer:
        """A voice request, or the file of a `<Play>`. Raises `Unanswered` for anything but a 2xx."""
        await asyncio.sleep(self._faults.on.webhook_delay_ms / 1000)
        entry = self._ledger.add("webhook", self._call_sid, url=url, method=method, params=dict(params))
        answer = await self._send(entry, url, method, params, spaces_as_plus=True)
        if not 200 <= answer.status < 300:
            raise Unanswered(11200, f"HTTP status {answer.status} from {url}", url)
        return answer

    async def tell(self, url: str, method: str, params: Params) -> str:
        """A status callback; best effort. Gives the warning (15003), or ""."""
        entry = self._ledger.add("callback", self._call_sid, url=url, method=method, params=dict(params))
        try:
            answer = await self._send(entry, url, method, params, spaces_as_plus=False)
        except Unanswered as error:
            return f"{url}: {error}"
        if answer.status == 204 or (answer.status == 200 and answer.content_type in {"text/xml", "application/xml"}):
            return ""
        return f"{url} answered {answer.status} {answer.content_type}: reply 204, or 200 with text/xml"

    async def _send(self, entry: Entry, url: str, method: str, params: Params, *, spaces_as_plus: bool) -> Answer:
        entry["token"] = str(uuid.uuid4())
        if self._faults.on.unknown_keys:
            params = [*params, ("UnknownKey", "1")]
        began_ns = time.monotonic_ns()
        total_s = self._config.webhooks.total_timeout_s
        try:
            manners = _overridden(self._config.webhooks, url)
            total_s = manners.total_timeout_s
            request = _Request(_no_fragment(url), method, params, entry["token"], spaces_as_plus, manners)
            async with asyncio.timeout(total_s):
                answer = await self._follow(entry, request)
                if spaces_as_plus and self._faults.on.webhook_twice:
                    answer = await self._follow(entry, request)
        except TimeoutError:
            entry["error"] = "timeout"
            raise Unanswered(11205, f"no answer within {total_s} s", url) from None
        except Unanswered as error:
            entry["error"] = f"{error.code} {error}"
            raise
        except ValueError as error:
            entry["error"] = f"malformed URL: {error}"
            raise Unanswered(11200, f"malformed URL: {url}", url) from None
        finally:
            entry["elapsed_ms"] = (time.monotonic_ns() - began_ns) / 1e6
        entry["status"] = answer.status
        entry["content_type"] = answer.content_type
        entry["body"] = answer.body[:_KEPT_BODY].decode("utf-8", "replace")
        return answer

    async def _follow(self, entry: Entry, request: _Request) -> Answer:
        for _ in range(MAX_REDIRECTS + 1):
            answer, location = await self._with_retries(entry, request)
            if answer.status == 401 and not request.authorization and (credentials := _user_info(request.url)):
                request = replace(request, authorization=credentials)
                continue
            if location is None:
                return answer
            keeps_method = answer.status in {307, 308}
            request = replace(
                request,
                url=urljoin(request.url, location),
                method=request.method if keeps_method else "GET",
                params=request.params if keeps_method else [],
            )
        raise Unanswered(11215, f"more than {MAX_REDIRECTS} redirects", request.url)

    async def _with_retries(self, entry: Entry, request: _Request) -> tuple[Answer, str | None]:
        for attempt in range(request.manners.retries + 1):
            entry["attempts"] = entry.get("attempts", 0) + 1
            try:
                found = await self._once(entry, request, first=attempt == 0)
            except Unanswered as error:
                failure = "ct" if error.connecting else "rt"
                if not request.manners.retry_on & {failure, "all"} or attempt == request.manners.retries:
                    raise
            else:
                kind = {4: "4xx", 5: "5xx"}.get(found[0].status // 100)
                challenge = found[0].status == 401 and not request.authorization
                wanted = kind is not None and not challenge and bool(request.manners.retry_on & {kind, "all"})
                if not wanted or attempt == request.manners.retries:
                    return found
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def _once(self, entry: Entry, request: _Request, *, first: bool) -> tuple[Answer, str | None]:
        target, body = _target_and_body(request)
        entry["signature"] = sign(
            self._config.auth_token, signed_url(target), request.params if request.method == "POST" else ()
        )
        headers = {
            "Content-Type": "application/x-www-form-urlencoded; charset=UTF-8",
            "X-Twilio-Signature": str(entry["signature"]),
            "I-Twilio-Idempotency-Token": request.token,
            "Accept": "*/*",
            "User-Agent": "TwilioProxy/1.1",
        }
        if first and not self._config.choices.idempotency_token_always:
            del headers["I-Twilio-Idempotency-Token"]
        if body is None:
            del headers["Content-Type"]
        if request.authorization:
            headers["Authorization"] = request.authorization
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=request.manners.connect_timeout_s, sock_read=request.manners.read_timeout_s
        )
        try:
            async with self._client().request(
                request.method,
                URL(_no_user_info(target), encoded=True),
                data=body,
                headers=headers,
                timeout=timeout,
                allow_redirects=False,
            ) as response:
                content = await response.content.read(MAX_BODY)
                redirected = response.status in {301, 302, 303, 307, 308}
                location = response.headers.get("Location") if redirected else None
                return Answer(response.status, response.content_type, content, request.url), location
        except (aiohttp.ClientSSLError, ssl.SSLError) as error:
            raise Unanswered(11220, f"TLS: {error}", request.url) from None
        except aiohttp.ClientConnectorDNSError as error:
            raise Unanswered(11210, f"bad host name: {error}", request.url) from None
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise Unanswered(11205, f"connection failed: {error!r}", request.url, connecting=True) from None
        except aiohttp.SocketTimeoutError:
            raise Unanswered(11205, f"no answer within {request.manners.read_timeout_s} s", request.url) from None
        except (aiohttp.ClientError, OSError) as error:
            raise Unanswered(11205, f"connection failed: {error!r}", request.url) from None

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=self._connector(),
                connector_owner=False,
                cookie_jar=aiohttp.CookieJar(unsafe=True),  # cookies of bare addresses too
            )
        return self._session


def _target_and_body(request: _Request) -> tuple[str, bytes | None]:
    encoded = urlencode(request.params, quote_via=quote_plus if request.spaces_as_plus else quote, safe="")
    if request.method == "POST":
        return request.url, encoded.encode()
    joint = "" if not encoded else "&" if urlsplit(request.url).query else "?"
    return f"{request.url}{joint}{encoded}", None


def _no_fragment(url: str) -> str:
    return urlunsplit(urlsplit(url)._replace(fragment=""))


def _no_user_info(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _user_info(url: str) -> str:
    parts = urlsplit(url)
    if parts.username is None:
        return ""
    return aiohttp.encode_basic_auth(parts.username, parts.password or "")


@dataclass(frozen=True, slots=True)
class _Manners:
    """Time limits (s) and retries of one request."""

    connect_timeout_s: float
    read_timeout_s: float
    total_timeout_s: float
    retries: int
    retry_on: frozenset[str]


def _overridden(manners: WebhookManners, url: str) -> _Manners:
    """Overrides in the fragment: ct, rt, tt in ms, rc retries, rp what for; what is out of range is not obeyed."""
    wanted = dict(parse_qsl(urlsplit(url).fragment))

    def whole(name: str, low: int, high: int) -> int | None:
        value = wanted.get(name, "")
        return int(value) if value.isdecimal() and low <= int(value) <= high else None

    def seconds(name: str, high: int, default: float) -> float:
        value = whole(name, 100, high)
        return (default if value is None else value / 1000) * manners.time_scale

    retries = whole("rc", 0, 5)
    policy = frozenset(wanted.get("rp", "ct").split(","))
    return _Manners(
        connect_timeout_s=seconds("ct", 10_000, manners.connect_timeout_s),
        read_timeout_s=seconds("rt", 15_000, manners.read_timeout_s),
        total_timeout_s=seconds("tt", 15_000, manners.total_timeout_s),
        retries=manners.retries if retries is None else retries,
        retry_on=policy if policy <= _POLICIES else frozenset({"ct"}),
    )
