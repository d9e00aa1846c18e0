"""The REST calls of the agents API that a bridge uses: signed URLs, agents, conversations.

Errors have the documented bodies (``detail`` with type, code, message, status, request_id, param; the
list form for 422). Vendor page: agents API; "Errors" of the API reference.
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from typing import TYPE_CHECKING, Any

from aiohttp import web

from shortwire.emulators.elevenlabs.agents import AgentRefused
from shortwire.emulators.elevenlabs.summary import detail, list_item

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from shortwire.emulators.elevenlabs.server import ElevenLabsEmulator

__all__ = ["Rest", "api_error", "json_response"]

Json = dict[str, Any]

_KINDS = {
    401: ("authentication_error", "invalid_api_key", "Invalid API key"),
    404: ("not_found", "agent_not_found", "The agent was not found."),
    429: ("rate_limit_error", "concurrent_limit_exceeded", "Too many concurrent requests."),
    500: ("internal_error", "internal_error", "Internal error"),
    503: ("service_unavailable", "system_busy", "Our services are experiencing high levels of traffic."),
}


def json_response(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """Compact JSON (as the captured error bodies)."""
    text = json.dumps(body, separators=(",", ":"), ensure_ascii=False)
    return web.Response(text=text, status=status, headers=headers, content_type="application/json")


def api_error(status: int, code: str = "", message: str = "") -> web.Response:
    """An error body as documented; 422 in the framework's form."""
    request_id = uuid.uuid4().hex
    if status == 422:
        return _unprocessable([{"loc": ["query", code or "agent_id"], "msg": "Field required", "type": "missing"}])
    kind, usual_code, usual_message = _KINDS.get(status, ("invalid_request", "invalid_request", "Invalid request"))
    code = code or usual_code
    error = {
        "type": kind,
        "code": code,
        "message": message or usual_message,
        "status": code,
        "request_id": request_id,
        "param": None,
    }
    return json_response({"detail": error}, status, {"request-id": request_id})


def _unprocessable(items: list[Json]) -> web.Response:
    return json_response({"detail": items}, 422)


async def _body(request: web.Request) -> Json | None:
    try:
        body = json.loads(await request.read())
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


_NO_BODY = [{"loc": ["body"], "msg": "Input should be a valid dictionary", "type": "dict_type"}]


