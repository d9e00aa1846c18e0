"""One conversation socket, sans-I/O: texts and instants in; texts, closes and deadlines out.

Around the agent's brain it keeps what belongs to the wire: the order of the start, pings, the filter
of ``client_events``, refusals, time limits, faults, the record. Vendor page: agents API, "WebSocket".
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from shortwire.emulators.elevenlabs import messages
from shortwire.emulators.elevenlabs.config import Behaviour, Faults
from shortwire.emulators.elevenlabs.formats import Ear, encoded
from shortwire.emulators.elevenlabs.ledger import ConversationRecord, MessageEntry
from shortwire.emulators.elevenlabs.messages import InvalidMessage, Message
from shortwire.emulators.elevenlabs.mind import AgentMind, Phase
from shortwire.emulators.elevenlabs.personalise import Refused, personality
from shortwire.emulators.elevenlabs.pings import Pings
from shortwire.emulators.elevenlabs.turns import Close, Drop, Send
from shortwire.emulators.scenario import AgentScript

__all__ = ["Conversation", "Text"]

_MS = 1_000_000


class Text(str):
    """A message to send, encoded."""

    __slots__ = ()


class Conversation:
    """From the 101 to the close. Call `opened` first, `closed` last."""

    def __init__(
        self,
        agent: Mapping[str, Any],
        script: AgentScript,
        behaviour: Behaviour,
        faults: Faults,
        record: ConversationRecord,
        *,
        speak: Callable[[str, str], bytes],
        seed: int,
    ) -> None:
        self.record = record
        self.mind: AgentMind | None = None
        self._agent = agent
        self._script = script
        self._behaviour = behaviour
        self._faults = faults
        self._speak = speak
        self._rng = random.Random(f"{seed}:{agent['agent_id']}")  # noqa: S311 - repeatable on purpose
        config = agent["conversation_config"]
        self._output_format: str = config["tts"]["agent_output_audio_format"]
        self._events = messages.ALWAYS | frozenset(config["conversation"]["client_events"])
        self._ear = Ear(config["asr"]["user_input_audio_format"])
        self._early: deque[bytes] = deque(maxlen=500)  # 10 s before the conversation starts
        self._pings = Pings(behaviour, withheld=faults.withhold_pings)
        self._outputs: list[Text | Close | Drop] = []
        self._planned: list[tuple[int, Text | Close | Drop | None]] = []  # None: the metadata
        self._start_by_ns: int | None = None
        self._ends_ns: int | None = None
        self._last_received_ns = 0
        self._over = False

    # -- what the driver calls -------------------------------------------------------------------------------------

    def opened(self, now_ns: int) -> None:
        """The upgrade was answered."""
        faults = self._faults
        self._last_received_ns = now_ns
        self._planned.append((now_ns + faults.metadata_delay_ms * _MS, None))
        if faults.close_after_ms is not None:
            code, reason, after_ms = faults.close_after_ms
            self._planned.append((now_ns + after_ms * _MS, Close(code, reason)))
        if faults.drop_after_ms is not None:
            self._planned.append((now_ns + faults.drop_after_ms * _MS, Drop()))
        if faults.send_after_ms is not None:
            raw, after_ms = faults.send_after_ms
            self._planned.append((now_ns + after_ms * _MS, Text(raw)))
        self._pings.opened(now_ns)
        if not self._behaviour.require_client_data:
            self._start_by_ns = now_ns + self._behaviour.client_data_wait_ms * _MS
        self.handle_timer(now_ns)

    def received(self, text: str, now_ns: int) -> None:
        """One text message of the client."""
        if self._over:
            return
        self._last_received_ns = now_ns
        try:
            kind, message, audio = messages.parse_client(text)
        except InvalidMessage as error:
            self.record.notes.append(f"refused: {error}")
            self.record.messages.append(MessageEntry(now_ns, "in", "invalid", len(text)))
            self._close(1008, "Invalid message received")
            return
        if kind == "user_audio_chunk":
            self._audio(audio, now_ns)
        else:
            event_id = message.get("event_id")
            self.record.messages.append(MessageEntry(now_ns, "in", kind, len(text), event_id))
            self._control(kind, message, now_ns)
        self._collect(now_ns)

    def received_binary(self, size: int, now_ns: int) -> None:
        """Audio is base64 in JSON; there are no binary messages."""
        self.record.notes.append("refused: a binary message")
        self.record.messages.append(MessageEntry(now_ns, "in", "binary", size))
        self._close(1008, "Invalid message received")

    def closed(self, now_ns: int, code: int | None, reason: str, by: str) -> None:
        """The socket is gone. The first ending is kept."""
        if self.record.closed_ns is None:
            self.record.closed_ns, self.record.closed_by = now_ns, by
            self.record.close_code, self.record.close_reason = code, reason
        self._over = True

    def take(self) -> list[Text | Close | Drop]:
        """What is to be done now, in order."""
        outputs, self._outputs = self._outputs, []
        return outputs

    def next_deadline(self) -> int | None:
        """The instant at which `handle_timer` has something to do; None when it is over."""
        if self._over:
            return None
        instants = [at_ns for at_ns, _ in self._planned]
        instants.append(self._last_received_ns + int(self._behaviour.receive_timeout_s * 1e9))
        for instant in (self._pings.next_ns, self._start_by_ns, self._ends_ns):
            if instant is not None:
                instants.append(instant)
        if self.mind is not None and (instant := self.mind.next_deadline()) is not None:
            instants.append(instant)
        return min(instants)

    def handle_timer(self, now_ns: int) -> None:
        """Do what is due."""
        if self._over:
            return
        due = sorted((plan for plan in self._planned if plan[0] <= now_ns), key=lambda plan: plan[0])
        self._planned = [plan for plan in self._planned if plan[0] > now_ns]
        for _, output in due:
            self._planned_output(output, now_ns)
        if self._start_by_ns is not None and now_ns >= self._start_by_ns and self.record.metadata_ns is not None:
            self._start(None, now_ns)
        for message in self._pings.due(now_ns):
            self._send(message, now_ns)
        self.record.pings_sent = self._pings.sent
        if self._pings.given_up:
            self._close(1002, "")
        if self._ends_ns is not None and now_ns >= self._ends_ns:
            self._close(1000, "max_duration_exceeded")
        if now_ns - self._last_received_ns >= int(self._behaviour.receive_timeout_s * 1e9):
            self._close(1002, "transport_receive_timeout")
        if self.mind is not None:
            self.mind.handle_timer(now_ns)
        self._collect(now_ns)

    def end(self, code: int, reason: str) -> None:
        """Close from outside (control API, shutdown)."""
        self._close(code, reason)

    # -- the start -------------------------------------------------------------------------------------------------

    def _planned_output(self, output: Text | Close | Drop | None, now_ns: int) -> None:
        if output is None:
            config = self._agent["conversation_config"]
            first = messages.metadata(
                self.record.conversation_id,
                config["tts"]["agent_output_audio_format"],
                config["asr"]["user_input_audio_format"],
            )
            self.record.metadata_ns = now_ns
            self._send(first, now_ns)
        elif isinstance(output, Close):
            self._close(output.code, output.reason)
        else:
            self._outputs.append(output)
            self._over = self._over or isinstance(output, Drop)

    def _start(self, client_data: Message | None, now_ns: int) -> None:
        """The agent wakes up, with the client's data or without."""
        self._start_by_ns = None
        system = {
            "system__agent_id": self.record.agent_id,
            "system__current_agent_id": self.record.agent_id,
            "system__conversation_id": self.record.conversation_id,
            "system__call_duration_secs": 0,
        }
        try:
            who = personality(self._agent, client_data or {}, system)
        except Refused as refused:
            self.record.notes.append(f"refused: {refused}")
            close = Close(refused.code, refused.reason)
            self._planned.append((now_ns + self._behaviour.validation_ms * _MS, close))
            return
        config = self._agent["conversation_config"]
        self.record.started_ns = now_ns
        self._ends_ns = now_ns + who.max_duration_s * 1_000_000_000
        self.mind = AgentMind(
            replace(self._script, first_message=who.first_message),
            self._behaviour,
            self._rng,
            voice=lambda text: encoded(self._speak(text, self._script.voice), self._output_format),
            output_format=self._output_format,
            interruptible="interruption" in self._events,
            greeting_interruptible=not config["agent"]["disable_first_message_interruptions"],
            text_only=who.text_only,
            turn_timeout_s=config["turn"]["turn_timeout"],
            silence_end_call_s=config["turn"]["silence_end_call_timeout"],
            think_extra_ms=self._faults.think_extra_ms,
        )
        self.record.turns = self.mind.turns
        self.mind.start(now_ns)
        early = list(self._early)
        self._early.clear()
        for frame in early:
            self.mind.hear(frame, now_ns)

    # -- what the client says --------------------------------------------------------------------------------------

    def _audio(self, audio: bytes, now_ns: int) -> None:
        self.record.audio_in.note(len(audio), now_ns)
        for frame in self._ear.feed(audio):
            if self.mind is None:
                self._early.append(frame)
            else:
                self.mind.hear(frame, now_ns)

    def _control(self, kind: str, message: Message, now_ns: int) -> None:
        record, mind = self.record, self.mind
        if kind == "conversation_initiation_client_data":
            self._client_data(message, now_ns)
        elif kind == "pong":
            if (took_ms := self._pings.answered(message["event_id"], now_ns)) is None:
                record.notes.append(f"a pong nobody waits for: {message['event_id']}")
            else:
                record.pings_answered += 1
                record.round_trips_ms.append(round(took_ms, 3))
        elif kind == "contextual_update":
            record.context[message.get("context_id") or f"#{len(record.context) + 1}"] = message["text"]
        elif kind == "feedback":
            record.feedback[str(message["event_id"])] = message["score"]
        elif kind == "client_tool_result":
            record.tool_results.append(message)
            if mind is None or not mind.tool_result(
                message["tool_call_id"], now_ns, is_error=message["is_error"] or bool(message.get("error_type"))
            ):
                record.notes.append(f"a tool result nobody waits for: {message['tool_call_id']}")
        elif mind is None:
            record.notes.append(f"{kind} before the conversation started: ignored")
        elif kind == "user_activity":
            mind.activity(now_ns)
        elif kind in ("user_message", "multimodal_message"):
            mind.user_message(_written(message), now_ns)

    def _client_data(self, message: Message, now_ns: int) -> None:
        if self.record.client_data_ns is not None:
            self.record.notes.append("client data a second time: ignored")
            return
        self.record.client_data_ns, self.record.client_data = now_ns, message
        if self.mind is not None:
            self.record.notes.append("client data after the conversation had started without it: ignored")
            return
        self._start(message, now_ns)

    # -- what we say -----------------------------------------------------------------------------------------------

    def _collect(self, now_ns: int) -> None:
        if self.mind is None:
            return
        for output in self.mind.take():
            if isinstance(output, Send):
                self._send(output.message, now_ns)
            elif isinstance(output, Close):
                self._close(output.code, output.reason)
        if self.mind.phase is Phase.OVER:
            self._over = True

    def _send(self, message: Message, now_ns: int) -> None:
        kind = messages.kind_of(message)
        if self._over or kind not in self._events:
            return
        text = messages.encode(message)
        payload = message[next(iter(message))]
        self.record.messages.append(MessageEntry(now_ns, "out", kind, len(text), payload.get("event_id")))
        self._outputs.append(Text(text))

    def _close(self, code: int, reason: str) -> None:
        if not self._over:
            self._over = True
            self._outputs.append(Close(code, reason))


def _written(message: Message) -> str:
    text = message.get("text")
    if isinstance(text, dict):  # multimodal_message wraps it
        text = text.get("text")
    return text if isinstance(text, str) else ""
