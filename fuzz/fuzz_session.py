"""A call's events in any order, its messages bent and split: one ending, and nothing raised."""

from __future__ import annotations

import random
import sys
from typing import Any

from fuzz_agent import SEEDS as AGENT
from fuzz_phone import SEEDS as PHONE
from fuzz_phone import SID
from fuzzing import bend, feeding, main, views

from shortwire.call.options import Limits
from shortwire.call.session import CallSession, SessionOptions, Wish
from shortwire.terms import HangupCause

__all__ = ["ALLOWED", "target"]

ALLOWED = ()
"""A session raises nothing, whatever it is told."""

MS = 1_000_000
METADATA = (
    b'{"conversation_initiation_metadata_event":{"conversation_id":"c","agent_output_audio_format":"%s",'
    b'"user_input_audio_format":"ulaw_8000"},"type":"conversation_initiation_metadata"}'
)
START = (
    b'{"event":"start","sequenceNumber":"1","start":{"accountSid":"AC1","streamSid":"' + SID.encode() + b'",'
    b'"callSid":"CA1","tracks":["inbound"],"mediaFormat":{"encoding":"audio/x-mulaw","sampleRate":8000,"channels":1},'
    b'"customParameters":{}},"streamSid":"' + SID.encode() + b'"}'
)
# Codes of elevenlabs.md section 8, and some of nobody's.
CODES = (1000, 1000, 1001, 1002, 1006, 1008, 1011, 3000, 3008, 4999, 0)
REASONS = ("", "max_duration_exceeded", "quota", "Override for field 'x'", "\udc80", "é" * 60)


class _Halver:
    def convert(self, data: bytes) -> bytes:
        return data[::2]

    def reset(self) -> None:
        pass


def _converters(_user_input: str, output: str) -> Any:
    if output == "pcm_1":
        raise ValueError("cannot be used")
    return None, _Halver() if output.startswith("pcm") else None


class Call:
    """One session under fire."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.now_ns = 10**9
        self.wishes: list[Wish] = []
        self.written = 0
        self.last = b""
        limits = Limits(early_frames=rng.choice((0, 1, 250)), held_audio_s=rng.choice((0.0, 1.0, 10.0)), marks=8)
        options = {"splice": rng.random() < 0.7, "open_agent_early": rng.random() < 0.7}
        self.session = CallSession(SessionOptions(b"{}", _converters, limits, **options))
        self.phone_script = [START, *rng.choices(PHONE, k=12)]
        self.agent_script = [METADATA % rng.choice((b"ulaw_8000", b"pcm_16000", b"pcm_1")), *rng.choices(AGENT, k=12)]

    def send(self, message: bytes) -> None:
        assert isinstance(message, bytes)
        assert Wish.HANG_UP not in self.wishes or b"media" not in message
        self.written += 1

    def play(self) -> None:
        session, rng = self.session, self.rng
        for _ in range(rng.randrange(60)):
            self.now_ns += rng.choice((0, 1, 20, 20, 50, 400, 3_500)) * MS
            match rng.randrange(16):
                case 0:
                    session.phone_opened(self.send, self.now_ns)
                case 1:
                    session.agent_opened(self.send, self.now_ns)
                case 2 | 3 | 4 | 5:
                    self.message(session.phone_message, self.phone_script)
                case 6 | 7 | 8 | 9:
                    self.message(session.agent_message, self.agent_script)
                case 10:
                    session.phone_paused(rng.random() < 0.5, self.now_ns)
                    session.agent_paused(rng.random() < 0.5, self.now_ns)
                case 11:
                    rng.choice((session.phone_binary, session.agent_binary))(self.now_ns)
                case 12 if rng.random() < 0.3:
                    session.agent_closed(rng.choice(CODES), rng.choice(REASONS), self.now_ns)
                case 13 if rng.random() < 0.2:
                    session.phone_closed(rng.choice(CODES), rng.choice(REASONS), self.now_ns)
                case 14 if rng.random() < 0.2:
                    session.finish(rng.choice(list(HangupCause)), self.now_ns)
                case _:
                    session.tick(self.now_ns)
            self.look()

    def message(self, tell: Any, script: list[bytes]) -> None:
        """The next of the script, or any of it; mostly sound, else bent, in two, or twice."""
        rng = self.rng
        data = script.pop(0) if len(script) > 1 and rng.random() < 0.7 else rng.choice(script)
        if rng.random() < 0.4:
            data = bend(rng, data, script)
        for view in [data] if rng.random() < 0.8 else views(rng, data)[1:3]:
            self.last = view
            if tell(view, self.now_ns) and tell == self.session.agent_message:
                self.session.phone_written(self.now_ns, self.now_ns)

    def look(self) -> None:
        session = self.session
        self.wishes += session.wishes
        session.wishes = []
        assert len(self.wishes) == len(set(self.wishes))
        assert session.downlink.playout.queued_ms >= 0
        assert session.downlink.playout.outstanding_marks <= 8
        assert session.uplink.early_frames <= 250

    def end(self) -> None:
        """Whatever happened: a cause, and time alone, bring the one hang-up."""
        self.session.finish(HangupCause.API_HANGUP, self.now_ns)
        cause = self.session.cause
        assert cause is not None
        for _ in range(320):
            self.now_ns += 50 * MS
            self.session.tick(self.now_ns)
        self.look()
        assert self.session.cause is cause
        assert self.wishes.count(Wish.HANG_UP) == 1


def target(rng: random.Random) -> bytes:
    call = Call(rng)
    try:
        call.play()
        call.end()
    except Exception as error:
        raise feeding(error, call.last) from None
    return call.last


if __name__ == "__main__":
    sys.exit(main(target))
