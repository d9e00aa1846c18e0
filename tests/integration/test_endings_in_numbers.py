"""Many calls leave nothing behind; slow peers are survived or ended; the loop is never held for long."""

from __future__ import annotations

import asyncio
import base64
import gc
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from live_house import Leftovers, open_house
from test_door import RINGS, opened, ringing, start

from shortwire.emulators.scenario import PartyScript


@pytest.mark.parametrize("profile", ["optimized", "baseline"])
async def test_a_hundred_short_calls(tmp_path: Path, profile: str) -> None:
    from shortwire.switchboard.live import LiveCall

    async with open_house(tmp_path, shortwire_profile=profile) as house:

        async def short(number: int) -> None:
            call_id = await house.place(f"+1415555{number:04}")
            await house.state(call_id, "connected")

            await house.api("POST", f"/v1/calls/{call_id}/hangup")
            events = await house.events(call_id)
            assert [event.seq for event in events] == list(range(1, len(events) + 1))
            assert [event.kind for event in events].count("call.ended") == 1
            assert events[-1].kind == "call.ended"

        await asyncio.gather(*(short(n) for n in range(100, 110)))  # fills pools and threads
        before = Leftovers(house)
        for first in range(110, 200, 10):
            await asyncio.gather(*(short(n) for n in range(first, first + 10)))
        await house.nothing_is_left()
        await before.none()
        gc.collect()
        assert sum(isinstance(thing, LiveCall) for thing in gc.get_objects()) <= 2
        assert len(house.conversations) <= 100
        assert len(house.requests("POST", "Calls.json")) == 100


@pytest.mark.parametrize("profile", ["optimized", "baseline"])
async def test_an_agent_that_does_not_read_for_a_while(
    tmp_path: Path, profile: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frames are dropped and counted, nothing is queued up, and the call goes on when it reads again."""
    from shortwire.emulators.elevenlabs.socket import ConversationSocket

    reads = asyncio.Event()
    reads.set()

    async def now_and_then(self: ConversationSocket) -> None:
        while True:
            await reads.wait()
            message = await self._ws.receive()
            if message.type is not aiohttp.WSMsgType.TEXT:
                return
            self.conversation.received(message.data, time.monotonic_ns())
            self._wake.set()

    monkeypatch.setattr(ConversationSocket, "_read", now_and_then)
    # Without compression: the emulator's library reads on without end where messages are compressed.
    async with open_house(tmp_path, party=RINGS, shortwire_profile=profile, eleven={"compression": False}) as house:
        call_id, good = await ringing(house)
        ws = await opened(house, good)
        await ws.send_str(start(house.carrier_call().sid))
        uplink = house.live_call(call_id).session.uplink
        await house.until(lambda: house.live_call(call_id).figures.agent_ready_ns, "the agent")
        reads.clear()
        # Long frames fill the system's buffers soon; random ones also where they are compressed.
        payload = base64.b64encode(os.urandom(15_000)).decode()
        stalled = False
        for number in range(4_000):
            await ws.send_str(media(number, payload))
            if number % 20 == 0:
                await asyncio.sleep(0.002)
            if uplink.paused_dropped > 50:
                stalled = True
                break
        assert stalled, "nothing was dropped"
        reads.set()
        sent = uplink.relayed
        for number in range(4_000, 4_400):
            await ws.send_str(media(number, "f" * 216))
            await asyncio.sleep(0.01)
            if uplink.relayed > sent + 50:
                break
        assert uplink.relayed > sent + 50
        assert house.live_call(call_id).session.cause is None
        _, body = await house.api("POST", f"/v1/calls/{call_id}/hangup")
        assert body["latencies"]["frames_dropped"] > 50
        await ws.close()
        await house.nothing_is_left()


@pytest.mark.parametrize("profile", ["optimized", "baseline"])
async def test_a_phone_that_does_not_read_is_ended_with_overload(tmp_path: Path, profile: str) -> None:
    from shortwire.emulators.scenario import AgentScript

    async with open_house(
        tmp_path,
        party=RINGS,
        agent=AgentScript(first_message="200000"),
        eleven={"behaviour": behaviour()},
        shortwire_profile=profile,
    ) as house:
        call_id, good = await ringing(house)
        ws = await opened(house, good)
        shrink(ws._response.connection.transport)
        ws._response.connection.transport.pause_reading()
        await ws.send_str(start(house.carrier_call().sid))
        feeding = asyncio.create_task(feed(ws))
        try:
            pump = asyncio.create_task(chatter(house, call_id))
            call = await house.ended(call_id)
            pump.cancel()
        finally:
            feeding.cancel()
        assert (call["cause"], call["fault"]) == ("overload", "us")
        await ws.close()
        await house.nothing_is_left()


async def chatter(house: Any, call_id: str) -> None:
    """More agent audio than any buffer holds, through the agent's leg as if it had come."""
    leg = house.live_call(call_id).agent
    await house.until(lambda: leg.socket is not None, "the agent's socket")
    text = json.dumps({"audio_event": {"audio_base_64": "f" * 64_000, "event_id": 1}, "type": "audio"})
    conversation = next(iter(house.eleven.live.values()))
    for _ in range(2_000):
        await conversation._ws.send_str(text)
        await asyncio.sleep(0.001)


async def feed(ws: Any) -> None:
    for number in range(100_000):
        await ws.send_str(media(number, "f" * 216))
        await asyncio.sleep(0.02)


def behaviour() -> Any:
    from shortwire.emulators.elevenlabs import Behaviour

    return Behaviour()


def shrink(transport: Any) -> None:
    """Small system buffers, so that little has to be sent to fill them."""
    import socket

    system = transport.get_extra_info("socket")
    system.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)


def media(number: int, payload: str) -> str:
    return (
        f'{{"event":"media","sequenceNumber":"{number + 2}","media":{{"track":"inbound","chunk":"{number + 1}",'
        f'"timestamp":"{number * 20}","payload":"{payload}"}},"streamSid":"MZ{"1" * 32}"}}'
    )


async def test_nothing_holds_the_loop_for_long(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A probe beside one whole call. The bound is generous: it finds an import or a trust store, not a slow machine."""
    loop = asyncio.get_running_loop()
    async with open_house(tmp_path, party=PartyScript(ring_s=0.3)) as house:
        late: list[float] = []

        async def probe() -> None:
            while True:
                due = loop.time() + 0.002
                await asyncio.sleep(0.002)
                late.append((loop.time() - due) * 1000)

        probing = asyncio.create_task(probe())
        call_id = await house.place()
        await house.talking(call_id)
        await house.api("POST", f"/v1/calls/{call_id}/hangup")
        probing.cancel()
        with capsys.disabled():
            sys.stdout.write(f"\nworst lateness of the loop in the process's first call: {max(late):.1f} ms\n")
        assert max(late) < 400
