"""The ledger against a model of the carrier, whatever happens in between."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
from carrier_model import MS, Carrier, Piece
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from shortwire import native
from shortwire.call.playout import REFINED_MS, RUN_GAP_MS, Confirmed, PlainPlayout, Playout

CLOSE_MS = 1e-6
"""For the sums of floats; everything else here is exact."""

audio_ms = st.one_of(st.integers(1, 24_000).map(lambda n: n / 8), st.sampled_from([20.0, 60.0, 500.0]))


MADE: list[Callable[[], Playout]] = [PlainPlayout, *([native.playout.Playout] if native.AVAILABLE else [])]
"""Both ledgers, where the compiled one was built."""

New = Callable[[], Playout]


@pytest.fixture(params=MADE, ids=lambda made: made.__module__.rpartition(".")[2])
def new(request: pytest.FixtureRequest) -> New:
    made: New = request.param
    return made


def came(playout: Playout, name: str, now_ns: int) -> Confirmed | None:
    """A mark comes back."""
    found = playout.mark_returned(name, now_ns)
    return Confirmed(*found) if found is not None else None


class PlayoutMachine(RuleBasedStateMachine):
    """Writes, marks and clears, a network that delays, loses and repeats."""

    made: New = PlainPlayout

    def __init__(self) -> None:
        super().__init__()
        self.playout = type(self).made()
        self.settled: set[str] = set()
        """Marks that came back, those before them, and those that were cleared."""
        self.now_ns = 5_000_000_000
        self.carrier = Carrier(now_ns=self.now_ns)
        self.jitter_ns = 0
        self.runs = 0
        self.lossless_run = True
        self.epoch_base_ms = 0.0
        self.epoch_written_ms = 0.0
        self.epoch_heard_from_ns = 0
        self.clears_written: list[float] = []
        self.promised: dict[str, tuple[int, float]] = {}
        """mark: (number of clears before it, ms of audio of its epoch before it)"""
        self.heard_at_clear_ns: list[int] = []
        self.lost = False
        self.runs_told: dict[int, int] = {}

    @initialize(way_ms=st.integers(0, 300), jitter_ms=st.sampled_from([0, 0, 0, 40, 150]))
    def a_network(self, way_ms: int, jitter_ms: int) -> None:
        self.carrier.way_ns = way_ms * MS
        self.jitter_ns = jitter_ms * MS

    def send(self, item: Piece | str | None, late: float) -> None:
        self.carrier.send(item, self.now_ns, int(late * self.jitter_ns))

    @rule(ms=audio_ms, late=st.floats(0, 1), marked=st.booleans())
    def write(self, ms: float, late: float, marked: bool) -> None:
        begins = self.playout.begins_run(self.now_ns)
        if begins:
            self.runs += 1
        self.playout.wrote(self.now_ns, ms)
        self.epoch_written_ms += ms
        self.send(Piece(ms, run=self.runs if begins else None), late)
        if marked:
            self.mark(late)

    @rule(late=st.floats(0, 1))
    def mark(self, late: float) -> None:
        name = self.playout.mark()
        assert name not in self.promised
        self.promised[name] = (len(self.clears_written), self.epoch_written_ms)
        assert self.playout.last_mark_ms == self.playout.written_ms
        self.send(name, late)

    @rule(ms=st.one_of(st.integers(1, 60), st.integers(1, 4000)))
    def wait(self, ms: int) -> None:
        until_ns = self.now_ns + ms * MS
        self.carrier.advance(until_ns)
        while self.carrier.echoes and self.carrier.echoes[0][0] <= until_ns:
            self.now_ns, name = self.carrier.echoes.popleft()
            self.returned(name)
        self.now_ns = until_ns

    def returned(self, name: str) -> None:
        if self.lost:
            self.lost = False
            return
        clears, amount_ms = self.promised[name]
        before_ms = self.playout.confirmed_ms
        confirmed = came(self.playout, name, self.now_ns)
        if clears == len(self.clears_written):
            names = list(self.promised)
            self.settled.update(names[: names.index(name) + 1])
        if clears < len(self.clears_written):
            assert confirmed is None, "a mark of audio that was cleared confirmed something"
        if confirmed is None:
            assert self.playout.confirmed_ms == before_ms
            return
        assert confirmed.position_ms == self.playout.confirmed_ms > before_ms
        assert confirmed.position_ms == pytest.approx(self.epoch_base_ms + amount_ms, abs=CLOSE_MS)
        if confirmed.run_started_ns is not None:
            assert confirmed.run_started_ns < self.runs_told.get(self.runs, 1 << 62)
            self.runs_told[self.runs] = confirmed.run_started_ns
            began_ns = self.carrier.run_began_ns[self.runs] + self.carrier.way_ns
            late_ns = confirmed.run_started_ns - began_ns
            assert -2 <= late_ns <= self.carrier.holes_ns[self.runs] + self.jitter_ns + 2

    @rule()
    def lose_the_next_echo(self) -> None:
        self.lost = True

    @rule(data=st.data())
    def an_echo_comes_twice(self, data: st.DataObject) -> None:
        """Of those that came, and of those that were cleared: neither says anything new."""
        past = sorted(self.settled)
        assert self.playout.outstanding_marks == len(self.promised) - len(past)
        if past:
            before_ms = self.playout.confirmed_ms
            assert self.playout.mark_returned(data.draw(st.sampled_from(past)), self.now_ns) is None
            assert self.playout.confirmed_ms == before_ms

    @rule(name=st.one_of(st.sampled_from(["", "0.0", "9.9", "1.1.1", "mark", "-1.1"]), st.text(max_size=4)))
    def a_stranger(self, name: str) -> None:
        if name not in self.promised:
            assert self.playout.mark_returned(name, self.now_ns) is None

    @rule(late=st.floats(0, 1))
    def clear(self, late: float) -> None:
        queued_ms = self.playout.queued_ms
        unheard_ms = self.playout.cleared(self.now_ns)
        assert 0 <= unheard_ms <= queued_ms + CLOSE_MS
        assert self.playout.queued_ms == 0
        assert self.playout.outstanding_marks == 0
        assert self.playout.begins_run(self.now_ns)
        self.clears_written.append(unheard_ms)
        self.settled.update(self.promised)
        self.epoch_base_ms, self.epoch_written_ms = self.playout.written_ms, 0.0
        self.send(None, late)

    @invariant()
    def the_books_are_in_order(self) -> None:
        playout = self.playout
        assert 0 <= playout.confirmed_ms <= playout.written_ms
        assert playout.queued_ms >= 0
        assert playout.confirmed_ms <= playout.last_mark_ms <= playout.written_ms

    @invariant()
    def confirmed_was_heard_and_heard_was_written(self) -> None:
        carrier, playout = self.carrier, self.playout
        if len(carrier.clears) < len(self.clears_written):
            return  # a clear is under way, and the ledger is ahead of the truth by that way
        slack_ms = (self.jitter_ns / MS) * len(carrier.clears) + CLOSE_MS * (1 + len(carrier.clears))
        heard_ms = carrier.heard_ns / MS
        assert playout.confirmed_ms <= heard_ms + slack_ms
        assert heard_ms <= playout.written_ms + slack_ms

    @invariant()
    def what_clears_dropped_was_estimated_within_the_jitter(self) -> None:
        for estimate_ms, dropped_ns in zip(self.clears_written, self.carrier.clears, strict=False):
            assert abs(estimate_ms - dropped_ns / MS) <= self.jitter_ns / MS + CLOSE_MS


class CompiledMachine(PlayoutMachine):
    """The same for the other ledger."""

    made = MADE[-1]


PlayoutMachine.TestCase.settings = CompiledMachine.TestCase.settings = settings(
    max_examples=400, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
TestPlayoutAgainstTheCarrier = PlayoutMachine.TestCase
TestCompiledPlayoutAgainstTheCarrier = pytest.mark.skipif(not native.AVAILABLE, reason=f"not built: {native.WHY_NOT}")(
    CompiledMachine.TestCase
)


def test_the_first_mark_of_a_run_tells_when_it_was_heard(new: New) -> None:
    playout, now_ns = new(), 1_000 * MS
    assert playout.begins_run(now_ns)
    playout.wrote(now_ns, 60)
    name = playout.mark()
    playout.wrote(now_ns, 940)
    confirmed = came(playout, name, now_ns + 260 * MS)
    assert confirmed is not None
    # 60 ms were heard by then; the way there and back took the other 200.
    assert confirmed.run_started_ns == now_ns + 200 * MS
    assert playout.queued_ms == 940


def heard_from_ns(new: New, ppm: float, lasts_s: int, first_late_ms: float = 0.0) -> list[int]:
    """When a run that began at 0 is said to have begun, each time it is said: a mark each half second, the carrier's
    clock ahead of ours by `ppm`."""
    playout, told = new(), []
    names = []
    for number in range(2 * lasts_s):
        playout.wrote(0, 500)
        names.append((playout.mark(), 500 * (number + 1)))
    for name, position_ms in names:
        late_ms = first_late_ms if position_ms == 500 else 0.0
        came_ns = round(position_ms * (1 - ppm / 1e6) * MS + late_ms * MS)
        confirmed = came(playout, name, came_ns)
        assert confirmed is not None
        assert confirmed.position_ms == position_ms
        if confirmed.run_started_ns is not None:
            told.append(confirmed.run_started_ns)
    return told


@pytest.mark.parametrize("lasts_s", [9, 60, 600])
def test_a_carrier_whose_clock_is_fast_makes_no_run_begin_ever_earlier(new: New, lasts_s: int) -> None:
    told = heard_from_ns(new, 100, lasts_s)
    assert told == sorted(told, reverse=True)
    assert min(told) >= -100e-6 * REFINED_MS * MS >= -1 * MS


def test_a_first_mark_that_was_late_is_corrected_by_the_next_ones(new: New) -> None:
    assert heard_from_ns(new, 0, 60, first_late_ms=80) == [80 * MS, 0]
    told = heard_from_ns(new, 100, 600, first_late_ms=80)
    assert -1 * MS <= told[-1] <= 0


def test_a_carrier_whose_clock_is_slow_changes_nothing(new: New) -> None:
    [began] = heard_from_ns(new, -100, 600)
    assert 0 < began < MS


def test_the_first_mark_that_comes_back_counts_wherever_it_stands(new: New) -> None:
    playout = new()
    playout.wrote(0, 2 * REFINED_MS)
    confirmed = came(playout, playout.mark(), int(2 * REFINED_MS * MS) + 7 * MS)
    assert confirmed is not None
    assert confirmed.run_started_ns == 7 * MS


def test_a_run_begins_at_the_first_instant_there_is(new: New) -> None:
    assert new().begins_run(0)
    assert new().begins_run(1)


def test_a_late_mark_of_the_run_before_says_nothing_about_this_one(new: New) -> None:
    playout = new()
    playout.wrote(0, 100)
    first = playout.mark()
    later_ns = int((100 + RUN_GAP_MS + 1) * MS)
    assert playout.begins_run(later_ns)
    playout.wrote(later_ns, 60)
    second = playout.mark()
    late = came(playout, first, later_ns + MS)
    assert late is not None
    assert late.run_started_ns is None
    now = came(playout, second, later_ns + 100 * MS)
    assert now is not None
    assert now.run_started_ns == later_ns + 40 * MS


def test_a_short_hole_is_the_same_run_and_a_long_one_is_not(new: New) -> None:
    playout = new()
    playout.wrote(0, 100)
    assert not playout.begins_run(int((100 + RUN_GAP_MS) * MS))
    assert playout.begins_run(int((100 + RUN_GAP_MS) * MS) + 1)


def test_marks_that_were_lost_are_implied_by_a_later_one(new: New) -> None:
    playout = new()
    names = []
    for _ in range(5):
        playout.wrote(0, 20)
        names.append(playout.mark())
    confirmed = came(playout, names[3], 90 * MS)
    assert confirmed is not None
    assert (confirmed.position_ms, playout.outstanding_marks, playout.returned_marks) == (80, 1, 4)
    assert came(playout, names[1], 91 * MS) is None


def test_a_carrier_that_is_ahead_of_our_clock_is_believed(new: New) -> None:
    playout = new()
    playout.wrote(0, 1_000)
    first = playout.mark()
    playout.wrote(0, 100)
    assert came(playout, first, 10 * MS) is not None
    assert playout.cleared(10 * MS) == 100

    playout = new()
    playout.wrote(0, 1_000)
    assert came(playout, playout.mark(), 100 * MS) is not None
    assert playout.cleared(150 * MS) == 0
    assert playout.begins_run(301 * MS)


def test_the_way_back_of_the_last_mark_does_not_lengthen_a_run(new: New) -> None:
    playout = new()
    playout.wrote(0, 1_000)
    assert came(playout, playout.mark(), 1_190 * MS) is not None
    assert playout.begins_run(1_201 * MS)


def test_marks_get_rarer_the_longer_a_run_goes_on(new: New) -> None:
    playout, marked = new(), []
    for n in range(1500):
        playout.wrote(n * 20 * 1_000_000, 20)
        if playout.written.mark_due():
            playout.mark()
            marked.append(playout.last_mark_ms)
    apart = [after - before for before, after in itertools.pairwise(marked)]
    assert marked[0] == 500
    assert apart == sorted(apart)
    assert (apart[0], apart[-1]) == (500, 2000)
    assert sum(at <= REFINED_MS for at in marked) == 9
    playout.cleared(30_000_000_000)
    playout.wrote(31_000_000_000, 480)
    assert not playout.written.mark_due()
    playout.wrote(31_000_000_000, 20)
    assert playout.written.mark_due()  # of a run of its own
