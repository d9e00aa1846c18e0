"""Agent audio to the phone: nothing stale, nothing lost, nothing twice, whatever the order of things."""

from __future__ import annotations

import base64
import random
from collections.abc import Iterator

import pytest
from call_script import SID, Wire, agent_audio
from carrier_model import MS, Carrier

from shortwire.call import side
from shortwire.call.downlink import FIRST_MS, Downlink
from shortwire.call.side import SideLog
from shortwire.ulaw import payload_ms

MARKS = 8
HELD_MS = 4_000


def downlink(
    log: SideLog | None = None, *, plain: bool = False, marks: int = MARKS, held_ms: float = HELD_MS
) -> Downlink:
    log = [] if log is None else log
    return Downlink(log, log.append, plain=plain, held_ms=held_ms, marks=marks)


def distinct(rng: random.Random, serial: int, length: int) -> bytes:
    """Audio that can be told from all other audio of its call."""
    return serial.to_bytes(3, "big") + rng.randbytes(max(0, length - 3))


class Call:
    """One generated order of events, and what has to come of it."""

    def __init__(self, seed: int) -> None:
        self.rng = rng = random.Random(seed)
        self.down = downlink(plain=rng.random() < 0.3)
        self.now_ns = 1_000_000_000
        self.carrier = Carrier(way_ns=rng.randrange(0, 200) * MS, now_ns=self.now_ns)
        self.wanted = b""
        """All audio that has to be on the wire, in order, since it was allowed to be."""
        self.held: list[tuple[bytes, int]] = []
        self.written = b""
        self.pieces: list[float] = []
        self.splits_due = 0
        self.chunks_written = 0
        self.begun = self.stopped = False
        self.event_id = rng.randrange(1, 50)
        self.last_interruption = 0
        self.serial = self.marks = self.clears = self.stale = 0

    def send(self, message: bytes) -> None:
        before = len(self.carrier._wire)
        self.carrier.send_message(message, self.now_ns)
        assert not self.stopped
        piece = self.carrier._wire[before][1]
        if piece is None:
            self.clears += 1
        elif isinstance(piece, str):
            self.marks += 1
        else:
            self.written += base64.b64decode(piece.payload)
            self.pieces.append(piece.ms)

    def play(self) -> None:
        steps = self.rng.choices(
            [self.audio, self.interrupted, self.late_audio, self.time_passes, self.begin, self.pause, self.stop],
            [10, 2, 3, 10, 3, 1, 0.1],
            k=self.rng.randrange(5, 40),
        )
        for step in steps:
            step()
            self.check()

    def audio(self) -> None:
        self.serial += 1
        length = self.rng.choice([160, 480, 481, 8_000, 1_600, self.rng.randrange(3, 20_000)])
        self.say(distinct(self.rng, self.serial, length), self.event_id)
        if self.rng.random() < 0.2:
            self.event_id += self.rng.randrange(3)

    def say(self, audio: bytes, event_id: int) -> None:
        wanted = event_id >= self.last_interruption and not self.stopped
        ms = len(audio) / 8
        if wanted and self.begun and not self.down.paused:
            self.expect(audio)
        elif wanted and not self.begun and sum(len(a) for a, _ in self.held) / 8 + ms <= HELD_MS:
            self.held.append((audio, event_id))
        relayed = self.down.message(agent_audio(audio, event_id), self.now_ns)
        assert relayed is (wanted and self.begun and not self.down.paused)
        self.stale += not wanted and not self.stopped

    def expect(self, audio: bytes) -> None:
        self.wanted += audio
        self.chunks_written += 1
        self.splits_due += self.down.playout.begins_run(self.now_ns) and len(audio) / 8 > FIRST_MS

    def interrupted(self) -> None:
        """Both patterns of elevenlabs.md 6.5."""
        if self.rng.random() < 0.5:
            self.event_id += 1  # after a user_message: the next turn has the interruption's id
            self.last_interruption = self.event_id
        else:
            self.last_interruption = self.event_id + self.rng.randrange(1, 20)  # a voice barge-in: both are newer
            self.event_id = self.last_interruption + self.rng.randrange(20)
        clears = self.clears
        unheard_ms = self.down.interrupt(self.last_interruption, self.now_ns)
        self.held = [(audio, event_id) for audio, event_id in self.held if event_id >= self.last_interruption]
        assert (unheard_ms is not None) == (self.begun and not self.stopped)
        assert self.clears == clears + (unheard_ms is not None)

    def late_audio(self) -> None:
        """Of a turn that was cut off, still under way when we were told."""
        if self.last_interruption > 1:
            self.serial += 1
            older = self.rng.randrange(max(0, self.last_interruption - 25), self.last_interruption)
            self.say(distinct(self.rng, self.serial, 800), older)

    def time_passes(self) -> None:
        until_ns = self.now_ns + self.rng.choice([1, 20, 50, 150, 400, 3_000]) * MS
        self.carrier.advance(until_ns)
        while self.carrier.echoes and self.carrier.echoes[0][0] <= until_ns:
            self.now_ns, name = self.carrier.echoes.popleft()
            if self.rng.random() < 0.9:
                self.down.mark_returned(name, self.now_ns)
        self.now_ns = until_ns
        self.down.tick(self.now_ns)

    def begin(self) -> None:
        if self.begun or self.stopped:
            return
        self.begun = True
        clock_begins = self.down.playout.begins_run(self.now_ns)
        paused = self.down.paused
        for number, (audio, _) in enumerate(self.held):
            if not paused:
                self.wanted += audio
                self.chunks_written += 1
                self.splits_due += number == 0 and clock_begins and len(audio) / 8 > FIRST_MS
        self.held.clear()
        self.down.begin(SID, self.send, self.now_ns)
        assert self.down.held_ms == 0

    def pause(self) -> None:
        self.down.paused = not self.down.paused

    def stop(self) -> None:
        self.down.stop()
        self.held.clear()
        self.stopped = True

    def check(self) -> None:
        down = self.down
        assert self.written == self.wanted
        assert len(self.pieces) == self.chunks_written + self.splits_due
        assert down.playout.outstanding_marks <= MARKS
        assert down.stale == self.stale
        if not self.begun and not self.stopped:
            assert down.held_ms == sum(len(audio) for audio, _ in self.held) / 8 <= HELD_MS
        assert down.slow == down.unusable == 0


