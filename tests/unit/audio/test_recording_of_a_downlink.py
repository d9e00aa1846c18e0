"""The whole way: agent messages through the real downlink to a carrier played by this file, then tape and turns.

The carrier knows to the byte when it played what. Tape, recording and turn tracker see only our side of the wire,
and must come to the same instants, shifted by the carrier's one-way delay like everything that comes from there.
"""

from __future__ import annotations

import base64
import heapq
import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from shortwire.audio.recording import as_heard
from shortwire.call import side
from shortwire.call.downlink import Downlink
from shortwire.call.tape import TapeHeader, TapeWriter, from_side, read_tape
from shortwire.call.turns import TurnTracker
from shortwire.ulaw import payload_ms

MS = 1_000_000
THERE, BACK = 70, 45
"""One-way delays in ms; different, so that nothing fits by accident."""


@dataclass
class Carrier:
    """A playout buffer behind two delays, in virtual milliseconds."""

    now: float = 0.0
    todo: list[tuple[float, int, str, Any]] = field(default_factory=list)
    log: side.SideLog = field(default_factory=list)
    played: list[tuple[float, float]] = field(default_factory=list)
    """What the ear heard, stretches in the carrier's time."""
    queue: list[tuple[float, float, str]] = field(default_factory=list)
    """Marks waiting: when they are due, and their names."""
    free_at: float = 0.0
    order: int = 0

    def __post_init__(self) -> None:
        self.down = Downlink(self.log, self.log.append, plain=False, held_ms=1000, marks=256)
        self.down.begin("MZ1", lambda message: self.later(THERE, "carrier", json.loads(message)), 0)

    def later(self, ms: float, what: str, value: Any) -> None:
        self.order += 1
        heapq.heappush(self.todo, (self.now + ms, self.order, what, value))

    def at(self, ms: float, what: str, value: Any) -> None:
        self.order += 1
        heapq.heappush(self.todo, (ms, self.order, what, value))

    def run(self) -> None:
        while self.todo:
            self.now, _, what, value = heapq.heappop(self.todo)
            getattr(self, what)(value)

    @property
    def now_ns(self) -> int:
        return int(self.now * MS)

    # Our side

    def agent(self, value: tuple[int, int]) -> None:
        ms, event_id = value
        payload = base64.b64encode(b"\x80" * (8 * ms)).decode()
        message = f'{{"audio_event":{{"audio_base_64":"{payload}","event_id":{event_id}}},"type":"audio"}}'
        if self.down.message(message.encode(), self.now_ns):
            self.down.written(self.now_ns + 40_000)

    def interruption(self, event_id: int) -> None:
        unheard_ms = self.down.interrupt(event_id, self.now_ns)
        self.log.append((self.now_ns, side.BARGE_IN, unheard_ms))  # as the session does once `clear` was written

    def tick(self, _: None) -> None:
        self.down.tick(self.now_ns)

    def mark(self, name: str) -> None:
        self.down.mark_returned(name, self.now_ns)

    # The carrier's side

    def carrier(self, message: dict[str, Any]) -> None:
        match message["event"]:
            case "media":
                start = max(self.now, self.free_at)
                self.free_at = start + payload_ms(message["media"]["payload"].encode())
                if self.played and self.played[-1][1] == start:
                    start = self.played.pop()[0]
                self.played.append((start, self.free_at))
            case "mark":
                self.queue.append((max(self.now, self.free_at), self.order, message["mark"]["name"]))
                self.at(max(self.now, self.free_at), "played_to", message["mark"]["name"])
            case "clear":
                start, end = self.played[-1]
                self.played[-1] = (start, min(end, self.now))
                self.free_at = min(self.free_at, self.now)
                for _, _, name in self.queue:
                    self.later(BACK, "mark", name)
                self.queue.clear()

    def played_to(self, name: str) -> None:
        if any(known == name for _, _, known in self.queue):
            self.queue = [entry for entry in self.queue if entry[2] != name]
            self.later(BACK, "mark", name)


def a_call() -> Carrier:
    carrier = Carrier()
    for ms, length in ((1000, 1500), (1040, 700), (6000, 300), (10_000, 4000), (15_000, 900)):
        carrier.at(ms, "agent", (length, 1 if ms < 15_000 else 2))
    carrier.at(12_000, "interruption", 2)
    for ms in range(0, 20_000, 100):
        carrier.at(ms, "tick", None)
    carrier.run()
    return carrier


def test_the_recording_has_every_run_where_the_ear_heard_it() -> None:
    carrier = a_call()
    writer = TapeWriter(TapeHeader("call_1", 0, 0.0))
    tape = read_tape(writer.records(from_side(carrier.log)))
    assert tape.damage is None
    _, agent = as_heard(tape.records)
    assert len(carrier.played) == 4
    assert [h.confirmed for h in agent] == [True] * 4
    assert [h.start_ns / MS for h in agent] == pytest.approx([start + BACK for start, _ in carrier.played], abs=1)
    assert [h.end_ns / MS for h in agent] == pytest.approx([end + BACK for _, end in carrier.played], abs=1)


def test_the_turns_say_the_same() -> None:
    carrier = a_call()
    tracker = TurnTracker()
    tracker.answered(0)
    speech = ((4500, 5200), (8600, 9100), (11_500, 13_800))
    entries: list[tuple[int, int, Any]] = [*carrier.log]
    entries += [(ms * MS, side.UPLINK, any(a < ms <= b for a, b in speech)) for ms in range(20, 20_001, 20)]
    for at_ns, kind, value in sorted(entries, key=lambda entry: entry[0]):
        if kind == side.UPLINK:
            tracker.uplink_frame(at_ns, value)
        elif kind == side.DOWNLINK and not value[1]:
            tracker.agent_audio(at_ns, payload_ms(value[0]))
        elif kind == side.WRITTEN:
            tracker.audio_written(at_ns, 0)
        elif kind == side.HEARD:
            if value[0] is not None:
                tracker.playout_started(value[0])
            tracker.playout_confirmed(at_ns, value[1])
        elif kind == side.BARGE_IN:
            tracker.barge_in(at_ns, value, at_ns)
    tracker.ended(20_000 * MS)
    turns = tracker.take()
    heard = [(start + BACK, end + BACK) for start, end in carrier.played]
    assert [t.heard_ms for t in turns] == pytest.approx([start for start, _ in heard], abs=1)
    # A mark at the very end of a reply confirms its end; a cut one ends with `clear`, as far as we can know.
    assert [t.heard_end_ms for t in turns[:2]] == pytest.approx([end for _, end in heard[:2]], abs=1)
    assert turns[2].heard_end_ms == 12_000
    gaps = [t.response_gap_ms for t in turns]
    assert gaps[0] is None
    said = [5200, 9100, 13_800]
    expected = [start - end for (start, _), end in zip(heard[1:], said, strict=True)]
    assert gaps[1:] == pytest.approx(expected, abs=1)
    assert [t.interrupted for t in turns] == [False, False, True, False]
    assert turns[2].stop_ms == 500
    assert turns[3].barge_in is False
