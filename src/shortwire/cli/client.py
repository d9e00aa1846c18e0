"""What the commands need of a running server, over plain HTTP from the standard library.

Blocking on purpose: a command does one thing at a time, and Ctrl-C must break it anywhere.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import json
import os
import re
import ssl
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from ..errors import BridgeError, ConfigError, PeerError, UsageError

__all__ = ["Api", "ApiRefused", "connect"]

_REQUEST_S = 40.0
"""Placing a call waits for the carrier, which has its own, shorter deadline."""
_SILENCE_S = 60.0
"""Event streams carry a comment every 15 s; after this long the connection is dead."""
_EXIT_BY_CODE = {"carrier_refused": 5, "carrier_unreachable": 5, "carrier_uncertain": 6}
_EXIT_BY_STATUS = {500: 1, 502: 5, 503: 75, 504: 6}


class ApiRefused(BridgeError):
    """The server answered with an error; its words, and the exit status that goes with them."""

    def __init__(self, status: int, code: str, message: str, details: str, call_id: str = "") -> None:
        super().__init__(message, details=details, code=code)
        self.call_id = call_id
        self.http_status = status
        self.exit_status = _EXIT_BY_CODE.get(code, _EXIT_BY_STATUS.get(status, 2 if status < 500 else 1))


class Api:
    """One server under one key."""

    def __init__(self, url: str, key: str) -> None:
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
            host.encode("idna")
        except ValueError:
            host, port = "", None
        if not host or parts.scheme not in ("http", "https"):
            raise UsageError(f"{url} is not the address of a server", details="write http://127.0.0.1:8001")
        self.url = url.rstrip("/")
        self._https = parts.scheme == "https"
        self._host, self._port, self._prefix = host, port, parts.path.rstrip("/")
        self._headers = {"Authorization": f"Bearer {key}", "Accept": "application/json"}

    def get(self, path: str) -> Any:
        return self._request("GET", path)

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        return self._request("POST", path, body)

    def events(self, call_id: str, *, after: int = 0) -> Iterator[dict[str, Any]]:
        """Events of a call until the server closes the stream. Raises `PeerError` if the connection breaks."""
        connection = self._connection(_SILENCE_S)
        headers = {**self._headers, "Accept": "text/event-stream", "Last-Event-ID": str(after)}
        with contextlib.closing(connection):
            response = self._send(connection, "GET", f"/v1/calls/{quote(call_id, safe='')}/events", headers)
            if response.status != 200:
                raise self._refused(response.status, response.read(65536), call_id)
            data: list[str] = []
            while line := self._line(response):
                text = line.decode("utf-8", "replace").rstrip("\r\n")
                if text.startswith("data:"):
                    data.append(text[5:].lstrip(" "))
                elif not text and data:
                    yield json.loads("\n".join(data))
                    data = []

    def _request(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        headers = dict(self._headers)
        content = None
        if body is not None:
            content = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        with contextlib.closing(self._connection(_REQUEST_S)) as connection:
            response = self._send(connection, method, path, headers, content)
            try:
                answer = response.read()
            except (OSError, http.client.HTTPException) as error:
                raise self._unreachable(error) from error
        if response.status >= 300:
            raise self._refused(response.status, answer, _call_in(path))
        try:
            return json.loads(answer)
        except ValueError:
            raise PeerError(f"what answers at {self.url} is not Shortwire") from None

    def _connection(self, timeout_s: float) -> http.client.HTTPConnection:
        if self._https:
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(self._host, self._port, timeout=timeout_s, context=context)
        return http.client.HTTPConnection(self._host, self._port, timeout=timeout_s)

    def _send(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        headers: Mapping[str, str],
        content: bytes | None = None,
    ) -> http.client.HTTPResponse:
        try:
            connection.request(method, self._prefix + path, content, dict(headers))
            return connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(error) from error

    def _line(self, response: http.client.HTTPResponse) -> bytes:
        try:
            return response.readline(1 << 20)
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(error) from error

    def _unreachable(self, error: Exception) -> PeerError:
        why = (str(error) or type(error).__name__).splitlines()[0]
        return PeerError(
            f"no Shortwire server answers at {self.url}",
            details=f"start one with 'shortwire serve' or name another with --url ({why})",
            code="server_unreachable",
        )

    def _refused(self, status: int, answer: bytes, call_id: str = "") -> BridgeError:
        """What an answer says; `call_id`: the call that was asked for."""
        try:
            error = json.loads(answer)["error"]
            code, message, details = str(error["code"]), str(error["message"]), str(error["details"])
        except (ValueError, TypeError, LookupError, AttributeError):
            return PeerError(f"what answers at {self.url} is not Shortwire", details=f"HTTP {status}")
        if status == 401:  # every request carries a key, so it is not missing but another one
            message = f"this API key is not that of the server at {self.url}"
            details = "compare SHORTWIRE_API_KEY (or --api-key) with the one that the server was started with"
        elif status == 404 and call_id:
            message = f"the server at {self.url} has no call {call_id}"
            details = "'shortwire calls list' shows those that it has"
        return ApiRefused(status, code, message, details, str(error.get("call_id", "")))


def _call_in(path: str) -> str:
    """The id in the path of a call; empty for every other path."""
    found = re.match(r"/v1/calls/([^/?]+)", path)
    return unquote(found[1]) if found else ""


def connect(url: str | None, key: str | None) -> Api:
    """The server and key that a command means: flags over environment over `.env` of the directory."""
    from dotenv import dotenv_values

    names = {**(dotenv_values(".env") if Path(".env").is_file() else {}), **os.environ}
    key = key or names.get("SHORTWIRE_API_KEY") or ""
    if not key:
        raise ConfigError("no API key", details="set SHORTWIRE_API_KEY to the key that the server was started with")
    if not key.isascii() or not key.isprintable():
        raise ConfigError("the API key holds a character that no header can carry", details="check SHORTWIRE_API_KEY")
    if not url:
        default = "8000" if (names.get("SHORTWIRE_PROFILE") or "").lower() == "baseline" else "8001"
        url = names.get("SHORTWIRE_URL") or f"http://127.0.0.1:{names.get('SHORTWIRE_PORT') or default}"
    api = Api(url, key)
    parts = urlsplit(url)
    if parts.scheme == "http" and not _is_near(parts.hostname or ""):
        print(f"shortwire: warning: the API key travels unprotected to {parts.hostname}; use https", file=sys.stderr)
    return api


def _is_near(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
