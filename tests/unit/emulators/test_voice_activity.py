"""The judge is calibrated: the end of every fixture within 20 ms, with and without noise."""

from __future__ import annotations

import json

import numpy as np
import pytest

from shortwire.emulators.speech import FIXTURES, speak
from shortwire.emulators.speech.waveform import linear_to_ulaw, ulaw_to_linear
from shortwire.emulators.voice_activity import FRAME_BYTES, VoiceActivity, segments

ENTRIES = json.loads((FIXTURES / "index.json").read_text("utf-8"))


def on_a_line(speech: bytes, *, lead: int = 8000, tail: int = 8000, noise_db: float | None = None) -> bytes:
    rng = np.random.default_rng(11)
    line = np.concatenate((np.zeros(lead), ulaw_to_linear(speech), np.zeros(tail)))
    if noise_db is not None:
        line = line + rng.normal(0, 0.1 * 10 ** (-noise_db / 20), len(line))
    return linear_to_ulaw(line)


@pytest.mark.parametrize("noise_db", [None, 20.0])
@pytest.mark.parametrize("offset", [0, 53, 80, 140])
@pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: e["file"])
def test_speech_is_one_segment_whose_ends_are_right_within_a_frame(entry, offset, noise_db):
    ulaw = speak(entry["text"], entry["voice"])
    found = segments(on_a_line(ulaw, lead=8000 + offset, noise_db=noise_db))
    assert len(found) == 1
    began, ended = 1000 + offset / 8, 1000 + (offset + len(ulaw)) / 8
    assert abs(found[0][0] - began) <= 20
    assert abs(found[0][1] - ended) <= 20


def test_two_sentences_are_two_segments_and_their_pause_decides():
    hello, goodbye = speak("Hello.", "party"), speak("Goodbye.", "party")
    recording = on_a_line(hello, tail=4800) + goodbye
    assert len(segments(recording)) == 2
    assert len(segments(recording, merge_ms=700)) == 1


@pytest.mark.parametrize(
    "line", [b"", b"\xff" * 8000, on_a_line(b"", noise_db=20.0)], ids=["nothing", "silence", "noise"]
)
def test_where_nobody_speaks_there_is_nothing(line):
    assert segments(line) == []


def test_a_click_is_not_speech():
    assert segments(b"\xff" * 1600 + b"\x00" * 160 + b"\xff" * 1600) == []


def test_somebody_who_speaks_at_once_and_without_a_pause_is_heard_all_the_same():
    vowel = linear_to_ulaw(0.14 * np.sin(2 * np.pi * 300 * np.arange(8000 * 3) / 8000))
    assert segments(vowel) == [(0, 3000)]


def test_each_frame_gets_its_own_answer_and_a_short_one_too():
    listener = VoiceActivity()
    loud = linear_to_ulaw(0.2 * np.sin(2 * np.pi * 300 * np.arange(FRAME_BYTES) / 8000))
    assert [listener.feed(f) for f in (b"\xff" * 160, loud, b"\xff" * 160, loud[:80], b"")] == [
        False,
        True,
        False,
        True,
        False,
    ]
