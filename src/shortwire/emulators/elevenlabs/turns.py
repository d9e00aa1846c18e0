"""What happened in a conversation, turn by turn: the ground truth that measurements are judged by.

All instants are monotonic nanoseconds of this process; all positions are milliseconds of the audio
that the agent received.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["Close", "Deaf", "Drop", "Output", "Send", "Turn", "spoken_part"]

TurnKind = Literal["greeting", "voice", "text", "re_engagement", "farewell"]


@dataclass(frozen=True, slots=True)
class Send:
    """A message for the client, before the filter of ``client_events``."""

    message: dict[str, Any]
    always: bool = False
    """Whatever the filter says."""


@dataclass(frozen=True, slots=True)
class Close:
    """Close the socket. The reason is cut to the 123 bytes of RFC 6455 by whoever sends it."""

    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class Drop:
    """Cut the connection without a close frame."""


@dataclass(frozen=True, slots=True)
class Deaf:
    """Stop reading from the connection, for good."""


Output = Send | Close | Drop | Deaf


@dataclass(slots=True)
class Turn:
    """One thing the agent said, and what made it say it."""

    kind: TurnKind
    agent_text: str = ""
    user_text: str = ""
    event_id: int = 0
    response_id: str = ""
    in_response_to: list[str] = field(default_factory=list)
    reply: int | None = None
    """Number of the reply in the script."""
    speech_began_ms: int | None = None
    speech_ended_ms: int | None = None
    speech_began_ns: int | None = None
    """Arrival of the first voiced frame."""
    speech_ended_ns: int | None = None
    """Arrival of the last voiced frame."""
    turn_certain_ns: int | None = None
    """The silence had lasted long enough (or the text message had arrived)."""
    think_ms: int = 0
    """Drawn: from the turn being certain to the first audio."""
    first_audio_ns: int | None = None
    audio_ms: float = 0.0
    """Sent so far."""
    playout_ends_ns: int = 0
    """By the agent's own estimate: it does not know about the network."""
    response_sent: bool = False
    end_call: bool = False
    closes: str | None = None
    """The close reason, for a turn after which the agent closes the socket."""
    fillers: list[str] = field(default_factory=list)
    """What soft timeouts made the agent say while it thought. Not part of ``audio_ms``."""
    playout_from_ns: int | None = None
    """When its own first audio is heard: later than ``first_audio_ns`` while a filler still plays."""
    tool_names: list[str] = field(default_factory=list)
    """The tools it used, in order; ``tool_types`` says of which kind each was."""
    tool_types: list[str] = field(default_factory=list)
    interrupted_ns: int | None = None
    interruption_id: int | None = None
    spoken_ms: float | None = None
    """When interrupted: what the agent believes was heard."""
    spoken_text: str | None = None

    def speaking_at(self, now_ns: int) -> bool:
        """By the agent's own estimate."""
        return self.first_audio_ns is not None and self.interrupted_ns is None and now_ns < self.playout_ends_ns


def spoken_part(text: str, spoken_ms: float, audio_ms: float) -> str:
    """The words that fit into the part that was spoken, then ``...`` (captured: ``It...``; ``...`` for none)."""
    words = text.split()
    share = 0.0 if audio_ms <= 0 else min(1.0, max(0.0, spoken_ms / audio_ms))
    return " ".join(words[: int(len(words) * share)]) + "..."
