"""The product's own API, as any client would use it: place a call, follow it, read it.

Knows URLs and JSON only; the server is somebody else's process.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterable, AsyncIterator, Mapping
from typing import Any, Self

import aiohttp

__all__ = ["ApiError", "CallApi", "settled"]


class ApiError(RuntimeError):
    """The server answered with something else than asked for; the text holds its words."""


class CallApi:
    """`base` is the server's address, `key` its API key. An async context manager."""

    def __init__(self, base: str, key: str) -> None:
        self._base = base.rstrip("/")
        self._session = aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {key}"}, timeout=aiohttp.ClientTimeout(total=20)
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._session.close()

    async def ready(self) -> bool:
        """Whether the server takes calls; False while nobody listens yet."""
        try:
            async with self._session.get(f"{self._base}/readyz", timeout=aiohttp.ClientTimeout(total=2)) as answer:
                return answer.status == 200
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False

    async def place(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """POST /v1/calls."""
        return await self._json("POST", "/v1/calls", json=dict(request))

    async def call(self, call_id: str) -> dict[str, Any]:
        """GET /v1/calls/{id}."""
        return await self._json("GET", f"/v1/calls/{call_id}")

    async def health(self) -> dict[str, Any]:
        """GET /v1/health."""
        return await self._json("GET", "/v1/health")

    async def follow(self, call_id: str) -> AsyncIterator[dict[str, Any]]:
        """The call's events as they happen, until it is over (server-sent events, WHATWG HTML section 9.2).

        Raises `ApiError` when the stream is refused or breaks off before the call's end.
        """
        url = f"{self._base}/v1/calls/{call_id}/events"
        timeout = aiohttp.ClientTimeout(total=None, sock_read=60)
        try:
            async with self._session.get(url, headers={"Accept": "text/event-stream"}, timeout=timeout) as answer:
                if answer.status != 200:
                    raise ApiError(f"GET {url}: {answer.status} {await answer.text()}")
                async for event in _events(answer.content):
                    yield event
                    if event.get("kind") == "call.ended":
                        return
        except aiohttp.ClientError as error:
            raise ApiError(f"GET {url}: {error}") from error
        raise ApiError(f"GET {url}: the stream of events ended before the call did")

    async def _json(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        try:
            async with self._session.request(method, self._base + path, **options) as answer:
                status, text = answer.status, await answer.text()
        except aiohttp.ClientError as error:
            raise ApiError(f"{method} {path}: {error}") from error
        if status >= 300:
            raise ApiError(f"{method} {path}: {status} {text}")
        body = json.loads(text)
        if not isinstance(body, dict):
            raise ApiError(f"{method} {path}: expected an object, got {text[:200]}")
        return body


async def _events(lines: AsyncIterable[bytes]) -> AsyncIterator[dict[str, Any]]:
    """The documents of an event stream: ``data`` lines up to a blank line; comments and other fields are skipped."""
    data: list[str] = []
    async for raw in lines:
        line = raw.decode().rstrip("\r\n")
        if line.startswith("data:"):
            data.append(line[5:].removeprefix(" "))
        elif not line and data:
            yield json.loads("\n".join(data))
            data.clear()


async def settled(api: CallApi, call_id: str, *, patience_s: float = 5.0) -> dict[str, Any]:
    """The call once it is stored as ended, with its latencies; as it is when patience runs out."""
    for _ in range(int(patience_s / 0.1)):
        call = await api.call(call_id)
        if call.get("state") == "ended" and call.get("latencies"):
            return call
        await asyncio.sleep(0.1)
    return await api.call(call_id)
