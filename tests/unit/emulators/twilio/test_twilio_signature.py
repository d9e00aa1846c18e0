"""The signature against the vendor's own vectors (twilio.md 4.4)."""

from __future__ import annotations

import pytest

from shortwire.emulators.twilio.signature import sign, signed_url

VECTORS = [
    (
        "https://example.com/myapp.php?foo=1&bar=2",
        {
            "CallSid": "CA1234567890ABCDE",
            "Caller": "+14158675310",
            "Digits": "1234",
            "From": "+14158675310",
            "To": "+18005551212",
        },
        "L/OH5YylLD5NRKLltdqwSvS0BnU=",
    ),
    ("wss://example.com/media", {}, "7PR3qMkpDyEJtMrVOY/LDyNq8J8="),
    ("wss://bridge.example.com/twilio/media/", {}, "K34XpNWz3mSbbFwtWeDWONZkGSc="),
    ("http://127.0.0.1:8080/voice", {"AccountSid": "AC1", "CallSid": "CA1"}, "1FG7z/S0tkZC5QpMjVZMsJ7ck9c="),
    ("ws://127.0.0.1:8080/media", {}, "Bwkbk1VgY6gzu/y1P2nP0gv/uP0="),
]


@pytest.mark.parametrize(("url", "params", "expected"), VECTORS)
def test_vectors(url: str, params: dict[str, str], expected: str) -> None:
    assert sign("12345", url, params.items()) == expected


def test_a_repeated_name_contributes_its_distinct_values_sorted() -> None:
    assert sign("t", "http://h/", [("a", "2"), ("a", "1"), ("a", "2")]) == sign(
        "t", "http://h/", [("a", "1"), ("a", "2")]
    )
    assert sign("t", "http://h/", [("a", "2")]) != sign("t", "http://h/", [("a", "1"), ("a", "2")])


def test_the_signed_form_of_a_url() -> None:
    assert signed_url("https://u:p@h.example:8443/a?b=1#rc=2") == "https://h.example/a?b=1"
    assert signed_url("http://u:p@h.example:8080/a") == "http://h.example:8080/a"
    assert signed_url("https://[::1]/a") == "https://[::1]/a"
