"""The REST side of the service: who may ask, what goes wrong, which call is whose; and signed URLs.

The calls themselves are in `rest_agents` and `rest_conversations`. Vendor page: agents API.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from aiohttp import web

from shortwire.emulators.elevenlabs.paging import BadQuery, flag
from shortwire.emulators.elevenlabs.rest_agents import RestAgents
from shortwire.emulators.elevenlabs.rest_conversations import RestConversations
from shortwire.emulators.elevenlabs.rest_errors import api_error, faulty, json_response

if TYPE_CHECKING:
    from shortwire.emulators.elevenlabs.server import ElevenLabsEmulator

__all__ = ["Rest", "api_error", "json_response"]

Handler = Callable[[web.Request], Awaitable[web.Response]]


class Rest:
    """The handlers, bound to one emulator."""

    def __init__(self, emulator: ElevenLabsEmulator) -> None:
        self._emulator = emulator

    def routes(self) -> list[web.RouteDef]:
        agents, conversations = RestAgents(self._emulator), RestConversations(self._emulator)
        agent, conversation = "/v1/convai/agents/{agent_id}", "/v1/convai/conversations/{conversation_id}"
        keyed, open_ = self._keyed, self._open
        return [
            web.get("/v1/convai/conversation/get-signed-url", keyed(self._signed_url)),
            web.get("/v1/convai/conversation/get_signed_url", keyed(self._signed_url)),
            web.get("/v1/convai/conversation/token", open_(conversations.token)),  # public agents need no key
            web.post("/v1/convai/agents/create", keyed(agents.create)),
            web.get("/v1/convai/agents", keyed(agents.list)),
            web.get(agent, keyed(agents.get)),
            web.patch(agent, keyed(agents.patch)),
            web.delete(agent, keyed(agents.delete)),
            web.get("/v1/convai/llm/list", keyed(agents.llms)),
            web.get("/v1/convai/analytics/live-count", keyed(agents.live_count)),
            web.get("/v1/convai/conversations", keyed(conversations.list)),
            web.get(conversation, keyed(conversations.get)),
            web.delete(conversation, keyed(conversations.delete)),
            web.get(f"{conversation}/audio", keyed(conversations.audio)),
            web.post(f"{conversation}/feedback", open_(conversations.feedback)),
            web.post(f"{conversation}/files", open_(conversations.upload)),
            web.delete(f"{conversation}/files/{{file_id}}", open_(conversations.remove_file)),
        ]

    def _open(self, handler: Handler) -> Handler:
        """Without a key; with everything that can go wrong on purpose."""

        async def answered(request: web.Request) -> web.Response:
            emulator, faults = self._emulator, self._emulator.faults
            if request.path.startswith(faults.rest_path):
                if faults.rest_delay_ms:
                    await asyncio.sleep(faults.rest_delay_ms / 1000)
                if faults.rest_status and emulator.rest_fault_due():
                    return self._marked(faulty(faults.rest_status, faults))
            try:
                return self._marked(await handler(request))
            except BadQuery as bad:
                return self._marked(bad.response)

        return answered

    def _keyed(self, handler: Handler) -> Handler:
        async def checked(request: web.Request) -> web.Response:
            key = request.headers.get("xi-api-key")
            if not key:
                return api_error(401, "missing_api_key", "No API key was given in the header xi-api-key.")
            if key not in self._emulator.config.api_keys:
                return api_error(401)
            return await handler(request)

        return self._open(checked)

    def _marked(self, response: web.Response) -> web.Response:
        """The headers that are only said to exist (for other APIs of the vendor)."""
        config = self._emulator.config
        if config.region is not None:
            response.headers["x-region"] = config.region
        if config.concurrency_headers:
            response.headers["current-concurrent-requests"] = str(len(self._emulator.live))
            response.headers["maximum-concurrent-requests"] = str(config.concurrency_limit)
        return response

    async def _signed_url(self, request: web.Request) -> web.Response:
        emulator, faults = self._emulator, self._emulator.faults
        if faults.signed_url_delay_ms:
            await asyncio.sleep(faults.signed_url_delay_ms / 1000)
        if faults.signed_url_status and emulator.signed_url_fault_due():
            return faulty(faults.signed_url_status, faults)
        agent_id = request.query.get("agent_id")
        if not agent_id:
            return api_error(422)
        wanted: Any = flag(request, "include_conversation_id")
        agent = emulator.agents.get(agent_id)
        if agent is None or request.query.get("branch_id") not in (None, "", agent["branch_id"]):
            return api_error(404)
        scheme = "wss" if emulator.config.tls_dir is not None else "ws"
        # The client's own name for us: it may reach us through a relay on another port.
        base = f"{scheme}://{request.host}"
        url = emulator.signed_urls.issue(base, agent_id, time.monotonic_ns(), with_conversation_id=bool(wanted))
        return json_response({"signed_url": url})
