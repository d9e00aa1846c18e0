"""The fixtures are complete, loud enough and sharp; other texts need an engine or say so."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from shortwire.emulators import speech
from shortwire.emulators.scenario import load
from shortwire.emulators.speech import FIXTURES, SpeechMissing, speak, synthesis
from shortwire.emulators.speech.waveform import Resampler, active_rms, linear_to_ulaw, resample, ulaw_to_linear

ENTRIES = json.loads((FIXTURES / "index.json").read_text("utf-8"))
RESERVATION = Path(speech.__file__).parents[1] / "scenarios" / "reservation.toml"


def the_script():
    path = Path(__file__).parents[3] / "scripts" / "make_speech.py"
    spec = importlib.util.spec_from_file_location("make_speech", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_text_of_every_scenario_has_a_fixture_in_both_voices_and_none_is_left_over():
    assert the_script().check() == 0


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: e["file"])
def test_a_fixture_is_whole_frames_at_minus_20_dbfs_with_sharp_ends(entry):
    ulaw = speak(entry["text"], entry["voice"])
    samples = ulaw_to_linear(ulaw)
    assert len(ulaw) % 160 == 0
    assert len(ulaw) == entry["ms"] * 8
    assert 20 * np.log10(active_rms(samples, 8000)) == pytest.approx(-20, abs=0.6)
    for edge in (samples[:200], samples[-200:]):
        assert np.sqrt((edge**2).mean()) > 0.02  # speech right up to the end


def test_the_demo_scenario_is_about_twenty_seconds_with_four_replies_and_one_barge_in():
    played = load(RESERVATION)
    assert [say.when for say in played.party.says].count("agent_speaking") == 1
    assert len(played.agent.replies) == len(played.agent.transcripts) == len(played.party.says) == 4
    assert [reply.end_call for reply in played.agent.replies] == [False, False, False, True]
    seconds = len(speak(played.agent.first_message, "agent")) / 8000
    for say, reply in zip(played.party.says, played.agent.replies, strict=True):
        seconds += len(speak(say.text, "party")) / 8000 + sum(reply.think_ms) / 2000 + 0.5
        barged_into = reply is played.agent.replies[0]
        seconds += 1.5 if barged_into else len(speak(reply.text, "agent")) / 8000 + 0.4
    assert 16 < seconds < 21


def test_white_space_does_not_matter_and_no_text_is_no_sound():
    assert speak("  Hello,  this is\nthe Harbour Grill. ", "agent") == speak(
        "Hello, this is the Harbour Grill.", "agent"
    )
    assert speak("  ", "party") == b""


def test_an_unknown_voice_is_an_error():
    with pytest.raises(ValueError, match="known: party, agent"):
        speak("Hello.", "narrator")


def test_without_fixture_and_engine_the_error_names_the_script(monkeypatch):
    monkeypatch.setattr(synthesis.shutil, "which", lambda _name: None)
    with pytest.raises(SpeechMissing, match=r"scripts/make_speech\.py"):
        speak("A text that nobody has ever recorded.", "party")


@pytest.mark.skipif(synthesis.engine_for("party") is None, reason="neither espeak-ng nor flite is installed")
def test_with_an_engine_another_text_is_spoken_and_kept(monkeypatch, tmp_path):
    monkeypatch.setattr(speech.tempfile, "gettempdir", lambda: str(tmp_path))
    speech._synthesised.cache_clear()
    ulaw = speak("Something quite different.", "party")
    assert 0.5 < len(ulaw) / 8000 < 4
    speech._synthesised.cache_clear()
    monkeypatch.setattr(synthesis, "synthesise", lambda *_: pytest.fail("should have come from the cache"))
    assert speak("Something quite different.", "party") == ulaw


def test_mu_law_survives_a_round_trip_byte_for_byte():
    every = bytes(range(256))
    back = linear_to_ulaw(ulaw_to_linear(every))
    assert back == every.replace(b"\x7f", b"\xff")  # the two zeros become one
    assert linear_to_ulaw(np.zeros(3)) == b"\xff\xff\xff"


@pytest.mark.parametrize("rate", [16000, 22050, 24000, 44100, 48000])
@pytest.mark.parametrize("direction", ["up", "down"])
def test_resampling_keeps_a_tone_and_adds_nothing(rate, direction):
    rate_in, rate_out = (8000, rate) if direction == "up" else (rate, 8000)
    tone = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(rate_in) / rate_in)
    out = resample(tone, rate_in, rate_out)
    assert len(out) == rate_out
    expected = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(rate_out) / rate_out)
    middle = slice(rate_out // 10, -rate_out // 10)
    error = np.sqrt(((out - expected)[middle] ** 2).mean())
    assert 20 * np.log10(error / np.sqrt((expected[middle] ** 2).mean())) < -60


@pytest.mark.parametrize("rate", [16000, 44100])
def test_what_the_telephone_cannot_carry_does_not_come_back_as_an_alias(rate):
    tone = np.sin(2 * np.pi * 5000 * np.arange(rate) / rate)
    out = resample(tone, rate, 8000)[800:-800]
    assert 20 * np.log10(np.sqrt((out**2).mean())) < -60


def test_pieces_of_any_length_give_the_same_as_the_whole():
    rng = np.random.default_rng(3)
    sound = rng.normal(0, 0.1, 5000)
    resampler = Resampler(22050, 8000)
    pieces, at = [], 0
    while at < len(sound):
        step = int(rng.integers(1, 700))
        pieces.append(resampler.feed(sound[at : at + step]))
        at += step
    pieces.append(resampler.flush())
    np.testing.assert_allclose(np.concatenate(pieces), resample(sound, 22050, 8000), atol=1e-12)
