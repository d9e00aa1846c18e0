"""What can be chosen about the emulator: the server, how the agent behaves, faults to set while it runs.

Every field whose docstring says UNCONFIRMED stands for something that no public source settles
(protocol notes of the vendor's pages, section 13); its other side is one argument away.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from shortwire.emulators.scenario import AgentScript
from shortwire.emulators.speech import speak

__all__ = ["Behaviour", "EmulatorConfig", "FaultError", "Faults", "ScriptedTool"]


@dataclass(frozen=True, slots=True)
class ScriptedTool:
    """A client tool that the agent calls before it gives one of its replies."""

    before_reply: int
    """Number of the reply, from 0."""
    tool_name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    expects_response: bool = True
    response_timeout_s: float = 20.0
    """Then the tool counts as failed and the reply is given all the same (agents API: ``response_timeout_secs``)."""


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
    signed_url_lifetime_s: float = 900.0
    reuse_signed_urls: bool = True
    """A URL fetched without ``include_conversation_id`` may start several conversations. UNCONFIRMED."""
    idle_connection_s: float | None = None
    """Close a connection on which no request came for so long after it opened. UNCONFIRMED, so None: never."""
    compression: bool = True
    """Accept permessage-deflate from whoever offers it."""
    speak: Callable[[str, str], bytes] = speak
    """(text, voice) to mu-law at 8 kHz."""


class FaultError(ValueError):
    """These faults cannot be set; the text says why."""


@dataclass(frozen=True, slots=True)
class Faults:
    """What goes wrong, until reset. The names are those of ``POST /_emulator/faults``."""

    signed_url_status: int = 0
    """Answer get-signed-url with this status (401, 404, 422, 429, 500, 503)."""
    signed_url_times: int = 0
    """Only the next so many requests; 0: all of them."""
    signed_url_delay_ms: int = 0
    upgrade_status: int = 0
    """Refuse the WebSocket upgrade with this status."""
    upgrade_delay_ms: int = 0
    metadata_delay_ms: int = 0
    close_after_ms: tuple[int, str, int] | None = None
    """[code, reason, ms after the socket opened]."""
    drop_after_ms: int | None = None
    """Cut the TCP connection without a close frame."""
    send_after_ms: tuple[str, int] | None = None
    """[raw text, ms]: a message the service would not send."""
    think_extra_ms: int = 0
    withhold_pings: bool = False

    @classmethod
    def parse(cls, document: Any) -> Faults:
        """From JSON; whatever is not named is off. Raises `FaultError`."""
        if not isinstance(document, dict):
            raise FaultError("faults must be a JSON object")
        known = {f.name for f in fields(cls)}
        if strangers := sorted(set(document) - known):
            raise FaultError(f"unknown fault {strangers[0]!r}; known: {', '.join(sorted(known))}")
        values: dict[str, Any] = {}
        for name, value in document.items():
            values[name] = _checked(name, value)
        return cls(**values)


_SHAPES: Mapping[str, tuple[type, ...]] = {"close_after_ms": (int, str, int), "send_after_ms": (str, int)}


def _checked(name: str, value: Any) -> Any:
    if name in _SHAPES:
        shape = _SHAPES[name]
        if value is None:
            return None
        if not isinstance(value, list) or [type(v) for v in value] != list(shape):
            raise FaultError(f"{name} must be a list of {', '.join(kind.__name__ for kind in shape)}")
        return tuple(value)
    if name == "withhold_pings":
        if not isinstance(value, bool):
            raise FaultError(f"{name} must be true or false")
        return value
    if value is None and name == "drop_after_ms":
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise FaultError(f"{name} must be a whole number, 0 or more")
    return value
