"""Timed looks at the network: names, TCP, TLS, HTTP, and a WebSocket upgrade seen byte by byte.

For `doctor` and `region`. Every probe has a deadline and reports what happened instead of raising where it can; none
of them sends anything that costs money. RFC 6455 (upgrade), RFC 6298's spirit: medians and spreads, not averages.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import pairwise
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import aiohttp
from websockets.client import ClientProtocol
from websockets.exceptions import WebSocketException
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.uri import parse_uri

from ..call.summary import percentile
from ..clock import NS_PER_MS, Clock, SystemClock
from ..errors import PeerError
from .agent_host import where_of
from .bodies import read_up_to

__all__ = [
    "AnswerTooLong",
    "HttpAnswer",
    "Series",
    "Socket",
    "TlsFacts",
    "addresses_are_private",
    "date_text",
    "expires_in_days",
    "first_words",
    "host_of",
    "http_request",
    "resolve",
    "tcp_series",
    "tls_facts",
]

_LONGEST = 256 * 1024
"""Bytes of an answer that are kept when nobody needs the whole of it."""


class AnswerTooLong(PeerError):
    """An answer of which every byte was wanted is longer than it may be."""

    code = "answer_too_long"


@dataclass(frozen=True, slots=True)
class Series:
    """Repeated timings of one thing, milliseconds."""

    times_ms: tuple[float, ...] = ()
    failures: int = 0
    last_error: str = ""

    @property
    def answered(self) -> bool:
        return bool(self.times_ms)

    @property
    def p50_ms(self) -> float:
        return self._percentile(50)

    @property
    def p95_ms(self) -> float:
        """The value that 19 of 20 do not exceed; with few samples, the largest."""
        return self._percentile(95)

    def _percentile(self, percent: float) -> float:
        found = percentile(self.times_ms, percent)
        return float("nan") if found is None else found

    @property
    def jitter_ms(self) -> float:
        """Mean difference of consecutive samples: a stand-in, not RFC 3550's running mean over frames."""
        steps = [abs(b - a) for a, b in pairwise(self.times_ms)]
        return statistics.fmean(steps) if steps else 0.0

    @property
    def lost_share(self) -> float:
        """Share of tries that failed or ran into the deadline. TCP repeats lost packets, so this is a lower bound."""
        tries = len(self.times_ms) + self.failures
        return self.failures / tries if tries else 0.0

    def as_dict(self) -> dict[str, Any]:
        if not self.answered:
            return {"n": 0, "failures": self.failures, "error": self.last_error}
        return {
            "n": len(self.times_ms),
            "p50_ms": round(self.p50_ms, 1),
            "p95_ms": round(self.p95_ms, 1),
            "jitter_ms": round(self.jitter_ms, 1),
            "lost_share": round(self.lost_share, 3),
        }


async def resolve(host: str, port: int = 443, *, deadline_s: float = 5.0) -> list[str]:
    """Addresses of a name, in the system's order. Raises `OSError` (no such name) or `TimeoutError`."""
    async with asyncio.timeout(deadline_s):
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[4][0]) for address in found))


async def tcp_series(
    url: str, tries: int = 5, *, deadline_s: float = 3.0, pause_s: float = 0.02, clock: Clock | None = None
) -> Series:
    """TCP connections to a host one after the other: one round trip each. Gives up after two failures in a row."""
    now_ns = (clock or SystemClock()).now_ns
    host, port, _ = where_of(url)
    times, failures, in_a_row, error_text = [], 0, 0, ""
    try:
        address = (await resolve(host, port, deadline_s=deadline_s))[0]
    except (OSError, TimeoutError, IndexError) as error:
        return Series((), tries, _words(error, "the name could not be resolved"))
    for _ in range(tries):
        began = now_ns()
        try:
            async with asyncio.timeout(deadline_s):
                _reader, writer = await asyncio.open_connection(address, port)
            times.append((now_ns() - began) / NS_PER_MS)
            in_a_row = 0
            await _close(writer)
        except (OSError, TimeoutError) as error:
            failures, in_a_row, error_text = (
                failures + 1,
                in_a_row + 1,
                _words(error, f"nothing within {deadline_s:g} s"),
            )
            if in_a_row == 2:
                break
        await asyncio.sleep(pause_s)
    return Series(tuple(times), failures, error_text)


