"""What a call's session is born with: the client data for the agent, made from what the user asked for.

Only documented override sections are sent (elevenlabs.md section 6.2), unset fields left out. Prompt and
first message travel here and nowhere else: never to the carrier, never in a URL.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .. import __version__
from ..call.options import Prewarm
from ..call.session import SessionOptions
from ..records import CallRecord, CallRequest
from ..wire.elevenlabs import client_data
from .context import Context
from .low_latency import merge_overrides

__all__ = ["overrides_of", "request_fields", "session_options"]


def request_fields(request: CallRequest) -> dict[str, Any]:
    """The fields of a request that were given, the number and the labels excepted: what the record keeps."""
    fields = {
        "prompt": request.prompt,
        "first_message": request.first_message,
        "language": request.language,
        "voice_id": request.voice_id,
        "dynamic_variables": dict(request.dynamic_variables) or None,
    }
    return {name: value for name, value in fields.items() if value is not None}


def overrides_of(fields: Mapping[str, Any]) -> dict[str, Any]:
    """``conversation_config_override`` of a call's fields."""
    agent: dict[str, Any] = {}
    if "prompt" in fields:
        agent["prompt"] = {"prompt": fields["prompt"]}
    for name in ("first_message", "language"):
        if name in fields:
            agent[name] = fields[name]
    overrides: dict[str, Any] = {}
    if agent:
        overrides["agent"] = agent
    if "voice_id" in fields:
        overrides["tts"] = {"voice_id": fields["voice_id"]}
    return overrides


def session_options(context: Context, record: CallRecord) -> SessionOptions:
    """The session of one call."""
    toggles = context.options.toggles
    return SessionOptions(
        client_data=client_data(
            overrides=merge_overrides(context.agent_overrides(record.agent_id), overrides_of(record.request)),
            dynamic_variables=record.request.get("dynamic_variables", {}),
            version=__version__,
        ),
        converters=context.converters,
        limits=context.options.limits,
        splice=toggles.optimize_audio_parsing,
        open_agent_early=toggles.prewarm is not Prewarm.OFF,
        taped=context.tapes is not None,
    )
