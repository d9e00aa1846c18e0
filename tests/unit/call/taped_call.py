"""A short call on tape, made by hand: a real session between two scripted sides, with the driver's notes.

The party asks once, the agent answers, is interrupted by the next question and answers that; then it hangs up.
Speech is a tone in faint noise, so that voice activity has something to find. Time is virtual.
"""

from __future__ import annotations

import base64
import json
import math
import random
from collections.abc import Callable
from typing import Any

from shortwire.audio.mulaw import encode_table
from shortwire.call.replay import replay_options
from shortwire.call.session import CallSession, SessionOptions
from shortwire.call.side import NOTE, TICK, SideLog
from shortwire.call.tape import TapeHeader, TapeWriter, from_side

MS = 1_000_000
STREAM = "MZ" + "1" * 32
BACK = 45
"""One-way delay of the carrier's line, ms."""


def ulaw(ms: int, hz: float = 0.0, amplitude: float = 8000.0, seed: int = 1) -> bytes:
    """A tone in faint noise; without `hz` the noise alone."""
    table, dice = encode_table(), random.Random(seed)
    samples = (
        dice.gauss(0, 20) + (amplitude * math.sin(2 * math.pi * hz * n / 8000) if hz else 0.0) for n in range(8 * ms)
    )
    return bytes(table[round(sample) & 0xFFFF] for sample in samples)


def b64(audio: bytes) -> bytes:
    return base64.b64encode(audio)


class Play:
    """Feeds a session and keeps its side log, as the switchboard does."""

    def __init__(self, options: SessionOptions) -> None:
        self.session = CallSession(options)
        self.log: SideLog = []
        self.now_ns = 1000 * MS
        self.options = options
        self.to_phone: list[dict[str, Any]] = []
        self._frame = 0

    def drain(self) -> None:
        self.log += self.session.side
        self.session.side.clear()
        self.session.facts.clear()
        self.session.wishes.clear()

    def note(self, name: str, call: Callable[[], None], **more: Any) -> None:
        self.session.side.append((self.now_ns, NOTE, {"input": name, **more}))
        call()
        self.drain()

    def phone(self, message: dict[str, Any]) -> None:
        self.session.phone_message(json.dumps(message, separators=(",", ":")).encode(), self.now_ns)
        self.drain()

    def frame(self, audio: bytes) -> None:
        """20 ms later the phone sends a frame; every other time the clock ticks."""
        self.now_ns += 20 * MS
        self._frame += 1
        n = self._frame
        media = {"track": "inbound", "chunk": str(n), "timestamp": str(20 * n), "payload": b64(audio).decode()}
        self.phone({"event": "media", "sequenceNumber": str(n + 1), "media": media, "streamSid": STREAM})
        if n % 3 == 0:
            self.session.side.append((self.now_ns, TICK, None))
            self.session.tick(self.now_ns)
            self.drain()

    def speak(self, audio: bytes) -> None:
        for at in range(0, len(audio), 160):
            self.frame(audio[at : at + 160])

    def agent(self, message: dict[str, Any]) -> None:
        if self.session.agent_message(json.dumps(message, separators=(",", ":")).encode(), self.now_ns):
            self.session.phone_written(self.now_ns, self.now_ns + 100_000)
        self.drain()

    def agent_audio(self, audio: bytes, event_id: int) -> None:
        self.agent({"audio_event": {"audio_base_64": b64(audio).decode(), "event_id": event_id}, "type": "audio"})

    def marks(self, confirm: int) -> None:
        """So many of the marks that are out come back now."""
        sent = [m["mark"]["name"] for m in self.to_phone if m["event"] == "mark"]
        for name in sent[:confirm]:
            self.phone({"event": "mark", "sequenceNumber": "9", "streamSid": STREAM, "mark": {"name": name}})
        self.to_phone = [m for m in self.to_phone if m["event"] == "mark"][confirm:]


def taped_call(**more: Any) -> bytes:
    """The tape, in blocks of a few entries each. `more` goes into its header."""
    options = SessionOptions(
        client_data=b'{"type":"conversation_initiation_client_data"}', converters=lambda _up, _down: (None, None)
    )
    play = Play(options)
    session = play.session
    play.note("phone_opened", lambda: session.phone_opened(lambda m: play.to_phone.append(json.loads(m)), play.now_ns))
    start = {"streamSid": STREAM, "accountSid": "AC1", "callSid": "CA1", "tracks": ["inbound"]}
    start["mediaFormat"] = {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}  # type: ignore[assignment]
    play.phone({"event": "start", "sequenceNumber": "1", "start": start, "streamSid": STREAM})
    play.speak(ulaw(200, seed=2))
    play.note("agent_opened", lambda: session.agent_opened(lambda _m: None, play.now_ns))
    event = {"conversation_id": "conv_1", "agent_output_audio_format": "ulaw_8000"}
    event["user_input_audio_format"] = "ulaw_8000"
    play.agent({"conversation_initiation_metadata_event": event, "type": "conversation_initiation_metadata"})
    play.agent({"ping_event": {"event_id": 1}, "type": "ping"})
    play.agent_audio(ulaw(600, 660), 2)
    play.agent({"agent_response_event": {"agent_response": "Hello.", "event_id": 2}, "type": "agent_response"})
    play.speak(ulaw(160, seed=3))
    play.marks(1)
    play.speak(ulaw(640, seed=4))
    play.marks(9)
    for question, reply, cut in (("Are you open?", "Yes, every day until ten.", True), ("And today?", "Yes.", False)):
        play.speak(ulaw(800, 440, seed=5))
        play.speak(ulaw(600, seed=6))
        play.agent(
            {"user_transcription_event": {"user_transcript": question, "event_id": 3}, "type": "user_transcript"}
        )
        event_id = 4 if cut else 6
        play.agent_audio(ulaw(2000 if cut else 400, 660), event_id)
        play.agent({"agent_response_event": {"agent_response": reply, "event_id": 4}, "type": "agent_response"})
        play.speak(ulaw(160, seed=7))
        play.marks(1)
        play.speak(ulaw(500, seed=8))
        if cut:
            play.speak(ulaw(300, 440, seed=9))
            play.agent({"interruption_event": {"event_id": 5}, "type": "interruption"})
            play.agent_audio(ulaw(200, 660), 4)  # overtaken
            play.marks(0)
        else:
            play.marks(9)
    play.speak(ulaw(900, seed=10))
    play.phone({"event": "stop", "sequenceNumber": "99", "streamSid": STREAM, "stop": {"callSid": "CA1"}})
    play.note("phone_closed", lambda: session.phone_closed(1000, "", play.now_ns), code=1000, reason="")
    header = {"version": "0.0.1", "profile": "optimized", "options": replay_options(options), **more}
    writer = TapeWriter(TapeHeader("call_taped", 1000 * MS, 1_700_000_000.0, header))
    # Cut where the driver cuts: between two turns of its loop, here at every tick.
    blocks, block = [], []
    for entry in play.log:
        if entry[1] == TICK and block:
            blocks.append(writer.records(from_side(block)))
            block = []
        block.append(entry)
    return b"".join([*blocks, writer.records(from_side(block))])
