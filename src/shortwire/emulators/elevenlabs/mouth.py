"""An utterance on its way out: which messages, in which order, when.

Audio first (large chunks, faster than real time unless paced), the text with the last chunk, then what the agent
lists beside it: the order of the live captures. Vendor page: agents API, "Client events".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from shortwire.emulators.elevenlabs import messages, notices
from shortwire.emulators.elevenlabs.config import Behaviour
from shortwire.emulators.elevenlabs.formats import bytes_per_ms, chunks
from shortwire.emulators.elevenlabs.toolbox import Toolbox
from shortwire.emulators.elevenlabs.turn_settings import TurnSettings
from shortwire.emulators.elevenlabs.turns import Close, Output, Send, Turn

__all__ = ["Mouth", "Planned"]

_MS = 1_000_000

Planned = tuple[int, Output, float]
"""(instant, output, ms of audio in it)"""


class Mouth:
    """One conversation's way of putting things."""

    def __init__(
        self, behaviour: Behaviour, settings: TurnSettings, output_format: str, voice: Callable[[str], bytes] | None
    ) -> None:
        """``voice``: a text's whole audio in ``output_format``; None for an agent that only writes."""
        self._behaviour = behaviour
        self._settings = settings
        self._format = output_format
        self._voice = voice
        self._tokens = 350  # of the prompt, as it were; captured conversations began with 379 to 451

    def audio(self, text: str, event_id: int, now_ns: int) -> Iterator[Planned]:
        """The spoken text in chunks."""
        behaviour = self._behaviour
        audio = b"" if self._voice is None else self._voice(text)
        due_ns, at = now_ns, 0
        for chunk in chunks(audio, self._format, behaviour.chunk_ms, behaviour.chunk_bytes):
            chunk_ms = len(chunk) / bytes_per_ms(self._format)
            message = messages.audio(chunk, event_id)
            if behaviour.alignment:
                share = slice(at * len(text) // len(audio), (at + len(chunk)) * len(text) // len(audio))
                message["audio_event"] = _aligned(message["audio_event"], text[share], chunk_ms)
            at += len(chunk)
            yield due_ns, Send(message), chunk_ms
            due_ns += int((chunk_ms if behaviour.pacing == "realtime" else behaviour.chunk_gap_ms) * _MS)

    def parts(self, turn: Turn) -> Iterator[Output]:
        """The streamed text, at once when the turn's words are known."""
        for text, part in (("", "start"), (turn.agent_text, "delta"), ("", "stop")):
            yield Send(messages.text_part(text, part, turn.event_id, turn.response_id))

    def utterance(self, turn: Turn, now_ns: int) -> Iterator[Planned]:
        """All of a turn but its streamed text."""
        last_ns = now_ns
        ends_ns = max(now_ns, turn.playout_ends_ns)
        for due_ns, output, audio_ms in self.audio(turn.agent_text, turn.event_id, now_ns):
            last_ns, ends_ns = due_ns, max(due_ns, ends_ns) + int(audio_ms * _MS)
            yield due_ns, output, audio_ms
        if turn.agent_text:
            response = messages.agent_response(turn.agent_text, turn.event_id, turn.response_id, turn.in_response_to)
            yield last_ns, Send(response), 0.0
        for message in self._beside(turn):
            yield last_ns, Send(message), 0.0
        if turn.closes is not None:
            yield (ends_ns if self._behaviour.close_after_playout else last_ns), Close(1000, turn.closes), 0.0

    def end_call(self, turn: Turn, call_id: str, toolbox: Toolbox) -> Iterator[dict[str, Any]]:
        """The system tool that ends the call, as it is reported."""
        done = messages.tool_response("end_call", call_id, "system", turn.event_id)
        if "agent_tool_request" in self._settings.listed:
            more = {
                "expects_response": True,
                "disable_interruptions": False,
                "response_timeout_secs": 20,
                "execution_mode": "immediate",
            }
            yield notices.tool_request("end_call", call_id, "system", turn.event_id, more)
        yield done
        yield from toolbox.full(done, "")

    def _beside(self, turn: Turn) -> Iterator[dict[str, Any]]:
        listed, behaviour = self._settings.listed, self._behaviour
        custom = self._settings.llm == "custom-llm"
        if "agent_response_metadata" in listed and (behaviour.response_metadata or custom):
            yield notices.response_metadata(behaviour.response_metadata, turn.event_id)
        if "context_usage" in listed and turn.kind != "greeting":  # captured after answers, not after the greeting
            self._tokens += len(turn.user_text.split()) + len(turn.agent_text.split())
            limit = behaviour.context_limit_tokens
            yield notices.context_usage(turn.event_id, self._settings.llm, self._tokens, limit)
        if "agent_response_complete" in listed:
            yield notices.response_complete(turn.event_id)


def _aligned(event: dict[str, Any], text: str, chunk_ms: float) -> dict[str, Any]:
    """The audio event with its characters spread evenly over the chunk (captures of 2025: alignment comes last)."""
    step_ms = chunk_ms / max(1, len(text))
    alignment = {
        "chars": list(text),
        "char_start_times_ms": [round(number * step_ms) for number in range(len(text))],
        "char_durations_ms": [round(step_ms)] * len(text),
    }
    return {"audio_base_64": event["audio_base_64"], "event_id": event["event_id"], "alignment": alignment}
