"""Vendor faults on their way to one socket: messages doubled, delayed, held back, disfigured.

Sans-I/O. It sits between the conversation and its encoding; which faults are set can change at any time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from shortwire.emulators.elevenlabs.faults import Faults
from shortwire.emulators.elevenlabs.messages import Message

__all__ = ["Mischief"]

_MS = 1_000_000


class Mischief:
    """One conversation's faults."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self.since_ns = 0
        """From where ``_after_ms`` is counted."""
        self._held: list[Message] = []
        self._last_audio: Message | None = None
        self._late: list[tuple[int, Message]] = []

    def begin(self, faults: Faults, now_ns: int) -> None:
        """These faults from now on."""
        self.faults, self.since_ns = faults, now_ns

    def muted(self, now_ns: int) -> bool:
        return self._past(self.faults.mute_after_ms, now_ns)

    def pass_on(self, message: Message, now_ns: int) -> Iterator[Message]:
        """What becomes of a message the service would send now."""
        faults, kind = self.faults, message.get("type")
        if kind == "audio":
            if self._past(faults.audio_stops_after_ms, now_ns):
                return
            self._last_audio = message
        if kind == "user_transcript" and faults.response_before_transcript:
            self._held.append(message)
            return
        if faults.unknown_messages and kind != "conversation_initiation_metadata":
            yield {
                "emulated_novelty_event": {"event_id": 0, "note": "no client knows this"},
                "type": "emulated_novelty",
            }
        yield self._disfigured(message)
        if kind == "conversation_initiation_metadata" and faults.duplicate_metadata:
            yield self._disfigured(message)
        if kind == "agent_response":
            held, self._held = self._held, []
            yield from map(self._disfigured, held)
        if kind == "interruption" and faults.late_audio_ms is not None and self._last_audio is not None:
            self._late.append((now_ns + faults.late_audio_ms * _MS, self._last_audio))

    def next_deadline(self) -> int | None:
        return min((at_ns for at_ns, _ in self._late), default=None)

    def due(self, now_ns: int) -> list[Message]:
        """Messages whose lateness is over."""
        late = [self._disfigured(message) for at_ns, message in self._late if at_ns <= now_ns]
        self._late = [entry for entry in self._late if entry[0] > now_ns]
        return late

    def _past(self, after_ms: int | None, now_ns: int) -> bool:
        return after_ms is not None and now_ns - self.since_ns >= after_ms * _MS

    def _disfigured(self, message: Message) -> Message:
        if not self.faults.extra_keys:
            return message
        changed: dict[str, Any] = {"emulated_key": {"nested": [1, '\\"audio_base_64\\"']}}
        for key, value in message.items():
            changed[key] = {"emulated_key": None, **value, "emulated_last": 1} if isinstance(value, dict) else value
        return changed
