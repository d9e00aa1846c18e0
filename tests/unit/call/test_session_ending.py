"""Every ending of a session is one ending: the goodbye, the waits, and a machine that does everything wrong."""

from __future__ import annotations

import pytest
from call_script import SID, Wire, agent_audio, agent_says, media, metadata, phone_says, start
from carrier_model import MS, Carrier
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from session_rig import FRAME, T0, Rig, converters

from shortwire.call.options import Limits
from shortwire.call.session import CallSession, SessionOptions, Wish
from shortwire.clock import NS_PER_S
from shortwire.terms import HangupCause as C


def mark_message(name: str) -> bytes:
    return phone_says({"event": "mark", "sequenceNumber": "3", "streamSid": SID, "mark": {"name": name}})


def last_mark(wire: Wire) -> str:
    return [m["mark"]["name"] for m in wire.messages if m["event"] == "mark"][-1]


STOP = phone_says({"event": "stop", "sequenceNumber": "9", "streamSid": SID, "stop": {}})


# The goodbye


def saying_goodbye(seconds: float = 2.0, *, code: int = 1000, reason: str = "") -> Rig:
    """The agent's last words are on their way, and it has closed."""
    rig = Rig().joined()
    rig.hears(agent_audio(bytes(int(8_000 * seconds)), 1))
    rig.session.agent_closed(code, reason, rig.after(1))
    return rig


@pytest.mark.parametrize(("reason", "cause"), [("", C.AGENT_ENDED), ("max_duration_exceeded", C.DEADLINE)])
def test_the_last_words_are_heard_before_the_hang_up(reason: str, cause: C) -> None:
    rig = saying_goodbye(reason=reason)
    assert rig.ended == (cause, False)
    rig.run(1_900)
    rig.says(mark_message("0.1"))
    assert rig.ended == (cause, False)
    rig.says(mark_message(last_mark(rig.phone)))
    assert rig.ended == (cause, True)


def test_the_end_of_the_last_words_is_marked_at_once() -> None:
    rig = saying_goodbye(0.3)
    assert rig.phone.events() == ["media", "mark", "media", "mark"]
    assert rig.session.downlink.playout.last_mark_ms == 300


def test_if_marks_never_come_the_clock_ends_it() -> None:
    rig = saying_goodbye(2.0)
    rig.run(3_900)
    assert rig.ended == (C.AGENT_ENDED, False)
    rig.run(200)
    assert rig.ended == (C.AGENT_ENDED, True)


def test_a_goodbye_has_a_limit() -> None:
    rig = saying_goodbye(60.0)
    rig.run(Limits().goodbye_s * 1_000 - 100)
    assert rig.ended == (C.AGENT_ENDED, False)
    rig.run(150)
    assert rig.ended == (C.AGENT_ENDED, True)


@pytest.mark.parametrize("how", ["stop", "closed", "api", "deadline"])
def test_a_goodbye_is_cut_short_by_whoever_hangs_up(how: str) -> None:
    rig = saying_goodbye()
    match how:
        case "stop":
            rig.says(STOP)
        case "closed":
            rig.session.phone_closed(1006, "", rig.after(1))
        case "api":
            rig.session.finish(C.API_HANGUP, rig.after(1))
        case _:
            rig.session.finish(C.DEADLINE, rig.after(1))
    assert rig.ended == (C.AGENT_ENDED, True)


@pytest.mark.parametrize("code", [1006, 1002, 1011])
def test_an_agent_that_broke_off_said_no_goodbye(code: int) -> None:
    rig = saying_goodbye(code=code)
    assert rig.ended[1] is True


def test_nothing_to_hear_is_no_goodbye() -> None:
    rig = Rig().joined()
    rig.session.agent_closed(1000, "", rig.after(1))
    assert rig.ended == (C.AGENT_ENDED, True)


def test_a_goodbye_that_has_still_to_be_converted_is_heard_whole() -> None:
    rig = Rig().started()
    rig.session.agent_opened(rig.agent.send, rig.after(1))
    rig.hears(metadata(output="half"))
    rig.hears(agent_audio(bytes(16_000 * 9), 1))
    rig.session.agent_closed(1000, "", rig.after(1))
    rig.run(10_800)
    assert rig.ended == (C.AGENT_ENDED, False)
    assert len(rig.phone.decoded) == 8_000 * 9
    rig.run(600)
    assert rig.ended == (C.AGENT_ENDED, True)


