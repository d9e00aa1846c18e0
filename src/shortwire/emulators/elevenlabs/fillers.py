"""Soft timeouts: what the agent says while its answer is not ready, and when.

Vendor page: agents API, ``turn.soft_timeout_config``. The text is always the configured one
(``use_llm_generated_message`` needs a language model).
"""

from __future__ import annotations

import random

from shortwire.emulators.elevenlabs.turn_settings import SoftTimeout

__all__ = ["Fillers"]


class Fillers:
    """One conversation's fillers."""

    def __init__(self, config: SoftTimeout | None, rng: random.Random) -> None:
        self.next_ns: int | None = None
        self.ends_ns = 0
        """When the filler that is being said has been played, by the agent's estimate."""
        self._config = config if config is not None and config.messages else None
        self._rng = rng
        self._said = 0

    def thinking_began(self, now_ns: int) -> None:
        """A generation begins."""
        self._said = 0
        self.next_ns = None if self._config is None else now_ns + int(self._config.timeout_s * 1e9)

    def thinking_ended(self) -> None:
        self.next_ns = None

    def due(self, now_ns: int) -> str | None:
        """The filler to say now."""
        config = self._config
        if config is None or self.next_ns is None or now_ns < self.next_ns:
            return None
        number = self._rng.randrange(len(config.messages)) if config.randomize else self._said % len(config.messages)
        self._said += 1
        self.next_ns = now_ns + int(config.timeout_s * 1e9) if self._said < config.most else None
        return config.messages[number]

    def playing(self, now_ns: int) -> bool:
        return now_ns < self.ends_ns
