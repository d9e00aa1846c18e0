"""One conversation socket, sans-I/O: texts and instants in; texts, closes and deadlines out.

Around the agent's brain it keeps what belongs to the wire: the order of the start, pings, the filter
of ``client_events``, refusals, time limits, faults, the record. Vendor page: agents API, "WebSocket".
"""

from __future__ import annotations

import base64
import random
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

from shortwire.emulators.elevenlabs import messages, notices
from shortwire.emulators.elevenlabs.config import Behaviour, Faults
from shortwire.emulators.elevenlabs.formats import Ear, encoded
from shortwire.emulators.elevenlabs.ledger import ConversationRecord, MessageEntry
from shortwire.emulators.elevenlabs.messages import InvalidMessage, Message
from shortwire.emulators.elevenlabs.mind import AgentMind, Phase
from shortwire.emulators.elevenlabs.mischief import Mischief
from shortwire.emulators.elevenlabs.personalise import INVALID, Refused, filled_tools, personality
from shortwire.emulators.elevenlabs.pings import Pings
from shortwire.emulators.elevenlabs.recording import Recording
from shortwire.emulators.elevenlabs.toolbox import Toolbox
from shortwire.emulators.elevenlabs.turn_settings import TurnSettings
from shortwire.emulators.elevenlabs.turns import Close, Deaf, Drop, Send
from shortwire.emulators.scenario import AgentScript

__all__ = ["Conversation", "Text"]

_MS = 1_000_000

_FOR_EVER_NS = 2**61


class Text(str):
    """A message to send, encoded."""

    __slots__ = ()


