"""The number's webhook: pointed here, moved with a tunnel, put back, and left alone where it is not ours."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from shortwire.emulators.twilio import NumberFacts, OwnedNumber, TwilioConfig, TwilioEmulator
from shortwire.errors import ConfigError
from shortwire.net.number_webhook import NumberWebhook
from shortwire.net.twilio_account import TwilioAccount

ACCOUNT, TOKEN, OURS = "AC" + "1" * 32, "0" * 32, "+14155550100"
OLD = "https://old.example.com/voice"


@pytest.fixture
async def twilio() -> AsyncIterator[TwilioEmulator]:
    config = TwilioConfig(
        account_sid=ACCOUNT, auth_token=TOKEN, numbers={OURS: OwnedNumber(voice_url=OLD, voice_method="GET")}
    )
    async with TwilioEmulator(config, speak=lambda *_: b"") as emulator:
        yield emulator


@pytest.fixture
async def account(twilio: TwilioEmulator) -> AsyncIterator[TwilioAccount]:
    made = TwilioAccount(ACCOUNT, TOKEN, base_url=twilio.base_url)
    yield made
    await made.close()


def number_of(twilio: TwilioEmulator) -> OwnedNumber:
    return twilio.config.numbers[OURS]


async def test_it_points_here_and_puts_back_what_was_there(twilio: TwilioEmulator, account: TwilioAccount) -> None:
    said: list[str] = []
    webhook = NumberWebhook(account, OURS, said.append)
    await webhook.point("https://calls.example.com")
    assert number_of(twilio).voice_url == "https://calls.example.com/incoming-call"
    assert number_of(twilio).voice_method == "POST"
    await webhook.put_back()
    assert (number_of(twilio).voice_url, number_of(twilio).voice_method) == (OLD, "GET")
    assert len(said) == 2


async def test_it_moves_with_the_tunnel_and_still_knows_what_was_first(
    twilio: TwilioEmulator, account: TwilioAccount
) -> None:
    webhook = NumberWebhook(account, OURS)
    await webhook.point("https://one.ngrok.app")
    await webhook.follow("https://two.ngrok.app")
    assert number_of(twilio).voice_url == "https://two.ngrok.app/incoming-call"
    await webhook.put_back()
    assert number_of(twilio).voice_url == OLD


async def test_what_somebody_else_set_since_is_left(twilio: TwilioEmulator, account: TwilioAccount) -> None:
    webhook = NumberWebhook(account, OURS)
    await webhook.point("https://calls.example.com")
    numbers: Any = twilio.config.numbers
    numbers[OURS] = OwnedNumber(voice_url="https://new.example.com/")
    await webhook.put_back()
    assert number_of(twilio).voice_url == "https://new.example.com/"


async def test_an_application_on_the_number_is_not_overruled(twilio: TwilioEmulator, account: TwilioAccount) -> None:
    twilio.account.numbers[OURS] = NumberFacts(voice_application_sid="AP" + "0" * 32)
    with pytest.raises(ConfigError, match="TwiML application"):
        await NumberWebhook(account, OURS).point("https://calls.example.com")
    assert number_of(twilio).voice_url == OLD


async def test_a_number_of_somebody_else(account: TwilioAccount) -> None:
    with pytest.raises(ConfigError, match="does not own"):
        await NumberWebhook(account, "+14155550199").point("https://calls.example.com")


async def test_a_carrier_that_fails_is_told_and_survived(twilio: TwilioEmulator, account: TwilioAccount) -> None:
    said: list[str] = []
    webhook = NumberWebhook(account, OURS, said.append)
    await webhook.point("https://one.ngrok.app")
    twilio.account.refuse_with = (503, 20503, "Service unavailable")
    await webhook.follow("https://two.ngrok.app")
    await webhook.put_back()
    assert [line.startswith("WARNING") for line in said] == [False, True, True]
