"""One call's session: what each message means, and that every ending is one ending."""

from __future__ import annotations

from typing import Any

import pytest
from call_script import SID, agent_audio, agent_says, doubled, media, metadata, phone_says, start
from session_rig import CLIENT_DATA, FRAME, Rig

from shortwire.call import side
from shortwire.call.session import Fact, Wish
from shortwire.records import EventKind
from shortwire.terms import HangupCause as C

# The phone leg


def test_a_call_is_joined() -> None:
    rig = Rig().opened()
    assert rig.session.wishes == [Wish.OPEN_AGENT]
    rig.session.agent_opened(rig.agent.send, rig.after(1))
    assert rig.agent.raw == [CLIENT_DATA]
    rig.says(phone_says({"event": "connected", "protocol": "Call", "version": "1.0.0"}))
    rig.says(start())
    fact = rig.session.facts[-1]
    assert (fact.kind, fact.now_ns) == (Fact.STARTED, rig.now_ns)
    assert fact.data == {"stream_sid": SID, "call_sid": "CA1", "account_sid": "AC1"}
    rig.hears(metadata())
    ready = rig.session.facts[-1]
    assert ready.kind == EventKind.AGENT_READY
    assert ready.data["conversation_id"] == "conv_1"
    assert ready.data["converted"] is False
    assert rig.says(media(FRAME)) is True
    assert rig.hears(agent_audio(bytes(8_000), 1)) is True
    assert (rig.agent.decoded, rig.phone.decoded) == (FRAME, bytes(8_000))
    assert rig.session.malformed == rig.session.uplink.slow == rig.session.downlink.slow == 0


def test_without_prewarming_the_agent_waits_for_the_start() -> None:
    rig = Rig(open_agent_early=False).opened()
    assert rig.session.wishes == []
    rig.says(start())
    assert rig.session.wishes == [Wish.OPEN_AGENT]


def test_frames_before_the_agent_are_kept() -> None:
    rig = Rig().started()
    for _ in range(3):
        assert rig.says(media(FRAME)) is False
    rig.session.agent_opened(rig.agent.send, rig.after(1))
    assert rig.agent.audio == []
    rig.hears(metadata())
    assert rig.agent.decoded == FRAME * 3


def test_media_before_the_start_is_counted_and_survived() -> None:
    rig = Rig().opened()
    for _ in range(100):
        assert rig.says(media(FRAME)) is False
    assert rig.session.malformed == 100
    rig.says(start())
    assert rig.session.cause is None
    assert rig.says(b"garbage") is False
    assert rig.session.cause is None


def test_the_first_start_counts() -> None:
    rig = Rig().joined()
    rig.says(start("MZsecond", "CA2"))
    assert rig.facts.count(Fact.STARTED) == 1
    assert rig.session.malformed == 1
    assert rig.says(media(FRAME)) is True


@pytest.mark.parametrize("sid", ["MZother", "MZ5174584e1127285e2b015e720b3d9e69"])
def test_messages_of_another_stream_change_nothing(sid: str) -> None:
    rig = Rig().joined()
    rig.hears(agent_audio(bytes(800), 1))
    for message in (
        media(FRAME, sid=sid),
        phone_says({"event": "mark", "sequenceNumber": "3", "streamSid": sid, "mark": {"name": "0.1"}}),
        phone_says({"event": "stop", "sequenceNumber": "3", "streamSid": sid, "stop": {}}),
        phone_says({"event": "dtmf", "streamSid": sid, "dtmf": {"track": "inbound_track", "digit": "1"}}),
    ):
        assert rig.says(message) is False
    assert rig.session.malformed == 4
    assert (rig.session.cause, rig.agent.audio, rig.session.downlink.playout.confirmed_ms) == (None, [], 0)
    assert EventKind.DTMF not in rig.facts


def test_another_track_is_not_the_party() -> None:
    rig = Rig().joined()
    assert rig.says(media(FRAME, track="outbound")) is False
    assert (rig.agent.audio, rig.session.malformed) == ([], 1)


@pytest.mark.parametrize("more", [{"customParameters": ...}, {"customParameters": None}, {"mediaFormat": ...}])
def test_a_start_may_lack_what_we_do_not_need(more: dict[str, Any]) -> None:
    rig = Rig().opened()
    rig.says(start(**more))
    assert rig.facts == [Fact.STARTED]


