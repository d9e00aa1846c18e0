"""Which overrides calls carry: what `--will-use` may name, and the newest call that carried one.

Fields of our API and what they override: protocols/elevenlabs.md 6.2.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import UsageError
from ..terms import Disposition, Fault

__all__ = ["OF_REQUEST", "named", "newest_good", "newest_with", "which_call"]

OF_REQUEST = {
    "prompt": "agent.prompt.prompt",
    "first_message": "agent.first_message",
    "language": "agent.language",
    "voice_id": "tts.voice_id",
}
"""Fields of a request to what they override."""
Call = Mapping[str, Any]
"""A call as GET /v1/calls shows it."""


def named(text: str) -> frozenset[str]:
    """The overrides that a list with commas names, as fields of a request. Raises `UsageError`."""
    fields = {path: field for field, path in OF_REQUEST.items()}
    given = [part.strip() for part in text.split(",") if part.strip()]
    for name in given:
        if name not in OF_REQUEST and name not in fields:
            raise UsageError(f"no override is called {name!r}", details=f"overrides: {', '.join(OF_REQUEST)}")
    return frozenset(fields.get(name, name) for name in given)


def newest_with(field: str, calls: Sequence[Call]) -> Call | None:
    """The newest call that carried an override; `calls` are newest first."""
    return next((call for call in calls if (call.get("request") or {}).get(field) is not None), None)


def newest_good(calls: Sequence[Call]) -> Call | None:
    """The newest call that was answered and ended as somebody wanted it to."""
    return next((call for call in calls if _was_good(call)), None)


def which_call(call: Call) -> str:
    """Id and time, for a person."""
    created = call.get("created_at")
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(created)) if isinstance(created, int | float) else "?"
    return f"call {call.get('id', '?')} of {when}"


def _was_good(call: Call) -> bool:
    cause = call.get("cause") or {}
    return call.get("disposition") == Disposition.ANSWERED and cause.get("fault") == Fault.NONE
