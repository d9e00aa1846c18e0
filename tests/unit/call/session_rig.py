"""A session with both its ends and a hand on its clock, for the session's tests."""

from __future__ import annotations

from typing import Any

from call_script import Halver, Wire, media, metadata, start
from carrier_model import MS

from shortwire.call.options import Limits
from shortwire.call.session import CallSession, SessionOptions, Wish
from shortwire.call.uplink import AudioConverter
from shortwire.clock import NS_PER_S
from shortwire.terms import HangupCause as C

__all__ = ["CLIENT_DATA", "FRAME", "T0", "Rig", "converters"]

T0 = 1_000 * NS_PER_S
FRAME = bytes(range(160))
CLIENT_DATA = b'{"type":"conversation_initiation_client_data"}'


def converters(user_input: str, output: str) -> tuple[AudioConverter | None, AudioConverter | None]:
    if "weird" in (user_input, output):
        raise ValueError("weird cannot be used on a phone line")
    return (Halver() if user_input == "half" else None, Halver() if output == "half" else None)


class Rig:
    """A session and both its ends."""

    def __init__(self, *, limits: Limits | None = None, **options: Any) -> None:
        self.phone, self.agent = Wire(), Wire()
        self.now_ns = T0
        self.session = CallSession(SessionOptions(CLIENT_DATA, converters, limits or Limits(), **options))

    def after(self, ms: float) -> int:
        self.now_ns += int(ms * MS)
        return self.now_ns

    def opened(self) -> Rig:
        self.session.phone_opened(self.phone.send, self.now_ns)
        return self

    def started(self) -> Rig:
        self.opened().says(start())
        return self

    def joined(self) -> Rig:
        """Both legs are up and the agent is ready."""
        self.started()
        self.session.agent_opened(self.agent.send, self.after(1))
        self.hears(metadata())
        return self

    def says(self, message: bytes) -> bool:
        return self.session.phone_message(message, self.after(1))

    def hears(self, message: bytes) -> bool:
        written = self.session.agent_message(message, self.after(1))
        if written:
            self.session.phone_written(self.now_ns, self.now_ns + 50_000)
        return written

    def run(self, ms: float, *, frames: bool = True) -> None:
        """Time passes, in ticks; the carrier's frames with it, unless it is gone."""
        until_ns = self.now_ns + int(ms * MS)
        while self.now_ns < until_ns:
            self.after(min(50.0, (until_ns - self.now_ns) / MS))
            if frames:
                self.session.phone_message(media(FRAME), self.now_ns)
            self.session.tick(self.now_ns)

    @property
    def facts(self) -> list[str]:
        return [fact.kind for fact in self.session.facts]

    @property
    def ended(self) -> tuple[C | None, bool]:
        """The cause, and whether the phone is to be hung up."""
        return self.session.cause, Wish.HANG_UP in self.session.wishes