@dataclass(frozen=True, slots=True)
class TlsFacts:
    """A verified TLS connection."""

    ms: float
    """TCP and TLS together."""
    version: str
    expires_s: float
    """Seconds since the epoch."""
    issuer: str


async def tls_facts(url: str, *, deadline_s: float = 5.0, clock: Clock | None = None) -> TlsFacts:
    """Connect and verify the chain. Raises `ssl.SSLError`, `OSError` or `TimeoutError`."""
    now_ns = (clock or SystemClock()).now_ns
    host, port, _ = where_of(url)
    began = now_ns()
    async with asyncio.timeout(deadline_s):
        _reader, writer = await asyncio.open_connection(
            host, port, ssl=ssl.create_default_context(), server_hostname=host, ssl_handshake_timeout=deadline_s
        )
    ms = (now_ns() - began) / NS_PER_MS
    found = writer.get_extra_info("ssl_object")
    certificate: dict[str, Any] = found.getpeercert() or {}
    issuer = dict(pair for group in certificate.get("issuer", ()) for pair in group)
    facts = TlsFacts(
        ms=ms,
        version=str(found.version()),
        expires_s=float(ssl.cert_time_to_seconds(certificate["notAfter"])) if "notAfter" in certificate else 0.0,
        issuer=str(issuer.get("organizationName") or issuer.get("commonName") or ""),
    )
    await _close(writer)
    return facts


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """One answer, whatever its status."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    ms: float

    @property
    def date_s(self) -> float | None:
        """The other side's clock, whole seconds."""
        try:
            return parsedate_to_datetime(self.headers["date"]).replace(tzinfo=UTC).timestamp()
        except (KeyError, ValueError, TypeError):
            return None


async def http_request(
    session: aiohttp.ClientSession,
    method: str,
    url: str,
    *,
    deadline_s: float = 5.0,
    clock: Clock | None = None,
    headers: Mapping[str, str] | None = None,
    data: Any = None,
    json: Any = None,
    whole: int | None = None,
) -> HttpAnswer:
    """One request; redirects are shown, not followed. Raises `OSError`, `aiohttp.ClientError` or `TimeoutError`.

    `whole`: so many bytes at most, and all are needed (`AnswerTooLong` beyond); without it, 256 KiB are kept.
    """
    now_ns = (clock or SystemClock()).now_ns
    began = now_ns()
    async with (
        asyncio.timeout(deadline_s),
        session.request(method, url, headers=headers, data=data, json=json, allow_redirects=False) as answer,
    ):
        most = _LONGEST if whole is None else whole
        body = await read_up_to(answer.content, most + 1)
        ms = (now_ns() - began) / NS_PER_MS
        if whole is not None and len(body) > whole:
            raise AnswerTooLong(f"the answer of {host_of(url)} is longer than {whole / 2**20:g} MiB")
        body = body[:most]
        return HttpAnswer(answer.status, {name.lower(): value for name, value in answer.headers.items()}, body, ms)


