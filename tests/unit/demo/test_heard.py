"""Known tones, known gaps: what the judge's ear makes of them."""

from __future__ import annotations

import io
import wave
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shortwire.demo.heard import Span, exchanges, first_word_ms, interruptions, read_stereo, speech, turns


def recording(*tones: tuple[float, float], length_ms: float = 10_000, level: float = 8000) -> np.ndarray:
    """A channel that is silent except for tones (start_ms, end_ms)."""
    samples = np.zeros(int(length_ms * 8), dtype=np.float64)
    for start, end in tones:
        n = np.arange(int(start * 8), int(end * 8))
        samples[n] = level * np.sin(2 * np.pi * 440 * n / 8000)
    return samples.astype(np.int16)


def spans(who: str, *edges: tuple[float, float]) -> list[Span]:
    return [Span(who, start, end) for start, end in edges]  # type: ignore[arg-type]


def test_speech_has_the_edges_of_the_audible_frames() -> None:
    found = speech(recording((1000, 2000), (5000, 6500)), "party")
    assert found == spans("party", (1000, 2000), (5000, 6500))


def test_a_tone_inside_a_frame_makes_the_whole_frame_audible() -> None:
    (found,) = speech(recording((1007, 1993)), "party")
    assert (found.start_ms, found.end_ms) == (1000, 2000)


def test_short_pauses_belong_to_the_sentence_and_clicks_are_no_speech() -> None:
    found = speech(recording((1000, 1400), (1700, 2000), (4000, 4040)), "agent")
    assert found == spans("agent", (1000, 2000))


def test_line_noise_below_the_floor_is_silence() -> None:
    noise = np.random.default_rng(1).normal(0, 32768 * 10 ** (-50 / 20), 40_000).astype(np.int16)
    assert speech(noise, "party") == []


@pytest.mark.parametrize("samples", [np.zeros(0, dtype=np.int16), np.zeros(100, dtype=np.int16)])
def test_less_than_a_frame_is_nothing(samples: np.ndarray) -> None:
    assert speech(samples, "party") == []


@given(st.lists(st.integers(1, 40), min_size=1, max_size=6), st.lists(st.integers(25, 60), min_size=6, max_size=6))
def test_any_pattern_of_tones_is_found_again(lengths: Sequence[int], pauses: Sequence[int]) -> None:
    at, wanted = 0, []
    for length, pause in zip(lengths, pauses, strict=False):
        at += pause * 20
        wanted.append((at, at + (length + 3) * 20))
        at = wanted[-1][1]
    assert speech(recording(*wanted, length_ms=at + 100), "agent") == spans("agent", *wanted)


def test_response_gaps_run_from_the_end_of_speech_to_the_first_sound_of_the_answer() -> None:
    party = spans("party", (3000, 4000), (7000, 8000))
    agent = spans("agent", (500, 2500), (4850, 6500), (8920, 9500))
    assert [e.gap_ms for e in exchanges(party, agent)] == [850, 920]


def test_who_speaks_again_before_the_answer_had_none() -> None:
    party = spans("party", (1000, 2000), (4000, 5000))
    assert [e.gap_ms for e in exchanges(party, spans("agent", (5700, 6000)))] == [None, 700]


def test_the_reply_to_an_interruption_is_the_next_one_not_the_interrupted_one() -> None:
    party, agent = spans("party", (3000, 4500)), spans("agent", (1000, 3300), (5400, 6000))
    assert interruptions(party, agent)[0].stop_ms == 300
    assert exchanges(party, agent)[0].gap_ms == 900


def test_a_pause_of_the_agent_in_which_the_party_was_silent_is_one_turn() -> None:
    agent = spans("agent", (0, 1000), (1600, 2000), (5000, 6000))
    assert turns(agent, spans("party", (3000, 4000))) == spans("agent", (0, 2000), (5000, 6000))
    assert turns(agent, spans("party", (1100, 1500))) == agent


def test_turns_keep_the_words_of_their_parts() -> None:
    parts = [Span("agent", 0, 100, "one"), Span("agent", 200, 300, "two")]
    assert turns(parts, [])[0].text == "one two"


def test_first_word() -> None:
    assert first_word_ms(spans("agent", (740, 900))) == 740
    assert first_word_ms([]) is None


def wav(channels: int, width: int) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(8000)
        file.writeframes(bytes(range(16)) * channels)
    return buffer.getvalue()


def test_left_is_the_party_and_right_the_agent() -> None:
    party, agent, rate = read_stereo(wav(2, 2))
    assert rate == 8000
    assert party[0] == 0x0100
    assert agent[0] == 0x0302
    assert len(party) == len(agent) == 8


@pytest.mark.parametrize(("channels", "width"), [(1, 2), (2, 1)])
def test_other_formats_are_refused_by_name(channels: int, width: int) -> None:
    with pytest.raises(ValueError, match=f"got {channels} channels of {8 * width} bits"):
        read_stereo(wav(channels, width))
