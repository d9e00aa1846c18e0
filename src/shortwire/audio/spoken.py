"""Who spoke when in a recording, and the response gaps in it: from the samples alone.

Pure Python, off the media path. Speech is found with the same ears as live (`voice_activity`), so that both mean the
same by "the end of speech"; everything else the live figures rest on (arrival times, marks) plays no part here.
"""

from __future__ import annotations

import array
import io
import sys
import wave
from collections.abc import Sequence
from dataclasses import dataclass

from ..call.speech import SpeechEdges
from ..clock import NS_PER_MS
from ..ulaw import FRAME_BYTES, FRAME_MS, SILENCE_FRAME
from .levels import level_db
from .mulaw import encode_table
from .voice_activity import VoiceActivity

__all__ = ["RecordedGap", "Spoken", "gaps_of", "read_stereo_ulaw", "sounds", "speech"]

_PAUSE_MS = 250
"""A longer pause begins another stretch; whether it is another reply depends on what the party did meanwhile."""
_SOUND_DB = -50.0
_STEP_BYTES = 40
"""5 ms: the agent's audio begins anywhere in a frame."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """A stretch, ms from the beginning of the recording."""

    start_ms: float
    end_ms: float


@dataclass(frozen=True, slots=True)
class RecordedGap:
    """End of the party's speech to the agent's first sound after it."""

    from_ms: float
    to_ms: float

    @property
    def ms(self) -> float:
        return self.to_ms - self.from_ms


def read_stereo_ulaw(wav: bytes) -> tuple[bytes, bytes]:
    """Both channels of a WAV as 8 kHz mu-law: first the party, then the agent.

    Takes 16-bit PCM at any whole multiple of 8 kHz (every n-th sample: good enough to find edges). Raises
    `ValueError` with a sentence.
    """
    try:
        with wave.open(io.BytesIO(wav)) as file:
            channels, width, rate = file.getnchannels(), file.getsampwidth(), file.getframerate()
            data = file.readframes(file.getnframes())
    except (wave.Error, EOFError) as error:
        raise ValueError(f"the recording is no WAV file that can be read ({error})") from None
    if channels != 2:
        raise ValueError(f"the recording has {channels} channel: both sides are mixed; ask for two (dual-channel)")
    if width != 2 or rate % 8000:
        raise ValueError(f"the recording is {8 * width} bit at {rate} Hz; 16 bit at 8, 16 or 48 kHz can be read")
    samples = array.array("h", data[: len(data) // 4 * 4])
    if sys.byteorder == "big":
        samples.byteswap()
    table, step = encode_table(), 2 * (rate // 8000)
    left, right = (bytes(table[sample & 0xFFFF] for sample in samples[channel::step]) for channel in (0, 1))
    return left, right


def speech(ulaw: bytes) -> list[Spoken]:
    """Stretches of a person's speech, found as the live tracker finds them."""
    ears, edges = VoiceActivity(), SpeechEdges()
    for number in range(-(-len(ulaw) // FRAME_BYTES)):
        frame = ulaw[number * FRAME_BYTES : (number + 1) * FRAME_BYTES]
        frame += SILENCE_FRAME[len(frame) :]
        edges.frame((number + 1) * FRAME_MS * NS_PER_MS, ears.voiced(frame))
    return [Spoken(s.start_ns / NS_PER_MS, s.end_ns / NS_PER_MS) for s in edges.stretches]


def sounds(ulaw: bytes) -> list[Spoken]:
    """Stretches of sound on a line that is digitally silent otherwise (the agent's), edges within 5 ms."""
    found: list[Spoken] = []
    for at in range(0, len(ulaw), _STEP_BYTES):
        if level_db(ulaw[at : at + _STEP_BYTES]) <= _SOUND_DB:
            continue
        start_ms, end_ms = at / 8, min(len(ulaw), at + _STEP_BYTES) / 8
        if found and start_ms - found[-1].end_ms <= _PAUSE_MS:
            found[-1] = Spoken(found[-1].start_ms, end_ms)
        else:
            found.append(Spoken(start_ms, end_ms))
    return found


def gaps_of(party: Sequence[Spoken], agent: Sequence[Spoken]) -> list[RecordedGap]:
    """Each reply of the agent with the last words before it; replies that nobody had asked for have none."""
    found = []
    answered_ms = 0.0
    for reply in agent:
        before = [s for s in party if s.start_ms < reply.start_ms]
        if not before or before[-1].end_ms <= answered_ms or before[-1].end_ms > reply.start_ms:
            continue
        found.append(RecordedGap(before[-1].end_ms, reply.start_ms))
        answered_ms = reply.start_ms
    return found
