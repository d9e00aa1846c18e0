"""Texts exactly as captured, and strictness about what comes back."""

from __future__ import annotations

import json

import pytest

from shortwire.emulators.twilio.messages import (
    CONNECTED,
    Clear,
    Mark,
    Media,
    ProtocolWarning,
    StreamTexts,
    parse_server_message,
)

SID = "MZ5174584e1127285e2b015e720b3d9e68"


def texts() -> StreamTexts:
    return StreamTexts("ACbc0c8a18c2725db5d4e08e7a82b84cd6", "CA568713779b9eeb2c78698e6de7a9809f", SID)


def test_start_and_media_are_the_captured_texts_byte_for_byte() -> None:
    stream = texts()
    assert CONNECTED == '{"event":"connected","protocol":"Call","version":"1.0.0"}'
    assert stream.start({}) == (
        '{"event":"start","sequenceNumber":"1","start":{"accountSid":"ACbc0c8a18c2725db5d4e08e7a82b84cd6",'
        '"streamSid":"MZ5174584e1127285e2b015e720b3d9e68","callSid":"CA568713779b9eeb2c78698e6de7a9809f",'
        '"tracks":["inbound"],"mediaFormat":{"encoding":"audio/x-mulaw","sampleRate":8000,"channels":1},'
        '"customParameters":{}},"streamSid":"MZ5174584e1127285e2b015e720b3d9e68"}'
    )
    assert stream.media(b"\xff" * 160, 155) == (
        '{"event":"media","sequenceNumber":"2","media":{"track":"inbound","chunk":"1","timestamp":"155","payload":"'
        + "/" * 212
        + '/w=="},"streamSid":"MZ5174584e1127285e2b015e720b3d9e68"}'
    )
    assert stream.mark("171") == (
        '{"event":"mark","sequenceNumber":"3","streamSid":"MZ5174584e1127285e2b015e720b3d9e68","mark":{"name":"171"}}'
    )
    assert stream.stop() == (
        '{"event":"stop","sequenceNumber":"4","streamSid":"MZ5174584e1127285e2b015e720b3d9e68",'
        '"stop":{"accountSid":"ACbc0c8a18c2725db5d4e08e7a82b84cd6","callSid":"CA568713779b9eeb2c78698e6de7a9809f"}}'
    )


def test_one_counter_for_all_and_one_for_chunks() -> None:
    stream = texts()
    stream.start(None)
    stream.dtmf("5")
    message = json.loads(stream.media(bytes(160), 1))
    assert (message["sequenceNumber"], message["media"]["chunk"]) == ("3", "1")
    assert "customParameters" not in json.loads(texts().start(None))["start"]


def test_the_three_messages_a_server_may_send() -> None:
    def parse(message: object) -> object:
        return parse_server_message(json.dumps(message), SID)

    assert parse({"event": "media", "streamSid": SID, "media": {"payload": "AAEC"}}) == Media(b"\x00\x01\x02")
    assert parse({"event": "mark", "streamSid": SID, "mark": {"name": ""}}) == Mark("")
    assert parse({"streamSid": SID, "event": "clear"}) == Clear()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("nonsense", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "not a JSON object"),
        ('{"event":"stop","streamSid":"%s"}', "unknown event"),
        ('{"event":["media"],"streamSid":"%s"}', "unknown event"),
        ('{"event":"clear"}', "missing streamSid"),
        ('{"event":"clear","streamSid":"MZ0"}', "wrong streamSid"),
        ('{"event":"clear","streamSid":"%s","sequenceNumber":"1"}', "not allowed: sequenceNumber"),
        ('{"event":"mark","streamSid":"%s","mark":"x"}', "must be an object"),
        ('{"event":"mark","streamSid":"%s","mark":{}}', "missing name"),
        ('{"event":"mark","streamSid":"%s","mark":{"name":1}}', "must be a string"),
        ('{"event":"media","streamSid":"%s","media":{"payload":"AA==","track":"outbound"}}', "not allowed: track"),
        ('{"event":"media","streamSid":"%s","media":{"payload":"not base64!"}}', "not base64"),
        ('{"event":"media","streamSid":"%s","media":{"payload":"AAA"}}', "not base64"),
        ('{"event":"media","streamSid":"%s","media":{"payload":""}}', "must be base64"),
        ('{"event":"media","streamSid":"%s","media":{"payload":null}}', "must be base64"),
        ('{"event":"media","streamSid":"%s"}', "missing media"),
    ],
)
def test_everything_else_is_refused_with_its_reason(text: str, reason: str) -> None:
    with pytest.raises(ProtocolWarning, match=reason):
        parse_server_message(text.replace("%s", SID), SID)