@pytest.mark.parametrize(
    "form",
    [
        {"encoding": "audio/x-mulaw", "sampleRate": 16000, "channels": 1},
        {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 2},
        {"encoding": "audio/l16", "sampleRate": 8000, "channels": 1},
    ],
)
def test_a_format_that_is_no_telephones_ends_the_call_with_words(form: dict[str, Any]) -> None:
    rig = Rig().opened()
    rig.says(start(mediaFormat=form))
    assert rig.ended == (C.MEDIA_PROTOCOL, True)
    assert str(form["sampleRate"]) in rig.session.cause_detail
    assert Fact.STARTED not in rig.facts


@pytest.mark.parametrize("sid", ["", 'MZ"}', "MZ 1", "x" * 65, "MZ\\u0022", "é"])
def test_a_stream_id_that_could_break_out_is_refused(sid: str) -> None:
    rig = Rig().opened()
    rig.says(start(sid))
    assert rig.ended == (C.MEDIA_PROTOCOL, True)
    assert rig.phone.raw == []


def test_keys_are_told() -> None:
    rig = Rig().joined()
    rig.says(phone_says({"event": "dtmf", "streamSid": SID, "dtmf": {"track": "inbound_track", "digit": "#"}}))
    assert rig.session.facts[-1].data == {"digit": "#"}


def test_stop_is_the_party_hanging_up() -> None:
    rig = Rig().joined()
    rig.says(phone_says({"event": "stop", "sequenceNumber": "9", "streamSid": SID, "stop": {"callSid": "CA1"}}))
    assert rig.ended == (C.PARTY_HANGUP, True)
    assert Wish.CLOSE_AGENT in rig.session.wishes
    rig.session.phone_closed(1005, "", rig.after(1))
    assert rig.session.cause is C.PARTY_HANGUP


def test_a_stream_that_ends_without_a_stop_is_lost() -> None:
    rig = Rig().joined()
    rig.session.phone_closed(1006, "", rig.after(1))
    assert rig.ended == (C.MEDIA_LOST, True)
    assert "1006" in rig.session.cause_detail


# What follows no page


@pytest.mark.parametrize(
    ("leg", "cause"), [("phone", C.MEDIA_PROTOCOL), ("agent", C.AGENT_ERROR)], ids=["phone", "agent"]
)
@pytest.mark.parametrize("what", ["text", "binary"])
def test_a_broken_side_ends_the_call_and_is_named(leg: str, cause: C, what: str) -> None:
    rig = Rig().joined()
    binary = {"phone": rig.session.phone_binary, "agent": rig.session.agent_binary}[leg]
    text = {"phone": rig.session.phone_message, "agent": rig.session.agent_message}[leg]
    for n in range(21):
        assert rig.session.cause is None, n
        if what == "binary":
            binary(rig.after(1))
        else:
            text(b'{"event":"mark"}' if leg == "phone" else b'{"type":"ping"}', rig.after(1))
    assert rig.ended == (cause, True)
    assert rig.session.malformed == 21
    assert "21 messages" in rig.session.cause_detail
    assert rig.facts.count(EventKind.WARNING) == 1


def test_twenty_of_each_side_are_survived() -> None:
    rig = Rig().joined()
    for _ in range(20):
        rig.session.phone_binary(rig.after(1))
        rig.session.agent_binary(rig.after(1))
    assert rig.session.cause is None
    assert rig.facts.count(EventKind.WARNING) == 2


def test_a_side_that_is_newer_than_the_pages_may_say_so_all_day() -> None:
    rig = Rig().joined()
    for _ in range(100):
        rig.hears(b'{"agent_tool_response":{"new":"shape"},"type":"agent_tool_response"}')
        rig.run(1_000)
    assert rig.session.cause is None
    assert rig.session.malformed == 100


@pytest.mark.parametrize("message", [b"[" * 100_000, b'{"event":"x","a":' + b"[" * 100_000, b"\xff", b"", b"\x00" * 9])
def test_nothing_that_is_sent_raises(message: bytes) -> None:
    for splice in (True, False):
        rig = Rig(splice=splice).joined()
        assert rig.says(message) is False
        assert rig.hears(message) is False
        assert rig.session.cause is None


# The agent leg


