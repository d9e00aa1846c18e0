"""A stream that reaches another worker than the one that issued its ticket opens nothing: why tickets name theirs.

Two workers on one loop behind a real door; the hand that gives out connections can be made to err.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from live_house import (
    ACCOUNT,
    KEY,
    OURS,
    POLITE,
    SAYS_GOODBYE,
    THEIRS,
    TOKEN,
    House,
    LevelDetector,
    settings_of,
    speak,
)

from shortwire.app import Place, Server
from shortwire.emulators.elevenlabs import ElevenLabsEmulator, EmulatorConfig
from shortwire.emulators.twilio import OwnedNumber, TwilioConfig, TwilioEmulator
from shortwire.net.front import listen
from shortwire.owner import worker_of_call
from shortwire.settings import Settings
from shortwire.wire.signature import sign
from shortwire.workers.choosing import Asked, Chooser, Seat
from shortwire.workers.door import Door
from shortwire.workers.figures import together

Choose = Callable[[Asked, list[Seat]], int]


class Pair:
    """Two workers, and who got what."""

    def __init__(self, house: House, servers: list[Server], choose: Choose) -> None:
        self.house = house
        self.servers = servers
        self.got: list[tuple[Asked, int]] = []
        self._choose = choose

    def hand(self, sock: socket.socket, asked: Asked) -> None:
        seats = [Seat(worker, server.connections) for worker, server in enumerate(self.servers)]
        chosen = self._choose(asked, seats)
        self.got.append((asked, chosen))
        self.servers[chosen].take(sock)

    async def ended(self, call_id: str) -> dict[str, Any]:
        server = self.servers[worker_of_call(call_id) or 0]
        await self.house.until(lambda: call_id not in server.desk._live, f"{call_id} to end", 40)
        # Whoever is asked may be another one, who sees it when its owner's writer has written it.
        await server.desk.context.store.flush()
        return await self.house.call(call_id)


@asynccontextmanager
async def pair(folder: Path, choose: Choose | None = None, **settings: Any) -> AsyncIterator[Pair]:
    chooser = Chooser()

    def rightly(asked: Asked, seats: list[Seat]) -> int:
        chosen = chooser.choose(asked, seats)
        assert chosen is not None
        return chosen

    async with AsyncExitStack() as exits:
        listener = listen("127.0.0.1", 0)
        port = listener.getsockname()[1]
        url = f"http://127.0.0.1:{port}"
        config = TwilioConfig(
            account_sid=ACCOUNT,
            auth_token=TOKEN,
            numbers={OURS: OwnedNumber(voice_url=f"{url}/incoming-call")},
            scenario=POLITE,
            calls_per_second=0,
            dial_s=0.02,
        )
        twilio = await exits.enter_async_context(TwilioEmulator(config, speak=speak, detector=LevelDetector))
        eleven = await exits.enter_async_context(ElevenLabsEmulator(EmulatorConfig(script=SAYS_GOODBYE, speak=speak)))
        house = House(twilio, eleven, folder)
        house.url = url
        house.http = await exits.enter_async_context(aiohttp.ClientSession(headers={"Authorization": f"Bearer {KEY}"}))
        made = settings_of(house, port, **settings)
        servers = [await exits.enter_async_context(worker(made, number)) for number in range(2)]
        found = Pair(house, servers, choose or rightly)
        door = Door(listener, found.hand)
        door.open()
        exits.callback(door.close)
        yield found


def worker(settings: Settings, number: int) -> Server:
    options = settings.bridge_options()
    options = replace(options, limits=replace(options.limits, media_wait_s=2.0))
    place = Place(number, 2, "house", lambda own: together([{**own, "worker": number}]))
    return Server(settings, options=options, place=place, say=lambda _line: None)


@pytest.mark.parametrize("profile", ["optimized", "baseline"])
async def test_a_stream_comes_to_whoever_issued_its_ticket(tmp_path: Path, profile: str) -> None:
    async with pair(tmp_path, shortwire_profile=profile) as both:
        calls = [await both.house.place() for _ in range(4)]
        assert {worker_of_call(call_id) for call_id in calls} == {0, 1}
        for call_id in calls:
            assert (await both.ended(call_id))["cause"] == "agent_ended"


async def test_without_the_mark_it_would_not(tmp_path: Path) -> None:
    def crossed(asked: Asked, seats: list[Seat]) -> int:
        """As if nothing named a worker, and every choice were the other one."""
        return 1 - asked.worker if asked.worker is not None else 0

    async with pair(tmp_path, crossed) as both:
        call_id = await both.house.place()
        call = await both.ended(call_id)
        assert call["cause"] == "media_never_came"
        [carrier] = both.house.twilio.calls.values()
        assert both.house.conversations == [] and carrier.ending is not None


async def test_a_repeated_webhook_finds_the_call_that_it_began(tmp_path: Path) -> None:
    async with pair(tmp_path) as both:
        sid, url = "CA" + "7" * 32, f"{both.house.url}/incoming-call"
        form = {"CallSid": sid, "From": THEIRS, "To": OURS, "AccountSid": ACCOUNT}
        signed = {"X-Twilio-Signature": sign(TOKEN, url, list(form.items()))}
        documents = []
        for _ in range(4):
            async with both.house.http.post(url, data=form, headers=signed) as answer:
                documents.append(await answer.text())
        assert len({chosen for _, chosen in both.got}) == 1
        assert all("<Stream" in document for document in documents)
        assert sum(len(server.desk._live) for server in both.servers) == 1


async def test_inbound_calls_are_shared_out(tmp_path: Path) -> None:
    async with pair(tmp_path) as both:
        for _ in range(4):
            both.house.twilio.call_in(OURS, THEIRS)
        deadline = time.monotonic() + 40
        while True:
            _, body = await both.house.api("GET", "/v1/calls?state=ended")
            if len(body["calls"]) == 4:
                break
            assert time.monotonic() < deadline
            await asyncio.sleep(0.1)
        assert {call["cause"]["slug"] for call in body["calls"]} == {"agent_ended"}
        assert {worker_of_call(call["id"]) for call in body["calls"]} == {0, 1}


async def test_a_call_that_nobody_has_any_more_is_answered_by_anybody(tmp_path: Path) -> None:
    async with pair(tmp_path) as both:
        call_id = await both.house.place()
        await both.ended(call_id)
        gone = call_id[:14] + "z" + call_id[15:]
        assert worker_of_call(gone) == 31
        status, body = await both.house.api("GET", f"/v1/calls/{gone}")
        assert (status, body["error"]["code"]) == (404, "not_found")
        status, _ = await both.house.api("POST", f"/v1/calls/{call_id}/hangup")
        assert status == 200
