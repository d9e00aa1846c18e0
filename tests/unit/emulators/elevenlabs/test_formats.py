"""Seven formats, both ways: nothing lost, nothing added, whatever the chunking."""

from __future__ import annotations

import numpy as np
import pytest

from shortwire.emulators.elevenlabs.formats import FORMATS, Ear, bytes_per_ms, chunks, encoded
from shortwire.emulators.speech import speak
from shortwire.emulators.speech.waveform import ulaw_to_linear
from shortwire.emulators.voice_activity import segments


@pytest.mark.parametrize("name", FORMATS)
def test_what_is_spoken_in_a_format_is_heard_again(name):
    ulaw = b"\xff" * 1600 + speak("Hello, how can I help you?", "agent") + b"\xff" * 1600
    wire = encoded(ulaw, name)
    assert len(wire) == pytest.approx(len(ulaw) / 8 * bytes_per_ms(name), abs=2)
    ear, heard, rng, at = Ear(name), b"", np.random.default_rng(2), 0
    while at < len(wire):
        step = int(rng.integers(1, 900))
        heard += b"".join(ear.feed(wire[at : at + step]))
        at += step
    assert len(heard) % 160 == 0
    assert abs(len(heard) - len(ulaw)) <= 320
    first, second = segments(ulaw), segments(heard)
    assert len(first) == len(second) == 1
    assert abs(first[0][1] - second[0][1]) <= 20
    if name.endswith("_8000"):
        assert heard.replace(b"\x7f", b"\xff") == ulaw.replace(b"\x7f", b"\xff")  # two ways to write nothing
    else:
        a, b = ulaw_to_linear(ulaw)[: len(heard)], ulaw_to_linear(heard)
        noise = np.sqrt(((a - b) ** 2).mean()) / np.sqrt((a**2).mean())
        assert 20 * np.log10(noise) < -25  # the filter takes the top of the band; mu-law is coded twice


@pytest.mark.parametrize("name", FORMATS)
def test_chunks_have_the_asked_lengths_and_no_cut_sample(name):
    audio = bytes(int(3600 * bytes_per_ms(name)) // 2 * 2)
    pieces = list(chunks(audio, name, (1000, 2400)))
    assert b"".join(pieces) == audio
    assert [round(len(p) / bytes_per_ms(name)) for p in pieces] == [1000, 2400, 200]
    assert all(len(p) % 2 == 0 for p in pieces) or name == "ulaw_8000"


def test_odd_sizes_are_possible():
    assert [len(p) for p in chunks(bytes(1000), "ulaw_8000", (1000,), (7, 333))] == [7, 333, 333, 327]
    assert [len(p) for p in chunks(bytes(1000), "pcm_16000", (1000,), (7, 333))] == [6, 332, 332, 330]
    assert list(chunks(b"", "ulaw_8000", (1000,))) == []


def test_an_unknown_format_is_an_error():
    with pytest.raises(ValueError, match="known: pcm_8000"):
        bytes_per_ms("mp3_44100")
