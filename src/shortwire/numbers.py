"""Telephone numbers: what may be dialled, and how a number is shown.

E.164 in, E.164 out, judged with the `phonenumbers` library (Google's libphonenumber metadata).
Knows nothing of calls. The default is no: a country that is not allowed, a premium range, or
anything that is not exactly one number is refused before a carrier hears of it.
"""

from __future__ import annotations

import re
from collections.abc import Set
from dataclasses import dataclass

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumberType

from .errors import NumberRefused

__all__ = ["E164", "PhoneNumber", "check_number", "is_country", "parse_number"]

# ITU-T E.164: a plus, a country code that does not start with 0, at most 15 digits in all.
# ASCII digits only: `\d` would let digits of other scripts through to the carrier.
E164 = re.compile(r"\+[1-9][0-9]{6,14}", re.ASCII)
_DECORATION = re.compile(r"[\s().\-/]")

# Ranges on which a call earns money for whoever owns the number: the usual aim of toll fraud.
# Personal numbers (UK 070, US 500) look like mobile numbers and are billed like premium ones.
_COSTLY = {
    PhoneNumberType.PREMIUM_RATE: "a premium-rate number",
    PhoneNumberType.SHARED_COST: "a shared-cost number",
    PhoneNumberType.PERSONAL_NUMBER: "a personal (follow-me) number, which is billed like a premium one",
    PhoneNumberType.PAGER: "a pager",
}


@dataclass(frozen=True, slots=True)
class PhoneNumber:
    """One dialable number."""

    e164: str
    country: str
    """ISO 3166-1 alpha-2; "001" for ranges that belong to no country (satellite phones)."""


def is_country(code: str) -> bool:
    """Whether a code is an ISO 3166-1 alpha-2 country that has telephone numbers."""
    return code in phonenumbers.SUPPORTED_REGIONS


def parse_number(text: str) -> PhoneNumber:
    """The number a text spells. Raises `NumberRefused`, whose details say what to write."""
    if not E164.fullmatch(text):
        plain = _DECORATION.sub("", text)
        if E164.fullmatch(plain):
            raise NumberRefused("the number is not written in E.164", details=f"write {plain}")
        raise NumberRefused(
            "this is not a telephone number in E.164",
            details="write a plus, the country code and the number, digits only, such as +14155550123",
        )
    try:
        parsed = phonenumbers.parse(text, None)
    except NumberParseException:
        raise NumberRefused("no country has this country code", details="check the digits after the plus") from None
    if not phonenumbers.is_valid_number(parsed):
        raise NumberRefused("no subscriber can have this number", details="check its length and its area code")
    if costly := _COSTLY.get(phonenumbers.number_type(parsed)):
        raise NumberRefused(f"this is {costly}", details="such numbers are never dialled")
    return PhoneNumber(text, phonenumbers.region_code_for_number(parsed) or "001")


def check_number(text: str, allowed_countries: Set[str]) -> PhoneNumber:
    """The number, if it may be dialled. Raises `NumberRefused`.

    `allowed_countries` holds ISO 3166-1 alpha-2 codes; empty means that nothing may be dialled.
    """
    number = parse_number(text)
    if not allowed_countries:
        raise NumberRefused(
            "outbound dialling is off", details=f"to dial this number, set ALLOWED_COUNTRIES={number.country}"
        )
    if number.country not in allowed_countries:
        where = "a number outside every country" if number.country == "001" else f"a number in {number.country}"
        raise NumberRefused(
            f"{where} may not be dialled",
            details=f"ALLOWED_COUNTRIES permits {', '.join(sorted(allowed_countries))}",
        )
    return number
