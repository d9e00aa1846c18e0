"""Voice activity on real speech with known ends: the end must be found within one frame, whatever the line."""

from __future__ import annotations

import json
import timeit
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from shortwire.audio.mulaw import LINEAR, encode_table
from shortwire.audio.voice_activity import VoiceActivity, VoiceOptions
from shortwire.call.speech import Speech, SpeechEdges
from shortwire.emulators.speech import speak

Samples = NDArray[np.float64]
MS = 1_000_000
VOICE = Path(__file__).parents[2] / "fixtures" / "voice"
TRUTH = json.loads((VOICE / "truth.json").read_text(encoding="utf-8"))
NAMES = sorted(TRUTH)
OFFSETS = (0, 37, 80, 121)
"""Samples between a frame's beginning and the speech's."""
LEAD = 8 * 1500


def decoded(ulaw: bytes) -> Samples:
    return np.array(LINEAR, dtype=np.float64)[np.frombuffer(ulaw, np.uint8)]


def encoded(samples: Samples) -> bytes:
    table = np.frombuffer(encode_table(), np.uint8)
    return table[np.clip(np.rint(samples), -32768, 32767).astype(np.int16).view(np.uint16)].tobytes()


def rms(db: float) -> float:
    return float(32768 * 10 ** (db / 20))


def line(speech: Samples, offset: int, noise_db: float | None, *, seed: int = 1) -> bytes:
    """Speech on a line with 1.5 s of nothing else on each side; `noise_db` relative to full scale."""
    samples = np.zeros(LEAD + offset + len(speech) + LEAD)
    samples[LEAD + offset : LEAD + offset + len(speech)] = speech
    if noise_db is not None:
        samples += np.random.default_rng(seed).standard_normal(len(samples)) * rms(noise_db)
    return encoded(samples)


def stretches(ulaw: bytes) -> list[Speech]:
    """As the turn tracker sees them, in samples from the beginning of the line."""
    voice, edges = VoiceActivity(), SpeechEdges(hangover_ms=400)
    for at in range(0, len(ulaw) - 159, 160):
        edges.frame((at + 160) * MS // 8, voice.voiced(ulaw[at : at + 160]))
    return edges.stretches


def edge_errors_ms(ulaw: bytes, offset: int, length: int) -> tuple[float, float]:
    found = stretches(ulaw)
    start = found[0].start_ns / MS - (LEAD + offset) / 8
    end = found[-1].end_ns / MS - (LEAD + offset + length) / 8
    return start, end


@pytest.mark.parametrize("name", NAMES)
def test_the_fixtures_are_what_truth_speaks_of(name: str) -> None:
    assert len((VOICE / f"{name}.ulaw").read_bytes()) == TRUTH[name]["samples"]


@pytest.mark.parametrize("offset", OFFSETS)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("louder_db", [6, 0, -8])
@pytest.mark.parametrize("noise", ["silence", "hiss", "20 dB below"])
def test_the_end_is_found_within_one_frame(name: str, louder_db: float, noise: str, offset: int) -> None:
    speech = decoded((VOICE / f"{name}.ulaw").read_bytes()) * 10 ** (louder_db / 20)
    noise_db = {"silence": None, "hiss": -62.0, "20 dB below": -22.0 + louder_db - 20}[noise]
    length = TRUTH[name]["end_in_noise" if noise == "20 dB below" else "samples"]
    start, end = edge_errors_ms(line(speech, offset, noise_db), offset, length)
    assert abs(end) <= 20
    assert abs(start) <= 40


@pytest.mark.parametrize("text", ["Do you have a table for two tonight?", "Can I bring my dog?", "Hello."])
@pytest.mark.parametrize("voice", ["party", "agent"])
def test_the_emulators_speech_ends_where_its_file_does(text: str, voice: str) -> None:
    """Live figures are compared with the emulator's: on its own line both mean the same end."""
    ulaw = speak(text, voice)
    whole = b"\xff" * LEAD + ulaw + b"\xff" * LEAD
    start, end = edge_errors_ms(whole, 0, len(ulaw))
    assert end == 0
    assert abs(start) <= 20


def test_a_line_with_nothing_but_noise_is_silent_once_it_is_known() -> None:
    rng = np.random.default_rng(3)
    for noise_db in (-65, -50, -38):
        ulaw = encoded(rng.standard_normal(8000 * 20) * rms(noise_db))
        voice = VoiceActivity()
        voiced = [voice.voiced(ulaw[at : at + 160]) for at in range(0, len(ulaw), 160)]
        assert sum(voiced[50:]) == 0
        assert voice.noise_db == pytest.approx(noise_db - 5.5, abs=3) or noise_db == -65


def test_a_stream_that_starts_in_the_middle_of_a_word() -> None:
    speech = decoded((VOICE / "flite-thursday.ulaw").read_bytes())
    half = len(speech) // 2
    ulaw = encoded(np.concatenate((speech[half:], np.zeros(LEAD))))
    found = stretches(ulaw)
    assert found[0].start_ns <= 60 * MS
    assert found[-1].end_ns / MS == pytest.approx((len(speech) - half) / 8, abs=20)


def test_noise_that_begins_later_is_learnt_in_the_time_it_says() -> None:
    rng = np.random.default_rng(5)
    quiet, loud = rng.standard_normal(8000 * 4) * rms(-60), rng.standard_normal(8000 * 8) * rms(-38)
    ulaw = encoded(np.concatenate((quiet, loud)))
    voice = VoiceActivity(VoiceOptions(noise_memory_s=2.5))
    voiced = [voice.voiced(ulaw[at : at + 160]) for at in range(0, len(ulaw), 160)]
    learnt = max(i for i, v in enumerate(voiced) if v)
    assert 4.0 <= learnt * 0.02 <= 4.0 + 2.5 + 0.6


def test_a_lost_frame_is_not_taken_for_the_noise() -> None:
    ulaw = bytearray(encoded(np.random.default_rng(7).standard_normal(8000 * 10) * rms(-45)))
    for at in range(0, len(ulaw), 160 * 20):
        ulaw[at : at + 160] = b"\xff" * 160
    voice = VoiceActivity()
    voiced = [voice.voiced(bytes(ulaw[at : at + 160])) for at in range(0, len(ulaw), 160)]
    assert sum(voiced[50:]) == 0


def test_a_click_is_not_speech() -> None:
    frame = bytearray(b"\xff" * 160)
    frame[80:84] = b"\x80\x00\x80\x00"
    voice = VoiceActivity()
    for _ in range(50):
        voice.voiced(b"\xff" * 160)
    assert not voice.voiced(bytes(frame))


def test_a_frame_costs_microseconds() -> None:
    ulaw = (VOICE / "flite-thursday.ulaw").read_bytes()[: 160 * 50]
    frames = [ulaw[at : at + 160] for at in range(0, len(ulaw), 160)]
    voice = VoiceActivity()

    def second() -> None:
        for frame in frames:
            voice.voiced(frame)

    assert min(timeit.repeat(second, number=5, repeat=10)) / 5 / 50 < 100e-6  # 1.5 us where measured