@dataclass(slots=True)
class Socket:
    """A WebSocket opened as the carrier opens one: no extension offered. An async context manager.

    `status` is the answer to the upgrade; the socket is `open` only after a right 101. Messages are text.
    """

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    deadline_s: float = 5.0
    status: int = 0
    answer_headers: Mapping[str, str] = field(default_factory=dict)
    """Names in lower case."""
    problem: str = ""
    """Why a 101 was no WebSocket after all."""
    open: bool = False
    upgrade_ms: float = 0.0
    clock: Clock = field(default_factory=SystemClock)
    close_code: int = 0
    _reader: asyncio.StreamReader | None = None
    _writer: asyncio.StreamWriter | None = None
    _protocol: ClientProtocol | None = None
    _messages: list[str] = field(default_factory=list)

    async def __aenter__(self) -> Self:
        """Connect and upgrade. Raises `OSError`, `ssl.SSLError` or `TimeoutError`."""
        host, port, secure = where_of(self.url)
        began = self.clock.now_ns()
        async with asyncio.timeout(self.deadline_s):
            self._reader, self._writer = await asyncio.open_connection(
                host,
                port,
                ssl=ssl.create_default_context() if secure else None,
                server_hostname=host if secure else None,
            )
            raw = self._writer.get_extra_info("socket")
            with contextlib.suppress(OSError):
                raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._protocol = protocol = ClientProtocol(parse_uri(self.url), extensions=None, max_size=1024 * 1024)
            request = protocol.connect()
            for name, value in self.headers.items():
                request.headers[name] = value
            protocol.send_request(request)
            await self._flush()
            await self._until_answered(protocol)
        self.upgrade_ms = (self.clock.now_ns() - began) / NS_PER_MS
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._protocol is not None and self.open:
            with contextlib.suppress(WebSocketException, OSError, TimeoutError):
                self._protocol.send_close(1000)
                async with asyncio.timeout(0.5):
                    await self._flush()
        if self._writer is not None:
            await _close(self._writer)

    async def send(self, text: str) -> None:
        """Raises `OSError` when the connection is gone."""
        if self._protocol is None or not self.open:
            raise ConnectionResetError("the socket is not open")
        self._protocol.send_text(text.encode())
        await self._flush()

    async def receive(self, within_s: float) -> str:
        """The next message. Raises `TimeoutError`, or `ConnectionResetError` when the socket is closed."""
        async with asyncio.timeout(within_s):
            while not self._messages:
                await self._read()
        return self._messages.pop(0)

    async def _until_answered(self, protocol: ClientProtocol) -> None:
        while not self.status:
            try:
                await self._read()
            except ConnectionResetError:
                self.problem = self.problem or "the connection was closed instead of an answer"
                return
        if protocol.handshake_exc is not None:
            self.problem = str(protocol.handshake_exc) or type(protocol.handshake_exc).__name__
            return
        self.open = True

    async def _read(self) -> None:
        assert self._reader is not None
        assert self._protocol is not None
        data = await self._reader.read(64 * 1024)
        if data:
            self._protocol.receive_data(data)
        else:
            self._protocol.receive_eof()
        for event in self._protocol.events_received():
            if isinstance(event, Response):
                self.status = event.status_code
                self.answer_headers = {name.lower(): value for name, value in event.headers.raw_items()}
            elif isinstance(event, Frame) and event.opcode is Opcode.TEXT:
                self._messages.append(bytes(event.data).decode("utf-8", "replace"))
            elif isinstance(event, Frame) and event.opcode is Opcode.CLOSE:
                self.open = False
        if self._protocol.handshake_exc is not None and not self.status:
            self.problem = str(self._protocol.handshake_exc)
        with contextlib.suppress(OSError):
            await self._flush()
        if not data:
            self.open = False
            raise ConnectionResetError("the connection was closed")

    async def _flush(self) -> None:
        assert self._writer is not None
        assert self._protocol is not None
        for data in self._protocol.data_to_send():
            if data:
                self._writer.write(data)
        await self._writer.drain()


def expires_in_days(facts: TlsFacts, wall_s: float) -> float:
    """How long a certificate is still good."""
    return (facts.expires_s - wall_s) / 86_400


def date_text(epoch_s: float) -> str:
    return datetime.fromtimestamp(epoch_s, UTC).strftime("%Y-%m-%d")


def host_of(url: str) -> str:
    """``host`` or ``host:port``, for messages."""
    return urlsplit(url).netloc


def first_words(error: BaseException) -> str:
    """One line of an error, for a person."""
    return _words(error, "no answer in time")


def addresses_are_private(addresses: Sequence[str]) -> bool:
    """Whether nobody outside this network can reach any of them."""
    import ipaddress

    return bool(addresses) and not any(
        ipaddress.ip_address(address.partition("%")[0]).is_global for address in addresses
    )


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError, ssl.SSLError, TimeoutError):
        async with asyncio.timeout(0.5):
            await writer.wait_closed()


def _words(error: BaseException, when_silent: str) -> str:
    if isinstance(error, TimeoutError):
        return when_silent
    return (str(error) or type(error).__name__).splitlines()[0]
