"""G.711 by its known values, and the WAV by the standard library's reader."""

from __future__ import annotations

import io
import wave
from array import array

from shortwire.emulators.ulaw import SILENCE, decode, encode, level, stereo_wav, tone


def test_known_values() -> None:
    assert list(decode(b"\xff\x7f\x80\x00")) == [0, 0, 32124, -32124]
    assert encode(array("h", [0, 32767, -32768])) == b"\xff\x80\x00"


def test_every_code_but_the_second_zero_survives_a_round_trip() -> None:
    codes = bytes(code for code in range(256) if code != 0x7F)
    assert encode(decode(codes)) == codes


def test_a_tone_has_the_level_it_should() -> None:
    assert abs(level(tone(400, 1000, amplitude=8000)) - 8000 / 2**0.5) < 60
    assert len(tone(400, 20)) == 160


def test_the_shorter_channel_is_padded_with_silence() -> None:
    left, right = tone(400, 40), tone(800, 20)
    with wave.open(io.BytesIO(stereo_wav(left, right))) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (2, 2, 8000)
        samples = array("h", file.readframes(file.getnframes()))
    assert samples[0::2] == decode(left)
    assert samples[1::2] == decode(right + bytes([SILENCE]) * 160)
