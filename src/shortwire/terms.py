"""The shared words of the house: typed ids and the enums every layer speaks.

Imports nothing of ours. `docs/glossary.md` explains each word; DESIGN's ten naming decisions
are kept here once.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NewType

__all__ = [
    "AgentId",
    "CallDirection",
    "CallId",
    "CallSid",
    "CallState",
    "ConversationId",
    "Disposition",
    "Fault",
    "HangupCause",
    "Leg",
    "Profile",
    "StreamSid",
    "Ticket",
]

CallId = NewType("CallId", str)
"""Our own id of a call, ``call_`` and 26 characters, sortable by time of creation."""
CallSid = NewType("CallSid", str)
"""The carrier's id of a call, ``CA`` and 32 hex digits (Twilio REST API, Calls resource)."""
StreamSid = NewType("StreamSid", str)
"""The carrier's id of a media stream, ``MZ`` and 32 hex digits."""
ConversationId = NewType("ConversationId", str)
"""The agent platform's id of a conversation, ``conv_...``."""
AgentId = NewType("AgentId", str)
Ticket = NewType("Ticket", str)
"""One-time secret in the media stream's path; opens exactly one stream of exactly one call."""


class CallDirection(StrEnum):
    """Who called whom, seen from our number."""

    INBOUND = "inbound"
    OUTBOUND = "outbound"


class Leg(StrEnum):
    """The two sides a call joins."""

    PHONE = "phone"
    AGENT = "agent"


class Profile(StrEnum):
    """The two servers of the seed: everything on, or what most people would have written."""

    OPTIMIZED = "optimized"
    BASELINE = "baseline"


class CallState(StrEnum):
    """Where a call is. Transitions: `shortwire.call.state`."""

    CREATED = "created"
    """Stored; the carrier has not been asked."""
    DIALING = "dialing"
    """The carrier has been asked, or has accepted and queued the call."""
    UNKNOWN = "unknown"
    """The carrier was asked and gave no clear answer: it may or may not be ringing."""
    RINGING = "ringing"
    ANSWERED = "answered"
    """Somebody picked up; the media stream is not joined yet."""
    CONNECTED = "connected"
    """The media stream is open: the party and the agent can hear each other."""
    ENDING = "ending"
    """A cause is known; the goodbye is being heard or the legs are being closed."""
    ENDED = "ended"


class Fault(StrEnum):
    """Whose doing an ending was: the first thing anybody asks."""

    NONE = "none"
    PARTY = "party"
    AGENT = "agent"
    CARRIER = "carrier"
    CONFIG = "config"
    """A setting of ours or of the agent has to be changed; `calls show` names it."""
    US = "us"


class HangupCause(StrEnum):
    """Why a call ended. A slug, and through `fault` and `meaning` whose doing it was."""

    PARTY_HANGUP = "party_hangup"
    AGENT_ENDED = "agent_ended"
    API_HANGUP = "api_hangup"
    DEADLINE = "deadline"
    BUSY = "busy"
    NO_ANSWER = "no_answer"
    CANCELED = "canceled"
    CARRIER_FAILED = "carrier_failed"
    CARRIER_REFUSED = "carrier_refused"
    CARRIER_UNKNOWN = "carrier_unknown"
    MEDIA_LOST = "media_lost"
    MEDIA_NEVER_CAME = "media_never_came"
    MEDIA_PROTOCOL = "media_protocol"
    AGENT_UNREACHABLE = "agent_unreachable"
    AGENT_UNAUTHORIZED = "agent_unauthorized"
    AGENT_NOT_FOUND = "agent_not_found"
    AGENT_BUSY = "agent_busy"
    AGENT_QUOTA = "agent_quota"
    AGENT_OVERRIDE_DENIED = "agent_override_denied"
    AGENT_VARIABLE_MISSING = "agent_variable_missing"
    AGENT_FORMAT_UNUSABLE = "agent_format_unusable"
    AGENT_LOST = "agent_lost"
    AGENT_ERROR = "agent_error"
    OVERLOAD = "overload"
    SHUTDOWN = "shutdown"
    RESTART = "restart"
    INTERNAL_ERROR = "internal_error"

    @property
    def fault(self) -> Fault:
        return _CAUSES[self][0]

    @property
    def meaning(self) -> str:
        """One sentence for a person; for `Fault.CONFIG` it says what to change."""
        return _CAUSES[self][1]


