"""Canaries in every place a secret has been seen in a log, and prose that must stay readable."""

from __future__ import annotations

import time
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shortwire.telemetry.redaction import REDACTED, Redactor, mask_number, redact

CANARY = "c4n4ry-Value/with+odd=signs"
SECRETS = (CANARY, "sid:" + CANARY, "short", "", "   ")


@pytest.mark.parametrize(
    ("number", "masked"),
    [
        ("+14155550123", "+1******0123"),
        ("14155550123", "1******0123"),
        ("+4915112345678", "+4********5678"),
        ("+290812345", "+2****2345"),
        ("+29081234", "+******34"),
        ("1234", "**34"),
        ("911", "***"),
        ("+", "+"),
        ("", ""),
    ],
)
def test_a_number_keeps_its_ends(number, masked):
    assert mask_number(number) == masked
    assert len(masked) == len(number)


@pytest.mark.parametrize(
    "text",
    [
        f"key is {CANARY}!",
        f"{CANARY}{CANARY}",
        "wss://host/path?x=1&signed=c4n4ry-Value%2Fwith%2Bodd%3Dsigns",
        "body=c4n4ry-Value/with%2Bodd%3Dsigns",
    ],
)
def test_known_values_go_wherever_they_are(text):
    masked = Redactor(SECRETS).text(text)
    assert "c4n4ry" not in masked
    assert REDACTED in masked


SHAPED = "Zx9qW3canaryT7"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("/outbound-media-stream/{} HTTP/1.1", "/outbound-media-stream/[redacted] HTTP/1.1"),
        ('<Stream url="wss://h/outbound-media-stream/{}"/>', '<Stream url="wss://h/outbound-media-stream/[redacted]"/>'),
        ("%2Foutbound-media-stream%2F{}%3F", "%2Foutbound-media-stream%2F[redacted]%3F"),
        ("wss://h/c?agent_id=a1&conversation_signature={}&x=1", "wss://h/c?agent_id=a1&conversation_signature=[redacted]&x=1"),
        ("GET /x?token={}", "GET /x?token=[redacted]"),
        ("xi-api-key: {}", "xi-api-key: [redacted]"),
        ("{{'xi-api-key': '{}', 'n': 1}}", "{'xi-api-key': '[redacted]', 'n': 1}"),
        ('{{"auth_token": "{}"}}', '{"auth_token": "[redacted]"}'),
        (r'"{{\"password\": \"{}\"}} after"', r'"{\"password\": \"[redacted]\"} after"'),
        ("(b'Authorization: Bearer {}')", "(b'Authorization: Bearer [redacted]')"),
        ("Authorization: Basic {}==", "Authorization: Basic [redacted]"),
        ("Settings(api_key='{}', port=8001)", "Settings(api_key='[redacted]', port=8001)"),
        ("postgresql://user:{}@host/db", "postgresql://user:[redacted]@host/db"),
        ("X-Twilio-Signature={} was wrong", "X-Twilio-Signature=[redacted] was wrong"),
        ("SHORTWIRE_API_KEY={}", "SHORTWIRE_API_KEY=[redacted]"),
        ("ticket={}, state=x", "ticket=[redacted], state=x"),
    ],
)  # fmt: skip
def test_telling_names_hide_their_values(text, masked):
    redactor = Redactor()
    assert redactor.text(text.format(SHAPED)) == masked
    assert redactor.text(masked) == masked  # once is enough


