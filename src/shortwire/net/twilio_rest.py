"""The carrier's REST side: Twilio's Calls resource through the official SDK.

What matters here is the difference between *no* and *no answer*. A refusal dialled nothing; a
connection that was never made dialled nothing either; anything else that goes wrong after bytes may
have left is uncertain, and nobody dials again on a guess. Only 429 is retried.
Follows protocols/twilio.md 3.1 to 3.10 (docs/voice/api/call-resource).
"""

from __future__ import annotations

import asyncio
import random
import re
import ssl
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import aiohttp
import twilio.rest.api  # noqa: F401  (lazy in the SDK: 0.1 s in the event loop, with the first call)
from twilio.base.exceptions import TwilioException, TwilioRestException, TwilioServiceException
from twilio.http.async_http_client import AsyncTwilioHttpClient
from twilio.http.response import Response
from twilio.rest import Client

from ..errors import BridgeError, CarrierRefused, CarrierUncertain
from ..records import CarrierCall, DialOrder
from ..terms import CallSid

__all__ = ["TwilioCarrier", "milliseconds"]

T = TypeVar("T")

STATUS_EVENTS = ["initiated", "ringing", "answered", "completed"]
_FIRST_WAIT_S = 0.1
_LONGEST_WAIT_S = 2.0
_WRONG_CREDENTIALS = 20003
# A call that is over (21220: invalid call state) or gone (20404) needs no hanging up (section 3.4).
_ALREADY_OVER = {21220, 20404}


@dataclass(slots=True)
class _Attempt:
    """What is known of one request besides its outcome."""

    began: bool = False
    """A connection was there, so bytes may have left; before that, certainly none did."""
    too_many: bool = False
    """The answer was 429: a clear no, whatever happens while we wait to ask again."""
    retry_after_s: float = 0.0


_attempt: ContextVar[_Attempt] = ContextVar("twilio_attempt")


async def _mark_begun(_session: object, _context: object, _params: object) -> None:
    if attempt := _attempt.get(None):
        attempt.began = True


