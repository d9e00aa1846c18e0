"""The account behind the calls: type, numbers, balance, dialling permissions; through the official SDK.

Read by `doctor` and `region`, never on a call's path. Shares the client, the deadline and the error translation of
`twilio_rest`. Pages: api/rest/account, incomingphonenumber-resource, usage/api/balance, dialingpermissions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import twilio.rest.voice  # noqa: F401  see `twilio_rest`

from ..errors import CarrierRefused
from .twilio_rest import TwilioCarrier, milliseconds
from .vendor_hosts import voice_base_url

__all__ = ["AccountFacts", "CountryPermission", "NumberFacts", "RecentCall", "TwilioAccount"]


@dataclass(frozen=True, slots=True)
class AccountFacts:
    sid: str
    type: str
    """``Full`` or ``Trial``."""
    status: str
    """``active``, ``suspended`` or ``closed``."""
    owner_sid: str
    """Another account's sid for a subaccount."""


@dataclass(frozen=True, slots=True)
class NumberFacts:
    """One number of the account, as far as calls go."""

    sid: str
    number: str
    voice: bool
    voice_url: str
    voice_method: str
    voice_application_sid: str
    trunk_sid: str
    voice_receive_mode: str


@dataclass(frozen=True, slots=True)
class CountryPermission:
    """What may be dialled in one country."""

    country: str
    low_risk: bool
    toll_fraud: bool
    """Ranges known for toll fraud may be dialled."""


@dataclass(frozen=True, slots=True)
class RecentCall:
    status: str
    queue_ms: int
    """How long it waited for the account's calls per second."""


class TwilioAccount(TwilioCarrier):
    """`TwilioCarrier` and the account's own pages. All methods raise `CarrierRefused` or `CarrierUncertain`."""

    async def account(self) -> AccountFacts:
        """Type, status, owner (api/rest/account)."""
        sid = self._credentials[0]
        found = await self._ask(lambda c: c.api.v2010.accounts(sid).fetch_async())
        return AccountFacts(
            str(found.sid or ""), str(found.type or ""), str(found.status or ""), str(found.owner_account_sid or "")
        )

    async def numbers(self) -> Sequence[NumberFacts]:
        """The account's numbers, at most 200."""
        found = await self._ask(lambda c: c.incoming_phone_numbers.list_async(page_size=200, limit=200))
        return [_number(number) for number in found]

    async def verified_caller_ids(self) -> Sequence[str]:
        """Numbers of others that this account may call from."""
        found = await self._ask(lambda c: c.outgoing_caller_ids.list_async(page_size=200, limit=200))
        return [str(caller.phone_number or "") for caller in found]

    async def point_number(self, sid: str, voice_url: str, voice_method: str = "POST") -> NumberFacts:
        """Send a number's incoming calls to an address. An application or a trunk on the number stays and wins."""
        found = await self._ask(
            lambda c: c.incoming_phone_numbers(sid).update_async(voice_url=voice_url, voice_method=voice_method),
        )
        return _number(found)

    async def balance(self) -> tuple[float, str] | None:
        """Amount and currency; None for a subaccount, which has none of its own."""
        try:
            found = await self._ask(lambda c: c.balance.fetch_async())
        except CarrierRefused as refusal:
            if refusal.status == 404:
                return None
            raise
        try:
            return float(found.balance), str(found.currency or "")
        except (TypeError, ValueError):
            return None

    async def permission(self, country: str) -> CountryPermission | None:
        """What may be dialled in a country (voice/api/dialingpermissions-country-resource); None: not known there."""
        try:
            found = await self._ask(
                lambda c: c.voice.v1.dialing_permissions.countries(country).fetch_async(),
            )
        except CarrierRefused as refusal:
            if refusal.status == 404:
                return None
            raise
        return CountryPermission(
            country, bool(found.low_risk_numbers_enabled), bool(found.high_risk_tollfraud_numbers_enabled)
        )

    async def recent_calls(self, limit: int = 50) -> Sequence[RecentCall]:
        """The newest calls: how long they waited in the queue, and how many are on."""
        found = await self._ask(lambda c: c.calls.list_async(page_size=limit, limit=limit))
        return [RecentCall(str(call.status or ""), int(milliseconds(call.queue_time))) for call in found]

    def _connected(self) -> Any:
        client = super()._connected()
        client.voice.base_url = voice_base_url(self._base_url)
        return client


def _number(found: Any) -> NumberFacts:
    # Typed as text in the SDK, an object on the wire.
    capabilities = found.capabilities if isinstance(found.capabilities, Mapping) else {}
    return NumberFacts(
        sid=str(found.sid or ""),
        number=str(found.phone_number or ""),
        voice=bool(capabilities.get("voice")),
        voice_url=str(found.voice_url or ""),
        voice_method=str(found.voice_method or ""),
        voice_application_sid=str(found.voice_application_sid or ""),
        trunk_sid=str(found.trunk_sid or ""),
        voice_receive_mode=str(found.voice_receive_mode or "voice"),
    )
