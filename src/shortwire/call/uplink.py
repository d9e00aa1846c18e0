"""Party audio on its way to the agent: one synchronous step from socket to socket.

While the agent is not ready the newest frames are kept, bounded. While its socket does not take data,
frames are dropped and counted, never queued: a call prefers a hole to a delay.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections import deque
from collections.abc import Callable
from typing import Protocol

from ..wire.elevenlabs import USER_AUDIO_HEAD, USER_AUDIO_TAIL
from ..wire.splice import BASE64, before_mark, phone_cut, phone_ending
from ..wire.twilio import media_plain
from .playout import Playout
from .shortcut import UplinkShortcut
from .side import UPLINK, UPLINK_KEPT, SideLog

__all__ = ["AudioConverter", "Send", "Uplink"]

Send = Callable[[bytes], None]
"""Writes one text message to a socket, synchronously; never raises."""


class AudioConverter(Protocol):
    """Streaming conversion of decoded audio; keeps its state between calls of any size."""

    def convert(self, data: bytes) -> bytes: ...

    def reset(self) -> None:
        """What comes next does not continue what came (after a barge-in)."""
        ...


def _no_cut(_message: bytes) -> bytes | None:
    """Before the stream's `start` nothing can be cut: the stream's id is part of the shape."""
    return None


class Uplink:
    """One call's way from the phone to the agent."""

    __slots__ = (
        "_convert",
        "_cut",
        "_early",
        "_frames",
        "_last_frame_ns",
        "_paused",
        "_plain",
        "_relayed",
        "_send",
        "_side",
        "_stopped",
        "_target",
        "after_end",
        "early_dropped",
        "paused_dropped",
        "shortcut",
        "slow",
        "unusable",
    )

    def __init__(self, side: SideLog, *, plain: bool, early_frames: int) -> None:
        self._side = side
        self._plain = plain
        self._cut: Callable[[bytes], bytes | None] = _no_cut
        self._send: Send | None = None
        self._target: Send | None = None
        self._convert: AudioConverter | None = None
        self._early: deque[bytes] | None = deque(maxlen=early_frames)
        self._paused = False
        self._stopped = False
        self.shortcut: UplinkShortcut | None = None
        """Set before the first message, if at all."""
        self._relayed = 0
        self._frames = 0
        self._last_frame_ns = 0
        self.slow = 0
        """Media messages that took the typed parse though splicing is on."""
        self.early_dropped = 0
        """Frames older than the early buffer could keep."""
        self.paused_dropped = 0
        """Frames that came while the agent socket took no data."""
        self.after_end = 0
        """Frames that came when the agent had gone (its goodbye was being heard): nobody was to have them."""
        self.unusable = 0
        """Media messages whose payload is not base64."""

    @property
    def frames(self) -> int:
        """Media messages read from the phone."""
        return self._frames + (self.shortcut.relayed if self.shortcut is not None else 0)

    @property
    def relayed(self) -> int:
        """Media messages passed on to the agent."""
        return self._relayed + (self.shortcut.relayed if self.shortcut is not None else 0)

    @property
    def last_frame_ns(self) -> int:
        """When the last media message was read; of a call without any, when its stream began."""
        return max(self._last_frame_ns, self.shortcut.last_ns) if self.shortcut is not None else self._last_frame_ns

    def begin(self, stream_sid: str, now_ns: int = 0) -> None:
        """The media stream has said its id."""
        self._last_frame_ns = now_ns
        self._cut = media_plain(stream_sid) if self._plain else phone_cut(stream_sid)
        if self.shortcut is not None and not self._plain:
            self.shortcut.begin(phone_ending(stream_sid), USER_AUDIO_HEAD, USER_AUDIO_TAIL)

    def confirm(self, stream_sid: str, playout: Playout) -> None:
        """Marks that come back may be confirmed without the session."""
        if self.shortcut is not None:
            self.shortcut.confirm(before_mark(stream_sid), playout)

    def message(self, data: bytes, now_ns: int) -> bool | None:
        """The media path. True: relayed; False: media, kept or dropped; None: not recognised as media."""
        # Through names of its own: a call straight from a slot is one that the interpreter does not specialise.
        cut, send = self._cut, self._send
        payload = cut(data)
        if payload is None:
            return None
        self._frames += 1
        self._last_frame_ns = now_ns
        if send is None:
            return self._elsewhere(payload, now_ns)
        send(USER_AUDIO_HEAD + payload + USER_AUDIO_TAIL)
        self._relayed += 1
        self._side.append((now_ns, UPLINK, payload))
        return True

    def slow_media(self, payload_text: str, now_ns: int) -> bool:
        """A media message that the cut did not recognise and the typed parse did."""
        self.slow += 1
        payload = payload_text.encode("utf-8", "replace")
        if not payload or payload.translate(None, BASE64):
            self.unusable += 1
            return False
        self._frames += 1
        self._last_frame_ns = now_ns
        return self._elsewhere(payload, now_ns)

    def agent_ready(self, send: Send, converter: AudioConverter | None) -> None:
        """The agent takes audio from now on; what was kept goes first, in order. After `stop`: nothing."""
        if self._stopped:
            return
        early, self._early = self._early, None
        self._convert = converter
        self._target = self._send_plain(send) if self._plain else send
        for payload in early or ():
            self._deliver(payload)
        self.pause(self._paused)

    def pause(self, paused: bool) -> None:
        """The agent's socket takes no data (True), or does again."""
        self._paused = paused
        self._send = None if paused or self._convert is not None else self._target
        if self.shortcut is not None:
            self.shortcut.aim(self._send)

    def stop(self) -> None:
        """The agent is gone, for good."""
        self._stopped = True
        self._send = self._target = self._convert = None
        if self.shortcut is not None:
            self.shortcut.end()
        self._early = None

    @property
    def early_frames(self) -> int:
        return len(self._early or ())

    def _elsewhere(self, payload: bytes, now_ns: int) -> bool:
        """Everything that is not the straight way: slow, early, converted, paused."""
        early = self._early
        relayed = False
        if early is not None:
            if len(early) == early.maxlen:
                self.early_dropped += 1
            early.append(payload)
        elif self._target is not None and not self._paused:
            relayed = self._deliver(payload)
        elif self._stopped:
            self.after_end += 1
        else:
            self.paused_dropped += 1
        self._side.append((now_ns, UPLINK if relayed else UPLINK_KEPT, payload))
        return relayed

    def _deliver(self, payload: bytes) -> bool:
        target = self._target
        if target is None:
            return False
        if self._convert is not None:
            try:
                audio = base64.b64decode(payload)
            except binascii.Error:
                self.unusable += 1
                return False
            payload = base64.b64encode(self._convert.convert(audio))
        target(USER_AUDIO_HEAD + payload + USER_AUDIO_TAIL)
        self._relayed += 1
        return True

    @staticmethod
    def _send_plain(send: Send) -> Send:
        """The baseline's way of writing: a JSON object, dumped."""

        def dump_and_send(message: bytes) -> None:
            payload = message[len(USER_AUDIO_HEAD) : -len(USER_AUDIO_TAIL)].decode()
            send(json.dumps({"user_audio_chunk": payload}).encode())

        return dump_and_send