def test_metadata_counts_once() -> None:
    rig = Rig().joined()
    rig.hears(metadata("half", "half", "conv_2"))
    assert rig.facts.count(EventKind.AGENT_READY) == 1
    rig.hears(agent_audio(b"\1" * 480, 1))
    assert rig.phone.decoded == b"\1" * 480


def test_a_format_that_cannot_be_used_ends_the_call_with_its_name() -> None:
    rig = Rig().started()
    rig.session.agent_opened(rig.agent.send, rig.after(1))
    rig.hears(metadata(output="weird"))
    assert rig.ended == (C.AGENT_FORMAT_UNUSABLE, True)
    assert "weird" in rig.session.cause_detail
    assert Wish.CLOSE_AGENT in rig.session.wishes


def test_other_formats_are_converted_both_ways() -> None:
    rig = Rig().started()
    rig.says(media(doubled(b"\1\2")))
    rig.session.agent_opened(rig.agent.send, rig.after(1))
    rig.hears(metadata("half", "half"))
    rig.hears(agent_audio(doubled(b"\3\4"), 1))
    assert (rig.agent.decoded, rig.phone.decoded) == (b"\1\2", b"\3\4")
    ready = next(fact for fact in rig.session.facts if fact.kind == EventKind.AGENT_READY)
    assert ready.data["converted"] is True


@pytest.mark.parametrize("event_id", [0, 1, 2, 10**9])
def test_every_ping_is_answered_with_its_id(event_id: int) -> None:
    rig = Rig().joined()
    rig.hears(agent_says("ping", ping_event={"event_id": event_id, "ping_ms": None}))
    assert rig.agent.messages[-1] == {"type": "pong", "event_id": event_id}


def test_a_client_tool_nobody_serves_is_refused_at_once() -> None:
    rig = Rig().joined()
    rig.hears(
        agent_says("client_tool_call", client_tool_call={"tool_name": "t", "tool_call_id": "x", "parameters": {}})
    )
    answer = rig.agent.messages[-1]
    assert (answer["type"], answer["tool_call_id"], answer["is_error"]) == ("client_tool_result", "x", True)
    assert rig.facts[-1] == EventKind.WARNING


def test_words_are_told_and_logged() -> None:
    rig = Rig().joined()
    rig.hears(agent_says("user_transcript", user_transcription_event={"user_transcript": "Hm?", "event_id": 1}))
    rig.hears(agent_says("agent_response", agent_response_event={"agent_response": "Yes.", "event_id": 1}))
    event = {"original_agent_response": "Yes.", "corrected_agent_response": "Y", "event_id": 2}
    rig.hears(agent_says("agent_response_correction", agent_response_correction_event=event))
    told = [(f.kind, f.data["text"]) for f in rig.session.facts if "text" in f.data]
    assert told == [(EventKind.PARTY_SAID, "Hm?"), (EventKind.AGENT_SAID, "Yes."), (EventKind.AGENT_CORRECTED, "Y")]
    assert [value for _, kind, value in rig.session.side if kind == side.WORDS] == told


def test_barge_in_is_told_when_the_clear_is_written() -> None:
    rig = Rig().joined()
    rig.hears(agent_audio(bytes(16_000), 1))
    rig.after(500)
    assert rig.hears(agent_says("interruption", interruption_event={"event_id": 2})) is True
    assert rig.phone.events()[-1] == "clear"
    told = rig.session.facts[-1]
    assert (told.kind, told.data) == (EventKind.BARGE_IN, {"unheard_ms": 1_499, "clear_us": 50})
    assert rig.hears(agent_audio(bytes(160), 1)) is False
    assert rig.hears(agent_audio(bytes(160), 2)) is True


def test_an_interruption_before_the_phone_clears_nothing() -> None:
    rig = Rig().opened()
    rig.session.agent_opened(rig.agent.send, rig.after(1))
    rig.hears(metadata())
    assert rig.hears(agent_says("interruption", interruption_event={"event_id": 2})) is False
    assert EventKind.BARGE_IN not in rig.facts
    assert rig.phone.raw == []


def test_a_prewarmed_greeting_waits_for_the_phone() -> None:
    rig = Rig()
    rig.session.agent_opened(rig.agent.send, rig.after(1))
    rig.hears(metadata())
    assert rig.hears(agent_audio(bytes(8_000), 1)) is False
    rig.started()
    assert rig.phone.events() == ["media", "mark", "media", "mark"]
    assert rig.phone.decoded == bytes(8_000)


