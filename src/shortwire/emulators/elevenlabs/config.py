"""What can be chosen about the emulator: the server, how the agent behaves, faults to set while it runs.

Every field whose docstring says UNCONFIRMED stands for something that no public source settles
(protocol notes of the vendor's pages, section 13); its other side is one argument away.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from shortwire.emulators.elevenlabs.faults import FaultError, Faults
from shortwire.emulators.elevenlabs.scripted import McpServer, ScriptedEvent, ScriptedTool
from shortwire.emulators.scenario import AgentScript
from shortwire.emulators.speech import speak

__all__ = [
    "Behaviour",
    "EmulatorConfig",
    "FaultError",
    "Faults",
    "McpServer",
    "PostCallWebhook",
    "ScriptedEvent",
    "ScriptedTool",
    "is_loopback",
]


def is_loopback(host: str) -> bool:
    """Whether this name or address can only be this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How the agent times and numbers what it sends."""

    chunk_ms: tuple[int, ...] = (1000, 2400)
    """Length of the audio chunks of an utterance, the last one repeating. Seen live: 1.0 s, then 2.4 s."""
    chunk_bytes: tuple[int, ...] = ()
    """Chunk sizes in bytes instead, for sizes that are no whole number of frames."""
    pacing: Literal["burst", "realtime"] = "burst"
    """burst: faster than real time, as the service does. realtime: each chunk when the one before has been played."""
    chunk_gap_ms: int = 0
    """Between the chunks of a burst. Seen live: 15 to 187 ms."""
    greeting_think_ms: tuple[int, int] = (120, 180)
    """From the start of the conversation to the first message's audio. UNCONFIRMED."""
    client_data_wait_ms: int = 1000
    """How long the first message waits for the client data. UNCONFIRMED; shorter than the client's round trip, it
    would overtake what the client sent in the very first tick."""
    require_client_data: bool = False
    """Wait for the client data for ever. UNCONFIRMED."""
    validation_ms: int = 160
    """From client data that will be refused to the close. Seen live: about 0.16 s."""
    speech_start_ms: int = 60
    """Voice that makes an utterance while the agent is silent. UNCONFIRMED."""
    barge_in_ms: int = 200
    """Voice that stops an agent who speaks. UNCONFIRMED."""
    interruption_ids: Literal["live", "strict", "equal"] = "live"
    """live: as captured, by voice strictly between the turns' ids (23, 39, 54), by ``user_message`` equal to the
    next turn's. strict, equal: always one of the two."""
    ping_first_ms: int = 1830
    ping_interval_ms: int = 1700
    unanswered_pings: int | None = None
    """Close with 1002 after so many. UNCONFIRMED, so None: tolerated, and counted in the ledger."""
    re_engage: bool = False
    """Speak up when the party has been silent for the agent's ``turn.turn_timeout``."""
    re_engagement: str = "Are you still there?"
    fallback: str = "Sorry, could you say that again?"
    """What the agent says when the script has no reply left."""
    receive_timeout_s: float = 60.0
    """No message from the client for so long: close 1002 (captured). Audio counts as a message: UNCONFIRMED."""
    tools: tuple[ScriptedTool, ...] = ()
    events: tuple[ScriptedEvent, ...] = ()
    mcp_servers: tuple[McpServer, ...] = ()
    """What ``mcp_connection_status`` reports (if listed)."""
    eagerness: Mapping[str, float] = field(default_factory=lambda: {"patient": 1.6, "normal": 1.0, "eager": 0.6})
    """What ``turn.turn_eagerness`` makes of the scenario's ``end_of_turn_ms``: factors. UNCONFIRMED, all three."""
    default_ignore_terms: tuple[str, ...] = ("uh-huh", "mm-hmm", "mhm", "yeah", "okay", "right")
    """For ``turn.merge_with_default_ignore_terms``. The service's own list is UNCONFIRMED."""
    vad_score_interval_ms: int = 100
    """UNCONFIRMED. Also the step of ``internal_turn_probability``."""
    tentative_interval_ms: int = 300
    """One more word in ``tentative_user_transcript`` for so much voice. UNCONFIRMED."""
    response_metadata: Mapping[str, Any] = field(default_factory=dict)
    """What a custom LLM adds to every ``agent_response_metadata``; sent if not empty or with ``llm: custom-llm``."""
    context_limit_tokens: int = 1_048_576
    in_band_errors: Literal["none", "error", "client_error", "flat"] = "none"
    """Announce every close for a reason by a message of this form. None was ever seen live, so none."""
    close_after_playout: bool = False
    """Wait with the close after ``end_call`` or the duration message until the audio has been played. UNCONFIRMED."""
    unsupported_language: Literal["close", "keep"] = "close"
    """A language override that is neither the agent's own nor a preset: close after the metadata, as reported, or
    keep the agent's language."""
    alignment: bool = False
    """Audio with ``alignment`` (characters over time), as in 2025; absent from the captures of 2026."""


