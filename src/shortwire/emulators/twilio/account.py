"""The account around the calls: its type and status, numbers, balance, dialling permissions, caller IDs.

`AccountFacts` says what the answers say, and may be changed while the emulator runs. Strict like the rest: filters and
fields that no page lists are refused. Pages: api/rest/account, incomingphonenumber-resource, usage/api/balance,
voice/api/dialingpermissions-country-resource, voice/api/outgoing-caller-ids.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, cast
from urllib.parse import urlsplit

from .config import OwnedNumber, TwilioConfig
from .refusals import Refusal
from .resources import page
from .stamps import rfc2822, sid_like

__all__ = ["Account", "AccountFacts", "NumberFacts"]

Form = Mapping[str, list[str]]
Answer = tuple[int, dict[str, Any]]

_CREATED_S = 1_700_000_000.0
_PATH = re.compile(r"/2010-04-01/Accounts/(?P<account>[^/]+?)(?:/(?P<rest>[^.]+))?\.json")
_COUNTRY = re.compile(r"/v1/DialingPermissions/Countries/(?P<iso>[A-Z]{2})")
_PAGING = {"Page", "PageSize", "PageToken"}
_NUMBER_FILTERS = {"PhoneNumber", "FriendlyName", "Beta", "Origin"} | _PAGING
_CALLER_FILTERS = {"PhoneNumber", "FriendlyName"} | _PAGING
_URL_FIELDS = {"VoiceUrl", "VoiceFallbackUrl", "StatusCallback"}
_METHOD_FIELDS = {"VoiceMethod", "VoiceFallbackMethod", "StatusCallbackMethod"}
_NUMBER_FIELDS = _URL_FIELDS | _METHOD_FIELDS | {"VoiceApplicationSid", "TrunkSid", "FriendlyName"}


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberFacts:
    """What a number can do, beside what `OwnedNumber` says."""

    voice: bool = True
    voice_application_sid: str = ""
    trunk_sid: str = ""
    voice_receive_mode: Literal["voice", "fax"] = "voice"


@dataclass(slots=True, kw_only=True)
class AccountFacts:
    """What the account's pages answer. Change it at any time."""

    type: Literal["Full", "Trial"] = "Full"
    status: Literal["active", "suspended", "closed"] = "active"
    balance: str = "25.00"
    currency: str = "USD"
    owner_account_sid: str = ""
    """Another account's sid makes this a subaccount, which has no balance of its own."""
    low_risk: frozenset[str] | None = None
    """Countries whose ordinary numbers may be dialled; None: all."""
    toll_fraud: frozenset[str] = frozenset()
    """Countries whose ranges known for toll fraud may be dialled."""
    numbers: MutableMapping[str, NumberFacts] = field(default_factory=dict)
    """By E.164; a number without an entry has voice and nothing odd."""
    caller_ids: tuple[str, ...] = ()
    """Verified numbers that the account does not own."""
    refuse_with: tuple[int, int, str] | None = None
    """(status, code, message) for every request of these pages and of calls: a fault."""


