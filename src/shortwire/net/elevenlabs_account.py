"""The workspace behind the conversations: quota, live conversations, and changes to an agent.

Read by `doctor`, `agent` and `region`, never on a call's path. Follows protocols/elevenlabs.md 4.2 (PATCH is a deep
merge), 4.5 (live count), and the vendor's API reference, "Get user subscription".
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import aiohttp

from ..errors import AgentError
from ..terms import AgentId, HangupCause
from .elevenlabs_rest import ElevenLabsPlatform, _parsed, _refused, _unreachable

__all__ = ["ElevenLabsAccount", "Quota"]


@dataclass(frozen=True, slots=True)
class Quota:
    """Credits of the billing period."""

    used: int
    limit: int
    may_exceed: bool
    """Usage-based billing goes on after the limit."""
    tier: str


class ElevenLabsAccount(ElevenLabsPlatform):
    """`ElevenLabsPlatform` and what else the workspace tells. Raises `AgentError`."""

    async def quota(self) -> Quota:
        """``GET /v1/user/subscription``; the key needs the permission to read it."""
        found = await self._ask("/v1/user/subscription", {})
        if not isinstance(found, dict) or not isinstance(found.get("character_limit"), int):
            raise AgentError("the agent's host answered without a subscription", cause=HangupCause.AGENT_ERROR)
        extension = found.get("max_credit_limit_extension", 0)
        return Quota(
            used=int(found.get("character_count") or 0),
            limit=int(found["character_limit"]),
            may_exceed=bool(found.get("can_extend_character_limit")) and extension not in (0, None),
            tier=str(found.get("tier") or ""),
        )

    async def live_conversations(self, agent_id: AgentId) -> int:
        """How many conversations the agent has at this moment (section 4.5)."""
        found = await self._ask("/v1/convai/analytics/live-count", {"agent_id": agent_id})
        count = found.get("count") if isinstance(found, dict) else None
        if not isinstance(count, int):
            raise AgentError("the agent's host answered without a count", cause=HangupCause.AGENT_ERROR)
        return count

    async def change_agent(self, agent_id: AgentId, change: Mapping[str, Any]) -> Mapping[str, Any]:
        """PATCH: `change` is merged into the agent's configuration. The agent afterwards."""
        url = f"{self._base_url}/v1/convai/agents/{quote(agent_id, safe='')}"
        try:
            async with asyncio.timeout(self._deadline_s), self._connected().patch(url, json=dict(change)) as response:
                body = await response.read()
        except TimeoutError:
            raise _unreachable(f"no answer within {self._deadline_s:g} s; look whether the change was made") from None
        except (aiohttp.ClientError, OSError) as error:
            raise _unreachable((str(error) or type(error).__name__).splitlines()[0]) from error
        document = _parsed(body)
        if response.status != 200 or not isinstance(document, dict):
            raise _refused(response.status, document)
        return document