@pytest.mark.parametrize(
    "secret",
    [
        "sk_" + "0a1b2c3d" * 6,
        "sk-" + "0a1b2c3d" * 6,
        "AC" + "0123456789abcdef" * 2,
        "SK" + "0123456789abcdef" * 2,
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln",
    ],
)
def test_known_shapes_go_without_being_known(secret):
    assert Redactor().text(f"got {secret}, stop") == f"got {REDACTED}, stop"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("dialling +14155550123 now", "dialling +1******0123 now"),
        ("To=%2B14155550123&From=%2b14155550199", "To=%2B1******0123&From=%2b1******0199"),
        ("sip:+14155550123@host", "sip:+1******0123@host"),
        ("+1 (415) 555-0123.", "+1******0123."),
        ('"+14155550123"', '"+1******0123"'),
    ],
)
def test_numbers_in_text(text, masked):
    assert Redactor().text(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "",
        "call.state ringing",
        "tokens=512 max_tokens=4096 token_count: 123456789012345",
        "the signature: wrong",
        "basic understanding of bearer assignments",
        "2026-11-22T12:04:01.123456+00:00",
        "call_01JD9Z8QK3V5N7M2X4C6B8T0RS and CA0123456789abcdef0123456789abcdef",
        "http://127.0.0.1:8001/v1/calls?limit=50",
        "gap 412+388+10000000ms",
        "api_key=None, ticket=None",
        "[LATENCY] Audio round trip: 450ms, Avg: 423.50ms",
    ],
)
def test_ordinary_text_stays_the_very_same(text):
    assert Redactor(["another-secret"]).text(text) is text


def test_short_values_are_not_masked_by_value():
    assert Redactor(["short", "", "  "]).text("a short line") == "a short line"


@dataclass
class Holder:
    api_key: str
    number: str


class Unprintable:
    def __repr__(self) -> str:
        raise RuntimeError(CANARY)


def test_any_structure():
    value = {
        "event": f"sent {CANARY}",
        "headers": [("xi-api-key", "abc"), ("accept", "json"), (b"authorization", b"x")],
        "nested": {"Auth-Token": ["a", {"b": "c"}], "list": [f"x {CANARY}", {"password": 5}], "set": {CANARY}},
        f"key {CANARY}": 1,
        "to": "+14155550123",
        "From": "14155550199",
        "number": 14155550123,
        "party": "agent",
        "bytes": b"token=abcdef",
        "error": ValueError(f"bad {CANARY}"),
        "object": Holder(CANARY, "+14155550123"),
        "broken": Unprintable(),
        "signature_ok": True,
        "max_tokens": 5_000_000,
        "ms": 1.5,
        "none": None,
        "secret": "",
    }
    masked = redact(value, SECRETS)
    assert CANARY not in repr(masked)
    assert masked == {
        "event": "sent [redacted]",
        "headers": [["xi-api-key", REDACTED], ["accept", "json"], ["authorization", REDACTED]],
        "nested": {"Auth-Token": REDACTED, "list": ["x [redacted]", {"password": 5}], "set": [REDACTED]},
        "key [redacted]": 1,
        "to": "+1******0123",
        "From": "1******0199",
        "number": "1******0123",
        "party": "agent",
        "bytes": "token=[redacted]",
        "error": "bad [redacted]",
        "object": "Holder(api_key='[redacted]', number='+1******0123')",
        "broken": "<Unprintable>",
        "signature_ok": True,
        "max_tokens": 5_000_000,
        "ms": 1.5,
        "none": None,
        "secret": "",
    }
    assert value["to"] == "+14155550123"  # nothing was changed in place


def test_a_structure_that_holds_itself_ends():
    loop: list[object] = [CANARY]
    loop.append(loop)
    assert CANARY not in repr(redact(loop, SECRETS))


@given(st.text(max_size=60), st.text(max_size=60))
def test_no_surroundings_protect_a_known_value(before, after):
    assert CANARY not in Redactor(SECRETS).text(before + CANARY + after)


ANYTHING = st.recursive(
    st.text() | st.integers() | st.none() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)


@given(ANYTHING)
def test_it_never_raises(value):
    redact({"value": value}, SECRETS)


@pytest.mark.parametrize(
    "unit", ["a", "=", "token=", "token:", "+1", "\\", '"', 'token="', "://x:", "-_", "sk_", "eyJ"]
)
def test_a_hundred_kilobytes_take_no_time_to_speak_of(unit):
    text = unit * (100_000 // len(unit)) + "="
    begun = time.process_time()
    Redactor(SECRETS).text(text)
    # Linear work takes some 20 ms; the quadratic kind that this guards against takes minutes.
    assert time.process_time() - begun < 10
