"""The workspace's subscription: ``GET /v1/user/subscription``, with the fields that the vendor's SDK requires.

`SubscriptionFacts` says what it answers, and may be changed while the emulator runs. Vendor page: API reference, "Get
user subscription".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiohttp import web

if TYPE_CHECKING:
    from shortwire.emulators.elevenlabs.server import ElevenLabsEmulator

__all__ = ["Subscription", "SubscriptionFacts"]


@dataclass(slots=True, kw_only=True)
class SubscriptionFacts:
    """What the subscription says. Change it at any time."""

    tier: str = "creator"
    character_count: int = 1_000
    character_limit: int = 100_000
    can_extend_character_limit: bool = False
    max_credit_limit_extension: int | str = 0
    """``unlimited``, or how far the limit may be exceeded."""
    readable: bool = True
    """False: the key lacks the permission ``user_read``."""


class Subscription:
    """The handler, bound to one emulator."""

    def __init__(self, emulator: ElevenLabsEmulator, facts: SubscriptionFacts) -> None:
        self._emulator = emulator
        self._facts = facts

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/v1/user/subscription", self._subscription)]

    async def _subscription(self, request: web.Request) -> web.Response:
        from shortwire.emulators.elevenlabs.rest import api_error, json_response

        key = request.headers.get("xi-api-key")
        if not key:
            return api_error(401, "missing_api_key", "No API key was given in the header xi-api-key.")
        if key not in self._emulator.config.api_keys:
            return api_error(401)
        facts = self._facts
        if not facts.readable:
            return api_error(401, "missing_permissions", "The API key is missing the permission user_read.")
        body: dict[str, Any] = {
            "tier": facts.tier,
            "character_count": facts.character_count,
            "character_limit": facts.character_limit,
            "max_character_limit_extension": None,
            "max_credit_limit_extension": facts.max_credit_limit_extension,
            "can_extend_character_limit": facts.can_extend_character_limit,
            "allowed_to_extend_character_limit": facts.max_credit_limit_extension != 0,
            "next_character_count_reset_unix": None,
            "voice_slots_used": 0,
            "professional_voice_slots_used": 0,
            "professional_voice_slots_used_in_workspace": 0,
            "voice_limit": 30,
            "max_voice_add_edits": None,
            "voice_add_edit_counter": 0,
            "professional_voice_limit": 1,
            "can_extend_voice_limit": False,
            "can_use_instant_voice_cloning": True,
            "can_use_professional_voice_cloning": True,
            "currency": "usd",
            "current_overage": {"amount": "0", "currency": "usd"},
            "status": "active",
            "billing_period": "monthly_period",
            "character_refresh_period": "monthly_period",
            "next_invoice": None,
            "open_invoices": [],
            "has_open_invoices": False,
        }
        return json_response(body)
