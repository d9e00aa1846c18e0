"""No stale audio after a clear, on real sockets: what a telephone is sent, for generated orders of everything.

Lean and stock sockets, several calls at once in one server, many orders per call: audio of the present reply, late
audio of overtaken ones, interruptions, pings; marks that come back at once, late, twice, or not at all; everything in
one packet or with time between. 200 orders each by default, a quarter of it with an agent whose audio is converted;
STALE_ORDERS=10000 for the bar of issue 5 (docs/reference/measurements.md has its figures).
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import pytest
from live_house import open_house
from scripted_pair import AgentEnd, PhoneEnd, name_of, open_host, open_pair

ORDERS = int(os.environ.get("STALE_ORDERS", "200"))
SEED = os.environ.get("STALE_SEED", "5")
CALLS = 8
_HANDFUL = 250
"""Orders of one call: it stays within its time limit, and its replies within two bytes."""

STEPS = (
    ("audio", 8),
    ("late audio", 6),
    ("interruption", 4),
    ("the same interruption again", 1),
    ("ping", 1),
    ("frame", 2),
    ("mark", 4),
    ("mark twice", 1),
    ("mark of nobody", 1),
    ("breath", 3),
    ("pause", 2),
)


def spoken(pieces: list[bytes | None]) -> list[bytes]:
    """The audio before, between and behind the clears."""
    found = [b""]
    for piece in pieces:
        if piece is None:
            found.append(b"")
        else:
            found[-1] += piece
    return found


@dataclass
class Order:
    """One generated order, and what the telephone has to hear of it."""

    name: str
    agent: AgentEnd
    phone: PhoneEnd
    reply: int
    stale_below: int
    converted: bool
    expected: list[bytes | None] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    clears: int = 0
    stale: int = 0
    marked_after_clear: int = 0
    kept_marks: list[str] = field(default_factory=list)
    """Of before a clear: returned behind it."""

    async def play(self) -> None:
        """Steps at random, then one reply that is heard for certain: all that was sent before it has come by then."""
        chance = random.Random(self.name)
        kinds, weights = zip(*STEPS, strict=True)
        for kind in chance.choices(kinds, weights, k=chance.randint(4, 20)):
            self.done.append(kind)
            await self.step(kind, chance)
        self.reply += 1
        await self.speak(self.reply, 20, odd=False)
        await self.come()
        heard, expected = spoken(self.phone.heard), spoken(self.expected)
        assert len(heard) == len(expected), f"{self.name}: clears lost or invented; {self.done}"
        assert heard[-1] == expected[-1], f"{self.name}: stale, lost or out of order; {self.done}"
        for was, should in zip(heard[:-1], expected[:-1], strict=True):
            # What waits for conversion when a clear is sent is not said any more.
            assert should.startswith(was) if self.converted else was == should, f"{self.name}: {self.done}"
        self.phone.heard.clear()

    async def step(self, kind: str, chance: random.Random) -> None:
        match kind:
            case "audio":
                self.reply += chance.random() < 0.3
                await self.speak(self.reply, chance.choice([20, 60, 100, 520, 1500]), odd=chance.random() < 0.1)
            case "late audio":
                late = max(1, self.reply - chance.randint(1, 3))
                await self.speak(late, chance.choice([20, 60, 100, 520]), odd=chance.random() < 0.1)
            case "interruption":
                self.reply += 1
                await self.interrupt(self.reply)
            case "the same interruption again":
                await self.interrupt(self.stale_below)
            case "ping":
                await self.agent.send({"ping_event": {"event_id": 1, "ping_ms": None}, "type": "ping"})
            case "frame":
                await self.phone.frame()
            case "mark" | "mark twice":
                await self.mark(chance, twice=kind == "mark twice")
            case "mark of nobody":
                await self.phone.return_mark(chance.choice(["", "0.0", "999.1", "greeting"]))
            case "breath":
                await asyncio.sleep(0)
            case _:
                await asyncio.sleep(chance.choice([0.001, 0.002, 0.005]))

    async def speak(self, reply: int, ms: int, *, odd: bool) -> None:
        ulaw = await self.agent.say(reply, ms, odd=odd)
        if reply < self.stale_below:
            self.stale += 1
        else:
            self.expected.append(ulaw)

    async def interrupt(self, event_id: int) -> None:
        self.stale_below = max(self.stale_below, event_id)
        self.clears += 1
        self.expected.append(None)
        self.kept_marks += self.phone.marks
        self.phone.marks.clear()
        await self.agent.interrupt(event_id)

    async def mark(self, chance: random.Random, *, twice: bool) -> None:
        """The carrier returns one that was reached, or one that a clear has returned."""
        names = self.kept_marks if self.kept_marks and chance.random() < 0.5 else self.phone.marks
        if not names:
            return
        name = names.pop(0)
        self.marked_after_clear += names is self.kept_marks
        for _ in range(1 + twice):
            await self.phone.return_mark(name)

    async def come(self) -> None:
        """Until as much has come as should, or the last reply has: more or less than that is a finding."""
        last = name_of(self.reply) * 80
        async with asyncio.timeout(30):
            while not (self.phone.heard and (self.phone.heard[-1] or b"").endswith(last)):
                assert not self.phone.over, f"{self.name}: the call has ended; {self.done}"
                self.phone.more.clear()
                await self.phone.more.wait()


@dataclass
class Tally:
    """What was tried: a run in which nothing was ever stale would prove nothing."""

    orders: int = 0
    clears: int = 0
    stale: int = 0
    heard: int = 0
    marked_after_clear: int = 0

    def add(self, order: Order) -> None:
        self.orders += 1
        self.clears += order.clears
        self.stale += order.stale
        self.heard += sum(len(piece) // 8 for piece in order.expected if piece is not None)
        self.marked_after_clear += order.marked_after_clear


async def converse(kind: str, numbers: range, agent: AgentEnd, phone: PhoneEnd, tally: Tally) -> None:
    """The orders of one call, one after the other."""
    converted = kind == "converted"
    reply, stale_below, kept = 1, 0, list[str]()
    for number in numbers:
        name = f"{SEED}/{kind}/{number}"
        order = Order(name, agent, phone, reply, stale_below, converted, kept_marks=kept)
        await order.play()
        reply, stale_below, kept = order.reply, order.stale_below, order.kept_marks[-50:]
        tally.add(order)


@pytest.mark.timeout(120 + ORDERS // 5)
@pytest.mark.parametrize(
    ("kind", "profile", "audio_format", "orders"),
    [
        ("lean", "optimized", "ulaw_8000", ORDERS),
        ("stock", "baseline", "ulaw_8000", ORDERS),
        ("converted", "optimized", "pcm_8000", ORDERS // 4),
    ],
    ids=["lean", "stock", "converted"],
)
async def test_a_telephone_is_sent_nothing_stale_after_a_clear(
    tmp_path: Path, kind: str, profile: str, audio_format: str, orders: int
) -> None:
    tally, began, calls = Tally(), time.monotonic(), count(1)
    async with (
        open_host(audio_format) as host,
        open_house(tmp_path, shortwire_profile=profile, elevenlabs_base_url=host.url) as house,
    ):
        first = 0
        while first < orders:
            share = min(_HANDFUL, -(-(orders - first) // CALLS))
            async with AsyncExitStack() as exits, asyncio.TaskGroup() as talking:
                for _ in range(CALLS):
                    numbers = range(first, min(orders, first + share))
                    first = numbers.stop
                    ends = await exits.enter_async_context(open_pair(house, host, next(calls)))
                    talking.create_task(converse(kind, numbers, *ends, tally))
        await house.until(lambda: not house.desk._live, "the calls to end")
        _, told = await house.api("GET", "/v1/calls?limit=200")
    sys.stdout.write(f"\n{kind}: {tally}, {next(calls) - 1} calls, {time.monotonic() - began:.0f} s\n")
    assert tally.orders == orders
    assert min(tally.clears, tally.stale, tally.marked_after_clear) > orders // 4
    # Dropped because an interruption had overtaken it, and for no other reason.
    assert sum(call["latencies"]["chunks_stale"] for call in told["calls"]) == tally.stale
