"""Signed URLs: who may start a conversation, until when, how often.

Vendor page: agents API, "Get signed URL" (15 minutes to start; one start when the URL also names the
conversation; reuse otherwise is inferred from that wording, so it is an option).
"""

from __future__ import annotations

import secrets
import uuid
from dataclasses import dataclass
from urllib.parse import urlencode

__all__ = ["SignedUrls", "new_conversation_id"]


def new_conversation_id() -> str:
    return f"conv_{uuid.uuid4().hex[:28]}"


@dataclass(slots=True)
class _Issued:
    agent_id: str
    expires_ns: int
    conversation_id: str | None
    starts: int = 0


class SignedUrls:
    """The signatures that were given out."""

    def __init__(self, lifetime_s: float, *, reuse: bool) -> None:
        self._lifetime_ns = int(lifetime_s * 1e9)
        self._reuse = reuse
        self._issued: dict[str, _Issued] = {}

    def issue(self, base: str, agent_id: str, now_ns: int, *, with_conversation_id: bool) -> str:
        """A URL below ``base`` (``ws://host:port``)."""
        self._issued = {key: issued for key, issued in self._issued.items() if issued.expires_ns > now_ns}
        signature = f"cvtkn_{secrets.token_hex(16)}"
        conversation_id = new_conversation_id() if with_conversation_id else None
        self._issued[signature] = _Issued(agent_id, now_ns + self._lifetime_ns, conversation_id)
        query = {"agent_id": agent_id, "conversation_signature": signature}
        if conversation_id is not None:
            query["conversation_id"] = conversation_id
        return f"{base}/v1/convai/conversation?{urlencode(query)}"

    def redeem(self, signature: str, agent_id: str, conversation_id: str | None, now_ns: int) -> str | None:
        """The conversation's id when it may start; None when not."""
        issued = self._issued.get(signature)
        if issued is None or issued.agent_id != agent_id or now_ns >= issued.expires_ns:
            return None
        if issued.conversation_id is not None and conversation_id not in (None, issued.conversation_id):
            return None
        if issued.starts and (issued.conversation_id is not None or not self._reuse):
            return None
        issued.starts += 1
        return issued.conversation_id or new_conversation_id()