@dataclass(frozen=True, slots=True)
class PostCallWebhook:
    """Where the workspace sends what it has to tell after a call. Loopback only, like everything here."""

    url: str
    secret: str = "wsec_emulated"  # noqa: S105 - the emulator's own
    events: tuple[str, ...] = ("transcript",)
    """transcript, audio, call_initiation_failure."""
    retries: bool = False
    """Transcripts only, on 408, 429 and 5xx (and when nobody answers). Off by default, as at the vendor."""
    retry_delays_s: tuple[float, ...] = (30.0, 120.0, 480.0, 1800.0)
    """After the first try at once: five tries in all."""
    resign: bool = True
    """Every try has a new timestamp and signature. UNCONFIRMED."""
    after_close_ms: int = 100
    timeout_s: float = 10.0
    """For one answer. UNCONFIRMED."""
    disable_after_failures: int = 10
    """Consecutive; only when the last success lies 7 days back or never was."""

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not is_loopback(parts.hostname or ""):
            raise ValueError(f"a webhook of the emulator stays on this machine: http://127.0.0.1:..., not {self.url!r}")
        if strangers := set(self.events) - {"transcript", "audio", "call_initiation_failure"}:
            raise ValueError(f"unknown webhook event {min(strangers)!r}")


@dataclass(frozen=True, slots=True)
class EmulatorConfig:
    """The server and its first agent."""

    script: AgentScript = field(default_factory=AgentScript)
    """What the agents say; an agent made through the API speaks its own first message and the same replies."""
    behaviour: Behaviour = field(default_factory=Behaviour)
    seed: int = 1
    agent_id: str = "agent_demo"
    agent_name: str = "Demo"
    api_keys: tuple[str, ...] = ("sk_emulated",)
    host: str = "127.0.0.1"
    """A loopback address; anything else is refused."""
    port: int = 0
    tls_dir: Path | None = None
    """Serve TLS with a certificate made at the start; its authority is written here as ``ca.pem``."""
    enable_auth: bool = True
    """The agent is private: a signed URL is needed."""
    accept_api_key_header: bool = False
    """Let a socket in on ``xi-api-key`` alone. UNCONFIRMED that the service does."""
    user_input_audio_format: str = "ulaw_8000"
    agent_output_audio_format: str = "ulaw_8000"
    client_events: tuple[str, ...] = (
        "audio",
        "interruption",
        "user_transcript",
        "agent_response",
        "agent_response_correction",
        "agent_tool_response",
    )
    """The first agent's list: the live default of 2026 and the tool responses."""
    allow_overrides: tuple[str, ...] = ()
    """Dotted names (``agent.first_message``, ``tts.voice_id``) the first agent lets a client override, or ``*``."""
    placeholders: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    """Values for dynamic variables that the client does not give."""
    max_duration_s: int = 600
    silence_end_call_s: float = -1.0
    turn_timeout_s: float = 7.0
    concurrency_limit: int = -1
    """Conversations at once for the whole workspace; -1: no limit."""
    concurrency_close_code: int = 3008
    """UNCONFIRMED: 4300 is reported, too."""
    burst: bool = False
    """Up to three times the limit (300 at most), at lower priority, for agents with ``bursting_enabled``. On at the
    vendor; off here so that a limit is a limit."""
    burst_think_extra_ms: int = 150
    """The lower priority of a burst conversation. UNCONFIRMED."""
    webhooks: tuple[PostCallWebhook, ...] = ()
    region: str | None = None
    """Sent as ``x-region``. UNCONFIRMED for this API, so None: no such header."""
    concurrency_headers: bool = False
    """``current-concurrent-requests`` and ``maximum-concurrent-requests`` on REST answers. UNCONFIRMED for this API."""
    webrtc: Literal["refuse", "answer"] = "refuse"
    """There is no WebRTC here, and a token would send the client to the vendor's own media hosts."""
    keep_audio: bool = False
    """Keep both sides of conversations: their audio is then a WAV file instead of an MP3 of silence."""
    signed_url_lifetime_s: float = 900.0
    reuse_signed_urls: bool = True
    """A URL fetched without ``include_conversation_id`` may start several conversations. UNCONFIRMED."""
    idle_connection_s: float | None = None
    """Close a connection on which no request came for so long after it opened. UNCONFIRMED, so None: never."""
    compression: bool = True
    """Accept permessage-deflate from whoever offers it."""
    speak: Callable[[str, str], bytes] = speak
    """(text, voice) to mu-law at 8 kHz."""

    def __post_init__(self) -> None:
        if not is_loopback(self.host):
            raise ValueError(f"an emulator listens on loopback only: 127.0.0.1, not {self.host!r}")
