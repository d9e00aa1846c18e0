"""The emulator's own API, below ``/_emulator``: what it saw, what shall go wrong, start afresh.

Not part of the emulated service, and not authenticated: the server listens on loopback only.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from aiohttp import web

from shortwire.emulators.elevenlabs.config import FaultError, Faults
from shortwire.emulators.elevenlabs.signing import new_conversation_id

if TYPE_CHECKING:
    from shortwire.emulators.elevenlabs.server import ElevenLabsEmulator

__all__ = ["Control"]


def _answer(body: Any, status: int = 200) -> web.Response:
    return web.Response(text=json.dumps(body), status=status, content_type="application/json")


class Control:
    """The handlers, bound to one emulator."""

    def __init__(self, emulator: ElevenLabsEmulator) -> None:
        self._emulator = emulator

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/_emulator/ledger", self._ledger),
            web.get("/_emulator/conversations", self._conversations),
            web.get("/_emulator/conversations/{conversation_id}", self._conversation),
            web.post("/_emulator/conversations/{conversation_id}/end", self._end),
            web.post("/_emulator/conversations/{conversation_id}/faults", self._set_live_faults),
            web.post("/_emulator/conversations/{conversation_id}/webhook", self._send_again),
            web.post("/_emulator/webhooks", self._webhook),
            web.get("/_emulator/faults", self._get_faults),
            web.post("/_emulator/faults", self._set_faults),
            web.post("/_emulator/reset", self._reset),
        ]

    async def _ledger(self, _: web.Request) -> web.Response:
        return _answer(self._emulator.ledger.as_json())

    async def _conversations(self, _: web.Request) -> web.Response:
        records = self._emulator.ledger.conversations.values()
        return _answer({"conversations": [record.as_json() for record in records]})

    async def _conversation(self, request: web.Request) -> web.Response:
        record = self._emulator.ledger.conversations.get(request.match_info["conversation_id"])
        return _answer({"error": "no such conversation"}, 404) if record is None else _answer(record.as_json())

    async def _end(self, request: web.Request) -> web.Response:
        """Close a live conversation: ``{"code": 1011, "reason": "..."}``, both optional."""
        socket = self._emulator.live.get(request.match_info["conversation_id"])
        if socket is None:
            return _answer({"error": "no such live conversation"}, 404)
        try:
            body = json.loads(await request.read() or b"{}")
            code, reason = int(body.get("code", 1000)), str(body.get("reason", ""))
        except (ValueError, AttributeError, TypeError):
            return _answer({"error": 'the body must be like {"code": 1011, "reason": "text"}'}, 400)
        socket.end(code, reason)
        return _answer({"ended": True})

    async def _get_faults(self, _: web.Request) -> web.Response:
        return _answer(asdict(self._emulator.faults))

    async def _set_faults(self, request: web.Request) -> web.Response:
        """Replace all faults by those in the body; ``{}`` clears them."""
        try:
            faults = Faults.parse(json.loads(await request.read() or b"{}"))
        except FaultError as error:
            return _answer({"error": str(error)}, 400)
        except ValueError:
            return _answer({"error": "the body must be a JSON object"}, 400)
        self._emulator.faults = faults
        return _answer(asdict(faults))

    async def _set_live_faults(self, request: web.Request) -> web.Response:
        """Faults of one live conversation, counted from now."""
        socket = self._emulator.live.get(request.match_info["conversation_id"])
        if socket is None:
            return _answer({"error": "no such live conversation"}, 404)
        try:
            faults = Faults.parse(json.loads(await request.read() or b"{}"))
        except FaultError as error:
            return _answer({"error": str(error)}, 400)
        except ValueError:
            return _answer({"error": "the body must be a JSON object"}, 400)
        socket.set_faults(faults)
        return _answer(asdict(faults))

    async def _send_again(self, request: web.Request) -> web.Response:
        """The post-call webhooks of an ended conversation once more."""
        record = self._emulator.ledger.conversations.get(request.match_info["conversation_id"])
        if record is None or record.closed_ns is None:
            return _answer({"error": "no such ended conversation"}, 404)
        self._emulator.webhooks.conversation_ended(record)
        return _answer({"sent": True})

    async def _webhook(self, request: web.Request) -> web.Response:
        """A call that could not even begin: ``{"failure_reason": "busy", "metadata": {...}}``."""
        try:
            body = json.loads(await request.read() or b"{}")
            reason = body.get("failure_reason", "unknown")
            metadata = body.get("metadata", {"type": "twilio", "body": {}})
        except (ValueError, AttributeError):
            return _answer({"error": "the body must be a JSON object"}, 400)
        if reason not in ("busy", "no-answer", "unknown") or not isinstance(metadata, dict):
            return _answer({"error": "failure_reason must be busy, no-answer or unknown; metadata an object"}, 400)
        data = {
            "agent_id": str(body.get("agent_id", self._emulator.config.agent_id)),
            "conversation_id": str(body.get("conversation_id", new_conversation_id())),
            "failure_reason": reason,
            "metadata": metadata,
        }
        return _answer({"webhooks": self._emulator.webhooks.send("call_initiation_failure", data)})

    async def _reset(self, _: web.Request) -> web.Response:
        self._emulator.reset()
        return _answer({"reset": True})
