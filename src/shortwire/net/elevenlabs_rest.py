"""The agent platform's REST side on the call path: signed URLs, over one warm session.

The official SDK is a test oracle, not a dependency of a ringing telephone: this is one GET, and
what counts is that its connection is still open from the last one.
Follows protocols/elevenlabs.md 4.1 (signed URL) and 4.9 (error bodies, three shapes).
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit

import aiohttp

from ..errors import AgentError
from ..terms import AgentId, HangupCause
from .bodies import read_up_to

__all__ = ["ElevenLabsPlatform"]

_SIGNED_URL = "/v1/convai/conversation/get-signed-url"
_AGENTS = "/v1/convai/agents"
_LONGEST_ANSWER = 1024 * 1024
_CAUSE_BY_CODE = {
    "invalid_api_key": HangupCause.AGENT_UNAUTHORIZED,
    "missing_api_key": HangupCause.AGENT_UNAUTHORIZED,
    "missing_permissions": HangupCause.AGENT_UNAUTHORIZED,
    "quota_exceeded": HangupCause.AGENT_QUOTA,  # comes with 401, so the code has to speak first
    "insufficient_credits": HangupCause.AGENT_QUOTA,
    "agent_not_found": HangupCause.AGENT_NOT_FOUND,
    "document_not_found": HangupCause.AGENT_NOT_FOUND,
    "rate_limit_exceeded": HangupCause.AGENT_BUSY,
    "concurrent_limit_exceeded": HangupCause.AGENT_BUSY,
    "too_many_concurrent_requests": HangupCause.AGENT_BUSY,
    "system_busy": HangupCause.AGENT_BUSY,
}
_CAUSE_BY_STATUS = {
    401: HangupCause.AGENT_UNAUTHORIZED,
    402: HangupCause.AGENT_QUOTA,
    403: HangupCause.AGENT_UNAUTHORIZED,
    404: HangupCause.AGENT_NOT_FOUND,
    429: HangupCause.AGENT_BUSY,
}


class ElevenLabsPlatform:
    """`AgentPlatform` over ElevenLabs. Made anywhere, used on one event loop, closed with `close`."""

    def __init__(
        self,
        api_key: str,
        *,
        base_url: str = "https://api.elevenlabs.io",
        deadline_s: float = 5.0,
    ) -> None:
        """`deadline_s` bounds a request: somebody is listening to a ringing tone meanwhile."""
        self._api_key = api_key
        self._base_url = base_url.rstrip("/")
        self._deadline_s = deadline_s
        self._session: aiohttp.ClientSession | None = None

    async def signed_url(self, agent_id: AgentId) -> str:
        """A URL that opens one conversation, good for 15 minutes (section 4.1). Raises `AgentError`."""
        document = await self._ask(_SIGNED_URL, {"agent_id": agent_id})
        url = document.get("signed_url") if isinstance(document, dict) else None
        if not isinstance(url, str) or not self._opens_a_socket(url):
            raise AgentError("the agent's host answered without a signed URL", cause=HangupCause.AGENT_ERROR)
        return url

    async def agent(self, agent_id: AgentId) -> Mapping[str, Any]:
        """The agent's configuration (section 4.2). Raises `AgentError`."""
        document = await self._ask(f"{_AGENTS}/{quote(agent_id, safe='')}", {})
        if not isinstance(document, dict):
            raise AgentError("the agent's host answered without a configuration", cause=HangupCause.AGENT_ERROR)
        return document

    async def _ask(self, path: str, query: dict[str, str]) -> Any:
        """One GET within the deadline; the parsed body of a 200."""
        try:
            async with asyncio.timeout(self._deadline_s):
                status, body = await self._get(path, query)
        except TimeoutError:
            raise _unreachable(f"no answer within {self._deadline_s:g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise _unreachable((str(error) or type(error).__name__).splitlines()[0]) from error
        document = _parsed(body)
        if status != 200:
            raise _refused(status, document)
        return document

    def warm(self) -> None:
        """Make the session now: a trust store is read for it. On the event loop that will use it."""
        self._connected()

    async def close(self) -> None:
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

    async def _get(self, path: str, query: dict[str, str]) -> tuple[int, bytes]:
        async with self._connected().get(self._base_url + path, params=query, allow_redirects=False) as response:
            return response.status, await read_up_to(response.content, _LONGEST_ANSWER)

    def _connected(self) -> aiohttp.ClientSession:
        if self._session is None:
            # A context of our own honours SSL_CERT_FILE as it is now. Keep-alive outlasts the pause between
            # two calls of a busy line; a stale connection costs a reconnect, which aiohttp does by itself for GET.
            connector = aiohttp.TCPConnector(ssl=ssl.create_default_context(), limit=0, keepalive_timeout=90)
            self._session = aiohttp.ClientSession(
                connector=connector, headers={"xi-api-key": self._api_key}, timeout=aiohttp.ClientTimeout(total=None)
            )
        return self._session

    def _opens_a_socket(self, url: str) -> bool:
        """Whether the URL is a WebSocket's, and no less protected than the host that gave it."""
        allowed = ("wss",) if self._base_url.startswith("https:") else ("wss", "ws")
        return urlsplit(url).scheme in allowed and bool(urlsplit(url).hostname)


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None


def _unreachable(what: str) -> AgentError:
    return AgentError(HangupCause.AGENT_UNREACHABLE.meaning, cause=HangupCause.AGENT_UNREACHABLE, details=what)


def _refused(status: int, document: Any) -> AgentError:
    code, text = _code_and_text(document)
    cause = _CAUSE_BY_CODE.get(code) or _CAUSE_BY_STATUS.get(status, HangupCause.AGENT_ERROR)
    words = " ".join(part for part in (f"HTTP {status}", code, text) if part)
    return AgentError(cause.meaning, cause=cause, details=words[:500])


def _code_and_text(document: Any) -> tuple[str, str]:
    """Code and message of an error body: an object, a list (the framework's 422) or a plain text."""
    detail = document.get("detail") if isinstance(document, dict) else None
    if isinstance(detail, dict):
        return str(detail.get("code") or detail.get("status") or ""), str(detail.get("message") or "")
    if isinstance(detail, list):
        return "", "; ".join(
            f"{'.'.join(map(str, item.get('loc') or ()))}: {item.get('msg', '')}"
            for item in detail
            if isinstance(item, dict)
        )
    return "", str(detail or "")
