"""TwiML: the verbs that are played, and sentences for the rest."""

from __future__ import annotations

import pytest

from shortwire.emulators.twilio import twiml
from shortwire.emulators.twilio import verbs as v


def verbs(inside: str) -> list[v.Verb]:
    return twiml.parse(f'<?xml version="1.0" encoding="UTF-8"?><Response>{inside}</Response>')[0]


def test_connect_stream_with_parameters() -> None:
    (connect, end) = verbs(
        '<Connect action="/after" method="get">'
        '<Stream url="wss://h/m" name="n" statusCallback="https://h/s" '
        'statusCallbackMethod="GET">'
        '<Parameter name="a" value="1"/><Parameter name="b" value="&lt;2"/></Stream></Connect>'
        "<Hangup/>"
    )
    assert connect == v.Connect(
        v.Stream("wss://h/m", "n", "inbound_track", "https://h/s", "GET", {"a": "1", "b": "<2"}), "/after", "GET"
    )
    assert end == v.Hangup()


def test_the_other_verbs() -> None:
    assert verbs(
        "<Say voice='x'>Hi <break/> you</Say><Play loop='2'>https://h/a.wav</Play>"
        "<Pause length='3'/><Reject reason='busy'/>"
        "<Redirect method='GET'>/next</Redirect><Dial timeout='9'><Number>+1415</Number></Dial><Dial>+1416</Dial>"
    ) == [
        v.Say("Hi  you"),
        v.Play("https://h/a.wav", loop=2),
        v.Pause(3),
        v.Reject("busy"),
        v.Redirect("/next", "GET"),
        v.Dial(numbers=(v.Number("+1415"),), timeout_s=9),
        v.Dial(numbers=(v.Number("+1416"),)),
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
        ("<Response><Enqueue/></Response>", 12100, "<Enqueue> is not a verb"),
        ("<Response><say>x</say></Response>", 12100, "<say> is not a verb"),
        ("<Response><Start><Siprec/></Start></Response>", 12100, "<Start> must contain one <Stream>"),
        ("<Response><Start><Stream url='wss://h' track='all'/></Start></Response>", 31941, "both_tracks"),
        ("<Response><Stop><Stream/></Stop></Response>", 12100, "needs the name"),
        ("<Response><Connect/></Response>", 12100, "one <Stream>"),
        ("<Response><Connect><Stream/></Connect></Response>", 31923, "needs a url"),
        ("<Response><Connect><Stream url='wss://h' track='both_tracks'/></Connect></Response>", 31941, "inbound_track"),
        ("<Response><Pause length='x'/></Response>", 12100, "whole number"),
        ("<Response><Redirect method='PUT'>/x</Redirect></Response>", 12100, "GET or POST"),
        ("<Response><Dial/></Response>", 13224, "needs a number"),
        ("<Response><Dial><Queue>q</Queue></Dial></Response>", 12100, "<Queue>"),
        ("<Response><Dial>+1415<Conference>c</Conference></Dial></Response>", 13224, "nothing else"),
        ("<Response><Dial><Number/></Dial></Response>", 13224, "is empty"),
        ("<Response><Dial><Conference/></Dial></Response>", 13224, "needs a name"),
        ("<Response><Dial record='always'>+1415</Dial></Response>", 12100, "record of <Dial>"),
        ("<Response><Dial hangupOnStar='yes'>+1415</Dial></Response>", 12100, "true or false"),
        (
            "<Response><Dial><Number statusCallbackEvent='x'>+1</Number></Dial></Response>",
            12100,
            "statusCallbackEvent",
        ),
        ("<Response><Gather input='voice'/></Response>", 12100, "dtmf, speech or both"),
        ("<Response><Gather finishOnKey='##'/></Response>", 12100, "one key or empty"),
        ("<Response><Gather numDigits='-1'/></Response>", 12100, "whole number"),
        ("<Response><Gather speechTimeout='soon'/></Response>", 12100, "seconds or auto"),
        ("<Response><Gather><Hangup/></Gather></Response>", 12100, "must not contain <Hangup>"),
        ("<Response><Record trim='some'/></Response>", 12100, "trim of <Record>"),
        ("<Response><Record timeout='0'/></Response>", 12100, "1 or more"),
        ("<Response><Play digits='1x'/></Response>", 13224, "keypad"),
        ("<Response><Play/></Response>", 12100, "url or digits"),
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
