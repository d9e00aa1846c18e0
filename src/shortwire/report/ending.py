"""Why a call ended as nobody wanted it to, and what to change: what has to be said before anything that was measured.

Input is the call as ``GET /v1/calls/{id}`` answers it. Nothing is formatted for a medium here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Ending", "bad_ending"]


@dataclass(frozen=True, slots=True)
class Ending:
    """An ending that was somebody's fault."""

    slug: str
    fault: str
    happened: str
    """What happened, without what to change about it."""
    detail: str
    """The words of the vendor, or of whoever saw it; may be empty. From outside: escape it."""
    change: str
    check: str
    """The doctor's checks that look at it; empty: none does."""


_CHANGES: Mapping[str, tuple[str, str]] = {
    "busy": ("call again later", ""),
    "no_answer": ("call again later, or let it ring for longer: RING_TIMEOUT_SECONDS", ""),
    "carrier_failed": (
        "see that the number exists and takes calls; the detail has the carrier's code",
        "carrier.number",
    ),
    "carrier_refused": (
        "what the carrier's words ask for; docs/how-to/troubleshooting.md has its usual error numbers",
        "carrier.credentials, carrier.geo_permissions",
    ),
    "carrier_unknown": ("look into the carrier's own list of calls before calling again", "network.carrier"),
    "media_lost": ("the network between the carrier and this server; the time-outs of a proxy", "way_in.websocket"),
    "media_never_came": ("", "way_in.reaches_us, way_in.websocket"),
    "media_protocol": ("report it, with the detail", ""),
    "agent_unreachable": ("", "network.agent"),
    "agent_unauthorized": ("", "agent.access"),
    "agent_not_found": ("", "agent.exists"),
    "agent_busy": ("fewer calls at once, or a plan with a higher limit", "agent.limits"),
    "agent_quota": ("add credits to the agent's account, or choose a larger plan", "agent.quota"),
    "agent_override_denied": ("", "agent.overrides"),
    "agent_variable_missing": ("", "agent.dynamic_variables"),
    "agent_format_unusable": ("", "agent.audio_in, agent.audio_out"),
    "agent_lost": (
        "call again; if it comes often, the network to the agent's host, or that host's status page",
        "network.agent",
    ),
    "agent_error": ("what the host's words ask for; if it comes often, its status page", "agent.exists"),
    "overload": ("fewer calls per process (serve --workers), or a machine with more room", "machine.event_loop"),
    "shutdown": ("call again; docs/how-to/upgrade.md has how calls may end before the server does", ""),
    "restart": ("call again; the server's log up to then says why it died", ""),
    "internal_error": ("report it, with the server's log of this call", ""),
}
"""By cause, what to change and who looks at it. Without the first: the cause's meaning says it behind a colon."""


def bad_ending(call: Mapping[str, Any]) -> Ending | None:
    """None for a call that ended as somebody wanted it to, or that has not ended."""
    cause = call.get("cause")
    if not isinstance(cause, Mapping) or (cause.get("fault") or "none") == "none":
        return None
    slug = str(cause.get("slug") or "unknown")
    happened, _, asked = str(cause.get("meaning") or slug.replace("_", " ")).partition(": ")
    change, check = _CHANGES.get(slug, ("", ""))
    return Ending(slug, str(cause["fault"]), happened, str(cause.get("detail") or ""), change or asked, check)