class Account:
    """Answers of the account's pages; `answer` gives None for a path that is not one of them."""

    def __init__(self, config: TwilioConfig, facts: AccountFacts) -> None:
        self._config = config
        self._facts = facts

    def answer(self, method: str, path: str, form: Form) -> Answer | None:
        """(status, document). Raises `Refusal`."""
        if self._facts.refuse_with is not None:
            status, code, message = self._facts.refuse_with
            raise Refusal(code, message, status)
        if country := _COUNTRY.fullmatch(path):
            return self._country(country["iso"]) if method == "GET" else None
        match = _PATH.fullmatch(path)
        if match is None or match["account"] != self._config.account_sid:
            return None
        head, _, sid = (match["rest"] or "").partition("/")
        pages: dict[tuple[str, str, bool], Callable[[], Answer]] = {
            ("GET", "", False): lambda: (200, self._account()),
            ("GET", "Balance", False): self._balance,
            ("GET", "IncomingPhoneNumbers", False): lambda: self._numbers(path, form),
            ("GET", "IncomingPhoneNumbers", True): lambda: (200, self._number(self._by_sid(sid, path))),
            ("POST", "IncomingPhoneNumbers", True): lambda: self._update(sid, path, form),
            ("GET", "OutgoingCallerIds", False): lambda: self._caller_ids(path, form),
        }
        found = pages.get((method, head, bool(sid)))
        return found() if found else None

    def _account(self) -> dict[str, Any]:
        sid, facts = self._config.account_sid, self._facts
        root = f"/2010-04-01/Accounts/{sid}"
        return {
            "auth_token": self._config.auth_token,
            "date_created": rfc2822(_CREATED_S),
            "date_updated": rfc2822(_CREATED_S),
            "friendly_name": "Emulated account",
            "owner_account_sid": facts.owner_account_sid or sid,
            "sid": sid,
            "status": facts.status,
            "subresource_uris": {"calls": f"{root}/Calls.json", "balance": f"{root}/Balance.json"},
            "type": facts.type,
            "uri": f"{root}.json",
        }

    def _balance(self) -> Answer:
        if self._facts.owner_account_sid not in ("", self._config.account_sid):
            raise Refusal.not_found("Balance.json")  # child accounts hold no balance
        facts = self._facts
        return 200, {"account_sid": self._config.account_sid, "balance": facts.balance, "currency": facts.currency}

    def _country(self, iso: str) -> Answer:
        low = self._facts.low_risk is None or iso in self._facts.low_risk
        return 200, {
            "iso_code": iso,
            "name": iso,
            "continent": None,
            "country_codes": [],
            "low_risk_numbers_enabled": low,
            "high_risk_special_numbers_enabled": False,
            "high_risk_tollfraud_numbers_enabled": iso in self._facts.toll_fraud,
            "url": f"https://voice.twilio.com/v1/DialingPermissions/Countries/{iso}",
            "links": {},
        }

    def _numbers(self, path: str, form: Form) -> Answer:
        query = _query(form, _NUMBER_FILTERS)
        rows = [self._number(number) for number in self._config.numbers]
        for name, key in (("PhoneNumber", "phone_number"), ("FriendlyName", "friendly_name")):
            if name in query:
                rows = [row for row in rows if query[name].lstrip("+") in row[key]]
        return 200, page(
            "incoming_phone_numbers", rows, path, query, number=int(query.get("Page", "0")), size=_size(query)
        )

    def _number(self, number: str) -> dict[str, Any]:
        owned, facts = self._config.numbers[number], self._facts.numbers.get(number, NumberFacts())
        sid, account = sid_like("PN", number), self._config.account_sid
        return {
            "account_sid": account,
            "address_sid": None,
            "address_requirements": "none",
            "api_version": "2010-04-01",
            "beta": False,
            "bundle_sid": None,
            "capabilities": {"fax": False, "mms": True, "sms": True, "voice": facts.voice},
            "date_created": rfc2822(_CREATED_S),
            "date_updated": rfc2822(_CREATED_S),
            "emergency_address_sid": None,
            "emergency_address_status": "unregistered",
            "emergency_status": "Inactive",
            "friendly_name": number,
            "identity_sid": None,
            "origin": "twilio",
            "phone_number": number,
            "sid": sid,
            "sms_application_sid": "",
            "sms_fallback_method": "POST",
            "sms_fallback_url": "",
            "sms_method": "POST",
            "sms_url": "",
            "status": "in-use",
            "status_callback": owned.status_callback,
            "status_callback_method": owned.status_callback_method,
            "trunk_sid": facts.trunk_sid or None,
            "uri": f"/2010-04-01/Accounts/{account}/IncomingPhoneNumbers/{sid}.json",
            "voice_application_sid": facts.voice_application_sid,
            "voice_caller_id_lookup": False,
            "voice_fallback_method": owned.fallback_method,
            "voice_fallback_url": owned.fallback_url,
            "voice_method": owned.voice_method,
            "voice_receive_mode": facts.voice_receive_mode,
            "voice_url": owned.voice_url,
        }

    def _by_sid(self, sid: str, path: str) -> str:
        for number in self._config.numbers:
            if sid_like("PN", number) == sid:
                return number
        raise Refusal.not_found(path)

    def _update(self, sid: str, path: str, form: Form) -> Answer:
        number = self._by_sid(sid, path)
        change = _query(form, _NUMBER_FIELDS)
        for name, value in change.items():
            if name in _METHOD_FIELDS and value not in ("GET", "POST"):
                raise Refusal.bad_field(f"{name} must be GET or POST: {value}")
            if name in _URL_FIELDS and value and urlsplit(value).scheme not in ("http", "https"):
                raise Refusal.bad_url(name, value)
        # The mapping is a plain dict wherever a config is made; what is written here answers the next incoming call.
        numbers = cast("MutableMapping[str, OwnedNumber]", self._config.numbers)
        of_number = {
            "VoiceUrl": "voice_url",
            "VoiceMethod": "voice_method",
            "VoiceFallbackUrl": "fallback_url",
            "VoiceFallbackMethod": "fallback_method",
            "StatusCallback": "status_callback",
            "StatusCallbackMethod": "status_callback_method",
        }
        fields: dict[str, Any] = {of_number[name]: value for name, value in change.items() if name in of_number}
        numbers[number] = replace(numbers[number], **fields)
        facts = self._facts.numbers.get(number, NumberFacts())
        # One deletes the other (page "incomingphonenumber-resource").
        if "VoiceApplicationSid" in change:
            facts = replace(facts, voice_application_sid=change["VoiceApplicationSid"], trunk_sid="")
        if "TrunkSid" in change:
            facts = replace(facts, trunk_sid=change["TrunkSid"], voice_application_sid="")
        self._facts.numbers[number] = facts
        return 200, self._number(number)

    def _caller_ids(self, path: str, form: Form) -> Answer:
        query = _query(form, _CALLER_FILTERS)
        account = self._config.account_sid
        rows = [
            {
                "account_sid": account,
                "date_created": rfc2822(_CREATED_S),
                "date_updated": rfc2822(_CREATED_S),
                "friendly_name": number,
                "phone_number": number,
                "sid": sid_like("PN", number),
                "uri": f"/2010-04-01/Accounts/{account}/OutgoingCallerIds/{sid_like('PN', number)}.json",
            }
            for number in self._facts.caller_ids
            if query.get("PhoneNumber", number) == number
        ]
        return 200, page("outgoing_caller_ids", rows, path, query, number=0, size=_size(query))


def _query(form: Form, known: set[str]) -> dict[str, str]:
    if strangers := sorted(set(form) - known):
        raise Refusal.bad_field(f"{strangers[0]} is not a parameter of this request")
    return {name: values[-1] for name, values in form.items()}


def _size(query: Mapping[str, str]) -> int:
    size = query.get("PageSize", "50")
    if not (size.isdecimal() and 1 <= int(size) <= 1000):
        raise Refusal.bad_field(f"PageSize must be 1 to 1000: {size}")
    return int(size)
