"""What a message leaves to be done is done at once; what it only leaves to be told waits for the clock."""

from __future__ import annotations

import json

from shortwire.call.session import CallSession, SessionOptions
from shortwire.call.side import BARGE_IN, FROM_PHONE, NOTE
from shortwire.clock import SystemClock
from shortwire.switchboard.legs import AgentLeg, PhoneLeg

SID = "MZ" + "1" * 32


class Pump:
    def __init__(self, session: CallSession) -> None:
        self.session = session
        self.asked: list[str] = []

    def pump(self) -> None:
        self.asked.append("now")
        self.session.facts.clear()
        self.session.wishes.clear()
        self.session.pressing = False

    def pump_soon(self) -> None:
        self.asked.append("soon")

    def leg_closed(self) -> None:
        self.asked.append("closed")


class Socket:
    def send(self, message: bytes) -> None: ...

    def close(self, code: int, reason: str) -> None: ...


def legs(*, taped: bool = True) -> tuple[CallSession, PhoneLeg, AgentLeg, Pump]:
    session = CallSession(SessionOptions(b"{}", lambda _up, _down: (None, None), taped=taped))
    pump, clock = Pump(session), SystemClock()
    return session, PhoneLeg(session, clock, pump), AgentLeg(session, clock, pump), pump


def message(**fields: object) -> bytes:
    return json.dumps(fields).encode()


def joined(session: CallSession, phone: PhoneLeg, agent: AgentLeg) -> None:
    phone.opened(Socket())
    phone.message(message(event="start", start={"streamSid": SID, "callSid": "CA1"}), 10)
    agent.opened(Socket())
    event = {
        "conversation_id": "c",
        "agent_output_audio_format": "ulaw_8000",
        "user_input_audio_format": "ulaw_8000",
    }
    agent.message(
        message(conversation_initiation_metadata_event=event, type="conversation_initiation_metadata"),
        20,
    )


def test_what_has_to_be_done_is_done_at_once() -> None:
    session, phone, agent, pump = legs()
    joined(session, phone, agent)
    # Opened (the agent is wished for), started, ready.
    assert pump.asked == ["now", "now", "now"]
    phone.message(message(event="stop", streamSid=SID), 30)
    assert pump.asked[3:] == ["now"]


def test_what_only_wants_to_be_told_waits() -> None:
    session, phone, agent, pump = legs()
    joined(session, phone, agent)
    pump.asked.clear()
    phone.message(message(event="dtmf", streamSid=SID, dtmf={"digit": "5"}), 30)
    agent.message(message(agent_response_event={"agent_response": "Yes."}, type="agent_response"), 40)
    assert pump.asked == ["soon", "soon"]
    assert [fact.kind for fact in session.facts] == ["dtmf", "agent.said"]


def test_a_barge_in_is_told_with_the_instant_its_clear_was_written() -> None:
    session, phone, agent, pump = legs()
    joined(session, phone, agent)
    pump.asked.clear()
    assert agent.message(message(interruption_event={"event_id": 3}, type="interruption"), 50)
    agent.relayed(50, 70)
    assert pump.asked == ["soon"]
    assert [(fact.kind, fact.now_ns) for fact in session.facts] == [("barge_in", 70)]
    assert session.side[-1][:2] == (70, BARGE_IN)


def test_without_a_tape_only_what_is_measured_is_noted() -> None:
    session, phone, agent, _ = legs()
    joined(session, phone, agent)
    assert {kind for _, kind, _ in session.side} > {FROM_PHONE, NOTE}
    session, phone, agent, _ = legs(taped=False)
    joined(session, phone, agent)
    assert session.side == []


def test_who_is_waited_for_is_asked_by_the_clock() -> None:
    session, phone, agent, pump = legs()
    assert session.waits  # nobody is there yet
    joined(session, phone, agent)
    assert not session.waits
    pump.asked.clear()
    for leg in (phone, agent):
        leg.paused(True)
        assert session.waits
        leg.paused(False)
        assert not session.waits
    assert pump.asked == ["soon"] * 4  # each time the clock has to know
