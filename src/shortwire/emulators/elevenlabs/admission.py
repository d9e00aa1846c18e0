"""Who may start a conversation: agent, signature, origin, room. The refusals are close frames after the 101.

Vendor pages: agents API, "Authentication" and "WebSocket"; "Burst pricing" for the limits.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from aiohttp import web

from shortwire.emulators.elevenlabs.personalise import Refused
from shortwire.emulators.elevenlabs.signing import new_conversation_id

if TYPE_CHECKING:
    from shortwire.emulators.elevenlabs.server import ElevenLabsEmulator

__all__ = ["Admitted", "admit", "room"]

UNAUTHORIZED = "Could not authorize the conversation."
FULL = "too many concurrent connections"

_MOST_BURST = 300


@dataclass(frozen=True, slots=True)
class Admitted:
    """Somebody who came in."""

    agent_id: str
    conversation_id: str
    method: str
    burst: bool


def room(emulator: ElevenLabsEmulator, agent: dict[str, Any]) -> str:
    """``room``, ``burst`` (above the workspace's limit, but allowed) or ``full``."""
    limits, everywhere = agent["platform_settings"]["call_limits"], emulator.config.concurrency_limit
    live = sum(socket.agent_id == agent["agent_id"] for socket in emulator.live.values())
    if 0 <= limits["agent_concurrency_limit"] <= live:
        return "full"
    if everywhere < 0 or len(emulator.live) < everywhere:
        return "room"
    most = min(everywhere * 3, _MOST_BURST)
    allowed = emulator.config.burst and limits.get("bursting_enabled", True)
    return "burst" if allowed and len(emulator.live) < most else "full"


def _origin_allowed(agent: dict[str, Any], request: web.Request) -> bool:
    auth = agent["platform_settings"]["auth"]
    allowed: set[str | None] = {entry["hostname"] for entry in auth.get("allowlist") or ()}
    origin = request.headers.get("Origin")
    if origin is None:
        return not (allowed and auth.get("require_origin_header"))
    return not allowed or bool({urlsplit(origin).netloc, urlsplit(origin).hostname} & allowed)


def _used_up(emulator: ElevenLabsEmulator, agent: dict[str, Any]) -> bool:
    limit = agent["platform_settings"]["call_limits"]["daily_limit"]
    since = time.time() - 24 * 3600
    records = emulator.ledger.conversations.values()
    started = sum(record.agent_id == agent["agent_id"] and record.started_unix_s >= since for record in records)
    return bool(0 <= limit <= started)


def admit(emulator: ElevenLabsEmulator, request: web.Request, now_ns: int) -> Admitted:
    """Raises `Refused`. A signed URL is not used up by a conversation that found no room."""
    query, config = request.query, emulator.config
    agent_id = query.get("agent_id", "")
    agent = emulator.agents.get(agent_id)
    if not agent_id:
        raise Refused(3000, "Request error")
    if agent is None:
        raise Refused(3000, "The AI agent you are trying to reach does not exist.")
    if query.get("branch_id", "") not in ("", agent["branch_id"]):
        raise Refused(3000, "Request error")
    if not _origin_allowed(agent, request):
        raise Refused(3000, UNAUTHORIZED)
    space = "full" if _used_up(emulator, agent) else room(emulator, agent)
    signature = query.get("conversation_signature")
    conversation_id: str | None = None
    if signature is not None:
        method = "signed_url"
        if space != "full":
            wanted = query.get("conversation_id")
            conversation_id = emulator.signed_urls.redeem(signature, agent_id, wanted, now_ns)
            if conversation_id is None:
                raise Refused(3000, UNAUTHORIZED)
    elif not agent["platform_settings"]["auth"]["enable_auth"]:
        method = "public"
    elif config.accept_api_key_header and request.headers.get("xi-api-key") in config.api_keys:
        method = "authorization_header"
    else:
        raise Refused(3000, UNAUTHORIZED)
    if space == "full":
        raise Refused(config.concurrency_close_code, FULL)
    return Admitted(agent_id, conversation_id or new_conversation_id(), method, space == "burst")
