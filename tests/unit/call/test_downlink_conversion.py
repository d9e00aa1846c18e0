"""Agent audio that is no mu-law: in order through the backlog, a little at a time, bounded."""

from __future__ import annotations

import base64
import random

import pytest
from call_script import SID, Halver, Wire, agent_audio, doubled
from carrier_model import MS

from shortwire.call.downlink import Downlink
from shortwire.call.side import nobody_listens


def downlink(*, plain: bool = False, marks: int = 8, held_ms: float = 4_000) -> Downlink:
    return Downlink([], nobody_listens, plain=plain, held_ms=held_ms, marks=marks)


@pytest.mark.parametrize("plain", [False, True])
def test_converted_audio_keeps_its_order_through_the_backlog(plain: bool) -> None:
    rng = random.Random(1)
    wire, down, halver = Wire(), downlink(plain=plain), Halver()
    down.use(halver)
    down.begin(SID, wire.send, 1)
    now_ns, said = 10_000 * MS, b""
    for _ in range(40):
        chunk = rng.randbytes(rng.randrange(3, 40_000))
        said += chunk
        down.message(agent_audio(doubled(chunk), 1), now_ns)
        for _tick in range(rng.randrange(6)):
            now_ns += 50 * MS
            down.tick(now_ns)
    ticks = 0
    while down.waiting:
        ticks += 1
        now_ns += 50 * MS
        down.tick(now_ns)
    assert wire.decoded == said
    assert halver.longest <= 9_600
    assert ticks > 0
    assert down.overflow == 0


def test_an_interruption_empties_the_backlog() -> None:
    wire, down = Wire(), downlink()
    down.use(Halver())
    down.begin(SID, wire.send, 1)
    down.message(agent_audio(doubled(b"\1" * 100_000), 1), 10_000 * MS)
    assert down.waiting
    down.interrupt(2, 10_010 * MS)
    assert not down.waiting
    down.tick(10_050 * MS)
    assert wire.events()[-1] == "clear"
    down.message(agent_audio(doubled(b"\2" * 800), 2), 10_060 * MS)
    after = wire.events().index("clear")
    assert base64.b64decode("".join(m["media"]["payload"] for m in wire.messages[after:] if m["event"] == "media")) == (
        b"\2" * 800
    )


def test_the_backlog_is_bounded_and_what_it_takes_stays_whole() -> None:
    wire, down = Wire(), downlink(marks=10_000)
    down.use(Halver())
    down.begin(SID, wire.send, 1)
    chunks = [bytes([n]) * 480_000 for n in range(20)]
    for chunk in chunks:
        down.message(agent_audio(doubled(chunk), 1), 10_000 * MS)
    assert down.overflow > 0
    now_ns = 10_000 * MS
    while down.waiting:
        now_ns += 50 * MS
        down.tick(now_ns)
    assert wire.decoded == b"".join(chunks[: 20 - down.overflow])


def test_held_audio_of_a_wide_format_has_room_for_as_much_time() -> None:
    wire, down = Wire(), downlink(held_ms=2_000)
    down.use(Halver())
    down.message(agent_audio(doubled(b"\1" * 16_000), 1), 1)  # 2 s of mu-law, twice as long in the agent's format
    assert down.held_dropped_ms == 0
    down.begin(SID, wire.send, 10_000 * MS)
    for n in range(20):
        down.tick((10_050 + 50 * n) * MS)
    assert wire.decoded == b"\1" * 16_000


@pytest.mark.parametrize("payload", ["A", "AAA", "=", "====", "AA=A", "A==="])
def test_a_payload_that_cannot_be_decoded_is_not_converted(payload: str) -> None:
    wire, down = Wire(), downlink()
    down.use(Halver())
    down.begin(SID, wire.send, 1)
    assert down.slow_audio(payload, 1, 10_000 * MS) is False
    assert (wire.raw, down.unusable) == ([], 1)
    assert not down.waiting


def test_a_converter_that_keeps_everything_writes_nothing() -> None:
    wire, down = Wire(), downlink()
    down.use(Halver())
    down.begin(SID, wire.send, 1)
    assert down.message(agent_audio(b"\1", 1), 10_000 * MS) is False
    assert wire.raw == []
    assert down.message(agent_audio(b"\1", 1), 10_001 * MS) is True
    assert wire.decoded == b"\1"
