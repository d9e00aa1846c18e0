"""Gaps in a recording, from its samples alone."""

from __future__ import annotations

import io
import wave

import numpy as np
import pytest

from shortwire.audio.spoken import Spoken, gaps_of, read_stereo_ulaw, sounds, speech


def wav(left: np.ndarray, right: np.ndarray, rate: int = 8000, channels: int = 2) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        both = np.stack((left, right), 1) if channels == 2 else left
        file.writeframes(both.astype("<i2").tobytes())
    return out.getvalue()


def tones(length_ms: int, *at: tuple[int, int], rate: int = 8000, noise: float = 0.0) -> np.ndarray:
    time = np.arange(length_ms * rate // 1000) / rate
    inside = sum(((time >= a / 1000) & (time < b / 1000)).astype(float) for a, b in at)
    return inside * 9000 * np.sin(2 * np.pi * 440 * time) + noise * np.random.default_rng(1).standard_normal(len(time))


@pytest.mark.parametrize("rate", [8000, 16000, 48000])
def test_a_gap_is_found_at_any_rate(rate: int) -> None:
    party = tones(6000, (1000, 2000), (4000, 4500), rate=rate, noise=60)
    agent = tones(6000, (2805, 3500), (5200, 5800), rate=rate)
    left, right = read_stereo_ulaw(wav(party, agent, rate))
    found = gaps_of(speech(left), sounds(right))
    assert [gap.ms for gap in found] == pytest.approx([805, 700], abs=20)
    assert [gap.to_ms for gap in found] == pytest.approx([2805, 5200], abs=5)


def test_a_greeting_and_a_second_sentence_answer_nobody() -> None:
    party = [Spoken(2000, 3000), Spoken(7000, 7500)]
    agent = [Spoken(500, 1500), Spoken(3800, 4500), Spoken(5500, 6000), Spoken(8300, 9000)]
    assert [(gap.from_ms, gap.to_ms) for gap in gaps_of(party, agent)] == [(3000, 3800), (7500, 8300)]


def test_an_interruption_is_answered_by_what_comes_after_it() -> None:
    party = [Spoken(1000, 2000), Spoken(3500, 4500)]
    agent = [Spoken(2800, 3900), Spoken(5400, 6000)]
    assert [gap.ms for gap in gaps_of(party, agent)] == [800, 900]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"ID3", "no WAV file"),
        (b"", "no WAV file"),
        (wav(np.zeros(800), np.zeros(800), channels=1), "1 channel"),
        (wav(np.zeros(800), np.zeros(800), 11025), "11025 Hz"),
    ],
)
def test_what_cannot_be_read_is_refused_in_a_sentence(data: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        read_stereo_ulaw(data)
