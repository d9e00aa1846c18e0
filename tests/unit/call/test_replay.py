"""A tape through this build's session: the same bytes, or the difference and where it begins."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from taped_call import STREAM, Play, b64, taped_call, ulaw

from shortwire.call import downlink
from shortwire.call.replay import replay, replay_options, sent_then
from shortwire.call.session import SessionOptions
from shortwire.call.tape import Kind, Tape, TapeHeader, from_side, read_tape
from shortwire.errors import UsageError
from shortwire.terms import HangupCause

TAPE = taped_call()


def test_the_same_build_sends_the_same_bytes() -> None:
    tape = read_tape(TAPE)
    assert tape.damage is None
    found = replay(tape)
    assert found.differences == ()
    assert found.same
    assert found.sent == len(sent_then(tape.records)) > 200
    assert found.cause is HangupCause.PARTY_HANGUP
    kinds = {(s.to, s.what) for s in sent_then(tape.records)}
    assert kinds == {("phone", "audio"), ("phone", "message"), ("agent", "audio"), ("agent", "message")}


def test_the_tape_holds_what_makes_a_call_interesting() -> None:
    kinds = {record.kind for record in read_tape(TAPE).records}
    assert {Kind.BARGE_IN, Kind.HEARD, Kind.DOWNLINK_DROPPED, Kind.UPLINK_KEPT, Kind.TICK, Kind.AGENT_AUDIO} <= kinds


def test_another_build_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downlink, "FIRST_MS", 120)
    found = replay(read_tape(TAPE))
    assert not found.same
    first = found.differences[0]
    assert first.then[0].to == "phone"
    assert first.then[0].what == first.now[0].what == "audio"
    assert len(first.now[0].data) == 2 * len(first.then[0].data)


def test_a_message_that_is_not_sent_any_more_is_named() -> None:
    tape = read_tape(TAPE)
    index = next(i for i, r in enumerate(tape.records) if r.kind is Kind.TO_AGENT and b"pong" in r.data)
    other = replace(tape.records[index], data=b'{"type":"pong","event_id":7}')
    records = (*tape.records[:index], other, *tape.records[index + 1 :])
    found = replay(Tape(tape.header, records))
    (difference,) = found.differences
    assert (difference.then[0].data, difference.now[0].data) == (other.data, tape.records[index].data)
    assert difference.at_ns == other.at_ns


def test_what_is_sound_of_a_damaged_tape_is_replayed() -> None:
    for cut in (len(TAPE) // 2, len(TAPE) * 3 // 4):
        tape = read_tape(TAPE[:cut])
        assert tape.damage
        assert replay(tape).same


def test_audio_that_was_held_for_the_phone_is_replayed_in_its_place() -> None:
    """It was neither written nor dropped when it came, so the tape holds it where it was read."""
    options = SessionOptions(client_data=b"{}", converters=lambda _up, _down: (None, None))
    play = Play(options)
    session = play.session
    play.note("agent_opened", lambda: session.agent_opened(lambda _m: None, play.now_ns))
    play.agent_audio(ulaw(300, 660), 1)
    play.note("phone_opened", lambda: session.phone_opened(lambda m: play.to_phone.append(json.loads(m)), play.now_ns))
    play.phone(
        {"event": "start", "sequenceNumber": "1", "start": {"streamSid": STREAM, "callSid": "CA1"}, "streamSid": STREAM}
    )
    header = TapeHeader("call_held", 0, 0.0, {"options": replay_options(options)})
    tape = Tape(header, tuple(from_side(play.log)))
    (read,) = [record for record in tape.records if record.kind is Kind.AGENT_AUDIO]
    assert read.value == {"event_id": 1, "payload": b64(ulaw(300, 660)).decode()}
    found = replay(tape)
    assert found.same
    assert [s.what for s in sent_then(tape.records) if s.to == "phone"] == ["audio", "message", "audio"]


@pytest.mark.parametrize("records", [(), (3,)])
def test_a_tape_without_what_the_session_was_told_is_refused(records: tuple[int, ...]) -> None:
    tape = read_tape(TAPE)
    with pytest.raises(UsageError, match="cannot be replayed"):
        replay(Tape(tape.header, tuple(r for r in tape.records if r.kind is Kind.UPLINK_AUDIO)[: len(records)]))
    with pytest.raises(UsageError):
        replay(Tape(None, ()))


def test_limits_of_another_version_are_no_obstacle() -> None:
    tape = read_tape(taped_call(options={"limits": {"marks": 256, "a_limit_of_the_future": 1}}))
    assert replay(tape).same
