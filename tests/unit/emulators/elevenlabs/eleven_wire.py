"""A conversation and its client on one clock that starts at 0, without a socket."""

from __future__ import annotations

import base64
import json

from shortwire.emulators.elevenlabs.agents import AgentBook
from shortwire.emulators.elevenlabs.config import Behaviour, EmulatorConfig, Faults
from shortwire.emulators.elevenlabs.conversation import Conversation, Text
from shortwire.emulators.elevenlabs.ledger import ConversationRecord
from shortwire.emulators.elevenlabs.turns import Close
from shortwire.emulators.scenario import AgentScript, Reply
from shortwire.emulators.speech import speak

MS = 1_000_000
LONG = "We are open from nine in the morning until ten at night, every day of the week."
SCRIPT = AgentScript(
    first_message="Hello.",
    replies=(Reply(LONG, (400, 400)), Reply("Yes.", (300, 300)), Reply("Goodbye.", (300, 300), end_call=True)),
    transcripts=("What are your opening hours?", "No, thank you.", "Goodbye."),
)
QUESTION = "What are your opening hours?"
LIVE = ("audio", "interruption", "user_transcript", "agent_response", "agent_response_correction")


class Wire:
    """``agent``: a change of the agent's conversation_config. Everything else goes into the EmulatorConfig."""

    def __init__(
        self,
        *,
        listed: tuple[str, ...] = (),
        agent: dict | None = None,
        faults: Faults | None = None,
        start: bool = True,
        client_data: dict | None = None,
        **settings,
    ) -> None:
        settings.setdefault("script", SCRIPT)
        settings.setdefault("behaviour", Behaviour(greeting_think_ms=(100, 100)))
        settings.setdefault("seed", 1)
        config = EmulatorConfig(client_events=(*LIVE, "agent_tool_response", *listed), **settings)
        book = AgentBook(config)
        if agent is not None:
            book.patch("agent_demo", {"conversation_config": agent})
        self.record = ConversationRecord("conv_1", "agent_demo", "public", 0, 0)
        self.conversation = Conversation(
            book.get("agent_demo"),
            config.script,
            config.behaviour,
            faults or Faults(),
            self.record,
            speak=speak,
            seed=config.seed,
        )
        self.now = 0
        self.log: list[tuple[int, object]] = []
        self.conversation.opened(0)
        self.take()
        if start:
            self.send({"type": "conversation_initiation_client_data", **(client_data or {})})

    def take(self) -> None:
        self.log += [(self.now // MS, output) for output in self.conversation.take()]

    def send(self, message: dict) -> None:
        self.conversation.received(json.dumps(message), self.now)
        self.take()

    def wait(self, ms: int) -> None:
        end = self.now + ms * MS
        while (due := self.conversation.next_deadline()) is not None and due <= end:
            self.now = max(self.now, due)
            self.conversation.handle_timer(self.now)
            self.take()
        self.now = end

    def hear(self, sound: str | int) -> None:
        """A text of the party's, or so many ms of silence, in real time."""
        ulaw = speak(sound, "party") if isinstance(sound, str) else b"\xff" * 8 * sound
        for at in range(0, len(ulaw), 160):
            self.wait(20)
            self.send({"user_audio_chunk": base64.b64encode(ulaw[at : at + 160]).decode()})

    def messages(self) -> list[dict]:
        return [json.loads(output) for _, output in self.log if isinstance(output, Text)]

    def of(self, kind: str) -> list[dict]:
        """Payloads of one type."""
        found = [message for message in self.messages() if message["type"] == kind]
        return [next(iter(message.values())) for message in found]

    def story(self, *without: str) -> list[str]:
        """Types in order; closes as code and reason; repetitions once."""
        told: list[str] = []
        for _, output in self.log:
            if isinstance(output, Text):
                word = json.loads(output)["type"]
            elif isinstance(output, Close):
                word = f"{output.code} {output.reason}".strip()
            else:
                word = type(output).__name__
            if word not in without and told[-1:] != [word]:
                told.append(word)
        return told

    def at(self, kind: str) -> list[int]:
        """Milliseconds at which messages of this type came."""
        return [at_ms for at_ms, output in self.log if isinstance(output, Text) and json.loads(output)["type"] == kind]
