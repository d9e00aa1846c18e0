"""Who picked up, by ear: every verdict of the vendor's page, from the party's script alone."""

from __future__ import annotations

import random
from array import array
from typing import Any

import pytest
from bridge_side import LevelDetector

from shortwire.emulators.scenario import PartyScript, Say, ScenarioError
from shortwire.emulators.twilio.amd import AmdSettings, MachineDetection, Verdict
from shortwire.emulators.twilio.party import Party
from shortwire.emulators.twilio.tones import keys_of, pitch_of
from shortwire.emulators.ulaw import SILENCE, decode, encode, tone

QUIET = bytes([SILENCE]) * 160


def voice(ms: int) -> bytes:
    """Loud and no pure tone, as speech is."""
    pairs = zip(decode(tone(310, ms)), decode(tone(730, ms)), strict=True)
    return encode(array("h", (a + b for a, b in pairs)))


def judge(script: PartyScript, **settings: Any) -> Verdict:
    audio = {say.text: voice(int(say.text)) for say in script.says if say.text}
    party = Party(script, audio, LevelDetector(), random.Random(1))
    detection = MachineDetection(AmdSettings(**settings), LevelDetector())
    for _ in range(5000):
        verdict = detection.feed(party.take())
        if verdict is not None:
            assert detection.verdict == verdict
            assert detection.feed(QUIET) is None, "one verdict, once"
            return verdict
        party.hear(QUIET)
    raise AssertionError("no verdict")


def greeting(ms: int, **more: Any) -> PartyScript:
    return PartyScript(says=(Say(str(ms), when="answered", delay_ms=200),), **more)


def test_short_words_are_a_human() -> None:
    verdict = judge(greeting(600))
    assert verdict.answered_by == "human"
    assert 1900 <= verdict.duration_ms <= 2100, "the words and 1200 ms of silence"


def test_the_threshold_decides_what_is_short() -> None:
    assert judge(greeting(1500), speech_threshold_ms=1000).answered_by == "machine_start"
    assert judge(greeting(3000), speech_threshold_ms=6000).answered_by == "human"


def test_a_shorter_end_of_speech_is_quicker() -> None:
    assert judge(greeting(600), speech_end_threshold_ms=500).duration_ms <= 1400


def test_a_long_greeting_is_a_machine_as_soon_as_it_is_long() -> None:
    verdict = judge(greeting(8000, answered_by="machine", beep_after_ms=500))
    assert verdict.answered_by == "machine_start"
    assert 2500 <= verdict.duration_ms <= 2900


def test_the_beep_ends_a_message() -> None:
    verdict = judge(greeting(4000, answered_by="machine", beep_after_ms=500), mode="DetectMessageEnd")
    assert verdict.answered_by == "machine_end_beep"
    assert 4900 <= verdict.duration_ms <= 5300


def test_silence_ends_a_message_without_a_beep() -> None:
    verdict = judge(greeting(4000, answered_by="machine"), mode="DetectMessageEnd")
    assert verdict.answered_by == "machine_end_silence"
    assert 7100 <= verdict.duration_ms <= 7300


@pytest.mark.parametrize("late", ["unknown", "machine_end_other"])
def test_a_message_that_never_ends(late: Any) -> None:
    verdict = judge(greeting(9000), mode="DetectMessageEnd", timeout_ms=5000, timeout_in_greeting=late)
    assert verdict == Verdict(late, 5000)


def test_nobody_speaks() -> None:
    assert judge(PartyScript()) == Verdict("unknown", 5000)
    assert judge(PartyScript(), silence_timeout_ms=2000) == Verdict("unknown", 2000)
    assert judge(PartyScript(), timeout_ms=3000) == Verdict("unknown", 3000)


@pytest.mark.parametrize("mode", ["Enable", "DetectMessageEnd"])
def test_a_fax_whistles(mode: Any) -> None:
    verdict = judge(PartyScript(answered_by="fax"), mode=mode)
    assert verdict.answered_by == "fax"
    assert verdict.duration_ms <= 1000


def test_settings_come_from_the_create_request() -> None:
    assert AmdSettings.of({}) is None
    assert AmdSettings.of({"MachineDetection": "Enable", "SendDigits": "1"}) is None, "SendDigits overrules it"
    assert AmdSettings.of(
        {
            "MachineDetection": "DetectMessageEnd",
            "MachineDetectionTimeout": "10",
            "MachineDetectionSpeechThreshold": "1000",
            "MachineDetectionSpeechEndThreshold": "500",
            "MachineDetectionSilenceTimeout": "2000",
        }
    ) == AmdSettings(
        mode="DetectMessageEnd",
        timeout_ms=10_000,
        speech_threshold_ms=1000,
        speech_end_threshold_ms=500,
        silence_timeout_ms=2000,
    )


def test_a_beep_needs_a_machine() -> None:
    with pytest.raises(ScenarioError, match="beep_after_ms"):
        PartyScript(beep_after_ms=100)
    with pytest.raises(ScenarioError, match="answered_by"):
        PartyScript(answered_by="dog")  # type: ignore[arg-type]


@pytest.mark.parametrize("hertz", [440, 1000, 1100, 2100])
def test_a_pure_tone_has_a_pitch(hertz: int) -> None:
    assert abs(pitch_of(tone(hertz, 20)) - hertz) <= 25


def test_what_is_no_pure_tone_has_none() -> None:
    dice = random.Random(1)
    (_, five), *_ = keys_of("5")
    assert pitch_of(QUIET) == 0
    assert pitch_of(bytes(dice.randrange(256) for _ in range(160))) == 0
    assert pitch_of(five[:160]) == 0, "a key is two tones"
