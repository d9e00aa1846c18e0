"""The same scenarios on the emulator and, where somebody sets TWILIO_LIVE_*, on the vendor itself.

Written on the emulator and never run against the vendor. The live side needs all four variables, dials a real number
and costs money:

    TWILIO_LIVE_ACCOUNT_SID, TWILIO_LIVE_AUTH_TOKEN   the account
    TWILIO_LIVE_FROM                                  a number of it
    TWILIO_LIVE_TO                                    a number that somebody is willing to have rung
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest
from twilio.base.exceptions import TwilioRestException
from twilio.rest import Client

from shortwire.emulators.twilio import OwnedNumber, PartyScript, TwilioConfig, TwilioEmulator

NAMES = ("TWILIO_LIVE_ACCOUNT_SID", "TWILIO_LIVE_AUTH_TOKEN", "TWILIO_LIVE_FROM", "TWILIO_LIVE_TO")
PAUSE = "<Response><Pause length='20'/></Response>"
T = TypeVar("T")


@dataclass(frozen=True)
class Target:
    client: Client
    ours: str
    theirs: str


async def in_thread(work: Callable[[], T]) -> T:
    return await asyncio.wait_for(asyncio.to_thread(work), 60)


@pytest.fixture(params=["emulator", "live"])
async def target(request: pytest.FixtureRequest) -> AsyncIterator[Target]:
    if request.param == "live":
        values = [os.environ.get(name, "") for name in NAMES]
        if not all(values):
            pytest.skip(f"the vendor itself is asked only when {', '.join(NAMES)} are set")
        account, token, ours, theirs = values
        yield Target(Client(account, token), ours, theirs)
        return
    account, ours = "AC" + "7" * 32, "+14155550100"
    config = TwilioConfig(
        account_sid=account,
        auth_token="token",
        numbers={ours: OwnedNumber()},
        scenario=PartyScript(ring_s=0.2),
        calls_per_second=0,
    )
    async with TwilioEmulator(config) as twilio:
        client = Client(account, "token")
        client.api.base_url = twilio.base_url
        yield Target(client, ours, "+14155550123")


async def test_a_call_is_placed_found_and_ended(target: Target) -> None:
    calls = target.client.calls
    made = await in_thread(lambda: calls.create(to=target.theirs, from_=target.ours, twiml=PAUSE, time_limit=30))
    try:
        assert made.sid is not None
        assert made.sid.startswith("CA")
        assert made.status == "queued"
        async with asyncio.timeout(60):
            while (await in_thread(calls(made.sid).fetch)).status in {"queued", "initiated"}:  # noqa: ASYNC110
                await asyncio.sleep(0.2)
        listed = await in_thread(lambda: calls.list(to=target.theirs, limit=20))
        assert made.sid in {call.sid for call in listed}
    finally:
        done = await in_thread(lambda: calls(made.sid or "").update(status="completed"))
    assert done.status in {"completed", "canceled"}
    with pytest.raises(TwilioRestException) as over:
        await in_thread(lambda: calls(made.sid or "").update(twiml=PAUSE))
    assert (over.value.status, over.value.code) == (400, 21220)


@pytest.mark.parametrize(
    ("change", "codes"),
    [
        ({"to": "4155550123x"}, {21211, 21217}),
        ({"from_": "+15005550099"}, {21210, 21212}),
        ({"url": "voice", "twiml": None}, {21205}),
        ({"to": ""}, {21201, 21213, 21604}),
    ],
)
async def test_a_create_that_is_refused(target: Target, change: dict[str, Any], codes: set[int]) -> None:
    form = {"to": target.theirs, "from_": target.ours, "twiml": PAUSE, **change}
    given = {name: value for name, value in form.items() if value is not None}
    with pytest.raises(TwilioRestException) as refused:
        await in_thread(lambda: target.client.calls.create(**given))
    assert refused.value.status == 400
    assert refused.value.code in codes


async def test_a_call_nobody_knows(target: Target) -> None:
    with pytest.raises(TwilioRestException) as unknown:
        await in_thread(target.client.calls("CA" + "0" * 32).fetch)
    assert (unknown.value.status, unknown.value.code) == (404, 20404)
