"""The party in frames: it speaks when its moment comes, counted from what it really heard."""

from __future__ import annotations

import random

import pytest
from bridge_side import LevelDetector

from shortwire.emulators.scenario import PartyScript, Say, ScenarioError, parse
from shortwire.emulators.twilio.party import Party, audible_span
from shortwire.emulators.ulaw import FRAME_BYTES, decode, level, tone

VOICE = tone(600, 20)
QUIET = b"\xff" * FRAME_BYTES


class Phone:
    """Drives a party: `agent` says for how many ms the line is loud (True) or silent."""

    def __init__(self, script: PartyScript, audio: dict[str, bytes]) -> None:
        self.party = Party(script, audio, LevelDetector(), random.Random(1))
        self.spoken = bytearray()
        self.acts: list[tuple[str, float]] = []

    def agent(self, loud: bool, ms: int) -> None:
        for _ in range(ms // 20):
            self.spoken += self.party.take()
            self.acts += [(act, self.party.now_ms) for act in self.party.hear(VOICE if loud else QUIET)]

    @property
    def begins(self) -> list[float]:
        return [u.begin_ms for u in self.party.utterances]


def phone(*says: Say, **more: object) -> Phone:
    audio = {say.text: tone(440, int(say.text)) for say in says if say.text}
    return Phone(PartyScript(says=says, **more), audio)  # type: ignore[arg-type]


def test_a_reply_counts_from_the_true_end_of_the_agents_speech() -> None:
    line = phone(Say("200", delay_ms=400))
    line.agent(False, 500)
    line.agent(True, 1000)
    line.agent(False, 2000)
    assert line.begins == [pytest.approx(1900, abs=1)]
    assert level(line.spoken[: 1900 * 8]) == 0
    assert level(line.spoken[1900 * 8 : 2100 * 8]) > 1000
    assert level(line.spoken[2100 * 8 :]) == 0


def test_a_pause_between_two_sentences_is_not_an_end() -> None:
    line = phone(Say("200", delay_ms=400))
    line.agent(True, 600)
    line.agent(False, 380)
    line.agent(True, 600)
    line.agent(False, 1000)
    assert line.begins == [pytest.approx(1980, abs=1)]


def test_an_impatient_party_speaks_as_soon_as_the_silence_is_certain() -> None:
    line = phone(Say("200", delay_ms=0))
    line.agent(True, 600)
    line.agent(False, 1000)
    assert line.begins == [pytest.approx(900, abs=1)]
    assert line.party.utterances[0].due_ms == 600


def test_it_never_speaks_to_an_agent_that_said_nothing() -> None:
    line = phone(Say("200"))
    line.agent(False, 3000)
    line.agent(True, 40)  # a click
    line.agent(False, 3000)
    assert line.begins == []


def test_it_waits_for_an_answer_before_its_next_words() -> None:
    line = phone(Say("200"), Say("200"))
    line.agent(True, 500)
    line.agent(False, 5000)
    assert len(line.begins) == 1
    line.agent(True, 500)
    line.agent(False, 1000)
    assert line.begins[1] == pytest.approx(6400, abs=1)


def test_a_barge_in_comes_in_the_middle_of_a_sentence() -> None:
    line = phone(Say("300", when="agent_speaking", delay_ms=500))
    line.agent(True, 400)
    line.agent(False, 1000)
    assert line.begins == [], "too short to be interrupted"
    line.agent(True, 2000)
    assert line.begins == [pytest.approx(1900, abs=1)]


def test_the_tail_of_an_interrupted_agent_is_not_an_answer() -> None:
    line = phone(Say("1000", when="agent_speaking", delay_ms=500), Say("200", delay_ms=400))
    line.agent(True, 900)
    line.agent(False, 3000)
    assert len(line.begins) == 1
    line.agent(True, 600)
    line.agent(False, 1000)
    assert line.begins[1] == pytest.approx(900 + 3000 + 600 + 400, abs=1)


def test_speaking_at_a_time_from_the_answer() -> None:
    line = phone(Say("100", when="answered", delay_ms=260))
    line.agent(False, 1000)
    assert line.begins == [pytest.approx(260, abs=1)]


def test_keys_are_pressed_one_after_the_other() -> None:
    line = phone(Say(digits="1w#", when="answered", delay_ms=100))
    line.agent(False, 2000)
    assert line.acts == [("1", 300), ("#", 1000)]
    assert line.party.digits_pressed == line.acts


def test_it_hangs_up_after_its_last_words_were_answered() -> None:
    line = phone(Say("200"), hang_up_after_ms=700)
    line.agent(True, 500)
    line.agent(False, 3000)
    assert line.acts == []
    line.agent(True, 500)
    line.agent(False, 3000)
    assert line.acts == [("hang-up", 4700)]


def test_ground_truth_leaves_out_the_silence_of_the_fixture() -> None:
    audio = b"\xff" * 800 + tone(440, 300) + b"\xff" * 1600
    line = Phone(PartyScript(says=(Say("x", when="answered", delay_ms=100),)), {"x": audio})
    line.agent(False, 1000)
    (said,) = line.party.utterances
    assert (said.file_begin_ms, said.file_end_ms) == (100, 700)
    assert said.begin_ms == pytest.approx(200, abs=1)
    assert said.end_ms == pytest.approx(500, abs=1)
    assert audible_span(b"") == (0, 0)


def test_noise_is_as_far_below_the_speech_as_asked() -> None:
    line = phone(Say("400", when="answered", delay_ms=1000), noise_db=20.0)
    line.agent(False, 2000)
    noise, speech = level(line.spoken[:8000]), level(line.spoken[8000 : 8000 + 3200])
    assert speech / noise == pytest.approx(10, rel=0.15)
    assert max(decode(bytes(line.spoken))) < 32767


def test_what_was_heard_is_kept_as_stretches() -> None:
    line = phone()
    line.agent(False, 100)
    line.agent(True, 200)
    line.agent(False, 100)
    line.agent(True, 40)
    assert line.party.heard_voice == [[100, 300], [400, 440]]


def test_a_misspelt_scenario_is_refused() -> None:
    for party, text in (
        ({"says": [{"text": "x", "when": "agent_quiet"}]}, "when must be one of"),
        ({"outcome": "no_answer"}, "outcome must be one of"),
        ({"says": [{"digits": "1x"}]}, "keypad"),
        ({"says": [{"when": "answered"}]}, "needs text or digits"),
        ({"says": [{"text": "x", "delay": 3}]}, "unknown key"),
    ):
        with pytest.raises(ScenarioError, match=text):
            parse({"party": party})
