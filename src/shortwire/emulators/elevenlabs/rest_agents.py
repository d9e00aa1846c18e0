"""The REST calls about agents. Vendor page: agents API, "Create agent" to "List agents", "List available LLMs"."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from aiohttp import web

from shortwire.emulators.elevenlabs.agents import AgentRefused
from shortwire.emulators.elevenlabs.llms import llm_list
from shortwire.emulators.elevenlabs.paging import flag, one_of, page
from shortwire.emulators.elevenlabs.rest_errors import api_error, body_error, json_response, unprocessable

if TYPE_CHECKING:
    from shortwire.emulators.elevenlabs.server import ElevenLabsEmulator

__all__ = ["RestAgents", "json_body"]


async def json_body(request: web.Request) -> dict[str, Any] | None:
    """The body as a table; None when it is none."""
    try:
        body = json.loads(await request.read())
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def _no_body() -> web.Response:
    return body_error(None, "Input should be a valid dictionary", "dict_type")


class RestAgents:
    """The handlers, bound to one emulator."""

    def __init__(self, emulator: ElevenLabsEmulator) -> None:
        self._emulator = emulator

    async def create(self, request: web.Request) -> web.Response:
        body = await json_body(request)
        if body is None:
            return _no_body()
        try:
            return json_response({"agent_id": self._emulator.agents.create(body)})
        except AgentRefused as refused:
            return unprocessable(refused.detail)

    async def get(self, request: web.Request) -> web.Response:
        agent = self._emulator.agents.get(request.match_info["agent_id"])
        if agent is None:
            return api_error(404)
        version = request.query.get("version_id")
        if version not in (None, "", agent["version_id"]):
            return api_error(404, "agent_not_found", "This version of the agent was not found.")
        return json_response(agent)

    async def patch(self, request: web.Request) -> web.Response:
        body = await json_body(request)
        if body is None:
            return _no_body()
        try:
            agent = self._emulator.agents.patch(request.match_info["agent_id"], body)
        except AgentRefused as refused:
            return unprocessable(refused.detail)
        return api_error(404) if agent is None else json_response(agent)

    async def delete(self, request: web.Request) -> web.Response:
        if not self._emulator.agents.delete(request.match_info["agent_id"]):
            return api_error(404)
        return json_response({})

    async def list(self, request: web.Request) -> web.Response:
        search = request.query.get("search", "").lower()
        archived = flag(request, "archived")
        order = one_of(request, "sort_by", "name", "created_at", "updated_at", "call_count_7d") or "created_at"
        direction = one_of(request, "sort_direction", "asc", "desc") or "desc"
        tags = set(request.query.getall("tags", []))
        agents = [
            agent
            for agent in self._emulator.agents.all()
            if search in agent["name"].lower() and not archived and tags <= set(agent["tags"])
        ]
        calls = [record.agent_id for record in self._emulator.ledger.conversations.values()]
        keys: dict[str, Any] = {
            "name": lambda agent: agent["name"].lower(),
            "created_at": lambda agent: agent["metadata"]["created_at_unix_secs"],
            "updated_at": lambda agent: agent["metadata"]["updated_at_unix_secs"],
            "call_count_7d": lambda agent: calls.count(agent["agent_id"]),
        }
        agents.sort(key=keys[order], reverse=direction == "desc")
        shown, cursor = page(request, agents)
        listed = [self._listed(agent) for agent in shown]
        return json_response({"agents": listed, "next_cursor": cursor, "has_more": cursor is not None})

    def _listed(self, agent: dict[str, Any]) -> dict[str, Any]:
        calls = [
            record.started_unix_s
            for record in self._emulator.ledger.conversations.values()
            if record.agent_id == agent["agent_id"]
        ]
        return {
            "agent_id": agent["agent_id"],
            "name": agent["name"],
            "voice_id": agent["conversation_config"]["tts"]["voice_id"],
            "tags": agent["tags"],
            "created_at_unix_secs": agent["metadata"]["created_at_unix_secs"],
            "updated_at_unix_secs": agent["metadata"]["updated_at_unix_secs"],
            "access_info": agent["access_info"],
            "last_call_time_unix_secs": max(calls, default=None),
            "archived": False,
        }

    async def llms(self, _: web.Request) -> web.Response:
        return json_response(llm_list())

    async def live_count(self, request: web.Request) -> web.Response:
        wanted = set(request.query.getall("agent_ids", []))
        if request.query.get("agent_id"):
            wanted.add(request.query["agent_id"])
        live = [socket for socket in self._emulator.live.values() if not wanted or socket.agent_id in wanted]
        return json_response({"count": len(live)})
