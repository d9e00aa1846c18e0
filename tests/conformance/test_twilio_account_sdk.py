"""The account's pages of the Twilio emulator against the vendor's own SDK, and our reading of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from twilio.base.exceptions import TwilioRestException
from twilio.rest import Client

from shortwire.emulators.twilio import NumberFacts, OwnedNumber, TwilioConfig, TwilioEmulator
from shortwire.errors import CarrierRefused
from shortwire.net.twilio_account import TwilioAccount

ACCOUNT, TOKEN, OURS, OTHER = "AC" + "7" * 32, "secret-of-the-account", "+15005550006", "+14155550101"


@pytest.fixture(autouse=True)
def no_region(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TWILIO_EDGE", "TWILIO_REGION"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
async def twilio() -> AsyncIterator[TwilioEmulator]:
    numbers = {OURS: OwnedNumber(voice_url="https://a.example/x"), OTHER: OwnedNumber()}
    config = TwilioConfig(account_sid=ACCOUNT, auth_token=TOKEN, numbers=numbers)
    async with TwilioEmulator(config, speak=lambda *_: b"") as emulator:
        yield emulator


@pytest.fixture
def sdk(twilio: TwilioEmulator) -> Client:
    client = Client(ACCOUNT, TOKEN)
    client.api.base_url = client.voice.base_url = twilio.base_url
    return client


@pytest.fixture
async def ours(twilio: TwilioEmulator) -> AsyncIterator[TwilioAccount]:
    made = TwilioAccount(ACCOUNT, TOKEN, base_url=twilio.base_url)
    yield made
    await made.close()


async def test_the_account_as_the_sdk_reads_it(twilio: TwilioEmulator, sdk: Client) -> None:
    twilio.account.type, twilio.account.status = "Trial", "suspended"
    found = await asyncio.to_thread(lambda: sdk.api.v2010.accounts(ACCOUNT).fetch())
    assert (found.sid, found.type, found.status, found.owner_account_sid) == (ACCOUNT, "Trial", "suspended", ACCOUNT)
    assert found.date_created is not None
    balance = await asyncio.to_thread(sdk.balance.fetch)
    assert (balance.balance, balance.currency, balance.account_sid) == ("25.00", "USD", ACCOUNT)


async def test_numbers_are_listed_filtered_fetched_and_changed(twilio: TwilioEmulator, sdk: Client) -> None:
    every = await asyncio.to_thread(sdk.incoming_phone_numbers.list)
    assert [number.phone_number for number in every] == [OURS, OTHER]
    (one,) = await asyncio.to_thread(lambda: sdk.incoming_phone_numbers.list(phone_number=OURS))
    assert one.capabilities["voice"] is True
    changed = await asyncio.to_thread(
        lambda: sdk.incoming_phone_numbers(one.sid).update(voice_url="https://b.example/y", voice_method="GET")
    )
    assert (changed.voice_url, changed.voice_method) == ("https://b.example/y", "GET")
    again = await asyncio.to_thread(lambda: sdk.incoming_phone_numbers(one.sid).fetch())
    assert again.voice_url == "https://b.example/y"
    assert twilio.config.numbers[OURS].voice_url == "https://b.example/y"


async def test_an_application_and_a_trunk_exclude_each_other(sdk: Client) -> None:
    (one,) = await asyncio.to_thread(lambda: sdk.incoming_phone_numbers.list(phone_number=OURS))
    application, trunk = "AP" + "1" * 32, "TK" + "2" * 32
    await asyncio.to_thread(lambda: sdk.incoming_phone_numbers(one.sid).update(voice_application_sid=application))
    found = await asyncio.to_thread(lambda: sdk.incoming_phone_numbers(one.sid).update(trunk_sid=trunk))
    assert (found.trunk_sid, found.voice_application_sid) == (trunk, "")


@pytest.mark.parametrize(
    ("change", "code"), [({"voice_method": "PUT"}, 21200), ({"voice_url": "nowhere"}, 21205), ({"sms_url": "x"}, 21200)]
)
async def test_what_no_page_lists_is_refused(sdk: Client, change: dict[str, str], code: int) -> None:
    (one,) = await asyncio.to_thread(lambda: sdk.incoming_phone_numbers.list(phone_number=OURS))
    with pytest.raises(TwilioRestException) as caught:
        await asyncio.to_thread(lambda: sdk.incoming_phone_numbers(one.sid).update(**change))
    assert caught.value.code == code


async def test_dialling_permissions_and_caller_ids(twilio: TwilioEmulator, sdk: Client) -> None:
    twilio.account.low_risk, twilio.account.toll_fraud = frozenset({"US"}), frozenset({"US"})
    twilio.account.caller_ids = ("+14155550177",)
    us = await asyncio.to_thread(lambda: sdk.voice.v1.dialing_permissions.countries("US").fetch())
    gb = await asyncio.to_thread(lambda: sdk.voice.v1.dialing_permissions.countries("GB").fetch())
    assert (us.low_risk_numbers_enabled, us.high_risk_tollfraud_numbers_enabled) == (True, True)
    assert (gb.low_risk_numbers_enabled, gb.high_risk_tollfraud_numbers_enabled) == (False, False)
    (caller,) = await asyncio.to_thread(sdk.outgoing_caller_ids.list)
    assert caller.phone_number == "+14155550177"


async def test_our_reading_of_all_of_it(twilio: TwilioEmulator, ours: TwilioAccount) -> None:
    twilio.account.numbers[OURS] = NumberFacts(voice=False, voice_receive_mode="fax")
    twilio.account.owner_account_sid = "AC" + "9" * 32
    account = await ours.account()
    assert (account.type, account.status, account.owner_sid) == ("Full", "active", "AC" + "9" * 32)
    numbers = {number.number: number for number in await ours.numbers()}
    assert (numbers[OURS].voice, numbers[OURS].voice_receive_mode) == (False, "fax")
    assert numbers[OTHER].voice
    assert await ours.balance() is None  # a subaccount has none
    permission = await ours.permission("GB")
    assert permission is not None
    assert permission.low_risk
    assert await ours.recent_calls() == []
    assert await ours.verified_caller_ids() == []


async def test_a_wrong_token_is_a_clear_no(twilio: TwilioEmulator) -> None:
    stranger = TwilioAccount(ACCOUNT, "wrong", base_url=twilio.base_url)
    with pytest.raises(CarrierRefused) as caught:
        await stranger.account()
    assert caught.value.carrier_code == 20003
    await stranger.close()
