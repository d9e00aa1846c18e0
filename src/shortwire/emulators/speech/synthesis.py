"""Text to telephone speech with a synthesiser of this machine (espeak-ng or flite).

Used to make the committed fixtures (scripts/make_speech.py) and, where an engine is installed, for
texts that have none. The result is a whole number of 20 ms frames with sharp ends, so that "the
speech ended here" is a fact and not an opinion.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import tempfile
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np

from shortwire.emulators.speech.waveform import Samples, active_rms, linear_to_ulaw, resample, trimmed

__all__ = ["VOICES", "engine_for", "synthesise"]

Engine = Callable[[str], bytes]
"""Text to a WAV file's bytes."""

LOUDNESS = 0.1
"""RMS of the speech: -20 dBFS."""

EDGE = 0.0316
"""20 ms at either end that are quieter than this (-30 dBFS, 10 dB under the speech) are cut: a listener on a noisy
line cannot hear them, so they would make the end of the speech a matter of opinion."""

_TIMEOUT_S = 20


def _espeak(voice: str, speed: int, pitch: int) -> Engine:
    def say(text: str) -> bytes:
        command = ["espeak-ng", "-v", voice, "-s", str(speed), "-p", str(pitch), "--stdout", "--", text]
        return subprocess.run(command, check=True, capture_output=True, timeout=_TIMEOUT_S).stdout  # noqa: S603

    return say


def _flite(voice: str, stretch: float) -> Engine:
    def say(text: str) -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            target = Path(folder) / "speech.wav"
            command = ["flite", "-voice", voice, "--setf", f"duration_stretch={stretch}", "-t", text, "-o", str(target)]
            subprocess.run(command, check=True, capture_output=True, timeout=_TIMEOUT_S)  # noqa: S603
            return target.read_bytes()

    return say


VOICES: dict[str, tuple[tuple[str, Engine], ...]] = {
    "party": (("espeak-ng", _espeak("en-us+m3", 178, 42)), ("flite", _flite("rms", 0.9))),
    "agent": (("flite", _flite("slt", 0.92)), ("espeak-ng", _espeak("en-us+f3", 178, 60))),
}
"""Per voice, the engines that can speak it, best first."""


def engine_for(voice: str) -> tuple[str, Engine] | None:
    """The first engine for the voice that is installed here, with its name; None when there is none."""
    return next(((name, engine) for name, engine in VOICES[voice] if shutil.which(name)), None)


def _read_wav(data: bytes) -> tuple[Samples, int]:
    # espeak-ng writes to a pipe and cannot know the length: its header says 2 GB, so the data is what there is.
    with wave.open(io.BytesIO(data)) as source:
        if source.getsampwidth() != 2 or source.getnchannels() != 1:
            raise ValueError("the engine gave something other than 16-bit mono")
        raw = source.readframes(min(source.getnframes(), len(data)))
        rate = source.getframerate()
    return np.frombuffer(raw[: len(raw) // 2 * 2], dtype="<i2").astype(np.float64) / 32768.0, rate


def synthesise(text: str, engine: Engine) -> bytes:
    """Mu-law, 8 kHz, -20 dBFS active speech, no silence around it, a whole number of 20 ms frames.

    Raises:
        ValueError: the engine gave silence, or something that is not 16-bit mono.
        subprocess.SubprocessError: the engine failed.
    """
    samples, rate = _read_wav(engine(text))
    speech = active_rms(samples, rate)
    if speech == 0.0:
        raise ValueError(f"the engine gave silence for {text!r}")
    telephone = trimmed(resample(samples * (LOUDNESS / speech), rate, 8000), 8000, EDGE)
    # A whole number of frames without padding: the speed changes by less than 20 ms over the whole text.
    frames = max(1, round(len(telephone) / 160))
    fitted = resample(telephone, len(telephone), frames * 160)[: frames * 160]
    fade = np.linspace(0.0, 1.0, 16)  # 2 ms, against clicks
    fitted[:16] *= fade
    fitted[-16:] *= fade[::-1]
    return linear_to_ulaw(fitted * (LOUDNESS / active_rms(fitted, 8000)))  # what was cut weighed in, too
