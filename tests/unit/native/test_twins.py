"""The compiled media path and its twin in Python do the same: bytes on both wires, side log, counters, refusals."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import random
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from picows import WSMsgType, picows

from shortwire import native
from shortwire.audio.ear import new_recorder
from shortwire.call.session import CallSession, SessionOptions
from shortwire.call.side import BARGE_IN, HEARD, TO_PHONE, plain
from shortwire.clock import SystemClock
from shortwire.net.lean import LeanSocket
from shortwire.switchboard.legs import AgentLeg, PhoneLeg

pytestmark = pytest.mark.skipif(not native.AVAILABLE, reason=f"not built: {native.WHY_NOT}")

SID = "MZ" + "5" * 32


class Wire(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        self.socket = socket.socket()
        super().__init__({"socket": self.socket, "peername": ("", 0), "sockname": ("", 0)})
        self.written = bytearray()
        self.on_write: Callable[[], None] = lambda: None

    def get_write_buffer_size(self) -> int:
        return 1  # not zero: picows then hands every frame to `write` and makes no system call

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...

    def write(self, data: Any) -> None:
        self.written += bytes(data)
        self.on_write()

    def is_closing(self) -> bool:
        return False

    def close(self) -> None: ...

    def abort(self) -> None: ...


def messages(wire: bytes) -> list[tuple[int, bytes]]:
    """Frames on a wire, unmasked: (first byte, payload)."""
    found, at = [], 0
    while at < len(wire):
        first, second = wire[at], wire[at + 1]
        size, at = second & 0x7F, at + 2
        if size >= 126:
            width = 2 if size == 126 else 8
            size, at = int.from_bytes(wire[at : at + width], "big"), at + width
        mask = b"\0\0\0\0"
        if second & 0x80:
            mask, at = wire[at : at + 4], at + 4
        found.append((first, bytes(b ^ mask[i & 3] for i, b in enumerate(wire[at : at + size]))))
        at += size
    return found


class House:
    """One call between two wires, with shortcuts or without."""

    def __init__(self, *, shortcuts: bool, splice: bool = True, taped: bool = True) -> None:
        self.session = CallSession(
            SessionOptions(client_data=b"{}", converters=lambda _in, _out: (None, None), splice=splice, taped=taped)
        )
        self.clock = SystemClock()
        recorder = new_recorder(self.session.side, keeps=True) if shortcuts else None
        self.legs = {
            "phone": PhoneLeg(self.session, self.clock, self, recorder),
            "agent": AgentLeg(self.session, self.clock, self, recorder),
        }
        self.wires = {"phone": Wire(), "agent": Wire()}
        self.sockets: dict[str, LeanSocket] = {}
        self.transports: dict[str, Any] = {}
        self.facts: list[tuple[str, Any]] = []
        for name, leg in self.legs.items():
            self.transports[name] = picows.WSTransport(
                name == "agent", self.wires[name], logging.getLogger("twins"), asyncio.get_running_loop()
            )
            self.sockets[name] = LeanSocket(leg, max_message=100_000, write_limit=4096, tuned=False)
            self.sockets[name].on_ws_connected(self.transports[name])

    def pump(self) -> None:
        self.facts += [
            (fact.kind, {k: v for k, v in fact.data.items() if k not in ("clear_us", "unheard_ms")})
            for fact in self.session.facts
        ]
        self.session.facts.clear()
        self.session.wishes.clear()

    def pump_soon(self) -> None:
        self.pump()

    def leg_closed(self) -> None: ...

    def hears(
        self, side: str, message: bytes, kind: WSMsgType = WSMsgType.TEXT, *, fin: bool = True, rsv: bool = False
    ):  # type: ignore[no-untyped-def]
        frame = picows._make_test_ws_frame(kind, message, fin, rsv)
        self.sockets[side].on_ws_frame(self.transports[side], frame)

    def picture(self, *, marks: bool) -> dict[str, Any]:
        up, down = self.session.uplink, self.session.downlink
        return {
            "wires": {
                name: [frame for frame in messages(bytes(wire.written)) if marks or b'"mark"' not in frame[1]]
                for name, wire in self.wires.items()
            },
            "side": [
                (kind, value)
                for _, kind, value in plain(self.session.side)
                if kind not in (HEARD, BARGE_IN) and (marks or kind != TO_PHONE)
            ],
            "counts": (up.frames, up.relayed, up.slow, up.unusable, up.paused_dropped, up.after_end),
            "down": (
                down.chunks,
                down.stale,
                down.slow,
                down.unusable,
                down.paused_dropped_ms,
            ),
            "delays": (self.legs["phone"].delays.n, self.legs["agent"].delays.n),
            "malformed": self.session.malformed,
            "facts": self.facts,
            "heard": [value[1] for _, kind, value in plain(self.session.side) if kind == HEARD] if marks else None,
            "marks": (down.playout.outstanding_marks, down.playout.returned_marks) if marks else None,
            "cleared": (down.playout.stale_below, down.playout.untold_ms),
        }

    def close(self) -> None:
        for wire in self.wires.values():
            wire.socket.close()


def media(payload: bytes, n: int = 7, sid: str = SID, track: str = "inbound") -> bytes:
    return (
        b'{"event":"media","sequenceNumber":"%d","media":{"track":"%b","chunk":"%d","timestamp":"%d","payload":"%b"},'
        b'"streamSid":"%b"}' % (n + 2, track.encode(), n + 1, 20 * n + 57, payload, sid.encode())
    )


def mark(name: str, sid: str = SID) -> bytes:
    return b'{"event":"mark","sequenceNumber":"4","streamSid":"%b","mark":{"name":"%b"}}' % (
        sid.encode(),
        name.encode(),
    )


def audio(payload: bytes, event_id: bytes = b"7", tail: bytes = b"") -> bytes:
    return b'{"audio_event":{"audio_base_64":"%b","event_id":%b%b},"type":"audio"}' % (payload, event_id, tail)


START = (
    b'{"event":"start","sequenceNumber":"1","start":{"accountSid":"AC1","streamSid":"%b","callSid":"CA1",'
    b'"tracks":["inbound"],"mediaFormat":{"encoding":"audio/x-mulaw","sampleRate":8000,"channels":1},'
    b'"customParameters":{}},"streamSid":"%b"}' % (SID.encode(), SID.encode())
)
READY = (
    b'{"conversation_initiation_metadata_event":{"conversation_id":"conv_1","agent_output_audio_format":"ulaw_8000",'
    b'"user_input_audio_format":"ulaw_8000"},"type":"conversation_initiation_metadata"}'
)
PING = b'{"type":"ping","ping_event":{"event_id":3,"ping_ms":null}}'


INTERRUPTIONS = (
    b'{"type":"interruption","interruption_event":{"event_id":%d}}',
    b'{"interruption_event":{"event_id":%d},"type":"interruption"}',
    b'{"interruption_event":{"event_id":%d,"reason":"speech"},"type":"interruption"}',
    b'{"interruption_event": {"event_id": %d}, "type": "interruption"}',
)
"""As it is documented, as it is captured, and two that only the typed parse takes."""


def steps(rng: random.Random, count: int, *, cuts: bool) -> Iterator[tuple[str, Any]]:
    """What both sides say and do, in any order, most of it usual."""
    event = 5
    for n in range(count):
        payload = base64.b64encode(rng.randbytes(rng.choice([160, 160, 160, 480, 1, 2, 3, 4000, 40_000])))
        what = rng.random()
        if what < 0.35:
            yield "phone", (media(payload, rng.choice([n, 10 ** rng.randrange(1, 13)])),)
        elif what < 0.7:
            tail = rng.choice([b"", b',"is_final":true', b',"is_final":false', b',"alignment":{"a":[1]}'])
            yield "agent", (audio(payload, str(rng.choice([event, event, event - 1, 0])).encode(), tail),)
        elif what < 0.74:
            if not cuts:
                continue
            event += rng.randrange(3)
            yield "agent", (rng.choice(INTERRUPTIONS) % event,)
        elif what < 0.78:
            yield rng.choice(["phone_paused", "agent_paused"]), (rng.random() < 0.4,)
        elif what < 0.81:
            yield "agent", (PING,)
        elif what < 0.85:
            name = f"0.{rng.randrange(1, 8)}"
            odd_names = ["0.01", "0.", ".1", "00.1", "1.1", "0.1.1", "0.1 ", "goodbye", "-0.1"]
            usual = mark(rng.choice([name] * 4 + odd_names))
            odd = [mark(name, "MZ" + "6" * 32), usual.replace(b'":"', b'": "')]
            yield "phone", (rng.choice([usual] * 4 + odd),)
        elif what < 0.9:
            spoiled = bytearray(rng.choice([media(payload), audio(payload)]))
            at = rng.randrange(min(len(spoiled), 400))
            spoiled[at : at + rng.randrange(3)] = rng.choice([b"", b"0", b'"', b"\\", b"\xff", b" ", b"=", b"{"])
            yield rng.choice(["phone", "agent"]), (bytes(spoiled),)
        else:
            odd_one = rng.choice(
                [
                    media(payload, sid="MZ" + "6" * 32),
                    media(payload, track="outbound"),
                    media(b""),
                    media(b'AA"BB'),
                    media(payload, 10**13),
                ]
            )
            yield "phone", (odd_one,)


def play(seed: int, *, shortcuts: bool, splice: bool = True, taped: bool = True) -> dict[str, Any]:
    """Odd seeds have interruptions: how much was unheard then, and so the next mark, is a matter of the real clock."""
    rng = random.Random(seed)
    house = House(shortcuts=shortcuts, splice=splice, taped=taped)
    try:
        if rng.random() < 0.5:
            house.hears("phone", media(base64.b64encode(bytes(160))))
        house.hears("phone", START)
        if rng.random() < 0.5:
            house.hears("agent", audio(base64.b64encode(bytes(800))))
        house.hears("agent", READY)
        for what, args in steps(rng, 60, cuts=bool(seed % 2)):
            if what.endswith("_paused"):
                house.legs[what[:5]].paused(*args)
            else:
                house.hears(what, *args)
        if rng.random() < 0.3:
            house.hears("phone", b'{"event":"stop","sequenceNumber":"9","stop":{},"streamSid":"%b"}' % SID.encode())
            house.hears("phone", media(base64.b64encode(bytes(160))))
            house.hears("agent", audio(base64.b64encode(bytes(160))))
        if shortcuts and splice:
            went = house.legs["phone"].shortcut, house.legs["agent"].shortcut
            assert all(shortcut is not None for shortcut in went)
        return house.picture(marks=not seed % 2)
    finally:
        house.close()


@pytest.mark.parametrize("taped", [True, False])
@pytest.mark.parametrize("seed", range(150))
async def test_both_ways_do_the_same(seed: int, taped: bool) -> None:
    assert play(seed, shortcuts=True, taped=taped) == play(seed, shortcuts=False, taped=taped)


@pytest.mark.parametrize("seed", range(5))
async def test_without_splicing_there_is_no_short_way(seed: int) -> None:
    assert play(seed, shortcuts=True, splice=False) == play(seed, shortcuts=False, splice=False)


async def test_the_usual_message_goes_the_short_way() -> None:
    house = House(shortcuts=True)
    try:
        house.hears("phone", START)
        house.hears("agent", READY)
        for n in range(10):
            house.hears("phone", media(base64.b64encode(bytes(160)), n))
            house.hears("agent", audio(base64.b64encode(bytes(160))))
        up, down = house.legs["phone"].shortcut, house.legs["agent"].shortcut
        assert up is not None
        assert down is not None
        assert (up.relayed, house.session.uplink.frames) == (10, 10)
        assert down.relayed == 9  # the first began a run
        assert house.session.uplink.last_frame_ns == up.last_ns > 0
    finally:
        house.close()


USUAL_PINGS = (
    PING,
    b'{"ping_event":{"event_id":12,"ping_ms":null},"type":"ping"}',
    b'{"ping_event":{"event_id":0,"ping_ms":45},"type":"ping"}',
)
OTHER_PINGS = (
    b'{"ping_event":{"event_id":1},"type":"ping"}',
    b'{"ping_event":{"event_id":1,"ping_ms":null},"type":"ping","more":1}',
    b'{"ping_event":{"event_id":1,"ping_ms":4.5},"type":"ping"}',
    b'{"ping_event":{"ping_ms":45,"event_id":9},"type":"ping"}',
    b'{"ping_event":{"event_id":01,"ping_ms":45},"type":"ping"}',
    b'{"ping_event":{"event_id":-1,"ping_ms":45},"type":"ping"}',
    b'{"ping_event":{"event_id":"1","ping_ms":45},"type":"ping"}',
    b'{"ping_event": {"event_id": 1, "ping_ms": 45}, "type": "ping"}',
    b'{"ping_event":{"event_id":1,"ping_ms":45},"type":"ping"',
    b'{"type":"ping","ping_event":{"event_id":3,"ping_ms":null},"type":"ping"}',
)


def answers_to(pings: tuple[bytes, ...], *, shortcuts: bool, taped: bool = False) -> list[tuple[int, bytes]]:
    house = House(shortcuts=shortcuts, taped=taped)
    try:
        house.hears("phone", START)
        house.hears("agent", READY)
        for ping in pings:
            house.hears("agent", ping)
        return messages(bytes(house.wires["agent"].written))
    finally:
        house.close()


async def test_pings_are_answered_alike() -> None:
    pings = (*USUAL_PINGS, *OTHER_PINGS, *USUAL_PINGS)
    answers = answers_to(pings, shortcuts=False)
    assert len(answers) > 2 * len(USUAL_PINGS)
    assert answers_to(pings, shortcuts=True) == answers == answers_to(pings, shortcuts=True, taped=True)


@pytest.mark.parametrize("taped", [True, False])
async def test_only_a_tape_wants_to_know_of_a_usual_ping(taped: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bytes] = []
    house = House(shortcuts=True, taped=taped)
    try:
        house.hears("phone", START)
        house.hears("agent", READY)
        other = AgentLeg.other
        monkeypatch.setattr(AgentLeg, "other", lambda leg, data, now: (seen.append(data), other(leg, data, now))[1])
        for ping in USUAL_PINGS:
            house.hears("agent", ping)
        assert seen == (list(USUAL_PINGS) if taped else [])
        house.session.agent_closed(1000, "", house.clock.now_ns())
        assert messages(bytes(house.wires["agent"].written))[-1][1] == b'{"type":"pong","event_id":0}'
        house.hears("agent", PING)  # nobody is there to answer
        assert messages(bytes(house.wires["agent"].written))[-1][1] == b'{"type":"pong","event_id":0}'
    finally:
        house.close()


async def test_without_a_tape_all_that_is_usual_goes_the_short_way(monkeypatch: pytest.MonkeyPatch) -> None:
    house = House(shortcuts=True, taped=False)
    try:
        house.hears("phone", START)
        house.hears("agent", READY)
        long_way: list[bytes] = []
        for leg in (AgentLeg, PhoneLeg):
            monkeypatch.setattr(leg, "other", lambda _leg, data, _now: long_way.append(data))
        monkeypatch.setattr(type(house.session.downlink), "message", lambda _down, data, _now: long_way.append(data))
        house.hears("agent", audio(base64.b64encode(bytes(2000))))
        house.hears("agent", audio(base64.b64encode(bytes(4000))))
        house.hears("phone", mark("0.1"))
        for interruption in INTERRUPTIONS[:2]:
            house.hears("agent", audio(base64.b64encode(bytes(800)), b"9"))
            house.hears("agent", interruption % 9)
        assert long_way == []
        assert [kind for kind, _ in house.facts].count("barge_in") == 2
        assert house.session.downlink.playout.returned_marks == 1
        assert [json.loads(text)["event"] for _, text in messages(bytes(house.wires["phone"].written))] == [
            *("media", "mark", "media", "media", "mark", "media", "clear"),
            *("media", "mark", "media", "mark", "clear"),
        ]
    finally:
        house.close()


def told_when_full(*, shortcuts: bool) -> list[tuple[int, bytes]]:
    """A phone's socket that says that it is full while audio is written behind which a mark belongs; twice."""
    house = House(shortcuts=shortcuts, taped=False)
    wire, phone = house.wires["phone"], house.legs["phone"]
    try:
        house.hears("phone", START)
        house.hears("agent", READY)
        house.hears("agent", audio(base64.b64encode(bytes(800))))
        for message in (audio(base64.b64encode(bytes(8000))), audio(base64.b64encode(bytes(4000)), b"9")):
            wire.on_write = lambda: phone.paused(True)
            house.hears("agent", message)
            wire.on_write = lambda: None
            phone.paused(False)
            house.hears("agent", INTERRUPTIONS[0] % 8)  # what comes next begins a run
        return messages(bytes(wire.written))
    finally:
        house.close()


