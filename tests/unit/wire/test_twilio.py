"""The media stream's messages: tolerant where we receive, exact where we send."""

from __future__ import annotations

import json

import pytest
from wire_corpus import PHONE, SID, Row

from shortwire.wire import twilio
from shortwire.wire.twilio import WireError, decode


@pytest.mark.parametrize("row", PHONE, ids=repr)
def test_every_message_of_the_corpus_is_known(row: Row) -> None:
    message = decode(row.raw)
    assert type(message).__name__.lower() == row.parsed["event"]
    if isinstance(message, twilio.Start):
        start = row.parsed["start"]
        assert (message.start.streamSid, message.start.callSid) == (start["streamSid"], start["callSid"])
        assert message.start.customParameters == start.get("customParameters")
        form = message.start.mediaFormat
        assert form is not None
        assert (form.encoding, form.sampleRate, form.channels) == ("audio/x-mulaw", 8000, 1)
    if isinstance(message, twilio.Mark):
        assert message.mark.name == row.parsed["mark"]["name"]
    if isinstance(message, twilio.Dtmf):
        assert message.dtmf.digit == row.parsed["dtmf"]["digit"]


@pytest.mark.parametrize(
    "message",
    [
        b'{"event":"start","start":{"streamSid":"MZ1","callSid":"CA1"}}',
        b'{"event":"start","start":{"streamSid":"MZ1","callSid":"CA1","customParameters":{}}}',
        b'{"event":"start","start":{"streamSid":"MZ1","callSid":"CA1","customParameters":null}}',
        b'{"event":"start","start":{"streamSid":"MZ1","callSid":"CA1","customParameters":{"a":"b"},"new":[1]},"x":1}',
    ],
)
def test_a_start_needs_only_what_we_use(message: bytes) -> None:
    start = decode(message)
    assert isinstance(start, twilio.Start)
    assert start.start.streamSid == "MZ1"


@pytest.mark.parametrize("message", [b"{}", b'{"event":"heartbeat"}', b'{"event":"x","media":[[[1]]]}', b'{"evnt":1}'])
def test_an_event_that_is_not_on_the_page_is_no_error(message: bytes) -> None:
    assert isinstance(decode(message), twilio.Unknown)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b" ",
        b"null",
        b"[]",
        b'"media"',
        b"{",
        b'{"event":"media"}',
        b'{"event":"media","media":{}}',
        b'{"event":"media","media":{"payload":5}}',
        b'{"event":"media","media":{"payload":"AA=="},"event":"stop"}',
        b'{"event":"mark","mark":{}}',
        b'{"event":"start","start":{"streamSid":7,"callSid":"CA1"}}',
        b'{"event":"dtmf","dtmf":{"digit":1}}',
        b'{"event":5}',
        b'{"event":"stop"} {}',
        b'{"event":"stop"}\x00',
        b'{"event":"med\xffia"}',
        b'{"event":"media","media":{"payload":"\xff"}}',
        b"\xff\xfe",
        b'{"event":"stop","x":' + b"[" * 100_000,
        b'{"event":"new","x":' + b'{"a":' * 100_000,
        b"[" * 100_000,
    ],
)
def test_what_is_no_message_is_a_wire_error_with_words(message: bytes) -> None:
    with pytest.raises(WireError) as caught:
        decode(message)
    assert str(caught.value)
    assert len(str(caught.value)) < 300


def test_sent_messages_have_exactly_the_keys_of_the_page() -> None:
    media = twilio.media_head(SID) + b"/w==" + twilio.MEDIA_TAIL
    assert json.loads(media) == {"event": "media", "streamSid": SID, "media": {"payload": "/w=="}}
    assert json.loads(twilio.mark_message(SID, "0.1")) == {"event": "mark", "streamSid": SID, "mark": {"name": "0.1"}}
    assert json.loads(twilio.clear_message(SID)) == {"event": "clear", "streamSid": SID}
