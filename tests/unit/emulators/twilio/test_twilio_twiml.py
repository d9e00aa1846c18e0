"""TwiML: the verbs that are played, and sentences for the rest."""

from __future__ import annotations

import pytest

from shortwire.emulators.twilio import twiml


def verbs(inside: str) -> list[twiml.Verb]:
    return twiml.parse(f'<?xml version="1.0" encoding="UTF-8"?><Response>{inside}</Response>')[0]


def test_connect_stream_with_parameters() -> None:
    (connect, end) = verbs(
        '<Connect action="/after" method="get">'
        '<Stream url="wss://h/m" name="n" statusCallback="https://h/s" '
        'statusCallbackMethod="GET">'
        '<Parameter name="a" value="1"/><Parameter name="b" value="&lt;2"/></Stream></Connect>'
        "<Hangup/>"
    )
    assert connect == twiml.Connect(
        twiml.Stream("wss://h/m", "n", "inbound_track", "https://h/s", "GET", {"a": "1", "b": "<2"}), "/after", "GET"
    )
    assert end == twiml.Hangup()


def test_the_other_verbs() -> None:
    assert verbs(
        "<Say voice='x'>Hi <break/> you</Say><Play loop='2'>https://h/a.wav</Play>"
        "<Pause length='3'/><Reject reason='busy'/>"
        "<Redirect method='GET'>/next</Redirect><Dial timeout='9'><Number>+1415</Number></Dial><Dial>+1416</Dial>"
    ) == [
        twiml.Say("Hi  you"),
        twiml.Play("https://h/a.wav", loop=2),
        twiml.Pause(3),
        twiml.Reject("busy"),
        twiml.Redirect("/next", "GET"),
        twiml.Dial("+1415", timeout_s=9),
        twiml.Dial("+1416"),
    ]
    assert verbs("") == []


def test_unknown_attributes_are_warnings() -> None:
    _, warnings = twiml.parse('<Response><Pause lenght="3"/></Response>')
    assert warnings == ["<Pause> has no attribute 'lenght'"]


@pytest.mark.parametrize(
    ("document", "code", "text"),
    [
        ("", 12100, "Error"),
        ("<Response>", 12100, "Error"),
        ("<response/>", 12100, "root element"),
        ("<Response>hello</Response>", 12100, "text outside"),
        ('<!DOCTYPE x [<!ENTITY a "b">]><Response/>', 12100, "document type"),
        ("<Response><Gather/></Response>", 12100, "<Gather> is not a verb"),
        ("<Response><say>x</say></Response>", 12100, "<say> is not a verb"),
        ("<Response><Start><Stream url='wss://h'/></Start></Response>", 12100, "<Start>"),
        ("<Response><Connect/></Response>", 12100, "one <Stream>"),
        ("<Response><Connect><Stream/></Connect></Response>", 31923, "needs a url"),
        ("<Response><Connect><Stream url='wss://h' track='both_tracks'/></Connect></Response>", 31941, "inbound_track"),
        ("<Response><Pause length='x'/></Response>", 12100, "whole number"),
        ("<Response><Redirect method='PUT'>/x</Redirect></Response>", 12100, "GET or POST"),
        ("<Response><Dial/></Response>", 13224, "needs a number"),
        ("<Response><Dial><Sip>sip:a</Sip></Dial></Response>", 12100, "<Sip>"),
        ("<Response><Say></Say></Response>", 12100, "needs text"),
        ("<Response><Reject reason='no'/></Response>", 12100, "rejected or busy"),
        ("<Response><Hangup><Say>x</Say></Hangup></Response>", 12100, "must not contain"),
        (
            "<Response><Connect><Stream url='wss://h'>"
            f"<Parameter name='a' value='{'x' * 499}'/></Stream></Connect></Response>",
            12100,
            "under 500",
        ),
    ],
)
def test_what_cannot_be_played_says_why(document: str, code: int, text: str) -> None:
    with pytest.raises(twiml.TwimlError, match=text) as caught:
        twiml.parse(document)
    assert caught.value.code == code
