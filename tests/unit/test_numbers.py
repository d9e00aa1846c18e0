"""What may be dialled: one number, in E.164, in a country that was allowed, and never a costly one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shortwire.errors import NumberRefused
from shortwire.numbers import check_number, is_country, parse_number


@pytest.mark.parametrize(
    ("text", "country"),
    [
        ("+14155550123", "US"),
        ("+16135550123", "CA"),
        ("+491701234567", "DE"),
        ("+442079460000", "GB"),
        ("+18765550123", "JM"),
    ],
)
def test_a_number_knows_its_country(text: str, country: str) -> None:
    number = parse_number(text)
    assert (number.e164, number.country) == (text, country)
    assert check_number(text, {country}) == number


@pytest.mark.parametrize("text", ["+1 (415) 555-0123", " +14155550123", "+1.415.555.0123\n", "+1-415-555-0123"])
def test_decoration_is_refused_with_the_number_to_write(text: str) -> None:
    with pytest.raises(NumberRefused, match=r"write \+14155550123"):
        parse_number(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "+",
        "4155550123",
        "0014155550123",
        "+0014155550123",
        "+1415555012345678",
        "+14155550123x5",
        "+14155550123,5",
        "+14155550123;ext=5",
        "+1415555٠١٢٣",  # digits of another script
        "＋14155550123",
        "sip:+14155550123@example.com",
        "client:me",
        "911",
        "+911",
        "+14155550123\x00",
        "+14155550123+14155550124",
        "+14155550123</Number>",
    ],
)
def test_anything_else_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(NumberRefused) as caught:
        check_number(text, {"US"})
    assert caught.value.details and caught.value.http_status == 422 and caught.value.exit_status == 2


@pytest.mark.parametrize("text", ["+15551234567", "+1415555012", "+2101234567", "+4900000000"])
def test_numbers_that_nobody_can_have_are_refused(text: str) -> None:
    with pytest.raises(NumberRefused):
        parse_number(text)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("+19005550123", "premium"),
        ("+447012345678", "personal"),
        ("+15005550006", "personal"),
        ("+449012345678", "premium"),
    ],
)
def test_costly_ranges_are_refused_wherever_they_are(text: str, what: str) -> None:
    with pytest.raises(NumberRefused, match=what):
        check_number(text, {"US", "GB", "DE"})


def test_nothing_may_be_dialled_until_a_country_is_allowed() -> None:
    with pytest.raises(NumberRefused, match="ALLOWED_COUNTRIES=US"):
        check_number("+14155550123", set())


@pytest.mark.parametrize("text", ["+18765550123", "+16135550123", "+881612345678", "+442079460000"])
def test_another_country_is_refused_also_behind_the_same_country_code(text: str) -> None:
    with pytest.raises(NumberRefused, match="permits US"):
        check_number(text, {"US"})


def test_countries() -> None:
    assert is_country("US") and is_country("GB")
    assert not is_country("UK") and not is_country("us") and not is_country("001") and not is_country("")


@given(st.text(max_size=30))
def test_whatever_is_given_one_number_comes_out_or_a_refusal(text: str) -> None:
    try:
        number = check_number(text, {"US", "DE"})
    except NumberRefused:
        return
    assert number.e164 == text and text[0] == "+" and text[1:].isdigit() and text.isascii()
    assert number.country in ("US", "DE")
