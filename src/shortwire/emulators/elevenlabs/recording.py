"""The audio of a conversation, as a file: both sides in a WAV file when kept, else an MP3 of silence.

The service answers ``audio/mpeg``. There is no MP3 encoder here, so unless the sound is kept (``keep_audio``) the
file has the right type and length, and nothing in it. Vendor page: agents API, "Get conversation audio".
"""

from __future__ import annotations

import io
import wave

import numpy as np

from shortwire.emulators.elevenlabs.formats import Ear
from shortwire.emulators.speech.waveform import ulaw_to_linear

__all__ = ["Recording", "silent_mp3"]

_MP3_FRAME = b"\xff\xfb\x10\xc4" + bytes(100)
"""MPEG-1 layer III, 32 kbit/s, 44.1 kHz, mono: all lengths zero is silence."""

_MP3_FRAME_S = 1152 / 44100


def silent_mp3(seconds: float) -> bytes:
    """Silence of that length, at least one frame."""
    return _MP3_FRAME * max(1, round(seconds / _MP3_FRAME_S))


class Recording:
    """Both sides on one time line that starts with the socket."""

    def __init__(self, opened_ns: int, input_format: str, output_format: str) -> None:
        self._opened_ns = opened_ns
        self._user = bytearray()
        self._agent = bytearray()
        self._ears = {"user": Ear(input_format), "agent": Ear(output_format)}

    def user(self, audio: bytes, now_ns: int) -> None:
        """What arrived, where it arrived."""
        self._append(self._user, "user", audio, now_ns)

    def agent(self, audio: bytes, now_ns: int) -> None:
        """What was sent, from when it can be heard: after what was sent before."""
        self._append(self._agent, "agent", audio, now_ns)

    def cut(self, now_ns: int) -> None:
        """An interruption: what lies ahead is not heard."""
        del self._agent[self._position(now_ns) :]

    def wav(self) -> bytes:
        """Stereo, 16 bit, 8 kHz: the user on the left, the agent on the right."""
        length = max(len(self._user), len(self._agent))
        sides = [
            (ulaw_to_linear(bytes(side).ljust(length, b"\xff")) * 32767).astype("<i2")
            for side in (self._user, self._agent)
        ]
        out = io.BytesIO()
        with wave.open(out, "wb") as target:
            target.setnchannels(2)
            target.setsampwidth(2)
            target.setframerate(8000)
            target.writeframes(np.column_stack(sides).tobytes())
        return out.getvalue()

    def _position(self, now_ns: int) -> int:
        return max(0, (now_ns - self._opened_ns) * 8 // 1_000_000)

    def _append(self, side: bytearray, who: str, audio: bytes, now_ns: int) -> None:
        if len(side) < (position := self._position(now_ns)) - 1600:  # 200 ms: more than jitter
            side += b"\xff" * (position - len(side))
        for frame in self._ears[who].feed(audio):
            side += frame
