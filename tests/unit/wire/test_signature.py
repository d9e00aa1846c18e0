"""Signatures: the published vectors, and one mind with the vendor's own validator."""

from __future__ import annotations

import random

import pytest
from twilio.request_validator import RequestValidator

from shortwire.wire.signature import sign, url_variants, verify

TOKEN = "12345"
FORM = [
    ("CallSid", "CA1234567890ABCDE"),
    ("Caller", "+14158675310"),
    ("Digits", "1234"),
    ("From", "+14158675310"),
    ("To", "+18005551212"),
]
# protocols/twilio.md section 4.4; the first one is Twilio's documentation.
VECTORS = [
    ("https://example.com/myapp.php?foo=1&bar=2", FORM, "L/OH5YylLD5NRKLltdqwSvS0BnU="),
    ("wss://example.com/media", [], "7PR3qMkpDyEJtMrVOY/LDyNq8J8="),
    ("wss://bridge.example.com/twilio/media", [], "hGVJmeOLwZmJhPeWsyRDIvgH8Zc="),
    ("wss://bridge.example.com/twilio/media/", [], "K34XpNWz3mSbbFwtWeDWONZkGSc="),
    ("wss://bridge.example.com/media", [("token", "abc")], "yVD63u1p/U7LddUBtmcmUtPG97o="),
]


@pytest.mark.parametrize(("url", "params", "signature"), VECTORS)
def test_published_vectors(url: str, params: list[tuple[str, str]], signature: str) -> None:
    assert sign(TOKEN, url, params) == signature
    assert verify(TOKEN, url, params, signature)
    assert verify(TOKEN, url, reversed(params), signature)


@pytest.mark.parametrize(("url", "params", "signature"), VECTORS)
def test_anything_else_is_refused(url: str, params: list[tuple[str, str]], signature: str) -> None:
    other = "K" if signature[0] != "K" else "L"
    for given in (
        "",
        " ",
        signature[:-1],
        signature + "=",
        signature + " ",
        signature.lower(),
        other + signature[1:],
        "é" * 28,
        "\udc80" * 28,
        "\x00",
        "A" * 100_000,
    ):
        assert not verify(TOKEN, url, params, given)
    assert not verify(TOKEN + "6", url, params, signature)
    assert not verify("", url, params, signature)
    assert not verify("", url, params, sign("", url, params))
    assert not verify(TOKEN, url, [*params, ("Extra", "")], signature)
    assert not verify(TOKEN, url.replace("example", "examp1e"), params, signature)
    assert not verify(TOKEN, url.replace("://", "s://"), params, signature)


@pytest.mark.parametrize("scheme", ["https", "wss", "http", "ws"])
def test_port_and_trailing_slash_may_be_spelled_either_way(scheme: str) -> None:
    port = 443 if scheme in ("https", "wss") else 80
    spellings = [f"{scheme}://b.example.com{p}/a/media{s}" for p in ("", f":{port}") for s in ("", "/")]
    for ours in spellings:
        assert sorted(url_variants(ours)) == sorted(spellings)
        for theirs in spellings:
            assert verify(TOKEN, ours, (), sign(TOKEN, theirs))
        assert not verify(TOKEN, ours, (), sign(TOKEN, f"{scheme}://b.example.com:8443/a/media"))


@pytest.mark.parametrize(
    ("url", "variants"),
    [
        ("wss://h.example:8443/m", {"wss://h.example:8443/m", "wss://h.example/m"}),
        ("wss://MiXed.Example/m", {"wss://MiXed.Example/m", "wss://MiXed.Example:443/m"}),
        ("https://user:secret@h.example/m", {"https://h.example/m", "https://h.example:443/m"}),
        ("https://h.example/m#rc=2", {"https://h.example/m", "https://h.example:443/m"}),
        ("wss://[::1]/m", {"wss://[::1]/m", "wss://[::1]:443/m"}),
        ("wss://[::1]:9/m", {"wss://[::1]/m", "wss://[::1]:9/m"}),
        ("https://h.example/m?a=1&b=", {"https://h.example/m?a=1&b=", "https://h.example:443/m?a=1&b="}),
    ],
)
def test_spellings(url: str, variants: set[str]) -> None:
    assert variants == {v for v in url_variants(url) if not v.partition("?")[0].endswith("/")}


@pytest.mark.parametrize("url", ["wss://h.example:99999/m", "wss://h.example:x/m", "wss://[/m", "", "//", "\udc80"])
def test_an_impossible_url_is_a_refusal(url: str) -> None:
    assert not verify(TOKEN, url, [("a", "\udc80")], "L/OH5YylLD5NRKLltdqwSvS0BnU=")


def test_ten_thousand_requests_as_the_vendors_validator_sees_them() -> None:
    rng = random.Random(4)
    names = ["CallSid", "To", "From", "to", "A", "Ärger", "SpeechResult", "x", "", "Z9"]
    letters = "aZ09+ =&/?%é漢🌍\t\n\"'<>"
    hosts = ["example.com", "a.b.example.org", "xn--mnchen-3ya.de", "10.0.0.1", "h-1.example"]
    agreed = 0
    for _ in range(10_000):
        token = "".join(rng.choices("0123456789abcdef", k=32))
        path = "/" + "".join(rng.choices("abc/-_.~%20", k=rng.randrange(12)))
        query = "?" + "".join(rng.choices("ab=&%+", k=rng.randrange(1, 8))) + "x" if rng.random() < 0.3 else ""
        url = f"https://{rng.choice(hosts)}{path}{query}"
        form = {rng.choice(names): "".join(rng.choices(letters, k=rng.randrange(10))) for _ in range(rng.randrange(6))}
        validator = RequestValidator(token)
        signature = validator.compute_signature(url, form)
        assert sign(token, url, form.items()) == signature
        if rng.random() < 0.5:
            # One thing wrong: both must see it, and agree also where the wrong thing is none.
            url, form, signature = rng.choice(
                [(url + "x", form, signature), (url, {**form, "To": "+1"}, signature), (url, form, signature[1:])]
            )
        ours = verify(token, url, form.items(), signature)
        assert ours == validator.validate(url, form, signature)
        agreed += ours
    assert 4_000 < agreed < 7_000


class Repeated(dict[str, list[str]]):
    """A form with repeated names, as the validator takes it."""

    def getall(self, name: str) -> list[str]:
        return self[name]


def test_repeated_names_count_once_per_distinct_value() -> None:
    pairs = [("b", "2"), ("a", "z"), ("b", "1"), ("b", "2"), ("a", "")]
    form = Repeated(a=["z", ""], b=["2", "1", "2"])
    assert sign(TOKEN, "https://e.example/", pairs) == RequestValidator(TOKEN).compute_signature(
        "https://e.example/", form
    )