async def test_a_socket_that_is_full_in_the_middle_gets_what_belongs_together() -> None:
    assert told_when_full(shortcuts=True) == told_when_full(shortcuts=False)


async def test_an_event_id_beyond_all_numbers_harms_nothing() -> None:
    house = House(shortcuts=True, taped=False)
    try:
        house.hears("phone", START)
        house.hears("agent", READY)
        house.hears("agent", audio(base64.b64encode(bytes(800)), b"9"))
        house.hears("agent", INTERRUPTIONS[0] % 2**70)
        house.hears("agent", audio(base64.b64encode(bytes(800)), b"10"))
        assert b'"clear"' in messages(bytes(house.wires["phone"].written))[-1][1]
        assert house.session.downlink.stale == 1
        assert not house.transports["agent"].is_close_frame_sent
    finally:
        house.close()


@pytest.mark.parametrize("kind", [WSMsgType.BINARY, WSMsgType.CONTINUATION])
async def test_only_whole_text_messages_go_the_short_way(kind: WSMsgType) -> None:
    house = House(shortcuts=True)
    try:
        house.hears("phone", START)
        house.hears("agent", READY)
        house.hears("phone", media(base64.b64encode(bytes(160))), fin=False)
        house.hears("phone", media(base64.b64encode(bytes(160))), kind)
        assert house.legs["phone"].shortcut is not None
        assert house.legs["phone"].shortcut.relayed == 0
    finally:
        house.close()