class Rest:
    """The handlers, bound to one emulator."""

    def __init__(self, emulator: ElevenLabsEmulator) -> None:
        self._emulator = emulator
        self._signed_url_faults = 0

    def routes(self) -> list[web.RouteDef]:
        agent, conversation = "/v1/convai/agents/{agent_id}", "/v1/convai/conversations/{conversation_id}"
        keyed = self._keyed
        return [
            web.get("/v1/convai/conversation/get-signed-url", keyed(self._signed_url)),
            web.get("/v1/convai/conversation/get_signed_url", keyed(self._signed_url)),
            web.post("/v1/convai/agents/create", keyed(self._create_agent)),
            web.get("/v1/convai/agents", keyed(self._list_agents)),
            web.get(agent, keyed(self._get_agent)),
            web.patch(agent, keyed(self._patch_agent)),
            web.delete(agent, keyed(self._delete_agent)),
            web.get("/v1/convai/conversations", keyed(self._list_conversations)),
            web.get(conversation, keyed(self._get_conversation)),
            web.get("/v1/convai/analytics/live-count", keyed(self._live_count)),
        ]

    def _keyed(self, handler: Callable[[web.Request], Awaitable[web.Response]]) -> Any:
        async def checked(request: web.Request) -> web.Response:
            key = request.headers.get("xi-api-key")
            if not key:
                return api_error(401, "missing_api_key", "No API key was given in the header xi-api-key.")
            if key not in self._emulator.config.api_keys:
                return api_error(401)
            return await handler(request)

        return checked

    # -- signed URLs -----------------------------------------------------------------------------------------------

    async def _signed_url(self, request: web.Request) -> web.Response:
        emulator, faults = self._emulator, self._emulator.faults
        if faults.signed_url_delay_ms:
            await asyncio.sleep(faults.signed_url_delay_ms / 1000)
        if faults.signed_url_status and emulator.signed_url_fault_due():
            return api_error(faults.signed_url_status)
        agent_id = request.query.get("agent_id")
        if not agent_id:
            return api_error(422)
        if emulator.agents.get(agent_id) is None:
            return api_error(404)
        scheme = "wss" if emulator.config.tls_dir is not None else "ws"
        wanted = request.query.get("include_conversation_id", "false").lower() == "true"
        # The client's own name for us: it may reach us through a relay on another port.
        base = f"{scheme}://{request.host}"
        url = emulator.signed_urls.issue(base, agent_id, time.monotonic_ns(), with_conversation_id=wanted)
        return json_response({"signed_url": url})

    # -- agents ----------------------------------------------------------------------------------------------------

    async def _create_agent(self, request: web.Request) -> web.Response:
        body = await _body(request)
        if body is None:
            return _unprocessable(_NO_BODY)
        try:
            return json_response({"agent_id": self._emulator.agents.create(body)})
        except AgentRefused as refused:
            return _unprocessable(refused.detail)

    async def _get_agent(self, request: web.Request) -> web.Response:
        agent = self._emulator.agents.get(request.match_info["agent_id"])
        return api_error(404) if agent is None else json_response(agent)

    async def _patch_agent(self, request: web.Request) -> web.Response:
        body = await _body(request)
        if body is None:
            return _unprocessable(_NO_BODY)
        try:
            agent = self._emulator.agents.patch(request.match_info["agent_id"], body)
        except AgentRefused as refused:
            return _unprocessable(refused.detail)
        return api_error(404) if agent is None else json_response(agent)

    async def _delete_agent(self, request: web.Request) -> web.Response:
        if not self._emulator.agents.delete(request.match_info["agent_id"]):
            return api_error(404)
        return json_response({})

    async def _list_agents(self, request: web.Request) -> web.Response:
        search = request.query.get("search", "").lower()
        agents = [agent for agent in self._emulator.agents.all() if search in agent["name"].lower()]
        page, cursor, error = _page(request, agents)
        if error is not None:
            return error
        shown = [
            {
                "agent_id": agent["agent_id"],
                "name": agent["name"],
                "tags": agent["tags"],
                "created_at_unix_secs": agent["metadata"]["created_at_unix_secs"],
                "access_info": agent["access_info"],
                "last_call_time_unix_secs": None,
                "archived": False,
            }
            for agent in page
        ]
        return json_response({"agents": shown, "next_cursor": cursor, "has_more": cursor is not None})

    # -- conversations ---------------------------------------------------------------------------------------------

    async def _list_conversations(self, request: web.Request) -> web.Response:
        agent_id = request.query.get("agent_id")
        records = list(reversed(self._emulator.ledger.conversations.values()))
        records = [record for record in records if agent_id in (None, record.agent_id)]
        page, cursor, error = _page(request, records)
        if error is not None:
            return error
        shown = [list_item(record, self._agent_name(record.agent_id)) for record in page]
        return json_response({"conversations": shown, "next_cursor": cursor, "has_more": cursor is not None})

    async def _get_conversation(self, request: web.Request) -> web.Response:
        record = self._emulator.ledger.conversations.get(request.match_info["conversation_id"])
        if record is None:
            return api_error(404, "conversation_not_found", "The conversation was not found.")
        end_of_turn_ms = self._emulator.config.script.end_of_turn_ms
        return json_response(detail(record, self._agent_name(record.agent_id), end_of_turn_ms))

    async def _live_count(self, request: web.Request) -> web.Response:
        agent_id = request.query.get("agent_id")
        live = [socket for socket in self._emulator.live.values() if agent_id in (None, socket.agent_id)]
        return json_response({"count": len(live)})

    def _agent_name(self, agent_id: str) -> str | None:
        agent = self._emulator.agents.get(agent_id)
        return None if agent is None else str(agent["name"])


def _page(request: web.Request, items: list[Any]) -> tuple[list[Any], str | None, web.Response | None]:
    """(this page, cursor of the next, error)."""
    try:
        size, start = int(request.query.get("page_size", "30")), int(request.query.get("cursor") or "0")
    except ValueError:
        size = start = -1
    if not 1 <= size <= 100 or start < 0:
        message = "Input should be from 1 to 100"
        return [], None, _unprocessable([{"loc": ["query", "page_size"], "msg": message, "type": "less_than_equal"}])
    end = start + size
    return items[start:end], str(end) if end < len(items) else None, None
