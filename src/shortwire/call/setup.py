"""From the answer to the first word, as parts that add up; and what we cannot have seen of it.

Sans-I/O: instants in, milliseconds out. The carrier's news of the answer needs time to reach us, and a figure
that began with the news would flatter; docs/reference/measurements.md says how it is made up for.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..clock import NS_PER_MS

__all__ = ["SETUP_LABELS", "ConnectionInstants", "SetupInstants", "answer_notice_ms", "setup_parts"]

SETUP_LABELS = {
    "answer_notice_ms": "News of the answer reaches us",
    "stream_open_ms": "Media stream opens",
    "stream_start_ms": "Media stream starts",
    "signed_url_ms": "Signed URL",
    "agent_lookup_ms": "Agent: name looked up",
    "agent_tcp_ms": "Agent: TCP",
    "agent_tls_ms": "Agent: TLS",
    "agent_connect_ms": "Agent: connection",
    "agent_upgrade_ms": "Agent: WebSocket upgrade",
    "agent_ready_ms": "Agent: metadata",
    "first_audio_ms": "Agent: first audio",
    "bridge_ms": "Bridge",
    "playout_ms": "Way to the ear and back",
}
"""Parts in the order in which they can follow each other, with names for people."""


@dataclass(frozen=True, slots=True)
class ConnectionInstants:
    """How far a connection to the agent's host had come when; ns of the process's clock, 0: no such step was seen."""

    looked_up_ns: int = 0
    """When the host's addresses were there; 0 for a host that is an address."""
    tcp_ns: int = 0
    tls_ns: int = 0
    connected_ns: int = 0
    """When all of it was done, where its steps cannot be seen: through a proxy."""


@dataclass(slots=True)
class SetupInstants:
    """Instants in ns of the process's clock; 0: did not happen."""

    news_ns: int = 0
    """When we first heard of the answer."""
    media_open_ns: int = 0
    started_ns: int = 0
    opening_ns: int = 0
    """When the conversation began to be opened."""
    url_ns: int = 0
    """When the signed URL was there."""
    looked_up_ns: int = 0
    """These four: see `ConnectionInstants`. One that was made while it rang lies before the answer, and is no part."""
    tcp_ns: int = 0
    tls_ns: int = 0
    connected_ns: int = 0
    agent_open_ns: int = 0
    agent_ready_ns: int = 0
    first_audio_ns: int = 0
    """First agent audio read."""
    written_ns: int = 0
    heard_ns: int = 0


def answer_notice_ms(round_trip_ms: float | None, *, secure: bool, inbound: bool) -> float:
    """How long before we heard of the answer the call was answered, on the clock of messages from the carrier.

    The carrier opens a new connection to tell us: one round trip for TCP, one more for TLS; the message itself is
    as late as every other. 0 for a call that we answer ourselves (the carrier picks up when it has our answer,
    which is later than we count from), and where no mark came: nothing was heard then either.
    """
    if round_trip_ms is None or inbound:
        return 0.0
    return round_trip_ms * (2 if secure else 1)


def setup_parts(at: SetupInstants, notice_ms: float = 0.0) -> dict[str, float]:
    """Consecutive parts in ms, those that took no time left out; their sum is the time to the last instant.

    What happened beside something else and was done before it took no time of the caller's. A part whose end is
    unknown is in the one after it.
    """
    waited_for_start = bool(at.started_ns) and at.opening_ns >= at.started_ns
    chain = (
        ("stream_open_ms", at.media_open_ns),
        ("stream_start_ms", at.started_ns if waited_for_start else 0),
        ("signed_url_ms", at.url_ns),
        ("agent_lookup_ms", at.looked_up_ns),
        ("agent_tcp_ms", at.tcp_ns),
        ("agent_tls_ms", at.tls_ns),
        ("agent_connect_ms", at.connected_ns),
        ("agent_upgrade_ms", at.agent_open_ns),
        ("agent_ready_ms", at.agent_ready_ns),
        ("first_audio_ms", at.first_audio_ns),
        ("stream_start_ms", at.started_ns),
        ("bridge_ms", at.written_ns),
        ("playout_ms", at.heard_ns),
    )
    last_ns = min((ns for ns in (at.news_ns, at.media_open_ns) if ns), default=0)
    parts = {"answer_notice_ms": notice_ms} if notice_ms else {}
    for name, ns in chain:
        if last_ns and ns > last_ns:
            parts[name] = parts.get(name, 0.0) + (ns - last_ns) / NS_PER_MS
            last_ns = ns
    return {name: round(ms, 2) for name, ms in parts.items()}