# How the agent closes

CLOSES = [
    (1000, "", C.AGENT_ERROR, C.AGENT_ENDED),
    (1000, "max_duration_exceeded", C.DEADLINE, C.DEADLINE),
    (1002, "This request exceeds your quota limit.", C.AGENT_QUOTA, C.AGENT_QUOTA),
    (1002, "llm_timeout", C.AGENT_ERROR, C.AGENT_ERROR),
    (1006, "", C.AGENT_LOST, C.AGENT_LOST),
    (1008, "Override for field 'voice_id' is not allowed by config", C.AGENT_OVERRIDE_DENIED, C.AGENT_OVERRIDE_DENIED),
    (1008, "Missing required dynamic variables in tools: {'x'}", C.AGENT_VARIABLE_MISSING, C.AGENT_VARIABLE_MISSING),
    (1011, "", C.AGENT_ERROR, C.AGENT_ERROR),
    (3000, "Could not authorize the conversation.", C.AGENT_UNAUTHORIZED, C.AGENT_UNAUTHORIZED),
    (3000, "The AI agent you are trying to reach does not exist.", C.AGENT_NOT_FOUND, C.AGENT_NOT_FOUND),
    (3008, "", C.AGENT_BUSY, C.AGENT_BUSY),
    (4300, "", C.AGENT_BUSY, C.AGENT_BUSY),
    (4999, "?", C.AGENT_LOST, C.AGENT_LOST),
]


@pytest.mark.parametrize(("code", "reason", "before", "after"), CLOSES)
def test_the_agent_closes(code: int, reason: str, before: C, after: C) -> None:
    for ready, cause in ((False, before), (True, after)):
        rig = Rig().started()
        rig.session.agent_opened(rig.agent.send, rig.after(1))
        if ready:
            rig.hears(metadata())
        rig.session.agent_closed(code, reason, rig.after(1))
        assert rig.ended == (cause, True)
        assert Wish.CLOSE_AGENT not in rig.session.wishes
        if cause is not C.AGENT_ENDED:
            assert str(code) in rig.session.cause_detail
            assert reason in rig.session.cause_detail


def test_a_close_of_ours_is_not_laid_at_the_agent() -> None:
    rig = Rig().joined()
    rig.session.agent_closed(1007, "text that is not UTF-8", rig.after(1), ours=True)
    assert rig.session.cause is C.AGENT_LOST
    assert rig.session.cause_detail == "we closed the agent's socket: text that is not UTF-8 (1007)"


def test_what_the_agent_said_went_wrong_is_kept_for_the_cause() -> None:
    rig = Rig().joined()
    rig.hears(b'{"type":"error","message":"received 1002 (protocol error) This request exceeds your quota limit."}')
    assert rig.session.cause is None
    rig.session.agent_closed(1002, "", rig.after(1))
    assert rig.session.cause is C.AGENT_QUOTA
    assert "exceeds your quota" in rig.session.cause_detail


def test_the_agent_cannot_be_reached() -> None:
    rig = Rig().started()
    rig.session.finish(C.AGENT_UNREACHABLE, rig.after(1), "connection refused")
    assert rig.ended == (C.AGENT_UNREACHABLE, True)
    assert rig.session.cause_detail == "connection refused"


def test_an_agent_that_gets_ready_after_the_end_is_not_told_of() -> None:
    rig = Rig().started()
    rig.session.agent_opened(rig.agent.send, rig.after(1))
    rig.session.finish(C.API_HANGUP, rig.after(1))
    rig.hears(metadata())
    assert EventKind.AGENT_READY not in rig.facts
    rig.says(media(FRAME))
    assert rig.agent.audio == []


def test_opening_after_the_end_opens_nothing() -> None:
    rig = Rig().opened()
    rig.session.finish(C.API_HANGUP, rig.after(1))
    rig.session.agent_opened(rig.agent.send, rig.after(1))
    assert Wish.CLOSE_AGENT in rig.session.wishes
    rig.says(start())
    rig.hears(metadata())
    rig.says(media(FRAME))
    rig.hears(agent_audio(bytes(800), 1))
    assert (rig.agent.raw, rig.phone.raw, rig.facts) == ([], [], [])
    late = Rig()
    late.session.finish(C.API_HANGUP, late.now_ns)
    late.started()
    assert late.session.wishes == [Wish.HANG_UP]
