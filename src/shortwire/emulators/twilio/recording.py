"""A recording of a call: which stretches of the line's two channels it holds, and its status ("recording-resource").

Holds no audio of its own: the line keeps both channels, a recording is a list of stretches of it. Knows no HTTP.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from ..ulaw import FRAME_BYTES, SILENCE, decode, level, stereo_wav
from .stamps import mint, rfc2822

if TYPE_CHECKING:
    from .line import Line

__all__ = ["Recording", "mono_wav"]

Track = Literal["inbound", "outbound", "both"]
_AUDIBLE = 100
_HEADER = 44


class Recording:
    """Starts at construction. `status` is what REST shows."""

    def __init__(
        self,
        line: Line,
        *,
        call_sid: str,
        source: str,
        channels: int = 1,
        track: str = "both",
        trim: bool = False,
        events: Sequence[str] = ("completed",),
        callback: tuple[str, str] = ("", "POST"),
    ) -> None:
        self.sid = mint("RE")
        self.call_sid = call_sid
        self.source = source
        self.channels = channels
        self.track = track
        self.events = frozenset(events)
        self.callback = callback
        """URL and method of its status callback."""
        self.status = "in-progress"
        self.created_s = self.start_s = self.updated_s = time.time()
        self.deleted = False
        self._line = line
        self._trim = trim
        self._pieces: list[tuple[int, int, bool]] = []
        """Stretches of the line in bytes, and whether they are to sound."""
        self._begin = len(line.spoken)
        self._sounding: bool | None = True
        """None: paused with `skip`."""

    @property
    def live(self) -> bool:
        return self.status in {"in-progress", "paused"}

    def pause(self, *, silence: bool) -> None:
        self._cut(False if silence else None, "paused")

    def resume(self) -> None:
        self._cut(True, "in-progress")

    def stop(self) -> None:
        self._cut(None, "stopped")

    def move(self, status: str) -> None:
        self.status = status
        self.updated_s = time.time()

    @property
    def duration_s(self) -> int | None:
        """Whole seconds; None until it is complete."""
        return None if self.status != "completed" else round(self.length_ms / 1000)

    @property
    def length_ms(self) -> float:
        return len(self._channel("inbound")) / 8

    def wav(self, channels: int | None = None) -> bytes:
        """16-bit PCM at 8 kHz: one channel with both sides mixed, or the party left and our side right.

        Raises `ValueError` when two channels are asked for and only one was recorded.
        """
        wanted = channels or self.channels
        if wanted > self.channels:
            raise ValueError("this recording has one channel")
        sides = {side: self._channel(side) for side in ("inbound", "outbound")}
        silent = bytes([SILENCE]) * len(sides["inbound"])
        left = sides["inbound"] if self.track in {"inbound", "both"} else silent
        right = sides["outbound"] if self.track in {"outbound", "both"} else silent
        return stereo_wav(left, right) if wanted == 2 else mono_wav(left, right)

    def callback_fields(self, account_sid: str, url: str) -> list[tuple[str, str]]:
        """The status callback, in the order captured."""
        return [
            ("RecordingSource", self.source),
            ("RecordingSid", self.sid),
            ("RecordingUrl", url),
            ("RecordingStatus", self.status),
            ("RecordingChannels", str(self.channels)),
            ("ErrorCode", "0"),
            ("CallSid", self.call_sid),
            ("RecordingStartTime", rfc2822(self.start_s) or ""),
            ("AccountSid", account_sid),
            ("RecordingDuration", str(round(self.length_ms / 1000)) if self.status == "completed" else "-1"),
            ("RecordingTrack", self.track),
        ]

    def _cut(self, sounding: bool | None, status: str) -> None:
        end = len(self._line.spoken)
        if self._sounding is not None and end > self._begin:
            self._pieces.append((self._begin, end, self._sounding))
        self._begin, self._sounding = end, sounding
        self.move(status)

    def _stretches(self) -> list[tuple[int, int, bool]]:
        pieces = list(self._pieces)
        if self._sounding is not None and self.live:
            pieces.append((self._begin, len(self._line.spoken), self._sounding))
        if not self._trim or not pieces:
            return pieces
        first, last = self._audible(pieces)
        cut = [(max(begin, first), min(end, last), sounding) for begin, end, sounding in pieces]
        return [piece for piece in cut if piece[0] < piece[1]]

    def _audible(self, pieces: Sequence[tuple[int, int, bool]]) -> tuple[int, int]:
        """First and one-past-last byte of whole frames in which a recorded side makes a sound."""
        spoken, heard = self._sides()
        sides = {"inbound": (spoken,), "outbound": (heard,)}.get(self.track, (spoken, heard))
        loud = [
            at
            for begin, end, sounding in pieces
            if sounding
            for at in range(begin, end, FRAME_BYTES)
            if any(level(side[at : at + FRAME_BYTES]) > _AUDIBLE for side in sides)
        ]
        return (loud[0], loud[-1] + FRAME_BYTES) if loud else (0, 0)

    def _sides(self) -> tuple[bytearray, bytearray]:
        return self._line.spoken, self._line.playout.heard

    def _channel(self, side: str) -> bytes:
        source = self._sides()[side == "outbound"]
        out = bytearray()
        for begin, end, sounding in self._stretches():
            piece = source[begin:end] if sounding else b""
            out += piece + bytes([SILENCE]) * (end - begin - len(piece))
        return bytes(out)


def mono_wav(left: bytes, right: bytes) -> bytes:
    """Both sides in one channel."""
    pairs = zip(decode(left), decode(right), strict=True)
    mixed = array("h", (max(-32768, min(32767, a + b)) for a, b in pairs))
    both = bytearray(stereo_wav(b"", b"")[:_HEADER])
    data = mixed.tobytes()
    both[4:8] = (_HEADER - 8 + len(data)).to_bytes(4, "little")
    both[22:24] = (1).to_bytes(2, "little")
    both[28:32] = (16_000).to_bytes(4, "little")
    both[32:34] = (2).to_bytes(2, "little")
    both[40:44] = len(data).to_bytes(4, "little")
    return bytes(both) + data
