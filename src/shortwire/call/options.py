"""What can be chosen per process and per call, as frozen dataclasses.

`shortwire.settings` fills these from the command line, the environment and `.env`; nothing below
it reads a setting anywhere else. The eight toggles are DESIGN section 9: each has two real sides.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

__all__ = ["BridgeOptions", "Limits", "Prewarm", "Toggles"]


class Prewarm(StrEnum):
    """How much of the agent's connection is made before the party picks up."""

    OFF = "off"
    """Nothing: signed URL and connection only after the media stream is open."""
    SIGNED_URL = "signed-url"
    TLS = "tls"
    """Signed URL, and a TCP+TLS connection held open without a conversation: nothing is billed."""
    CONVERSATION = "conversation"
    """The agent starts when the call is answered and its greeting is held (bounded). May be billed."""


@dataclass(frozen=True, slots=True)
class Toggles:
    """The optimizations. The defaults are the optimized profile; `baseline()` is the other column."""

    disable_websocket_compression: bool = True
    """On: permessage-deflate neither offered nor accepted. Off: offered to the agent and accepted from
    whoever offers it (stock sockets)."""
    increase_max_payload: bool = True
    """On: agent messages up to 16 MiB, carrier messages up to 64 KiB. Off: 1 MiB on both."""
    optimize_audio_parsing: bool = True
    """On: splice. Off: full JSON parse, base64 both ways, JSON dump, for every frame."""
    latency_logging: bool = True
    """On: the [LATENCY] lines and the summary. Off: quiet; measurements are stored all the same."""
    low_latency_mode: bool = True
    """On: the per-call overrides that the agent permits and that shorten a turn."""
    prewarm: Prewarm = Prewarm.TLS
    inline_twiml: bool = True
    """On: TwiML travels with the call creation. Off: the carrier fetches it after pick-up."""
    tune_sockets: bool = True
    """On: TCP_NODELAY, quick acks where frames come bunched, 5 s handshake deadline, a heartbeat that finds a dead peer
    in 10 s. Off: library defaults."""

    @classmethod
    def baseline(cls) -> Toggles:
        """What the seed's regular server did."""
        return cls(
            disable_websocket_compression=False,
            increase_max_payload=False,
            optimize_audio_parsing=False,
            latency_logging=True,
            low_latency_mode=False,
            prewarm=Prewarm.OFF,
            inline_twiml=False,
            tune_sockets=False,
        )


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of a call; every wait has one."""

    max_call_s: int = 600
    """TimeLimit at the carrier, and our own deadline."""
    ring_timeout_s: int = 30
    media_wait_s: float = 15.0
    """From answered to the media stream's `start`."""
    stream_start_s: float = 5.0
    """From the media socket's upgrade to its `start` message."""
    agent_wait_s: float = 10.0
    """From the media stream's `start` to the agent's metadata."""
    early_frames: int = 250
    """Caller frames kept while the agent is not ready (20 ms each)."""
    goodbye_s: float = 15.0
    """How long the agent's last words may take to be heard after it ended the conversation."""
    held_audio_s: float = 10.0
    """Agent audio held before the phone is there (prewarm level `conversation`)."""
    frame_gap_s: float = 5.0
    """Silence on the wire, not in the voice: no frame at all for so long means the carrier is gone."""
    ticket_s: float = 120.0
    """How long a ticket waits for its stream, counted from the answer TwiML."""
    marks: int = 256
    """Marks outstanding before new ones are left out."""


@dataclass(frozen=True, slots=True)
class BridgeOptions:
    """Everything the switchboard needs to know."""

    public_url: str
    """https://host of this server as the vendors see it, without a trailing slash."""
    our_number: str
    agent_id: str
    allowed_countries: frozenset[str]
    """ISO 3166-1 alpha-2 codes that may be dialled; empty: none."""
    profile: str = "optimized"
    toggles: Toggles = field(default_factory=Toggles)
    limits: Limits = field(default_factory=Limits)
    tape_dir: str | None = None
    """Where tapes are written; None: no tapes."""
    native: bool = True
    """Take the compiled way for straight audio, where it is built."""
    node: str = ""
