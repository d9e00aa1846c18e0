"""What an agent's configuration says about its turns, as values the mind can use.

Vendor page: agents API, ``conversation_config.turn`` and ``.agent``. How much ``turn_eagerness`` changes, and
which words count as backchannels by default, is not published: both come from `Behaviour`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shortwire.emulators.elevenlabs.config import Behaviour

__all__ = ["SoftTimeout", "TurnSettings", "plain_words"]


def plain_words(text: str) -> str:
    """Lower case, without punctuation at the ends: how backchannels are compared."""
    return " ".join(text.split()).strip(" .,!?;:").casefold()


@dataclass(frozen=True, slots=True)
class SoftTimeout:
    """Fillers while the agent thinks for long."""

    timeout_s: float
    messages: tuple[str, ...]
    """The first one, then the additional ones."""
    randomize: bool = False
    most: int = 1
    """In one generation."""


@dataclass(frozen=True, slots=True)
class TurnSettings:
    """For one conversation, overrides and presets included."""

    listed: frozenset[str] = frozenset()
    """The agent's ``client_events``: what is listed here and not asked for by default is built at all."""
    eagerness: float = 1.0
    """Factor on the end-of-turn silence."""
    initial_wait_s: float | None = None
    ignore_terms: frozenset[str] = frozenset()
    soft_timeout: SoftTimeout | None = None
    llm: str = "gemini-2.5-flash"

    @classmethod
    def of(cls, config: Mapping[str, Any], listed: frozenset[str], behaviour: Behaviour) -> TurnSettings:
        """From an agent's (effective) ``conversation_config``."""
        turn = config["turn"]
        terms = set(turn.get("interruption_ignore_terms") or ())
        if turn.get("merge_with_default_ignore_terms"):
            terms |= set(behaviour.default_ignore_terms)
        wait_s = turn.get("initial_wait_time")
        return cls(
            listed=listed,
            eagerness=behaviour.eagerness.get(turn.get("turn_eagerness", "normal"), 1.0),
            initial_wait_s=None if wait_s is None else float(wait_s),
            ignore_terms=frozenset(map(plain_words, terms)),
            soft_timeout=_soft_timeout(turn.get("soft_timeout_config") or {}),
            llm=config["agent"]["prompt"]["llm"],
        )


def _soft_timeout(config: Mapping[str, Any]) -> SoftTimeout | None:
    timeout_s = float(config.get("timeout_seconds", -1.0))
    if timeout_s <= 0:
        return None
    messages = (config.get("message") or "", *(config.get("additional_soft_timeout_messages") or ()))
    return SoftTimeout(
        timeout_s,
        tuple(text for text in messages if text),
        bool(config.get("randomize_fillers")),
        int(config.get("max_soft_timeouts_per_generation", 1)),
    )