def test_ten_thousand_orders_of_audio_interruptions_and_marks() -> None:
    clears = splits = stale = marks = 0
    for seed in range(10_000):
        call = Call(seed)
        try:
            call.play()
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
        clears, splits, stale, marks = (
            clears + call.clears,
            splits + call.splits_due,
            stale + call.stale,
            marks + call.marks,
        )
    # So that an order generator that has gone dull is noticed.
    assert min(clears, splits, stale, marks) > 5_000


# The beginning of a run


def written(down: Downlink, audio: bytes, now_ns: int, wire: Wire, event_id: int = 1) -> list[bytes]:
    """The new messages for a chunk."""
    before = len(wire.raw)
    down.message(agent_audio(audio, event_id), now_ns)
    return wire.raw[before:]


@pytest.fixture(params=[False, True], ids=["spliced", "plain"])
def begun(request: pytest.FixtureRequest) -> Iterator[tuple[Downlink, Wire]]:
    wire = Wire()
    down = downlink(plain=request.param)
    down.begin(SID, wire.send, 1)
    yield down, wire


def test_the_first_60_ms_travel_alone_with_a_mark_behind(begun: tuple[Downlink, Wire]) -> None:
    down, wire = begun
    now_ns = 10_000 * MS
    written(down, bytes(8_000), now_ns, wire)
    assert wire.events() == ["media", "mark", "media", "mark"]
    assert [payload_ms(p) for p in wire.audio] == [60, 940]
    assert wire.messages[1] == {"event": "mark", "streamSid": SID, "mark": {"name": "0.1"}}
    written(down, bytes(8_000), now_ns + MS, wire)
    assert [payload_ms(p) for p in wire.audio] == [60, 940, 1_000]


@pytest.mark.parametrize("length", [1, 160, 479, 480])
def test_a_short_beginning_is_not_split_but_marked(begun: tuple[Downlink, Wire], length: int) -> None:
    down, wire = begun
    written(down, bytes(length), 10_000 * MS, wire)
    assert wire.events() == ["media", "mark"]
    written(down, bytes(8_000), 10_001 * MS, wire)
    assert len(wire.audio) == 2


