"""The shapes that cross ports: what is asked, what is stored, what is told.

Plain frozen dataclasses without behaviour, so that the store, the web, the command line and the
cores agree on one spelling. Times ending in ``_at`` are seconds since the Unix epoch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .terms import (
    AgentId,
    CallDirection,
    CallId,
    CallSid,
    CallState,
    ConversationId,
    Disposition,
    HangupCause,
    Profile,
    StreamSid,
)

__all__ = [
    "CallEvent",
    "CallRecord",
    "CallRequest",
    "CarrierCall",
    "DialOrder",
    "EventKind",
    "StoreHealth",
]


@dataclass(frozen=True, slots=True)
class CallRequest:
    """What a user asks for: one outbound call. Nothing of it but the number reaches the carrier."""

    number: str
    """Whom to call, E.164 (checked by the switchboard, not by the caller of the API)."""
    agent_id: AgentId | None = None
    """None: the configured agent."""
    prompt: str | None = None
    first_message: str | None = None
    language: str | None = None
    voice_id: str | None = None
    dynamic_variables: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """The user's own labels; stored and returned, never sent to a vendor."""


@dataclass(frozen=True, slots=True)
class DialOrder:
    """What the carrier is asked for (Twilio REST API, Calls resource, create)."""

    to: str
    from_: str
    status_callback_url: str
    time_limit_s: int
    ring_timeout_s: int
    twiml: str | None = None
    """Inline document; or else `twiml_url`."""
    twiml_url: str | None = None


@dataclass(frozen=True, slots=True)
class CarrierCall:
    """What the carrier says of one call."""

    sid: CallSid
    status: str
    """Twilio's status: queued, ringing, in-progress, completed, busy, failed, no-answer, canceled."""
    to: str = ""
    created_at: float | None = None
    queued_s: float = 0.0
    """For how long the carrier expects not to dial it yet, as it says when it accepts the call."""


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One call as the store keeps it."""

    id: CallId
    direction: CallDirection
    state: CallState
    profile: Profile
    number: str
    """The party's number, E.164 where known; masked when logged."""
    our_number: str
    agent_id: AgentId
    created_at: float
    cause: HangupCause | None = None
    cause_detail: str = ""
    """The vendor's words, code included, and what to change where we know it."""
    disposition: Disposition | None = None
    call_sid: CallSid | None = None
    stream_sid: StreamSid | None = None
    conversation_id: ConversationId | None = None
    dialed_at: float | None = None
    ringing_at: float | None = None
    answered_at: float | None = None
    connected_at: float | None = None
    ended_at: float | None = None
    request: Mapping[str, Any] = field(default_factory=dict)
    """The fields of `CallRequest` that were given, the number excepted."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    turns: tuple[Mapping[str, Any], ...] = ()
    """One object a turn; keys: `shortwire.call.turns.Turn`. Written at the end; of a call that lives, a store
    makes them of its events."""
    latencies: Mapping[str, Any] = field(default_factory=dict)
    """Figures of the whole call; keys: `shortwire.call.summary`."""
    node: str = ""
    """Which process owns the call."""


class EventKind:
    """The kinds of events a call tells, in the order they can first happen. The public vocabulary."""

    CREATED = "call.created"
    STATE = "call.state"
    """data: state"""
    AGENT_READY = "agent.ready"
    """data: conversation_id, input_format, output_format, setup (named gaps in ms)"""
    PARTY_SAID = "party.said"
    """data: text"""
    AGENT_SAID = "agent.said"
    """data: text"""
    AGENT_CORRECTED = "agent.corrected"
    """data: text (what was really spoken before the interruption)"""
    BARGE_IN = "barge_in"
    """data: unheard_ms, clear_us (interruption read to clear written)"""
    ROUND_TRIP = "latency.round_trip"
    """data: ms, average_ms (the seed's figure: last voiced frame sent to first audio of the reply)"""
    TURN = "turn"
    """data: one Turn"""
    API_TIME = "latency.api"
    """data: vendor, call, ms"""
    DTMF = "dtmf"
    """data: digit"""
    WARNING = "warning"
    """data: text"""
    SUMMARY = "call.summary"
    """data: the call's latencies"""
    ENDED = "call.ended"
    """data: cause, cause_detail, fault, meaning, disposition, duration_s; always the last one"""


@dataclass(frozen=True, slots=True)
class CallEvent:
    """One fact about a call. `seq` counts from 1 without gaps within a call."""

    call_id: CallId
    seq: int
    at: float
    """Wall time, seconds since the epoch."""
    kind: str
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StoreHealth:
    """What a `CallStore` says of itself. A snapshot; reading it costs nothing and touches no database."""

    pending: int = 0
    """Writes accepted and not yet durable."""
    dropped: int = 0
    """Writes given up since the start: events beyond the bound, duplicates, writes for calls that do not
    exist, values that no database takes. State updates are never among them because of overload."""
    last_error: str = ""
    """Why writing fails at this moment, in the database's words without its password; empty while it works. Others'
    words all the same: mask them before they are shown."""

    @property
    def failing(self) -> bool:
        """New calls would be refused: the last attempt to write failed."""
        return bool(self.last_error)