Wire = Text | Close | Drop | Deaf
"""What the driver is asked to do."""


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
        lower_priority_ms: int = 0,
    ) -> None:
        self.record = record
        self.mind: AgentMind | None = None
        self._agent = agent
        self._script = script
        self._behaviour = behaviour
        self._mischief = Mischief(faults)
        self._speak = speak
        self._rng = random.Random(f"{seed}:{agent['agent_id']}")  # noqa: S311 - repeatable on purpose
        config = agent["conversation_config"]
        self._output_format: str = config["tts"]["agent_output_audio_format"]
        self._events = messages.ALWAYS | frozenset(config["conversation"]["client_events"])
        self._ear = Ear(config["asr"]["user_input_audio_format"])
        self._early: deque[bytes] = deque(maxlen=500)  # 10 s before the conversation starts
        self._pings = Pings(behaviour)
        self._outputs: list[Wire] = []
        self._planned: list[tuple[int, Wire | None]] = []  # None: the metadata
        self._start_by_ns: int | None = None
        self._ends_ns: int | None = None
        self._last_words = ""
        self._last_received_ns = 0
        self._over = False
        self.muted = False
        self._lower_priority_ms = lower_priority_ms
        self.recording: Recording | None = None
        """Where both sides' audio is kept, if it is."""

    # -- what the driver calls -------------------------------------------------------------------------------------

    def opened(self, now_ns: int) -> None:
        """The upgrade was answered."""
        self._last_received_ns = now_ns
        self._planned.append((now_ns + self._mischief.faults.metadata_delay_ms * _MS, None))
        self.set_faults(self._mischief.faults, now_ns)
        self._pings.opened(now_ns)
        if not self._behaviour.require_client_data:
            self._start_by_ns = now_ns + self._behaviour.client_data_wait_ms * _MS
        self.handle_timer(now_ns)

    def set_faults(self, faults: Faults, now_ns: int) -> None:
        """These faults from now on, counted from now."""
        self._mischief.begin(faults, now_ns)
        self._pings.faulty(withheld=faults.withhold_pings, allowed=faults.unanswered_pings or None)
        planned: list[tuple[int | None, Wire]] = [(faults.drop_after_ms, Drop()), (faults.deaf_after_ms, Deaf())]
        if faults.close_after_ms is not None:
            code, reason, after_ms = faults.close_after_ms
            planned.append((after_ms, Close(code, reason)))
        if faults.send_after_ms is not None:
            raw, after_ms = faults.send_after_ms
            planned.append((after_ms, Text(raw)))
        self._planned += [(now_ns + after * _MS, output) for after, output in planned if after is not None]

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
            self._refuse(1008, INVALID, now_ns)
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
        self._refuse(1008, INVALID, self._last_received_ns)

    def closed(self, now_ns: int, code: int | None, reason: str, by: str) -> None:
        """The socket is gone. The first ending is kept."""
        if self.record.closed_ns is None:
            self.record.closed_ns, self.record.closed_by = now_ns, by
            self.record.close_code, self.record.close_reason = code, reason
        self._over = True

    def take(self) -> list[Wire]:
        """What is to be done now, in order."""
        outputs, self._outputs = self._outputs, []
        return outputs

    def next_deadline(self) -> int | None:
        """The instant at which `handle_timer` has something to do; None when it is over."""
        if self._over:
            return None
        if self.muted:
            return min((at_ns for at_ns, output in self._planned if _silent(output)), default=_FOR_EVER_NS)
        instants = [at_ns for at_ns, _ in self._planned]
        instants.append(self._last_received_ns + int(self._behaviour.receive_timeout_s * 1e9))
        mute_ms = self._mischief.faults.mute_after_ms
        mute_ns = None if mute_ms is None else self._mischief.since_ns + mute_ms * _MS
        deadlines = (self._pings.next_ns, self._start_by_ns, self._ends_ns, self._mischief.next_deadline(), mute_ns)
        for instant in deadlines:
            if instant is not None:
                instants.append(instant)
        if self.mind is not None and (instant := self.mind.next_deadline()) is not None:
            instants.append(instant)
        return min(instants)

    def handle_timer(self, now_ns: int) -> None:
        """Do what is due."""
        if self._over:
            return
        self.muted = self.muted or self._mischief.muted(now_ns)
        due = sorted((plan for plan in self._planned if plan[0] <= now_ns), key=lambda plan: plan[0])
        self._planned = [plan for plan in self._planned if plan[0] > now_ns]
        if self.muted:
            due = [plan for plan in due if _silent(plan[1])]
        for _, output in due:
            self._planned_output(output, now_ns)
        if self.muted:
            return
        if self._start_by_ns is not None and now_ns >= self._start_by_ns and self.record.metadata_ns is not None:
            self._start(None, now_ns)
        for message in self._pings.due(now_ns):
            self._send(message, now_ns)
        self.record.pings_sent = self._pings.sent
        if self._pings.given_up:
            self._refuse(1002, "", now_ns)
        for message in self._mischief.due(now_ns):
            self._put(message, now_ns)
        if self._ends_ns is not None and now_ns >= self._ends_ns:
            self._time_is_up(now_ns)
        if now_ns - self._last_received_ns >= int(self._behaviour.receive_timeout_s * 1e9):
            self._refuse(1002, "transport_receive_timeout", now_ns)
        if self.mind is not None:
            self.mind.handle_timer(now_ns)
        self._collect(now_ns)

    def drop(self) -> None:
        """Cut the connection from outside."""
        self._over = True
        self._outputs.append(Drop())

    def end(self, code: int, reason: str) -> None:
        """Close from outside (control API, shutdown)."""
        self._close(code, reason)

    def _time_is_up(self, now_ns: int) -> None:
        self._ends_ns = None
        if self.mind is not None and self._last_words:
            self.mind.farewell(self._last_words, "max_duration_exceeded", now_ns)
        else:
            self._refuse(1000, "max_duration_exceeded", now_ns)

    # -- the start -------------------------------------------------------------------------------------------------

    def _planned_output(self, output: Wire | None, now_ns: int) -> None:
        if output is None:
            config = self._agent["conversation_config"]
            first = messages.metadata(
                self.record.conversation_id,
                config["tts"]["agent_output_audio_format"],
                config["asr"]["user_input_audio_format"],
            )
            self.record.metadata_ns = now_ns
            self._send(first, now_ns)
            self._send(notices.asr_initiation_metadata(), now_ns)
            if self._behaviour.mcp_servers:
                servers = map(asdict, self._behaviour.mcp_servers)
                self._send(notices.mcp_connection_status(servers), now_ns)
        elif isinstance(output, Close):
            self._refuse(output.code, output.reason, now_ns)
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
            "system__time_utc": datetime.fromtimestamp(self.record.started_unix_s, UTC).isoformat(),
        }
        try:
            keep = self._behaviour.unsupported_language == "keep"
            who = personality(self._agent, client_data or {}, system, keep_unknown_language=keep)
            tools = filled_tools(self._behaviour.tools, who.variables)
        except Refused as refused:
            self.record.notes.append(f"refused: {refused}")
            close = Close(refused.code, refused.reason)
            self._planned.append((now_ns + self._behaviour.validation_ms * _MS, close))
            return
        self.record.started_ns, self.record.language = now_ns, who.language
        self.record.text_only = who.text_only
        self._ends_ns = now_ns + who.max_duration_s * 1_000_000_000
        self._last_words = who.config["agent"]["max_conversation_duration_message"]
        config = who.config
        settings = TurnSettings.of(config, self._events, self._behaviour)
        mocks = (client_data or {}).get("tool_mock_config")
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
            think_extra_ms=self._mischief.faults.think_extra_ms + self._lower_priority_ms,
            settings=settings,
            toolbox=Toolbox(tools, self._rng, self._events, mocks),
        )
        self.record.end_of_turn_ms = self.mind.end_of_turn_ms
        self.record.backchannels = self.mind.backchannels
        self.record.turns = self.mind.turns
        self.mind.start(now_ns)
        early = list(self._early)
        self._early.clear()
        for frame in early:
            self.mind.hear(frame, now_ns)

    # -- what the client says --------------------------------------------------------------------------------------

    def _audio(self, audio: bytes, now_ns: int) -> None:
        self.record.audio_in.note(len(audio), now_ns)
        if self.recording is not None:
            self.recording.user(audio, now_ns)
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
            self._pong(message["event_id"], now_ns)
        elif kind in ("contextual_update", "feedback"):
            record.keep(kind, message)
        elif kind == "client_tool_result":
            record.tool_results.append(message)
            if mind is None or not mind.tool_result(message, now_ns):
                record.notes.append(f"a tool result nobody waits for: {message['tool_call_id']}")
        elif kind == "mcp_tool_approval_result":
            record.approvals[message["tool_call_id"]] = message["is_approved"]
            if mind is None or not mind.approval(message, now_ns):
                record.notes.append(f"an approval nobody waits for: {message['tool_call_id']}")
        elif kind == "multimodal_message" and (unknown := messages.file_ids(message) - self.record.files.keys()):
            record.notes.append(f"refused: no such file: {min(unknown)}")
            self._refuse(1008, INVALID, now_ns)
        elif mind is None:
            record.notes.append(f"{kind} before the conversation started: ignored")
        elif kind == "user_activity":
            mind.activity(now_ns)
        elif kind in ("user_message", "multimodal_message"):
            mind.user_message(messages.written_text(message), now_ns)

    def _pong(self, event_id: int, now_ns: int) -> None:
        if (took_ms := self._pings.answered(event_id, now_ns)) is None:
            self.record.notes.append(f"a pong nobody waits for: {event_id}")
        else:
            self.record.pings_answered += 1
            self.record.round_trips_ms.append(round(took_ms, 3))

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
                self._send(output.message, now_ns, always=output.always)
            elif isinstance(output, Close):
                self._refuse(output.code, output.reason, now_ns)
        if self.mind.phase is Phase.OVER:
            self._over = True

    def _send(self, message: Message, now_ns: int, *, always: bool = False) -> None:
        kind = messages.kind_of(message)
        if self._over or self.muted or not (always or kind in self._events):
            return
        for passed in self._mischief.pass_on(message, now_ns):
            self._put(passed, now_ns)

    def _put(self, message: Message, now_ns: int) -> None:
        text = messages.encode(message)
        payload = message[next(iter(message))]
        event_id = payload.get("event_id") if isinstance(payload, dict) else None
        kind = messages.kind_of(message)
        self.record.messages.append(MessageEntry(now_ns, "out", kind, len(text), event_id))
        if kind == "audio" and self.recording is not None:
            self.recording.agent(base64.b64decode(message["audio_event"]["audio_base_64"]), now_ns)
        elif kind == "interruption" and self.recording is not None:
            self.recording.cut(now_ns)
        self._outputs.append(Text(text))

    def _refuse(self, code: int, reason: str, now_ns: int) -> None:
        """Close, and say why in-band where that is chosen."""
        form = self._behaviour.in_band_errors
        if not self._over and reason and form != "none":
            self._send(notices.error(form, code, reason), now_ns, always=form != "client_error")
        self._close(code, reason)

    def _close(self, code: int, reason: str) -> None:
        if not self._over and not self.muted:
            self._over = True
            self._outputs.append(Close(code, reason))


def _silent(output: Wire | None) -> bool:
    """Whether it happens without a word to the client."""
    return isinstance(output, Drop | Deaf)