def test_small_chunks_share_a_mark_per_half_second(begun: tuple[Downlink, Wire]) -> None:
    down, wire = begun
    for n in range(100):
        written(down, bytes(160), (10_000 + n) * MS, wire)
    assert len(wire.audio) == 100
    assert wire.events().count("mark") == 1 + 3  # the first, and 1980 ms by halves
    down.tick(10_150 * MS)
    assert wire.events().count("mark") == 4
    down.tick(10_300 * MS)
    assert wire.events().count("mark") == 5
    assert down.playout.last_mark_ms == down.playout.written_ms == 2_000


def test_after_a_clear_a_new_run_begins_at_once(begun: tuple[Downlink, Wire]) -> None:
    down, wire = begun
    written(down, bytes(8_000), 10_000 * MS, wire)
    assert down.interrupt(2, 10_400 * MS) == pytest.approx(600)
    assert wire.events()[-1] == "clear"
    written(down, bytes(8_000), 10_400 * MS, wire, event_id=2)
    assert wire.events()[-4:] == ["media", "mark", "media", "mark"]
    assert wire.messages[-3]["mark"]["name"].startswith("1.")


def test_clear_goes_out_before_anything_is_counted() -> None:
    log: SideLog = []
    down = downlink(log)
    seen: list[tuple[bytes, int]] = []
    down.begin(SID, lambda message: seen.append((message, down.playout.outstanding_marks)), 1)
    down.message(agent_audio(bytes(8_000), 1), 10_000 * MS)
    down.interrupt(2, 10_100 * MS)
    message, marks_then = seen[-1]
    assert b'"clear"' in message
    assert marks_then > 0
    assert down.playout.outstanding_marks == 0


def test_marks_never_exceed_their_limit_and_come_back_when_there_is_room() -> None:
    wire = Wire()
    down = downlink(marks=2)
    down.begin(SID, wire.send, 1)
    for n in range(6):
        written(down, bytes(8_000), (10_000 + n) * MS, wire)
    assert [m["mark"]["name"] for m in wire.messages if m["event"] == "mark"] == ["0.1", "0.2"]
    down.tick(11_000 * MS)
    assert down.playout.outstanding_marks == 2
    down.mark_returned("0.1", 11_050 * MS)
    down.tick(11_200 * MS)
    assert down.playout.last_mark_ms == 6_000


