"""The wire around the brain, in virtual time: start, pings, filter, refusals, limits, faults."""

from __future__ import annotations

import base64
import json

import pytest

from shortwire.emulators.elevenlabs.agents import AgentBook
from shortwire.emulators.elevenlabs.config import Behaviour, EmulatorConfig, Faults
from shortwire.emulators.elevenlabs.conversation import Conversation, Text
from shortwire.emulators.elevenlabs.ledger import ConversationRecord
from shortwire.emulators.elevenlabs.turns import Close, Drop
from shortwire.emulators.scenario import AgentScript, Reply
from shortwire.emulators.speech import speak

MS = 1_000_000
SCRIPT = AgentScript(first_message="Hello.", replies=(Reply("Yes.", (100, 100)),), transcripts=("Hello.",))
CLIENT_DATA = json.dumps({"type": "conversation_initiation_client_data"})


class Wire:
    """A socket and its conversation on one clock that starts at 0."""

    def __init__(self, *, behaviour: Behaviour | None = None, faults: Faults | None = None, **settings) -> None:
        behaviour = behaviour or Behaviour(greeting_think_ms=(100, 100))
        config = EmulatorConfig(script=SCRIPT, behaviour=behaviour, **settings)
        agent = AgentBook(config).get("agent_demo")
        self.record = ConversationRecord("conv_1", "agent_demo", "public", 0, 0)
        self.conversation = Conversation(
            agent, config.script, behaviour, faults or Faults(), self.record, speak=speak, seed=1
        )
        self.now = 0
        self.log: list[tuple[int, object]] = []
        self.conversation.opened(0)
        self.take()

    def take(self) -> None:
        self.log += [(self.now // MS, output) for output in self.conversation.take()]

    def send(self, text: str) -> None:
        self.conversation.received(text, self.now)
        self.take()

    def wait(self, ms: int) -> None:
        end = self.now + ms * MS
        while (due := self.conversation.next_deadline()) is not None and due <= end:
            self.now = max(self.now, due)
            self.conversation.handle_timer(self.now)
            self.take()
        self.now = end

    def hear(self, ulaw: bytes) -> None:
        for at in range(0, len(ulaw), 160):
            self.wait(20)
            self.send(json.dumps({"user_audio_chunk": base64.b64encode(ulaw[at : at + 160]).decode()}))

    def story(self) -> list[tuple[int, str]]:
        """(ms, type) of messages; closes as code and reason."""
        told = []
        for at_ms, output in self.log:
            if isinstance(output, Text):
                told.append((at_ms, json.loads(output)["type"]))
            elif isinstance(output, Close):
                told.append((at_ms, f"{output.code} {output.reason}".strip()))
            else:
                told.append((at_ms, "drop"))
        return told


def test_metadata_first_then_the_greeting_after_the_client_data():
    wire = Wire()
    wire.wait(50)
    wire.send(CLIENT_DATA)
    wire.wait(500)
    assert wire.story() == [(0, "conversation_initiation_metadata"), (150, "audio"), (150, "agent_response")]
    event = json.loads(wire.log[0][1])["conversation_initiation_metadata_event"]
    assert event["agent_output_audio_format"] == event["user_input_audio_format"] == "ulaw_8000"


def test_without_client_data_it_starts_all_the_same_after_a_while():
    wire = Wire(behaviour=Behaviour(greeting_think_ms=(100, 100), client_data_wait_ms=200))
    wire.wait(1000)
    assert wire.story()[1] == (300, "audio")
    wire.send(CLIENT_DATA)
    assert wire.record.notes == ["client data after the conversation had started without it: ignored"]


def test_or_waits_for_ever_when_told_so():
    wire = Wire(behaviour=Behaviour(require_client_data=True))
    wire.wait(1500)
    assert len(wire.log) == 1


def test_audio_before_the_start_is_heard_not_lost():
    wire = Wire(behaviour=Behaviour(require_client_data=True, greeting_think_ms=(100, 100)))
    wire.hear(speak("Hello.", "party"))
    wire.send(CLIENT_DATA)
    wire.hear(b"\xff" * 160 * 50)
    assert wire.record.audio_in.messages == wire.record.counts()["in"]["user_audio_chunk"]
    assert wire.conversation.mind.hearing.audio_ms == wire.record.audio_in.messages * 20
    assert wire.conversation.mind.hearing.utterance.began_ms == 0


def test_pings_every_1700_ms_from_number_2_with_the_measured_round_trip():
    wire = Wire()
    wire.send(CLIENT_DATA)
    for _ in range(60):
        wire.wait(100)
        for _, output in list(wire.log):
            message = json.loads(output)
            if message["type"] == "ping" and message["ping_event"]["event_id"] - 2 == wire.record.pings_answered:
                wire.send(json.dumps({"type": "pong", "event_id": message["ping_event"]["event_id"]}))
    pings = [(at, json.loads(o)["ping_event"]) for at, o in wire.log if json.loads(o)["type"] == "ping"]
    assert [at for at, _ in pings] == [1830, 3530, 5230]
    assert [ping["event_id"] for _, ping in pings] == [2, 3, 4]
    assert pings[0][1]["ping_ms"] is None
    assert pings[1][1]["ping_ms"] == 70  # asked at 1830, answered at 1900
    assert (wire.record.pings_sent, wire.record.pings_answered) == (3, 3)
    wire.send(json.dumps({"type": "pong", "event_id": 99}))
    assert wire.record.notes == ["a pong nobody waits for: 99"]


def test_missing_pongs_are_tolerated_or_not_as_told():
    patient = Wire()
    patient.send(CLIENT_DATA)
    patient.wait(30_000)
    assert patient.record.pings_sent == 17
    strict = Wire(behaviour=Behaviour(unanswered_pings=2))
    strict.send(CLIENT_DATA)
    strict.wait(30_000)
    assert strict.story()[-1] == (1830 + 2 * 1700, "1002")


def test_only_what_is_listed_in_client_events_is_sent():
    wire = Wire(client_events=("audio",))
    wire.send(CLIENT_DATA)
    wire.wait(2000)
    assert [kind for _, kind in wire.story()] == ["conversation_initiation_metadata", "audio", "ping"]


def test_without_interruption_among_the_events_the_agent_cannot_be_interrupted():
    wire = Wire(client_events=("audio", "agent_response"))
    wire.send(CLIENT_DATA)
    wire.wait(150)
    wire.hear(speak("No, thank you.", "party")[: 160 * 15])
    assert wire.record.turns[0].interrupted_ns is None


@pytest.mark.parametrize("text", ["not json", '{"type":"hello"}', '{"type":"pong"}', '{"user_audio_chunk":"*"}'])
def test_a_bad_message_ends_it(text):
    wire = Wire()
    wire.wait(20)
    wire.send(text)
    assert wire.story()[-1] == (20, "1008 Invalid message received")
    assert wire.record.notes[0].startswith("refused: ")
    wire.send(CLIENT_DATA)
    wire.wait(1000)
    assert len(wire.log) == 2
    assert wire.conversation.next_deadline() is None


def test_a_binary_message_ends_it():
    wire = Wire()
    wire.conversation.received_binary(160, 0)
    wire.take()
    assert wire.story()[-1] == (0, "1008 Invalid message received")


def test_a_refusal_comes_after_metadata_and_160_ms():
    wire = Wire()
    wire.send(json.dumps({**json.loads(CLIENT_DATA), "conversation_config_override": {"tts": {"voice_id": "x"}}}))
    wire.wait(1000)
    assert wire.story() == [
        (0, "conversation_initiation_metadata"),
        (160, "1008 Override for field 'voice_id' is not allowed by config."),
    ]


def test_a_client_that_says_nothing_for_a_minute_is_dropped():
    wire = Wire()
    wire.wait(100_000)
    assert wire.story()[-1] == (60_000, "1002 transport_receive_timeout")


def test_the_longest_conversation_ends_with_1000():
    wire = Wire(max_duration_s=5)
    wire.send(CLIENT_DATA)
    wire.wait(20_000)
    assert wire.story()[-1] == (5_000, "1000 max_duration_exceeded")


def test_a_text_only_agent_sends_no_audio():
    wire = Wire(allow_overrides=("conversation.text_only",))
    wire.send(
        json.dumps({**json.loads(CLIENT_DATA), "conversation_config_override": {"conversation": {"text_only": True}}})
    )
    wire.wait(300)
    wire.send(json.dumps({"type": "user_message", "text": "Hello?"}))
    wire.wait(300)
    assert [kind for _, kind in wire.story()[1:]] == ["agent_response", "agent_response"]


@pytest.mark.parametrize(
    ("faults", "last"),
    [
        (Faults(close_after_ms=(1011, "crash", 300)), (300, "1011 crash")),
        (Faults(drop_after_ms=300), (300, "drop")),
        (Faults(metadata_delay_ms=400), (400, "conversation_initiation_metadata")),
        (Faults(send_after_ms=('{"type":"surprise"}', 50)), (50, "surprise")),
        (Faults(think_extra_ms=300), (400, "agent_response")),
    ],
    ids=lambda value: None if isinstance(value, tuple) else str(value)[:40],
)
def test_faults_happen_when_asked(faults, last):
    wire = Wire(faults=faults)
    if not (faults.metadata_delay_ms or faults.send_after_ms):
        wire.send(CLIENT_DATA)
    wire.wait(450)
    assert wire.story()[-1] == last
    if last[1] == "drop":
        assert isinstance(wire.log[-1][1], Drop)


def test_pings_can_be_withheld():
    wire = Wire(faults=Faults(withhold_pings=True))
    wire.send(CLIENT_DATA)
    wire.wait(10_000)
    assert wire.record.pings_sent == 0


def test_the_record_tells_what_was_said_and_heard():
    wire = Wire()
    wire.send(CLIENT_DATA)
    wire.wait(800)
    wire.hear(speak("Hello.", "party") + b"\xff" * 160 * 40)
    for extra in (
        {"type": "contextual_update", "text": "a", "context_id": "c"},
        {"type": "feedback", "event_id": 1, "score": "like"},
    ):
        wire.send(json.dumps(extra))
    wire.send(json.dumps({"type": "client_tool_result", "tool_call_id": "t", "result": "", "is_error": False}))
    record = wire.record
    assert [turn.kind for turn in record.turns] == ["greeting", "voice"]
    assert record.turns[1].user_text == "Hello."
    assert record.context == {"c": "a"}
    assert record.feedback == {"1": "like"}
    assert record.notes == ["a tool result nobody waits for: t"]
    assert record.audio_in.bytes == record.audio_in.messages * 160
    assert json.loads(json.dumps(record.as_json()))["counts"]["out"]["audio"] == 2
    wire.conversation.closed(wire.now, 1000, "User ended conversation", "client")
    wire.conversation.closed(wire.now + 1, 1006, "", "connection")
    assert (record.close_code, record.closed_by) == (1000, "client")
