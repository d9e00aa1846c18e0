"""Turns from facts: every test moves a local clock and knows the answer by arithmetic."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shortwire.call.turns import Turn, TurnTracker

MS = 1_000_000


@dataclass
class Line:
    """Feeds a tracker in order of time: frames every 20 ms, and whatever else was put on the time line."""

    tracker: TurnTracker = field(default_factory=TurnTracker)
    facts: list[tuple[int, int, str, tuple[object, ...]]] = field(default_factory=list)
    speech: list[tuple[int, int]] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)
    round_trips: list[float] = field(default_factory=list)

    def at(self, ms: int, name: str, *args: object) -> None:
        self.facts.append((ms, len(self.facts), name, args))

    def says(self, start_ms: int, end_ms: int) -> None:
        self.speech.append((start_ms, end_ms))

    def replies(self, ms: int, length_ms: int, *, bridge: int = 1, playout: int = 100, marks: bool = True) -> None:
        self.at(ms, "agent_audio", length_ms)
        self.at(ms + bridge, "audio_written", length_ms)
        if marks:
            # The mark for a first piece of 60 ms tells when it began; the last mark, that all was heard.
            self.at(ms + bridge + playout + 60, "playout_started", ms + bridge + playout)
            self.at(ms + bridge + playout + length_ms, "playout_confirmed", 0.0)

    def run(self, until_ms: int, *, end: bool = True, batch_ms: int = 20) -> list[Turn]:
        tracker = self.tracker
        tracker.answered(0)
        facts = [(ms, 1, order, name, args) for ms, order, name, args in self.facts]
        for ms in range(20, until_ms + 1, 20):
            voiced = any(start < ms <= end for start, end in self.speech)
            facts.append((ms, 0, 0, "uplink_frame", (voiced, ms * MS)))
        for ms, _, _, name, args in sorted(facts, key=lambda f: f[:3]):
            if name == "playout_started":
                tracker.playout_started(int(args[0]) * MS)  # type: ignore[call-overload]
            elif name == "barge_in":
                tracker.barge_in(ms * MS, float(args[0]), (ms + int(args[1])) * MS)  # type: ignore[arg-type, call-overload]
            else:
                getattr(tracker, name)(ms * MS, *args)
            if ms % batch_ms == 0:
                self.take()
        if end:
            tracker.ended(until_ms * MS)
        self.take()
        return self.turns

    def take(self) -> None:
        self.turns += self.tracker.take()
        self.round_trips += self.tracker.take_round_trips()


def test_greeting_and_one_reply_with_all_parts() -> None:
    line = Line()
    line.replies(300, 1000)  # heard 401..1401
    line.at(350, "agent_said", "Hello.")
    line.says(2000, 3000)
    line.at(3400, "party_said", "What time is it?")
    line.replies(3700, 2000, bridge=2, playout=98)  # heard 3800..5800
    line.at(3750, "agent_said", "Nine.")
    greeting, reply = line.run(8000)

    assert (greeting.index, greeting.kind, greeting.agent, greeting.party) == (0, "greeting", "Hello.", "")
    assert greeting.heard_ms == 401
    assert greeting.heard_end_ms == 1401
    assert greeting.dead_air_ms == 401
    assert greeting.response_gap_ms is None
    assert greeting.agent_ms is None
    assert greeting.bridge_ms == 1
    assert greeting.playout_ms == 100

    assert (reply.index, reply.kind, reply.agent, reply.party) == (1, "reply", "Nine.", "What time is it?")
    assert (reply.speech_start_ms, reply.speech_end_ms) == (2000, 3000)
    assert reply.response_gap_ms == 800
    assert (reply.agent_ms, reply.bridge_ms, reply.playout_ms) == (700, 2, 98)
    assert (reply.endpointing_ms, reply.generation_ms) == (400, 300)
    assert reply.round_trip_ms == 700
    assert line.round_trips == [700]
    assert reply.dead_air_ms == 800
    assert reply.unheard_ms == 0
    assert not reply.barge_in
    assert not reply.interrupted
    assert line.tracker.answer_to_first_word_ms == 401


def test_a_mark_that_comes_too_early_makes_no_turn_of_parts_that_do_not_add_up() -> None:
    line = Line()
    line.replies(300, 1000)
    line.says(2000, 3000)
    line.replies(3700, 2000, bridge=3, playout=-2)  # a carrier that is ahead, on the same machine
    _, reply = line.run(8000)
    assert (reply.agent_ms, reply.bridge_ms, reply.playout_ms, reply.response_gap_ms) == (700, 3, 0, 703)


def test_a_record_is_json() -> None:
    line = Line()
    line.replies(300, 1000)
    (turn,) = line.run(3000)
    assert json.loads(json.dumps(turn.as_dict()))["heard_ms"] == 401


def test_a_turn_comes_out_when_it_was_heard_and_its_round_trip_at_once() -> None:
    line = Line()
    line.replies(100, 200)
    line.says(1000, 1500)
    line.replies(2000, 10_000)
    line.run(2100, end=False)
    assert [t.kind for t in line.turns] == ["greeting"]
    assert line.round_trips == [500]


def test_a_pause_inside_a_sentence_does_not_end_it_and_the_true_edge_is_reported() -> None:
    line = Line()
    line.replies(100, 200)
    line.says(1000, 1500)
    line.says(1740, 2000)  # a comma of 240 ms
    line.at(2300, "party_said", "One, two.")
    line.replies(2600, 500)
    turn = line.run(5000)[-1]
    assert (turn.speech_start_ms, turn.speech_end_ms) == (1000, 2000)
    assert turn.response_gap_ms == 2701 - 2000


def test_a_click_after_the_sentence_is_not_its_end() -> None:
    line = Line()
    line.replies(100, 200)
    line.says(1000, 1500)
    line.says(2000, 2020)
    line.at(2300, "party_said", "One.")
    line.replies(2600, 500)
    assert line.run(5000)[-1].speech_end_ms == 1500


def test_speech_after_the_first_audio_came_belongs_to_the_next_turn() -> None:
    """The party goes on while the reply is still under way: the reply answered what came before."""
    line = Line()
    line.replies(100, 200)
    line.says(1000, 1500)
    line.at(1900, "party_said", "One.")
    line.replies(2000, 1000, playout=500)  # heard from 2501
    line.says(2100, 2400)
    turn = line.run(6000)[1]
    assert turn.speech_end_ms == 1500
    assert turn.response_gap_ms == 1001
    assert turn.dead_air_ms == 101  # but it was silent only since 2400


def test_the_agent_starting_into_the_partys_words_has_no_response_gap() -> None:
    line = Line()
    line.replies(100, 200)
    line.says(1000, 3000)
    line.at(1900, "party_said", "Well")
    line.replies(2000, 2000, playout=99)  # heard 2100..4100
    turn = line.run(6000)[1]
    assert turn.response_gap_ms is None
    assert turn.agent_ms is None
    assert turn.round_trip_ms is None
    assert line.round_trips == []
    assert turn.talk_over_ms == 900
    assert turn.dead_air_ms == 0
    assert not turn.barge_in  # it was the agent who broke in


def test_interruption() -> None:
    line = Line()
    line.replies(100, 200)
    line.says(1000, 1500)
    line.at(1900, "party_said", "Tell me.")
    line.at(2000, "agent_audio", 8000)
    line.at(2001, "audio_written", 8000)
    line.at(2160, "playout_started", 2100)
    line.says(4000, 5000)
    line.at(4350, "barge_in", 5750.0, 2)
    line.at(4400, "agent_said", "Once upon a time there was")
    line.at(4500, "agent_corrected", "Once upon a")
    line.at(5300, "party_said", "Stop.")
    line.replies(5600, 500)
    _, cut, after = line.run(9000)
    assert cut.barge_in
    assert cut.interrupted
    assert cut.stop_ms == 352  # from the beginning of the first voiced frame to clear written
    assert cut.unheard_ms == 5750
    assert cut.agent == "Once upon a"
    assert cut.talk_over_ms == 352
    assert cut.heard_end_ms == 4352
    assert after.party == "Stop."
    assert after.response_gap_ms == 5701 - 5000
    assert after.dead_air_ms == 701


def test_an_attempt_to_interrupt_begins_with_its_first_word() -> None:
    line = Line()
    line.replies(300, 8000)
    line.says(3000, 3200)
    line.says(3600, 4000)  # 400 ms later, more than the hang-over
    line.at(4000, "barge_in", 100.0, 0)
    assert line.run(9000)[0].stop_ms == 1000


def test_talking_over_the_agent_without_stopping_it() -> None:
    line = Line()
    line.replies(300, 5000)  # heard 401..5401
    line.says(2000, 2300)
    (turn,) = line.run(9000)
    assert turn.barge_in
    assert not turn.interrupted
    assert turn.stop_ms is None
    assert turn.talk_over_ms == 300
    assert turn.unheard_ms == 0


def test_the_agent_speaking_twice_in_a_row() -> None:
    line = Line()
    line.replies(300, 1000)  # heard 401..1401
    line.replies(5000, 1000)  # nobody had said anything
    first, second = line.run(9000)
    assert (first.kind, second.kind) == ("greeting", "reply")
    assert second.response_gap_ms is None
    assert second.round_trip_ms is None
    assert second.dead_air_ms == 5101 - 1401
    assert line.round_trips == []


def test_a_word_of_assent_is_not_answered_seven_seconds_later() -> None:
    """Where transcripts come, speech without one was not taken for a turn by the agent."""
    line = Line()
    line.replies(300, 1000)
    line.says(2000, 2500)
    line.at(2800, "party_said", "Hi.")
    line.replies(3000, 2000)  # heard 3101..5101
    line.says(4000, 4200)  # "mm-hm"
    line.replies(12_000, 1000)
    turns = line.run(15_000)
    assert len(turns) == 3
    assert turns[2].response_gap_ms is None
    assert turns[1].barge_in


def test_without_transcripts_speech_after_the_reply_is_what_is_answered() -> None:
    line = Line()
    line.replies(300, 1000)
    line.says(2000, 2500)
    line.replies(3000, 1000)
    turn = line.run(6000)[1]
    assert turn.response_gap_ms == 601
    assert turn.endpointing_ms is None


@pytest.mark.parametrize("ids", [(7, 7), (None, None)])
def test_chunks_of_one_reply_are_one_turn(ids: tuple[int | None, int | None]) -> None:
    line = Line()
    line.at(300, "agent_audio", 500, ids[0])
    line.at(301, "audio_written", 500)
    line.at(470, "playout_started", 400)
    line.at(900, "playout_confirmed", 0.0)  # ran dry: 500 ms were not enough
    line.at(1100, "agent_audio", 1000, ids[1])
    line.at(1101, "audio_written", 1000)
    line.at(1260, "playout_started", 1200)
    line.at(2200, "playout_confirmed", 0.0)
    (turn,) = line.run(4000)
    assert (turn.heard_ms, turn.heard_end_ms) == (400, 2200)


def test_an_event_id_keeps_late_chunks_together_across_a_transcript() -> None:
    line = Line()
    line.at(300, "agent_audio", 3000, 7)
    line.at(500, "party_said", "mm-hm")
    line.at(600, "agent_audio", 3000, 7)
    assert [t.agent for t in line.run(1000) if t.kind == "greeting"] == [""]
    assert len(line.turns) == 2  # the greeting, and the words nobody has answered
    assert line.turns[1].party == "mm-hm"


def test_no_marks_no_gap_but_everything_else() -> None:
    line = Line()
    line.replies(100, 200, marks=False)
    line.says(1000, 1500)
    line.at(1900, "party_said", "One.")
    line.replies(2000, 1000, marks=False)
    turn = line.run(6000)[1]
    assert turn.response_gap_ms is None
    assert turn.heard_ms is None
    assert turn.playout_ms is None
    assert turn.unheard_ms is None
    assert turn.agent_ms == 500
    assert turn.bridge_ms == 1
    assert turn.round_trip_ms == 500
    assert line.tracker.answer_to_first_word_ms is None


def test_frames_that_were_dropped_do_not_count_as_sent() -> None:
    tracker = TurnTracker()
    tracker.answered(0)
    tracker.agent_audio(10 * MS, 20)
    for ms in range(1020, 2001, 20):
        tracker.uplink_frame(ms * MS, ms <= 1500, (ms + 1) * MS if ms <= 1400 else None)
    tracker.agent_audio(2000 * MS, 500)
    tracker.uplink_frame(2020 * MS, False)
    assert tracker.take_round_trips() == [2000 - 1401]


def test_a_frame_fed_later_than_younger_audio_still_counts() -> None:
    """Batches may reach the tracker with the frames behind the audio they precede."""
    tracker = TurnTracker()
    tracker.answered(0)
    tracker.agent_audio(10 * MS, 20)
    for ms in range(1020, 1401, 20):
        tracker.uplink_frame(ms * MS, True)
    tracker.agent_audio(2000 * MS, 500)
    for ms in range(1420, 2021, 20):
        tracker.uplink_frame(ms * MS, ms <= 1500)
    assert tracker.take_round_trips() == [500]


def test_text_before_its_audio_is_kept_for_it() -> None:
    line = Line()
    line.replies(300, 500)
    line.at(310, "agent_said", "Hello.")
    line.says(1000, 1500)
    line.at(1800, "party_said", "One.")
    line.at(1850, "agent_said", "Two.")
    line.replies(2000, 500)
    assert [t.agent for t in line.run(5000)] == ["Hello.", "Two."]


def test_words_that_nothing_followed_come_out_at_the_end() -> None:
    line = Line()
    line.replies(300, 500)
    line.at(310, "agent_said", "Hello.")
    line.at(3000, "party_said", "Bye.")
    turns = line.run(5000)
    assert (turns[-1].index, turns[-1].party, turns[-1].response_gap_ms) == (1, "Bye.", None)


def test_an_interruption_with_nothing_to_cut_changes_nothing() -> None:
    line = Line()
    line.at(100, "barge_in", 0.0, 1)
    line.replies(300, 500)
    line.at(2500, "barge_in", 0.0, 1)
    (turn,) = line.run(4000)
    assert not turn.barge_in


def test_ended_twice_tells_nothing_twice() -> None:
    line = Line()
    line.replies(300, 500)
    assert len(line.run(2000)) == 1
    line.tracker.ended(3000 * MS)
    assert line.tracker.take() == []


facts = st.lists(
    st.tuples(
        st.integers(0, 300),
        st.sampled_from(
            ["v", "v", "v", "q", "q", "sent", "audio", "written", "started", "confirmed", "barge", "party", "agent"]
        ),
    ),
    max_size=120,
)


@given(facts)
def test_any_order_of_facts_keeps_the_arithmetic(script: list[tuple[int, str]]) -> None:
    tracker = TurnTracker()
    tracker.answered(0)
    now, texts = 1000 * MS, 0
    for step, what in script:
        now += step * MS
        match what:
            case "v" | "q":
                for _ in range(4):
                    now += 20 * MS
                    tracker.uplink_frame(now, what == "v")
            case "sent":
                now += 20 * MS
                tracker.uplink_frame(now, True, now)
            case "audio":
                tracker.agent_audio(now, 400)
            case "written":
                tracker.audio_written(now, 400)
            case "started":
                tracker.playout_started(now - 60 * MS)
            case "confirmed":
                tracker.playout_confirmed(now)
            case "barge":
                tracker.barge_in(now, 100.0, now + MS)
            case "party":
                tracker.party_said(now, "p")
                texts += 1
            case "agent":
                tracker.agent_said(now, "a")
                texts += 1
    tracker.ended(now)
    turns = tracker.take()
    assert [t.index for t in turns] == list(range(len(turns)))
    assert sum(len((t.party + t.agent).replace(" ", "")) for t in turns) == texts
    for turn in turns:
        figures = [v for k, v in turn.as_dict().items() if k.endswith("_ms") and v is not None]
        assert all(v >= 0 for v in figures)
        if turn.response_gap_ms is not None and turn.agent_ms is not None and turn.playout_ms is not None:
            assert turn.bridge_ms is not None
            assert turn.agent_ms + turn.bridge_ms + turn.playout_ms == pytest.approx(turn.response_gap_ms)
        if turn.endpointing_ms is not None:
            assert turn.generation_ms is not None
            assert turn.endpointing_ms + turn.generation_ms == pytest.approx(turn.agent_ms)