def test_facts_of_playout_are_left_in_the_side_log(begun: tuple[Downlink, Wire]) -> None:
    log: SideLog = []
    wire, down = Wire(), downlink(log)
    down.begin(SID, wire.send, 1)
    written(down, bytes(8_000), 10_000 * MS, wire)
    down.written(10_001 * MS)
    down.written(10_002 * MS)
    down.mark_returned("0.1", 10_160 * MS)
    assert [(at // MS, kind) for at, kind, _ in log if kind in (side.WRITTEN, side.HEARD)] == [
        (10_001, side.WRITTEN),
        (10_160, side.HEARD),
    ]
    assert log[-1][2] == (10_100 * MS, 940.0)


# Before the phone, and after it


def test_what_is_held_is_bounded_and_flushed_in_order() -> None:
    wire, down = Wire(), downlink(held_ms=2_500)
    chunks = [bytes([n]) * 8_000 for n in range(5)]
    for chunk in chunks:
        assert down.message(agent_audio(chunk, 1), MS) is False
    assert (down.held_ms, down.held_dropped_ms) == (2_000, 3_000)
    down.begin(SID, wire.send, 10_000 * MS)
    assert wire.decoded == chunks[0] + chunks[1]
    assert [payload_ms(p) for p in wire.audio] == [60, 940, 1_000]
    assert down.chunks == 5
    assert down.playout.written_ms == 2_000


def test_an_interruption_before_the_phone_makes_room() -> None:
    wire, down = Wire(), downlink(held_ms=2_500)
    for event_id in (1, 1, 2):
        down.message(agent_audio(bytes([event_id]) * 8_000, event_id), MS)
    assert down.interrupt(2, MS) is None
    assert down.held_ms == 0  # the chunk of the second turn had found no room
    assert down.message(agent_audio(b"\2" * 16_000, 2), MS) is False
    down.begin(SID, wire.send, 10_000 * MS)
    assert wire.decoded == b"\2" * 16_000
    assert "clear" not in wire.events()


def test_what_is_held_for_the_next_turn_outlives_the_interruption() -> None:
    wire, down = Wire(), downlink()
    for event_id in (1, 2, 3):
        down.message(agent_audio(bytes([event_id]) * 800, event_id), MS)
    down.interrupt(2, MS)
    down.begin(SID, wire.send, 10_000 * MS)
    assert wire.decoded == b"\2" * 800 + b"\3" * 800


def test_an_older_interruption_lets_nothing_stale_through(begun: tuple[Downlink, Wire]) -> None:
    down, wire = begun
    down.interrupt(5, 10_000 * MS)
    down.interrupt(3, 10_001 * MS)
    assert written(down, bytes(800), 10_002 * MS, wire, event_id=4) == []
    assert len(written(down, bytes(800), 10_002 * MS, wire, event_id=5)) > 0


def test_stop_is_final(begun: tuple[Downlink, Wire]) -> None:
    down, wire = begun
    written(down, bytes(8_000), 10_000 * MS, wire)
    before = list(wire.raw)
    down.stop()
    assert down.message(agent_audio(bytes(800), 1), 10_001 * MS) is False
    assert down.slow_audio("AAAA", 1, 10_001 * MS) is False
    assert down.interrupt(9, 10_002 * MS) is None
    down.mark_the_end(10_003 * MS)
    down.tick(11_000 * MS)
    down.begin(SID, wire.send, 11_001 * MS)
    down.message(agent_audio(bytes(800), 9), 11_002 * MS)
    assert wire.raw == before
    assert down.held_ms == down.held_dropped_ms == 0
    assert not down.waiting


def test_what_comes_after_the_stop_is_in_the_log_as_dropped() -> None:
    log: SideLog = []
    down = downlink(log)
    down.stop()
    down.message(agent_audio(b"abc", 1), 5)
    assert [(at, value[:2]) for at, kind, value in log if kind == side.DOWNLINK] == [(5, (b"YWJj", True))]
    assert down.stale == 0


@pytest.mark.parametrize("text", ["AA AA", "AA-_", "é", "\ud800", "A\nA=", '"', "\x00"])
def test_a_payload_that_is_no_base64_never_reaches_the_phone(begun: tuple[Downlink, Wire], text: str) -> None:
    down, wire = begun
    assert down.slow_audio(text, 1, 10_000 * MS) is False
    assert (wire.raw, down.unusable, down.slow) == ([], 1, 1)


def test_an_empty_payload_is_nothing(begun: tuple[Downlink, Wire]) -> None:
    down, wire = begun
    assert down.slow_audio("", 1, 1) is False
    assert down.message(agent_audio(b"", 1), 1) is False
    assert wire.raw == []


def test_audio_for_a_socket_that_takes_none_is_dropped_and_counted(begun: tuple[Downlink, Wire]) -> None:
    down, wire = begun
    down.paused = True
    assert written(down, bytes(8_000), 10_000 * MS, wire) == []
    assert down.paused_dropped_ms == 1_000
    assert down.playout.written_ms == 0
    assert down.interrupt(2, 10_001 * MS) == 0
    assert wire.events() == ["clear"]


def test_what_becomes_due_while_the_downlink_says_that_it_is_quiet_can_wait() -> None:
    """Whoever asks only when the time has come, or when a run has begun, marks each tail in time."""
    asked = due = 0
    for seed in range(300):
        rng = random.Random(seed)
        down = downlink()
        now_ns = 1_000 * MS
        down.begin(SID, lambda _message: None, now_ns)
        quiet_until_ns = 0
        for step in range(400):
            now_ns += rng.choice((1, 5, 20, 60)) * MS
            if rng.random() < 0.3:
                down.message(agent_audio(distinct(rng, step, rng.choice((160, 480, 1600, 4000))), step), now_ns)
            if rng.random() < 0.02:
                now_ns += rng.randrange(0, 3_000) * MS
            if rng.random() < 0.02:
                down.interrupt(0, now_ns)
            if down.playout.run_fresh:
                down.written(now_ns)
                quiet_until_ns = 0
            if now_ns < quiet_until_ns:
                assert not down.due(now_ns) or now_ns <= down.playout.plays_until_ns - 300 * MS
                continue
            asked += 1
            due += down.due(now_ns)
            down.tick(now_ns)
            quiet_until_ns = down.quiet_until_ns(now_ns)
    assert due > 1_000
    assert asked < 300 * 400 / 4