class _HttpClient(AsyncTwilioHttpClient):  # type: ignore[misc]
    """The SDK's client on a session of ours: own TLS context, traced, `Retry-After` noted."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        super().__init__(pool_connections=False)
        trace = aiohttp.TraceConfig()
        trace.on_connection_create_end.append(_mark_begun)
        trace.on_connection_reuseconn.append(_mark_begun)
        connector = aiohttp.TCPConnector(ssl=tls, limit=0, keepalive_timeout=30)
        self.session = aiohttp.ClientSession(connector=connector, trace_configs=[trace])

    async def request(self, *args: Any, **kwargs: Any) -> Response:
        # The SDK would build aiohttp's deprecated BasicAuth object; the header is the same.
        if auth := kwargs.pop("auth", None):
            kwargs["headers"] = {**(kwargs.get("headers") or {}), "Authorization": aiohttp.encode_basic_auth(*auth)}
        response = await super().request(*args, **kwargs)
        if response.status_code == 429 and (attempt := _attempt.get(None)):
            attempt.too_many = True
            attempt.retry_after_s = _seconds((response.headers or {}).get("Retry-After", ""))
        return response


class TwilioCarrier:
    """`Carrier` over Twilio. Made anywhere, used on one event loop, closed with `close`."""

    def __init__(
        self,
        account_sid: str,
        auth_token: str,
        *,
        base_url: str = "https://api.twilio.com",
        edge: str = "",
        region: str = "",
        deadline_s: float = 10.0,
        retries: int = 4,
        rng: random.Random | None = None,
    ) -> None:
        """`deadline_s` bounds one operation, its retries included; `retries` counts 429 answers only."""
        self._credentials = (account_sid, auth_token)
        self._base_url = base_url.rstrip("/")
        # A falsy environment would make the SDK read os.environ, where an edge would mangle our base URL.
        self._environment = {"": "", "TWILIO_EDGE": edge, "TWILIO_REGION": region}
        self._deadline_s = deadline_s
        self._retries = retries
        self._rng = rng or random.Random()  # noqa: S311 - jitter, no secret
        # Both take tens of milliseconds the first time: reading the certificates, and the SDK's late imports.
        # Done here, at start, they do not stand between two frames of a call that is on.
        # aiohttp makes its default context at import; one of our own sees SSL_CERT_FILE as it is now.
        self._tls = ssl.create_default_context()
        _ = Client(account_sid, auth_token, environment=dict(self._environment)).calls
        self._client: Any = None

    async def create_call(self, order: DialOrder) -> CarrierCall:
        """Ask for a call (section 3.2). Raises `CarrierRefused` or `CarrierUncertain`."""
        fields: dict[str, Any] = {
            "to": order.to,
            "from_": order.from_,
            "status_callback": order.status_callback_url,
            "status_callback_event": STATUS_EVENTS,
            "status_callback_method": "POST",
            "timeout": order.ring_timeout_s,
            "time_limit": order.time_limit_s,
        }
        if order.twiml is not None:
            fields["twiml"] = order.twiml
        else:
            fields |= {"url": order.twiml_url, "method": "POST"}
        call = _carrier_call(await self._ask(lambda c: c.calls.create_async(**fields)))
        if not call.sid:
            raise CarrierUncertain("the carrier accepted the call without naming it")
        return call

    async def end_call(self, call_sid: CallSid) -> str:
        """Ask for the end of a call (section 3.4); the status afterwards."""
        try:
            call = await self._ask(lambda c: c.calls(call_sid).update_async(status="completed"))
        except CarrierRefused as refusal:
            if refusal.carrier_code not in _ALREADY_OVER:
                raise
            known = await self.fetch_call(call_sid)
            return known.status if known else "completed"
        return str(call.status)

    async def fetch_call(self, call_sid: CallSid) -> CarrierCall | None:
        """What the carrier knows of a call; None if it knows none (section 3.5)."""
        try:
            return _carrier_call(await self._ask(lambda c: c.calls(call_sid).fetch_async()))
        except CarrierRefused as refusal:
            if refusal.status == 404:
                return None
            raise

    async def find_calls(self, *, to: str, from_: str, since: float) -> Sequence[CarrierCall]:
        """Calls to a number since an instant, newest first.

        The instant is compared here: the resource filters by start time, which a call that still waits
        or rings does not have, and that call is the very one we look for.
        """
        found = await self._ask(lambda c: c.calls.list_async(to=to, from_=from_, page_size=50, limit=50))
        calls = [_carrier_call(call) for call in found]
        # The carrier's dates have whole seconds.
        return [call for call in calls if call.created_at is None or call.created_at >= int(since)]

    async def close(self) -> None:
        if self._client is not None:
            client, self._client = self._client, None
            await client.http_client.close()

    def _connected(self) -> Any:
        # The SDK's session belongs to the loop it is made in, so it is made on first use.
        if self._client is None:
            account_sid, auth_token = self._credentials
            self._client = Client(
                account_sid, auth_token, http_client=_HttpClient(self._tls), environment=dict(self._environment)
            )
            self._client.api.base_url = self._base_url
        return self._client

    async def _ask(self, request: Callable[[Any], Awaitable[T]]) -> T:
        attempt = _Attempt()
        try:
            # The SDK's async client ignores its own timeout (section 3.10).
            async with asyncio.timeout(self._deadline_s):
                for retry in range(self._retries + 1):
                    attempt = _Attempt()
                    try:
                        return await self._once(request, attempt)
                    except (TwilioRestException, TwilioServiceException) as error:
                        if error.status != 429 or retry == self._retries:
                            raise
                    await asyncio.sleep(max(attempt.retry_after_s, self._wait_s(retry)))
        except Exception as error:
            raise self._translated(error, attempt) from error
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def _once(self, request: Callable[[Any], Awaitable[T]], attempt: _Attempt) -> T:
        token = _attempt.set(attempt)
        try:
            return await request(self._connected())
        finally:
            _attempt.reset(token)

    def _wait_s(self, retry: int) -> float:
        """Exponential from 100 ms with jitter (section 3.1)."""
        wait_s: float = min(_FIRST_WAIT_S * 2.0**retry, _LONGEST_WAIT_S)
        return wait_s * (0.5 + self._rng.random() / 2)

    def _translated(self, error: Exception, attempt: _Attempt) -> BridgeError:
        if isinstance(error, (TwilioRestException, TwilioServiceException)):
            return _refusal(error)
        # The SDK indexes into whatever JSON came; an odd document shows as one of these.
        if isinstance(error, (TwilioException, ValueError, TypeError, AttributeError, KeyError)):
            return CarrierUncertain("the carrier's answer could not be read", details=str(error))
        if isinstance(error, TimeoutError) and attempt.too_many:
            return CarrierRefused("the carrier has too many requests", carrier_code=20429, status=429)
        if not isinstance(error, (aiohttp.ClientError, OSError, TimeoutError)):
            raise error
        what = f"no answer within {self._deadline_s:g} s" if isinstance(error, TimeoutError) else _first_line(error)
        if attempt.began:
            return CarrierUncertain("the carrier was asked and gave no clear answer", details=what)
        unreachable = CarrierRefused(
            "the carrier could not be reached and nothing was dialled",
            carrier_code=None,
            status=0,
            details=f"check TWILIO_API_BASE_URL and the network ({what})",
        )
        unreachable.code = "carrier_unreachable"
        return unreachable


def _refusal(error: Any) -> BridgeError:
    status = int(error.status)
    text = str(getattr(error, "msg", None) or getattr(error, "detail", None) or getattr(error, "title", ""))
    # 408 is a time-out said aloud; with it, as with a 5xx, the request may have been carried out.
    if status >= 500 or status == 408:
        return CarrierUncertain("the carrier failed while it was asked", details=f"HTTP {status}: {text}")
    code = int(error.code) if str(error.code).isdigit() and int(error.code) != status else None
    # Twilio's texts already say what is wrong; the SDK puts its own words in front of them.
    text = text.partition("record: ")[2] or text
    known = f"{text} (Twilio error {code})" if code else f"{text} (HTTP {status})"
    if status == 401 or code == _WRONG_CREDENTIALS:
        known += "; check TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN"
    return CarrierRefused("the carrier refused", carrier_code=code, status=status, details=known)


def _carrier_call(call: Any) -> CarrierCall:
    created: datetime | None = call.date_created
    return CarrierCall(
        sid=CallSid(call.sid or ""),
        status=str(call.status or ""),
        to=str(call.to or ""),
        created_at=created.timestamp() if created else None,
        queued_s=milliseconds(call.queue_time) / 1000,
    )


def milliseconds(text: Any) -> float:
    """The resource's `queue_time`, a text (section 3.3); 0 where it is missing or odd."""
    return float(text) if re.fullmatch(r"\d{1,9}", str(text or ""), re.ASCII) else 0.0


def _seconds(text: Any) -> float:
    """A `Retry-After` in seconds; its date form is not worth a parser here."""
    try:
        return max(0.0, min(float(text), _LONGEST_WAIT_S))
    except ValueError:
        return 0.0


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
