"""Converters proved by tones: level, aliases, delay, and indifference to how the stream is cut."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from shortwire.audio.convert import FORMATS, PHONE_FORMAT, Converter, converters
from shortwire.audio.mulaw import LINEAR, encode_table

Samples = NDArray[np.float64]
AMPLITUDE = 8000.0
RATES = sorted(FORMATS.items())
RESAMPLED = [(name, rate) for name, rate in RATES if rate != 8000]


def uplink(name: str) -> Converter:
    found, none = converters(name, PHONE_FORMAT)
    assert none is None
    assert found is not None
    return found


def downlink(name: str) -> Converter:
    none, found = converters(PHONE_FORMAT, name)
    assert none is None
    assert found is not None
    return found


def tone(hz: float, rate: int, seconds: float = 0.5) -> Samples:
    return AMPLITUDE * np.sin(2 * np.pi * hz * np.arange(int(rate * seconds)) / rate)


def ulaw(samples: Samples) -> bytes:
    table = np.frombuffer(encode_table(), np.uint8)
    return table[np.rint(samples).astype(np.int16).view(np.uint16)].tobytes()


def pcm(samples: Samples) -> bytes:
    return np.rint(samples).astype("<i2").tobytes()


def from_ulaw(data: bytes) -> Samples:
    return np.array(LINEAR, dtype=np.float64)[np.frombuffer(data, np.uint8)]


def from_pcm(data: bytes) -> Samples:
    return np.frombuffer(data, "<i2").astype(np.float64)


def amplitude(samples: Samples, hz: float, rate: int) -> float:
    """Of one frequency, away from the edges."""
    inner = samples[len(samples) // 10 : -len(samples) // 10]
    window = np.hanning(len(inner))
    turning = np.exp(-2j * np.pi * hz * np.arange(len(inner)) / rate)
    return float(2 * abs(np.sum(inner * window * turning)) / window.sum())


def db(ratio: float) -> float:
    return float(20 * np.log10(max(ratio, 1e-9)))


@pytest.mark.parametrize("hz", [300, 1000, 2000, 3000])
@pytest.mark.parametrize(("name", "rate"), RATES)
def test_speech_band_keeps_its_level(name: str, rate: int, hz: int) -> None:
    down = from_ulaw(downlink(name).convert(pcm(tone(hz, rate))))
    assert abs(db(amplitude(down, hz, 8000) / AMPLITUDE)) < 0.5
    up = from_pcm(uplink(name).convert(ulaw(tone(hz, 8000))))
    assert abs(db(amplitude(up, hz, rate) / AMPLITUDE)) < 0.5


@pytest.mark.parametrize("hz", [5000, 5500, 6000, 7000])
@pytest.mark.parametrize(("name", "rate"), RESAMPLED)
def test_what_a_phone_cannot_carry_does_not_come_back_as_an_alias(name: str, rate: int, hz: int) -> None:
    down = from_ulaw(downlink(name).convert(pcm(tone(hz, rate))))
    assert db(amplitude(down, 8000 - hz, 8000) / AMPLITUDE) < -50
    assert db(float(np.std(down[400:-400])) / AMPLITUDE) < -50


@pytest.mark.parametrize("hz", [1000, 2000, 3000])
@pytest.mark.parametrize(("name", "rate"), RESAMPLED)
def test_no_images_of_the_phone_band(name: str, rate: int, hz: int) -> None:
    up = from_pcm(uplink(name).convert(ulaw(tone(hz, 8000))))
    assert db(amplitude(up, 8000 - hz, rate) / AMPLITUDE) < -50


def loudest(samples: Samples) -> float:
    """Where a pulse lies, in samples: the centre of its energy."""
    energy = samples**2
    return float(np.sum(np.arange(len(samples)) * energy) / np.sum(energy))


@pytest.mark.parametrize(("name", "rate"), RATES)
def test_the_delay_is_what_it_says(name: str, rate: int) -> None:
    for converter, rate_in, rate_out, put, get in (
        (downlink(name), rate, 8000, pcm, from_ulaw),
        (uplink(name), 8000, rate, ulaw, from_pcm),
    ):
        assert converter.delay_ms < 2.05
        time = np.arange(int(rate_in * 0.2)) / rate_in
        pulse = AMPLITUDE * np.exp(-(((time - 0.1) / 0.002) ** 2)) * np.cos(2 * np.pi * 1000 * (time - 0.1))
        came = loudest(get(converter.convert(put(pulse)))) / rate_out
        went = loudest(pulse) / rate_in
        assert (came - went) * 1000 == pytest.approx(converter.delay_ms, abs=0.05)


@pytest.mark.parametrize(("name", "rate"), RATES)
def test_nothing_is_held_back(name: str, rate: int) -> None:
    """20 ms in, 20 ms out, at once and every time."""
    for converter, one, expected in (
        (downlink(name), pcm(tone(400, rate, 0.02)), 160.0),
        (uplink(name), ulaw(tone(400, 8000, 0.02)), rate * 0.02 * 2),
    ):
        total = 0
        for i in range(1, 30):
            total += len(converter.convert(one))
            assert abs(total - i * expected) <= 2  # one sample


cuts = st.lists(st.integers(0, 700), max_size=40)


@settings(max_examples=25, deadline=None)
@given(cuts, st.sampled_from(RATES), st.integers(0, 2**32 - 1))
def test_how_the_stream_is_cut_changes_nothing(sizes: list[int], form: tuple[str, int], seed: int) -> None:
    name, _ = form
    noise = np.random.default_rng(seed).integers(0, 256, 3001, dtype=np.uint8).tobytes()
    for make in (uplink, downlink):
        whole = make(name).convert(noise)
        converter, at, out = make(name), 0, b""
        for size in sizes:
            out += converter.convert(noise[at : at + size])
            at += size
        out += converter.convert(noise[at:])
        assert out == whole


@pytest.mark.parametrize(("name", "rate"), RATES)
def test_there_and_back(name: str, rate: int) -> None:
    sent = ulaw(tone(700, 8000))
    back = from_ulaw(downlink(name).convert(uplink(name).convert(sent)))
    assert abs(db(amplitude(back, 700, 8000) / AMPLITUDE)) < 0.5
    residue = back - np.mean(back)
    total = float(np.sqrt(2) * np.std(residue[400:-400]))
    assert abs(db(total / AMPLITUDE)) < 0.5  # hardly anything but the tone
    if rate == 8000:
        assert downlink(name).convert(uplink(name).convert(sent)) == sent


def test_loud_audio_is_clipped_and_does_not_wrap() -> None:
    square = np.sign(np.sin(2 * np.pi * 200 * np.arange(2400) / 24000)) * 32767
    out = from_ulaw(downlink("pcm_24000").convert(pcm(square)))
    half = out[60:75]  # the middle of a half wave, where an overshoot would wrap
    assert np.all(np.abs(half) > 28000)
    assert len(set(np.sign(half))) == 1


def test_a_constant_stays_one() -> None:
    """The phases of a rational converter must agree, or their differences are heard as a tone."""
    out = from_pcm(uplink("pcm_22050").convert(bytes([0x9F]) * 1600))
    assert np.ptp(out[400:]) <= 1


def test_reset_forgets_the_past() -> None:
    for converter, data in ((downlink("pcm_16000"), pcm(tone(500, 16000)) + b"x"), (uplink("pcm_16000"), b"\x00" * 99)):
        fresh = converter.convert(data)
        assert converter.convert(data) != fresh
        converter.reset()
        assert converter.convert(data) == fresh


def test_mu_law_needs_no_converter() -> None:
    assert converters(PHONE_FORMAT, PHONE_FORMAT) == (None, None)


@pytest.mark.parametrize("pair", [("opus_48000", PHONE_FORMAT), (PHONE_FORMAT, "pcm_11025"), ("", "")])
def test_an_unknown_format_is_named_with_what_to_set(pair: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match="set it to ulaw_8000") as raised:
        converters(*pair)
    assert any(repr(name) in str(raised.value) for name in pair)


def test_without_numpy_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numpy", None)
    with pytest.raises(ValueError, match=r"install shortwire\[audio\]"):
        converters("pcm_16000", "pcm_16000")
    assert converters(PHONE_FORMAT, PHONE_FORMAT) == (None, None)