_CAUSES: dict[HangupCause, tuple[Fault, str]] = {
    HangupCause.PARTY_HANGUP: (Fault.NONE, "the other side hung up"),
    HangupCause.AGENT_ENDED: (Fault.NONE, "the agent said goodbye and ended the call"),
    HangupCause.API_HANGUP: (Fault.NONE, "hung up through the API or the command line"),
    HangupCause.DEADLINE: (Fault.NONE, "the longest permitted duration was reached (MAX_CALL_SECONDS)"),
    HangupCause.BUSY: (Fault.PARTY, "the number was busy"),
    HangupCause.NO_ANSWER: (Fault.PARTY, "nobody answered in time (RING_TIMEOUT_SECONDS)"),
    HangupCause.CANCELED: (Fault.NONE, "hung up before anybody answered"),
    HangupCause.CARRIER_FAILED: (Fault.CARRIER, "the carrier could not complete the call"),
    HangupCause.CARRIER_REFUSED: (Fault.CARRIER, "the carrier refused to place the call"),
    HangupCause.CARRIER_UNKNOWN: (
        Fault.CARRIER,
        "the carrier never said whether the call was placed; it was not dialled again",
    ),
    HangupCause.MEDIA_LOST: (Fault.CARRIER, "the media stream broke off"),
    HangupCause.MEDIA_NEVER_CAME: (
        Fault.CONFIG,
        "the call was answered but the carrier never opened the media stream: "
        "check that SERVER_URL is public, https, and reaches this server",
    ),
    HangupCause.MEDIA_PROTOCOL: (Fault.CARRIER, "the media stream broke its protocol"),
    HangupCause.AGENT_UNREACHABLE: (
        Fault.AGENT,
        "the agent's host could not be reached: check ELEVENLABS_BASE_URL and the network",
    ),
    HangupCause.AGENT_UNAUTHORIZED: (
        Fault.CONFIG,
        "the agent's host refused our key: check ELEVENLABS_API_KEY",
    ),
    HangupCause.AGENT_NOT_FOUND: (
        Fault.CONFIG,
        "no such agent at this host: check its id (the call's --agent, or ELEVENLABS_AGENT_ID) and, for residency "
        "accounts, ELEVENLABS_BASE_URL",
    ),
    HangupCause.AGENT_BUSY: (Fault.AGENT, "the agent account is at its limit of concurrent conversations"),
    HangupCause.AGENT_QUOTA: (Fault.CONFIG, "the agent account is out of credits"),
    HangupCause.AGENT_OVERRIDE_DENIED: (
        Fault.CONFIG,
        "the agent does not permit a per-call override: enable it in the agent's security settings "
        "(platform_settings.overrides) or leave it out of the call",
    ),
    HangupCause.AGENT_VARIABLE_MISSING: (
        Fault.CONFIG,
        "the agent needs a dynamic variable that the call did not give: pass it with --var or dynamic_variables",
    ),
    HangupCause.AGENT_FORMAT_UNUSABLE: (
        Fault.CONFIG,
        "the agent's audio format cannot be used on a phone line: set both formats to ulaw_8000",
    ),
    HangupCause.AGENT_LOST: (Fault.AGENT, "the agent's connection broke off"),
    HangupCause.AGENT_ERROR: (Fault.AGENT, "the agent's host ended the conversation with an error"),
    HangupCause.OVERLOAD: (Fault.US, "a socket could not take the audio any more and did not recover"),
    HangupCause.SHUTDOWN: (Fault.US, "the server was stopped"),
    HangupCause.RESTART: (Fault.US, "the server died during the call; settled after the restart"),
    HangupCause.INTERNAL_ERROR: (Fault.US, "a mistake in Shortwire; the log has the details"),
}


class Disposition(StrEnum):
    """What an ended call means for whoever wanted it made."""

    ANSWERED = "answered"
    NO_ANSWER = "no_answer"
    BUSY = "busy"
    VOICEMAIL = "voicemail"
    CANCELED = "canceled"
    FAILED = "failed"
    UNKNOWN = "unknown"
