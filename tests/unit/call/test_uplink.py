"""Party audio to the agent: in order, bounded, and the same by either way of reading it."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from call_script import SID, Halver, Wire, media, metadata, phone_says, start
from hypothesis import given, settings
from hypothesis import strategies as st

from shortwire.call import side
from shortwire.call.session import CallSession, SessionOptions
from shortwire.call.side import SideLog
from shortwire.call.uplink import Uplink

CORPUS = Path(__file__).parents[2] / "fixtures" / "corpus" / "twilio-stream.jsonl"


def frame(number: int) -> bytes:
    return number.to_bytes(4, "big") * 40


def uplink(log: SideLog | None = None, *, plain: bool = False, early: int = 10) -> Uplink:
    up = Uplink(log if log is not None else [], plain=plain, early_frames=early)
    up.begin(SID)
    return up


both = pytest.mark.parametrize("plain", [False, True], ids=["spliced", "plain"])


@both
def test_a_frame_is_relayed_as_it_came(plain: bool) -> None:
    log: SideLog = []
    wire, up = Wire(), uplink(log, plain=plain)
    up.agent_ready(wire.send, None)
    assert up.message(media(frame(1)), 7) is True
    payload = base64.b64encode(frame(1))
    assert wire.messages == [{"user_audio_chunk": payload.decode()}]
    assert log == [(7, side.UPLINK, payload)]
    assert (up.frames, up.relayed, up.slow, up.last_frame_ns) == (1, 1, 0, 7)


@both
def test_what_is_no_media_is_left_to_the_typed_parse(plain: bool) -> None:
    up = uplink(plain=plain)
    for message in (start(), media(frame(1), sid="MZother"), media(frame(1), track="outbound"), media(b""), b"", b"[]"):
        assert up.message(message, 1) is None
    assert up.frames == 0


@both
@given(count=st.integers(0, 60), room=st.integers(0, 20))
@settings(deadline=None)
def test_early_frames_are_kept_newest_first_out_in_order(plain: bool, count: int, room: int) -> None:
    wire, up = Wire(), uplink(plain=plain, early=room)
    for n in range(count):
        assert up.message(media(frame(n), n), n) is False
    kept = min(count, room)
    assert (up.early_frames, up.early_dropped) == (kept, count - kept)
    up.agent_ready(wire.send, None)
    assert wire.decoded == b"".join(frame(n) for n in range(count - kept, count))
    assert up.message(media(frame(99), 99), 99) is True
    assert wire.decoded.endswith(frame(99))
    assert (up.relayed, up.early_frames) == (kept + 1, 0)


@both
@pytest.mark.parametrize("converted", [False, True])
def test_frames_that_come_while_the_socket_takes_none_are_dropped_and_counted(plain: bool, converted: bool) -> None:
    log: SideLog = []
    wire, up = Wire(), uplink(log, plain=plain)
    up.agent_ready(wire.send, Halver() if converted else None)
    script = [(1, False), (2, True), (3, True), (4, False), (5, False)]
    for n, paused in script:
        up.pause(paused)
        assert up.message(media(doubled_if(converted, frame(n)), n), n) is not paused
    assert wire.decoded == frame(1) + frame(4) + frame(5)
    assert (up.relayed, up.paused_dropped, up.frames) == (3, 2, 5)
    assert [kind for _, kind, _ in log] == [side.UPLINK, *[side.UPLINK_KEPT] * 2, side.UPLINK, side.UPLINK]


@both
def test_a_socket_that_was_full_before_the_agent_was_ready_still_is(plain: bool) -> None:
    wire, up = Wire(), uplink(plain=plain)
    up.pause(True)
    up.agent_ready(wire.send, None)
    assert up.message(media(frame(1)), 1) is False
    up.pause(False)
    assert up.message(media(frame(2)), 2) is True
    assert (wire.decoded, up.paused_dropped) == (frame(2), 1)


def doubled_if(converted: bool, ulaw: bytes) -> bytes:
    return bytes(byte for byte in ulaw for _ in (0, 1)) if converted else ulaw


@both
def test_a_converter_keeps_its_state_from_the_first_early_frame_on(plain: bool) -> None:
    wire, up = Wire(), uplink(plain=plain)
    said = bytes(range(1, 100))
    cuts = [said[:7], said[7:8], said[8:31], said[31:]]
    up.message(media(cuts[0]), 1)
    up.message(media(cuts[1]), 2)
    up.agent_ready(wire.send, Halver())
    up.message(media(cuts[2]), 3)
    up.message(media(cuts[3]), 4)
    assert wire.decoded == said[: len(said) // 2 * 2 : 2]
    assert up.relayed == 4


@both
def test_stop_is_final(plain: bool) -> None:
    wire, up = Wire(), uplink(plain=plain)
    up.agent_ready(wire.send, None)
    up.stop()
    assert up.message(media(frame(1)), 1) is False
    up.pause(False)
    up.agent_ready(wire.send, None)
    assert up.message(media(frame(2)), 2) is False
    assert (wire.raw, up.after_end, up.early_frames) == ([], 2, 0)


@pytest.mark.parametrize("text", ["", "AA AA", "AA-_", "é", "\ud800", 'A"', "A\\", "\x00"])
def test_a_payload_that_is_no_base64_is_refused(text: str) -> None:
    wire, up = Wire(), uplink()
    up.agent_ready(wire.send, None)
    assert up.slow_media(text, 1) is False
    assert (wire.raw, up.unusable, up.slow, up.frames) == ([], 1, 1, 0)


def test_a_payload_that_cannot_be_decoded_is_not_converted() -> None:
    wire, up = Wire(), uplink()
    up.agent_ready(wire.send, Halver())
    assert up.message(phone_says(media_of("AAA")), 1) is False
    assert (wire.raw, up.unusable) == ([], 1)


def media_of(payload: str, **more: str) -> dict[str, object]:
    body = {"track": "inbound", "chunk": "1", "timestamp": "20", "payload": payload, **more}
    return {"event": "media", "sequenceNumber": "2", "media": body, "streamSid": SID}


# The whole session, spliced and plain


def relayed(messages: list[bytes], *, splice: bool, sid: str = SID) -> tuple[Wire, CallSession]:
    phone, agent = Wire(), Wire()
    session = CallSession(SessionOptions(b"{}", lambda _up, _down: (None, None), splice=splice))
    session.phone_opened(phone.send, 1)
    session.agent_opened(agent.send, 2)
    session.agent_message(metadata(), 3)
    session.phone_message(start(sid), 4)
    agent.raw.clear()
    for n, message in enumerate(messages, start=5):
        session.phone_message(message, n)
    return agent, session


def captured() -> list[tuple[str, bytes]]:
    rows = [json.loads(line) for line in CORPUS.read_text(encoding="utf-8").splitlines()]
    parsed = [(row["kind"], row["raw"], json.loads(row["raw"])) for row in rows]
    return [(p["streamSid"], r.encode()) for kind, r, p in parsed if kind == "capture" and p["event"] == "media"]


def test_no_captured_frame_takes_the_slow_path() -> None:
    frames = captured()
    assert len(frames) >= 5
    for sid, message in frames:
        agent, session = relayed([message], splice=True, sid=sid)
        assert (session.uplink.frames, session.uplink.slow, session.malformed) == (1, 0, 0)
        assert agent.audio == [json.loads(message)["media"]["payload"].encode()]


respellings = st.sampled_from(
    [
        lambda d: json.dumps(d, separators=(",", ":")),
        json.dumps,
        lambda d: json.dumps(d, indent=1),
        lambda d: json.dumps(dict(reversed(d.items()))),
        lambda d: json.dumps(d, separators=(",", ":")).replace("/", r"\/"),
        lambda d: json.dumps(d, separators=(",", ":")).replace("A", r"\u0041"),
        lambda d: json.dumps({**d, "new": {"payload": "AAAA"}}, separators=(",", ":")),
    ]
)
frames = st.builds(
    lambda audio, spell, more: spell({**media_of(base64.b64encode(audio).decode()), **more}).encode(),
    st.binary(max_size=170),
    respellings,
    st.sampled_from([{}, {}, {}, {"streamSid": "MZother"}, {"event": "heartbeat"}]),
)


@given(st.lists(frames, max_size=8))
@settings(deadline=None, max_examples=300)
def test_both_ways_relay_the_same_audio(messages: list[bytes]) -> None:
    spliced, one = relayed(messages, splice=True)
    plain, other = relayed(messages, splice=False)
    assert spliced.audio == plain.audio
    assert (one.uplink.frames, one.malformed, one.uplink.unusable) == (
        other.uplink.frames,
        other.malformed,
        other.uplink.unusable,
    )
    wanted = [json.loads(m) for m in messages]
    assert spliced.audio == [
        m["media"]["payload"].encode()
        for m in wanted
        if m["event"] == "media" and m["streamSid"] == SID and m["media"]["payload"]
    ]
