"""The audio of a conversation: an MP3 of silence of the right length, or both sides as they were heard."""

from __future__ import annotations

import io
import wave

import numpy as np
import pytest

from shortwire.emulators.elevenlabs.formats import encoded
from shortwire.emulators.elevenlabs.recording import Recording, silent_mp3
from shortwire.emulators.speech import speak

MS = 1_000_000
SPEECH = speak("Hello.", "agent")


@pytest.mark.parametrize("seconds", [0, 1, 60])
def test_silence_has_the_length_it_should(seconds):
    data = silent_mp3(seconds)
    assert data[:4] == b"\xff\xfb\x10\xc4"
    frames = data.count(b"\xff\xfb\x10\xc4")
    assert len(data) == frames * 104
    assert frames * 1152 / 44100 == pytest.approx(max(seconds, 0.026), abs=0.03)


def sides(recording: Recording) -> tuple[np.ndarray, np.ndarray]:
    with wave.open(io.BytesIO(recording.wav())) as sound:
        assert (sound.getnchannels(), sound.getsampwidth(), sound.getframerate()) == (2, 2, 8000)
        samples = np.frombuffer(sound.readframes(sound.getnframes()), dtype="<i2").reshape(-1, 2)
    return samples[:, 0], samples[:, 1]


@pytest.mark.parametrize("name", ["ulaw_8000", "pcm_16000"])
def test_both_sides_lie_where_they_were_heard(name):
    recording = Recording(0, "ulaw_8000", name)
    recording.agent(encoded(SPEECH, name), 1000 * MS)
    recording.user(SPEECH, 2000 * MS)
    user, agent = sides(recording)
    assert np.flatnonzero(np.abs(agent) > 500)[0] == pytest.approx(8000, abs=200)
    assert np.flatnonzero(np.abs(user) > 500)[0] == pytest.approx(16000, abs=200)
    assert len(user) == len(agent) == 16000 + len(SPEECH)


def test_what_was_interrupted_was_not_heard():
    recording = Recording(0, "ulaw_8000", "ulaw_8000")
    recording.agent(SPEECH * 4, 0)
    recording.cut(500 * MS)
    recording.user(b"\xff" * 8000, 0)
    _, agent = sides(recording)
    assert not np.any(np.abs(agent[4000:]) > 100)
    assert np.any(np.abs(agent[:4000]) > 500)
