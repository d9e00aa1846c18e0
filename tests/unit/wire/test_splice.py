"""The cuts against the typed parse and the standard library: whenever a cut answers, all three say the same.

The converse is no promise: a cut may leave any message to the typed parse, except those of the shape that live
messages have, which must never get there.
"""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from wire_corpus import AGENT, PHONE, SID, Row, agent_messages, mutations, phone_messages

from shortwire.wire import elevenlabs, twilio
from shortwire.wire.splice import BASE64, cut_agent_audio, phone_cut
from shortwire.wire.twilio import WireError

thorough = settings(max_examples=1200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
cut_phone = phone_cut(SID)

media_rows = [row for row in PHONE if row.parsed["event"] == "media"]
audio_rows = [row for row in AGENT if row.parsed["type"] == "audio"]


def live_shaped(row: Row) -> bool:
    """Captures, and fixtures that are written compactly in the order of the captures."""
    key = "media" if "event" in row.parsed else "audio_event"
    order = ["event", "sequenceNumber", "media", "streamSid"] if key == "media" else ["audio_event", "type"]
    return (
        list(row.parsed) == order
        and row.raw == json.dumps(row.parsed, separators=(",", ":"), ensure_ascii=False).encode()
    )


# The corpus


def test_the_corpus_holds_what_these_tests_are_about() -> None:
    assert sum(row.kind == "capture" for row in media_rows) >= 5
    assert sum(row.kind == "capture" for row in audio_rows) >= 20
    assert any(not live_shaped(row) for row in media_rows)
    assert any(not live_shaped(row) for row in audio_rows)


@pytest.mark.parametrize("row", media_rows, ids=repr)
def test_phone_media_of_the_corpus(row: Row) -> None:
    sid, media = row.parsed["streamSid"], row.parsed["media"]
    cut = phone_cut(sid)(row.raw)
    typed = twilio.decode(row.raw)
    assert isinstance(typed, twilio.Media)
    assert typed.media.payload == media["payload"]
    assert cut == (media["payload"].encode() if live_shaped(row) else None)
    if row.kind == "capture":
        assert cut is not None


@pytest.mark.parametrize("row", audio_rows, ids=repr)
def test_agent_audio_of_the_corpus(row: Row) -> None:
    event = row.parsed["audio_event"]
    cut = cut_agent_audio(row.raw)
    typed = elevenlabs.decode(row.raw)
    assert isinstance(typed, elevenlabs.Audio)
    assert (typed.audio_event.audio_base_64, typed.audio_event.event_id) == (event["audio_base_64"], event["event_id"])
    assert cut == ((event["audio_base_64"].encode(), event["event_id"]) if live_shaped(row) else None)
    if row.kind == "capture":
        assert cut is not None


@pytest.mark.parametrize("row", [r for r in PHONE if r not in media_rows], ids=repr)
def test_nothing_else_of_the_phone_is_cut(row: Row) -> None:
    sid = row.parsed.get("streamSid", SID)
    assert phone_cut(sid)(row.raw) is None
    assert not isinstance(twilio.decode(row.raw), twilio.Media | twilio.Unknown)


@pytest.mark.parametrize("row", [r for r in AGENT if r not in audio_rows], ids=repr)
def test_nothing_else_of_the_agent_is_cut(row: Row) -> None:
    assert cut_agent_audio(row.raw) is None
    assert not isinstance(elevenlabs.decode(row.raw), elevenlabs.Audio)


# The same audio, written otherwise: the typed parse finds it, equal

PHONE_DOC = {
    "event": "media",
    "sequenceNumber": "3",
    "media": {"track": "inbound", "chunk": "1", "timestamp": "5", "payload": "//8+fwAA//8="},
    "streamSid": SID,
}
AGENT_DOC = {"audio_event": {"audio_base_64": "//8+fwAA//8=", "event_id": 12}, "type": "audio"}


def respelled(document: dict[str, Any]) -> list[bytes]:
    compact = json.dumps(document, separators=(",", ":"))
    backwards = {
        k: dict(reversed(v.items())) if isinstance(v, dict) else v for k, v in reversed(list(document.items()))
    }
    return [
        text.encode()
        for text in (
            json.dumps(document),
            json.dumps(document, indent=2),
            json.dumps(backwards, separators=(",", ":")),
            compact.replace("/", r"\/"),
            compact.replace("/", r"\u002f"),
            compact.replace("A", r"\u0041"),
            compact.replace('"a', r'"\u0061').replace('"m', r'"\u006d'),
            " " + compact,
        )
    ]


@pytest.mark.parametrize("message", respelled(PHONE_DOC))
def test_phone_media_written_otherwise(message: bytes) -> None:
    assert cut_phone(message) is None
    typed = twilio.decode(message)
    assert isinstance(typed, twilio.Media)
    assert typed.media.payload == "//8+fwAA//8="


@pytest.mark.parametrize("message", respelled(AGENT_DOC))
def test_agent_audio_written_otherwise(message: bytes) -> None:
    assert cut_agent_audio(message) is None
    typed = elevenlabs.decode(message)
    assert isinstance(typed, elevenlabs.Audio)
    assert (typed.audio_event.audio_base_64, typed.audio_event.event_id) == ("//8+fwAA//8=", 12)


@pytest.mark.parametrize("ensure_ascii", [True, False])
@pytest.mark.parametrize("said", ['He said "no"', "a\\b/c\n\t", "Grüße, 你好 🌍", "", '}},"type":"audio"}'])
def test_alignment_never_costs_the_fast_path(said: str, ensure_ascii: bool) -> None:
    event = {
        "audio_base_64": "AAAA",
        "event_id": 3,
        "alignment": {"chars": list(said), "char_start_times_ms": list(range(len(said)))},
    }
    message = json.dumps({"audio_event": event, "type": "audio"}, separators=(",", ":"), ensure_ascii=ensure_ascii)
    assert cut_agent_audio(message.encode()) == (b"AAAA", 3)


# Whatever is generated


def agrees_phone(message: bytes) -> bool:
    """Whether the cut answered; if so, everybody else has to say the same."""
    payload = cut_phone(message)
    if payload is None:
        return False
    typed = twilio.decode(message)
    assert isinstance(typed, twilio.Media)
    assert (typed.media.payload.encode(), typed.media.track, typed.streamSid) == (payload, "inbound", SID)
    parsed = json.loads(message)
    assert (parsed["event"], parsed["media"]["payload"].encode()) == ("media", payload)
    assert (parsed["streamSid"], parsed["media"]["track"]) == (SID, "inbound")
    assert payload
    assert not payload.translate(None, BASE64)
    return True


def agrees_agent(message: bytes) -> bool:
    """Likewise."""
    cut = cut_agent_audio(message)
    if cut is None:
        return False
    payload, event_id = cut
    typed = elevenlabs.decode(message)
    assert isinstance(typed, elevenlabs.Audio)
    event = typed.audio_event
    assert (event.audio_base_64.encode(), elevenlabs.event_number(event.event_id)) == cut
    parsed = json.loads(message)
    assert parsed["type"] == "audio"
    told = parsed["audio_event"]
    assert (told["audio_base_64"].encode(), elevenlabs.event_number(told["event_id"])) == cut
    assert type(event_id) is int
    assert not payload.translate(None, BASE64)
    return True


@thorough
@given(mutations(phone_messages))
@example(
    b'{"event":"media","sequenceNumber":"1","media":{"track":"inbound","chunk":"1","timestamp":"1","payload":"},'
    b'"streamSid":"' + SID.encode() + b'"}'
)
def test_a_bent_phone_message_is_cut_truly_or_not_at_all(message: bytes) -> None:
    agrees_phone(message)


@thorough
@given(mutations(agent_messages))
@example(b'{"audio_event":{"audio_base_64":"AAAA","event_id":007},"type":"audio"}')
@example(
    b'{"audio_event":{"audio_base_64":"AAAA","event_id":5},"audio_event":{"audio_base_64":"","event_id":6},'
    b'"type":"audio"}'
)
@example(b'{"audio_event":{"audio_base_64":"AAAA","event_id":5,"audio_base_64":""},"type":"audio"}')
@example(b'{"audio_event":{"audio_base_64":"AAAA","event_id":5,"x":"\xff"},"type":"audio"}')
@example(b'{"audio_event":{"audio_base_64":"AAAA","event_id":5,"x":' + b"[" * 100_000)
def test_a_bent_agent_message_is_cut_truly_or_not_at_all(message: bytes) -> None:
    agrees_agent(message)


@pytest.mark.parametrize("kind", ['"ping"', '"audio","type":"ping"', "null", '"Audio"', "5"])
@pytest.mark.parametrize("more", ["", ',"is_final":false', ',"x":1'])
def test_audio_under_another_type_is_not_cut(kind: str, more: str) -> None:
    message = f'{{"audio_event":{{"audio_base_64":"AAAA","event_id":5{more}}},"type":{kind}}}'.encode()
    assert not agrees_agent(message)
    assert cut_agent_audio(message.replace(b"AAAA", b"")) is None


@given(phone_messages.filter(lambda m: b'"payload":""' not in m), st.data())
@settings(deadline=None)
def test_live_shaped_phone_messages_are_always_cut(message: bytes, data: st.DataObject) -> None:
    # Thirteen digits are more than a stream of a thousand years counts to: the only reason to refuse one here.
    parsed = json.loads(message)
    counted = [parsed["sequenceNumber"], parsed["media"]["chunk"], parsed["media"]["timestamp"]]
    assert agrees_phone(message) == all(len(number) <= 12 for number in counted)
    at = data.draw(st.integers(0, len(message)))
    assert not agrees_phone(message[:at] + b"\\" + message[at:])


@given(agent_messages)
@settings(deadline=None)
def test_live_shaped_agent_messages_are_always_cut(message: bytes) -> None:
    try:
        message.decode()
    except UnicodeDecodeError:
        assert not agrees_agent(message)
    else:
        assert agrees_agent(message)


@given(st.binary(max_size=80))
@settings(deadline=None)
def test_noise_is_nothing(noise: bytes) -> None:
    assert not agrees_phone(noise)
    assert not agrees_agent(noise)
    for decode in (twilio.decode, elevenlabs.decode):
        try:
            decode(noise)
        except WireError:
            pass
        else:
            assert isinstance(json.loads(noise), dict)


def test_media_of_another_stream_is_not_cut() -> None:
    assert phone_cut("MZother")(media_rows[0].raw) is None


# The other side of OPTIMIZE_AUDIO_PARSING


@thorough
@given(st.one_of(phone_messages, mutations(phone_messages)))
def test_the_plain_side_says_what_the_cut_says_of_the_phone(message: bytes) -> None:
    plain, cut = twilio.media_plain(SID)(message), cut_phone(message)
    if plain is not None and cut is not None:
        assert plain == canonical(cut)


@thorough
@given(st.one_of(agent_messages, mutations(agent_messages)))
def test_the_plain_side_says_what_the_cut_says_of_the_agent(message: bytes) -> None:
    plain, cut = elevenlabs.audio_plain(message), cut_agent_audio(message)
    if plain is not None and cut is not None:
        assert plain == (canonical(cut[0]), cut[1])


def canonical(payload: bytes) -> bytes:
    """The payload as an encoder writes it: unused bits of the last character are zero."""
    return base64.b64encode(base64.b64decode(payload))


@pytest.mark.parametrize("row", [r for r in media_rows if r.kind == "capture"], ids=repr)
def test_the_plain_side_takes_every_captured_frame(row: Row) -> None:
    assert twilio.media_plain(row.parsed["streamSid"])(row.raw) == row.parsed["media"]["payload"].encode()


@pytest.mark.parametrize(
    "message",
    [
        b"[" * 100_000,
        b"null",
        b"5",
        b'{"type":"audio","audio_event":{"audio_base_64":"AAAA","event_id":1e999}}',
        b'{"type":"audio","audio_event":{"audio_base_64":"AAAA","event_id":true}}',
        b'{"type":"audio","audio_event":{"audio_base_64":["AAAA"],"event_id":1}}',
        b'{"type":"audio","audio_event":{"audio_base_64":"AAA","event_id":1}}',
        b'{"type":"audio","audio_event":{"audio_base_64":"\xc3\xa9","event_id":1}}',
        b'{"type":"audio","audio_event":[]}',
        b'{"event":"media","media":7,"streamSid":"' + SID.encode() + b'"}',
        b'{"event":"media","media":{"track":"inbound","payload":""},"streamSid":"' + SID.encode() + b'"}',
        b'{"event":"media","media":{"track":"outbound","payload":"AAAA"},"streamSid":"' + SID.encode() + b'"}',
        b'{"event":"media","media":{"track":"inbound","payload":"AAAA"},"streamSid":"MZother"}',
    ],
)
def test_the_plain_side_refuses_without_raising(message: bytes) -> None:
    assert elevenlabs.audio_plain(message) is None
    assert twilio.media_plain(SID)(message) is None