def test_a_goodbye_that_was_held_for_the_phone_is_heard() -> None:
    rig = Rig()
    rig.session.agent_opened(rig.agent.send, rig.after(1))
    rig.hears(metadata())
    rig.hears(agent_audio(bytes(8_000), 1))
    rig.opened()
    rig.session.agent_closed(1000, "", rig.after(1))
    rig.run(1_000, frames=False)
    assert rig.ended == (C.AGENT_ENDED, False)
    rig.says(start())
    assert rig.phone.decoded == bytes(8_000)
    rig.run(900)
    rig.says(mark_message(last_mark(rig.phone)))
    assert rig.ended == (C.AGENT_ENDED, True)
    assert rig.session.wishes.count(Wish.OPEN_AGENT) == 1


@pytest.mark.parametrize("way_ms", [0, 40, 250])
def test_with_a_real_carrier_the_hang_up_comes_when_the_last_word_was_heard(way_ms: int) -> None:
    rig = saying_goodbye(3.0)
    carrier = Carrier(way_ns=way_ms * MS, now_ns=T0)
    sent = 0
    while not rig.ended[1]:
        for message in rig.phone.raw[sent:]:
            carrier.send_message(message, rig.now_ns)
        sent = len(rig.phone.raw)
        rig.run(20)
        carrier.advance(rig.now_ns)
        while carrier.echoes and carrier.echoes[0][0] <= rig.now_ns:
            rig.says(mark_message(carrier.echoes.popleft()[1]))
    assert carrier.heard_ns == 3 * NS_PER_S
    assert rig.now_ns - T0 < 3 * NS_PER_S + (2 * way_ms + 100) * MS


# Finish


@pytest.mark.parametrize("first", list(C))
def test_the_first_cause_wins_and_each_wish_comes_once(first: C) -> None:
    rig = Rig().joined()
    rig.session.finish(first, rig.after(1), "because")
    for cause in C:
        rig.session.finish(cause, rig.after(1), "too late")
    rig.session.agent_closed(1000, "", rig.after(1))
    rig.session.phone_closed(1000, "", rig.after(1))
    rig.run(30_000)
    assert (rig.session.cause, rig.session.cause_detail) == (first, "because")
    assert sorted(rig.session.wishes) == sorted([Wish.OPEN_AGENT, Wish.CLOSE_AGENT, Wish.HANG_UP])


def test_after_the_hang_up_nothing_is_written_to_anybody() -> None:
    rig = Rig().joined()
    rig.session.finish(C.API_HANGUP, rig.after(1))
    phone, agent = list(rig.phone.raw), list(rig.agent.raw)
    rig.says(media(FRAME))
    rig.hears(agent_audio(bytes(8_000), 5))
    rig.hears(agent_says("interruption", interruption_event={"event_id": 9}))
    rig.run(1_000)
    assert (rig.phone.raw, rig.agent.raw) == (phone, agent)


# Waits


def test_a_stream_without_a_start_is_given_up() -> None:
    rig = Rig().opened()
    rig.run(Limits().stream_start_s * 1_000, frames=False)
    assert rig.session.cause is None
    rig.run(100, frames=False)
    assert rig.ended == (C.MEDIA_PROTOCOL, True)


def test_a_carrier_that_sends_no_frames_is_gone() -> None:
    rig = Rig().joined()
    rig.run(60_000)
    assert rig.session.cause is None
    rig.run(Limits().frame_gap_s * 1_000, frames=False)
    assert rig.session.cause is None
    rig.run(100, frames=False)
    assert rig.ended == (C.MEDIA_LOST, True)


def test_an_agent_that_never_gets_ready_is_given_up() -> None:
    rig = Rig().started()
    rig.session.agent_opened(rig.agent.send, rig.after(1))
    rig.run(Limits().agent_wait_s * 1_000 - 100)
    assert rig.session.cause is None
    rig.run(200)
    assert rig.ended == (C.AGENT_UNREACHABLE, True)


def test_a_phone_that_takes_no_data_for_too_long() -> None:
    rig = Rig().joined()
    for _ in range(10):
        rig.session.phone_paused(True, rig.after(1))
        rig.run(2_900)
        rig.session.phone_paused(False, rig.after(1))
    assert rig.session.cause is None
    for _ in range(4):
        rig.session.phone_paused(True, rig.after(1))  # told twice is not paused anew
        rig.run(1_000)
    assert rig.ended == (C.OVERLOAD, True)


