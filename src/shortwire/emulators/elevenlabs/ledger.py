"""What the emulator saw and did, to the nanosecond: the record that tests and the demo judge by.

Instants are monotonic nanoseconds; on one machine they are comparable between processes where the
system's monotonic clock is shared (Linux, macOS).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from itertools import count
from typing import Any

from shortwire.emulators.elevenlabs.turns import Turn

__all__ = ["AudioIn", "ConnectionEntry", "ConversationRecord", "Ledger", "MessageEntry", "RequestEntry", "WebhookEntry"]


@dataclass(slots=True)
class ConnectionEntry:
    """One TCP (and TLS) connection. Prewarmed ones show as a long way from opened to first_bytes."""

    number: int
    opened_ns: int
    first_bytes_ns: int | None = None
    closed_ns: int | None = None
    idle_closed: bool = False
    """We closed it because nothing came."""


@dataclass(slots=True)
class RequestEntry:
    """One HTTP request, upgrades included. Credentials in the query are cut."""

    at_ns: int
    method: str
    path: str
    query: dict[str, str]
    status: int
    duration_ns: int
    user_agent: str
    connection: int | None = None
    """Number of the connection it came on: two requests on one connection, or one on a prewarmed one."""


@dataclass(slots=True)
class MessageEntry:
    """One message other than client audio."""

    at_ns: int
    direction: str
    """in: from the client."""
    kind: str
    size: int
    event_id: int | None = None


@dataclass(slots=True)
class AudioIn:
    """Client audio, counted; it is not kept."""

    messages: int = 0
    bytes: int = 0
    first_ns: int | None = None
    last_ns: int | None = None
    longest_gap_ns: int = 0

    def note(self, size: int, now_ns: int) -> None:
        if self.last_ns is not None:
            self.longest_gap_ns = max(self.longest_gap_ns, now_ns - self.last_ns)
        if self.first_ns is None:
            self.first_ns = now_ns
        self.messages, self.bytes, self.last_ns = self.messages + 1, self.bytes + size, now_ns


@dataclass(slots=True)
class ConversationRecord:
    """One conversation."""

    conversation_id: str
    agent_id: str
    authorization_method: str
    opened_ns: int
    started_unix_s: int
    query: dict[str, str] = field(default_factory=dict)
    subprotocol: str | None = None
    compression: bool = False
    metadata_ns: int | None = None
    client_data_ns: int | None = None
    client_data: dict[str, Any] | None = None
    started_ns: int | None = None
    """The first message's thinking began."""
    closed_ns: int | None = None
    close_code: int | None = None
    close_reason: str = ""
    closed_by: str = ""
    """emulator, client, or connection (lost without a close frame)."""
    audio_in: AudioIn = field(default_factory=AudioIn)
    messages: list[MessageEntry] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)
    pings_sent: int = 0
    pings_answered: int = 0
    round_trips_ms: list[float] = field(default_factory=list)
    context: dict[str, str] = field(default_factory=dict)
    """``contextual_update`` texts by context_id (those without one by number)."""
    tool_results: list[dict[str, Any]] = field(default_factory=list)
    feedback: dict[str, str | None] = field(default_factory=dict)
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Uploaded files by id: name, mime_type, size."""
    overall_feedback: dict[str, Any] | None = None
    """``POST .../feedback``."""
    approvals: dict[str, bool] = field(default_factory=dict)
    """``mcp_tool_approval_result`` by tool call."""
    backchannels: list[tuple[str, int]] = field(default_factory=list)
    """What was said over the agent and ignored: (text, instant)."""
    language: str = ""
    text_only: bool = False
    burst: bool = False
    """Above the workspace's limit."""
    queue_wait_s: float | None = None
    end_of_turn_ms: int = 0
    """The silence that ended a turn, eagerness included."""
    has_audio: bool = False
    notes: list[str] = field(default_factory=list)
    """What the emulator found remarkable, in words."""

    def keep(self, kind: str, message: dict[str, Any]) -> None:
        """A client message that only leaves a trace: ``contextual_update``, ``feedback``."""
        if kind == "contextual_update":  # the same context_id: only the newest counts
            self.context[message.get("context_id") or f"#{len(self.context) + 1}"] = message["text"]
        else:
            self.feedback[str(message["event_id"])] = message["score"]

    def counts(self) -> dict[str, dict[str, int]]:
        """Messages by direction and kind (client audio is under ``user_audio_chunk``)."""
        counted = {"in": Counter[str](), "out": Counter[str]()}
        for entry in self.messages:
            counted[entry.direction][entry.kind] += 1
        if self.audio_in.messages:
            counted["in"]["user_audio_chunk"] = self.audio_in.messages
        return {direction: dict(counter) for direction, counter in counted.items()}

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "counts": self.counts()}


@dataclass(slots=True)
class WebhookEntry:
    """One try to deliver one post-call webhook."""

    at_ns: int
    kind: str
    conversation_id: str
    url: str
    attempt: int
    status: int | None = None
    """None: nobody answered."""
    error: str = ""


@dataclass(slots=True)
class Ledger:
    """Everything since the start or the last reset."""

    connections: list[ConnectionEntry] = field(default_factory=list)
    requests: list[RequestEntry] = field(default_factory=list)
    conversations: dict[str, ConversationRecord] = field(default_factory=dict)
    webhooks: list[WebhookEntry] = field(default_factory=list)
    refusals: list[dict[str, Any]] = field(default_factory=list)
    """Sockets closed before they became a conversation: at_ns, code, reason."""
    numbers: Iterator[int] = field(default_factory=lambda: count(1))
    """Of connections; a reset does not start them again, because connections outlive it."""

    def clear(self) -> None:
        self.connections.clear()
        self.requests.clear()
        self.conversations.clear()
        self.refusals.clear()
        self.webhooks.clear()

    def as_json(self) -> dict[str, Any]:
        return {
            "emulator": "elevenlabs",
            "connections": [asdict(entry) for entry in self.connections],
            "requests": [asdict(entry) for entry in self.requests],
            "refusals": list(self.refusals),
            "webhooks": [asdict(entry) for entry in self.webhooks],
            "conversations": [record.as_json() for record in self.conversations.values()],
        }
