"""Recordings: what they hold, in one channel and in two; and the sounds a Play can fetch."""

from __future__ import annotations

import io
import struct
import wave
from array import array
from types import SimpleNamespace
from typing import Any

import pytest

from shortwire.emulators.twilio.recording import Recording, mono_wav
from shortwire.emulators.twilio.sound import SoundError, to_ulaw
from shortwire.emulators.ulaw import SILENCE, decode, level, tone

HIGH, LOW = tone(1500, 1000), tone(300, 1000)
QUIET = bytes([SILENCE]) * 8000


def line(spoken: bytes, heard: bytes) -> Any:
    return SimpleNamespace(spoken=bytearray(spoken), playout=SimpleNamespace(heard=bytearray(heard)))


def made(channels: int = 1, **more: Any) -> tuple[Any, Recording]:
    wire = line(b"", b"")
    return wire, Recording(wire, call_sid="CA1", source="x", channels=channels, **more)


def read(wav: bytes) -> tuple[int, array[int]]:
    with wave.open(io.BytesIO(wav)) as file:
        assert (file.getframerate(), file.getsampwidth()) == (8000, 2)
        return file.getnchannels(), array("h", file.readframes(file.getnframes()))


def speak(wire: Any, spoken: bytes, heard: bytes) -> None:
    wire.spoken += spoken
    wire.playout.heard += heard


def test_two_channels_keep_the_sides_apart() -> None:
    wire, recording = made(2)
    speak(wire, HIGH, LOW)
    recording.stop()
    recording.move("completed")
    channels, samples = read(recording.wav())
    assert channels == 2
    assert samples[0::2] == decode(HIGH)
    assert samples[1::2] == decode(LOW)
    assert recording.duration_s == 1
    channels, mixed = read(recording.wav(1))
    assert channels == 1
    assert mixed == array("h", (a + b for a, b in zip(decode(HIGH), decode(LOW), strict=True)))


def test_one_channel_is_not_two() -> None:
    wire, recording = made(1)
    speak(wire, HIGH, LOW)
    with pytest.raises(ValueError, match="one channel"):
        recording.wav(2)


@pytest.mark.parametrize(("track", "heard"), [("inbound", HIGH), ("outbound", LOW)])
def test_a_track_is_one_side(track: str, heard: bytes) -> None:
    wire, recording = made(1, track=track)
    speak(wire, HIGH, LOW)
    assert read(recording.wav())[1] == decode(heard)


def test_it_begins_when_it_is_started_and_a_pause_is_silent_or_left_out() -> None:
    for silence, length_ms in ((True, 3000), (False, 2000)):
        wire = line(QUIET, QUIET)
        recording = Recording(wire, call_sid="CA1", source="x")
        speak(wire, HIGH, QUIET)
        recording.pause(silence=silence)
        assert recording.status == "paused"
        speak(wire, HIGH, HIGH)
        recording.resume()
        speak(wire, LOW, QUIET)
        recording.stop()
        assert recording.length_ms == length_ms
        samples = read(recording.wav())[1]
        assert samples[:8000] == decode(HIGH)
        assert samples[-8000:] == decode(LOW)
        if silence:
            assert set(samples[8000:16000]) == {0}


def test_trimming_takes_silence_off_both_ends() -> None:
    wire, recording = made(1, trim=True)
    speak(wire, QUIET + HIGH + QUIET, QUIET + QUIET + LOW)
    speak(wire, QUIET, QUIET)
    recording.stop()
    assert recording.length_ms == 2000
    silent, empty = made(1, trim=True)
    speak(silent, QUIET, QUIET)
    empty.stop()
    assert empty.length_ms == 0


def test_mixing_does_not_wrap_around() -> None:
    loud = tone(440, 100, amplitude=32000)
    samples = read(mono_wav(loud, loud))[1]
    assert max(samples) == 32767
    assert min(samples) == -32768


def wav(samples: array[int], rate: int = 8000, channels: int = 1) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.tobytes())
    return out.getvalue()


def test_a_wav_is_played_at_its_own_speed() -> None:
    assert to_ulaw(wav(decode(HIGH)), "audio/wav") == HIGH
    low = decode(LOW)
    for rate in (16_000, 44_100):
        slow = array("h", (low[n * 8000 // rate] for n in range(rate)))
        assert len(to_ulaw(wav(slow, rate), "audio/x-wav")) == 8000
        assert level(to_ulaw(wav(slow, rate), "audio/x-wav")) == pytest.approx(level(LOW), rel=0.1)
    both = array("h", (sample for pair in zip(low, low, strict=True) for sample in pair))
    assert to_ulaw(wav(both, channels=2), "audio/wav") == LOW


def test_mu_law_goes_through_untouched() -> None:
    assert to_ulaw(HIGH, "audio/basic") == HIGH
    form = struct.pack("<HHIIHH", 7, 1, 8000, 8000, 1, 8)
    body = b"WAVE" + b"fmt " + struct.pack("<I", 16) + form + b"data" + struct.pack("<I", len(HIGH)) + HIGH
    assert to_ulaw(b"RIFF" + struct.pack("<I", len(body)) + body, "audio/wav") == HIGH


@pytest.mark.parametrize(
    ("body", "kind", "text"),
    [
        (b"ID3", "audio/mpeg", "audio/mpeg is not played"),
        (b"hello", "audio/wav", "no RIFF header"),
        (b"RIFF\0\0\0\0WAVE", "audio/wav", "no fmt"),
        (b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0", "audio/wav", "not a WAV"),
    ],
)
def test_what_cannot_be_played_says_why(body: bytes, kind: str, text: str) -> None:
    with pytest.raises(SoundError, match=text) as caught:
        to_ulaw(body, kind)
    assert caught.value.code == 12300