def test_an_agent_that_takes_no_data_for_too_long() -> None:
    """It may go on talking all the while."""
    rig = Rig().joined()
    for _ in range(5):
        rig.session.agent_paused(True, rig.after(1))
        rig.run(7_900)
        rig.session.agent_paused(False, rig.after(1))
    assert rig.session.cause is None
    dropped = rig.session.uplink.paused_dropped
    assert dropped > 5 * 150
    rig.session.agent_paused(True, rig.after(1))
    rig.run(8_100)
    assert rig.ended == (C.AGENT_LOST, True)
    assert rig.session.uplink.paused_dropped > dropped


def test_nothing_times_out_before_there_is_a_stream() -> None:
    rig = Rig()
    rig.run(600_000, frames=False)
    assert rig.session.cause is None


# Everything, in any order

garbage = st.one_of(
    st.binary(max_size=20),
    st.sampled_from([b"", b"null", b"[]", b"{}", b'{"event":"media"}', b'{"type":"audio"}', b"\xff", b"[" * 5_000]),
)
event_ids = st.integers(0, 12)
causes = st.sampled_from(list(C))


class SessionMachine(RuleBasedStateMachine):
    """A driver, a carrier and an agent without manners."""

    @initialize(splice=st.booleans(), early=st.booleans(), output=st.sampled_from(["ulaw_8000", "half", "weird"]))
    def begin(self, splice: bool, early: bool, output: str) -> None:
        self.now_ns = T0
        self.phone, self.agent = Wire(), Wire()
        limits = Limits(early_frames=5, held_audio_s=1.0, marks=4)
        self.session = CallSession(
            SessionOptions(b'{"type":"x"}', converters, limits, splice=splice, open_agent_early=early)
        )
        self.output = output
        self.first_cause: tuple[C, str] | None = None
        self.wishes: list[Wish] = []
        self.after_hang_up: int | None = None

    def tick_of(self, ms: int = 1) -> int:
        self.now_ns += ms * MS
        return self.now_ns

    @rule()
    def phone_opens(self) -> None:
        self.session.phone_opened(self.phone.send, self.tick_of())

    @rule(sid=st.sampled_from([SID, SID, SID, "MZother", 'bad"']), form=st.sampled_from([8000, 8000, 8000, 16000]))
    def phone_starts(self, sid: str, form: int) -> None:
        message = start(sid, mediaFormat={"encoding": "audio/x-mulaw", "sampleRate": form, "channels": 1})
        self.session.phone_message(message, self.tick_of())

    @rule(sid=st.sampled_from([SID, SID, SID, "MZother"]), track=st.sampled_from(["inbound", "inbound", "outbound"]))
    def phone_media(self, sid: str, track: str) -> None:
        ready = self.session.waits.agent_ready_ns and self.session.cause is None and not self.session.uplink._paused
        relayed = self.session.phone_message(media(FRAME, sid=sid, track=track), self.tick_of())
        assert not relayed or ready

    @rule(serial=st.integers(1, 9), epoch=st.integers(0, 3))
    def phone_mark(self, serial: int, epoch: int) -> None:
        self.session.phone_message(mark_message(f"{epoch}.{serial}"), self.tick_of())

    @rule(message=garbage, agent=st.booleans())
    def somebody_talks_nonsense(self, message: bytes, agent: bool) -> None:
        say = self.session.agent_message if agent else self.session.phone_message
        assert say(message, self.tick_of()) is False

    @rule(agent=st.booleans())
    def somebody_sends_binary(self, agent: bool) -> None:
        (self.session.agent_binary if agent else self.session.phone_binary)(self.tick_of())

    @rule(paused=st.booleans(), agent=st.booleans())
    def somebody_pauses(self, paused: bool, agent: bool) -> None:
        (self.session.agent_paused if agent else self.session.phone_paused)(paused, self.tick_of())

    @rule()
    def phone_stops(self) -> None:
        self.session.phone_message(STOP, self.tick_of())

    @rule(code=st.sampled_from([1000, 1005, 1006]))
    def phone_closes(self, code: int) -> None:
        self.session.phone_closed(code, "", self.tick_of())

    @rule()
    def agent_opens(self) -> None:
        self.session.agent_opened(self.agent.send, self.tick_of())

    @rule()
    def agent_is_ready(self) -> None:
        self.session.agent_message(metadata(self.output), self.tick_of())

    @rule(event_id=event_ids, length=st.sampled_from([0, 1, 160, 480, 9_601, 40_000]))
    def agent_speaks(self, event_id: int, length: int) -> None:
        if self.session.agent_message(agent_audio(bytes(length), event_id), self.tick_of()):
            self.session.phone_written(self.now_ns, self.tick_of())

    @rule(event_id=event_ids)
    def agent_interrupts(self, event_id: int) -> None:
        message = agent_says("interruption", interruption_event={"event_id": event_id})
        if self.session.agent_message(message, self.tick_of()):
            assert self.phone.events()[-1] == "clear"
            self.session.phone_written(self.now_ns, self.tick_of())

    @rule(event_id=event_ids)
    def agent_pings(self, event_id: int) -> None:
        self.session.agent_message(agent_says("ping", ping_event={"event_id": event_id}), self.tick_of())
        if self.session._send_agent is not None:
            assert self.agent.messages[-1] == {"type": "pong", "event_id": event_id}

    @rule(text=st.text(max_size=5), kind=st.sampled_from(["error", "client_error"]))
    def agent_errs(self, text: str, kind: str) -> None:
        self.session.agent_message(agent_says(kind, error_event={"message": text}), self.tick_of())

    @rule(code=st.sampled_from([1000, 1000, 1002, 1006, 1008, 3000, 4999]), reason=st.sampled_from(["", "quota", "é"]))
    def agent_closes(self, code: int, reason: str) -> None:
        self.session.agent_closed(code, reason, self.tick_of())

    @rule(cause=causes)
    def agent_fails(self, cause: C) -> None:
        self.session.finish(cause, self.tick_of(), "x")

    @rule(cause=causes)
    def somebody_ends_it(self, cause: C) -> None:
        self.session.finish(cause, self.tick_of(), "y")
        assert self.session.cause is not None

    @rule(ms=st.sampled_from([50, 50, 50, 600, 6_000]))
    def time_passes(self, ms: int) -> None:
        self.session.tick(self.tick_of(ms))

    @rule()
    def driver_takes_what_is_left(self) -> None:
        self.collect()
        self.session.facts = []
        self.session.side.clear()

    def collect(self) -> None:
        taken, self.session.wishes = self.session.wishes, []
        self.wishes += taken

    @invariant()
    def each_wish_once_and_the_first_cause_for_ever(self) -> None:
        self.collect()
        assert len(self.wishes) == len(set(self.wishes))
        cause = self.session.cause
        if cause is not None:
            self.first_cause = self.first_cause or (cause, self.session.cause_detail)
            assert (cause, self.session.cause_detail) == self.first_cause
        assert (Wish.HANG_UP in self.wishes) <= (cause is not None)

    @invariant()
    def after_the_hang_up_the_phone_hears_nothing_more(self) -> None:
        if self.after_hang_up is not None:
            assert len(self.phone.raw) == self.after_hang_up
        elif Wish.HANG_UP in self.wishes:
            self.after_hang_up = len(self.phone.raw)

    @invariant()
    def everything_is_bounded_and_in_order(self) -> None:
        session = self.session
        assert session.uplink.early_frames <= 5
        assert session.downlink.playout.outstanding_marks <= 4
        assert session.downlink.held_ms <= 1_000 * 12
        assert session.downlink.playout.queued_ms >= 0
        instants = [entry[0] for entry in session.side]
        assert instants == sorted(instants)

    def teardown(self) -> None:
        """Whatever happened: if there is a cause, time alone brings the one hang-up; if not, the end does."""
        if not hasattr(self, "session"):
            return
        self.session.finish(C.API_HANGUP, self.tick_of())
        for _ in range(int(16_000 / 50)):
            self.session.tick(self.tick_of(50))
        self.each_wish_once_and_the_first_cause_for_ever()
        assert self.wishes.count(Wish.HANG_UP) == 1


SessionMachine.TestCase.settings = settings(
    max_examples=300, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
TestSessionInAnyOrder = SessionMachine.TestCase
