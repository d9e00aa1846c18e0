"""The load that `instructions.py` counts: one call whose sockets end in memory. Usage: ROW MESSAGES."""

from __future__ import annotations

import asyncio
import base64
import gc
import logging
import random
import socket
import sys
from typing import Any

from picows import WSMsgType, picows

from shortwire.audio.analyst import Analyst
from shortwire.audio.ear import new_recorder
from shortwire.call.session import CallSession, SessionOptions
from shortwire.clock import SystemClock
from shortwire.net.lean import LeanSocket
from shortwire.net.lean_phone import protocol_factory
from shortwire.switchboard.legs import AgentLeg, PhoneLeg

SID = "MZ" + "5" * 32
AT_ONCE = 50
"""Messages between two turns of the analyst, as in a live call (one turn a second)."""


class Wire(asyncio.Transport):
    """A transport that swallows what is written; its socket is one end of a pair nobody reads."""

    def __init__(self, sock: Any) -> None:
        super().__init__({"socket": sock, "peername": ("", 0), "sockname": ("", 0)})

    def get_write_buffer_size(self) -> int:
        return 1  # not zero: picows then hands every frame to `write` and makes no system call

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...

    def write(self, data: Any) -> None: ...

    def is_closing(self) -> bool:
        return False

    def close(self) -> None: ...

    def abort(self) -> None: ...


class Nobody:
    """A pump: the counted messages leave no facts but the first ones."""

    session: CallSession

    def pump_soon(self) -> None: ...

    def pump(self) -> None:
        self.session.facts.clear()
        self.session.wishes.clear()

    def leg_closed(self) -> None: ...


def frame(payload: bytes, *, masked: bool) -> bytes:
    """A text message on the wire."""
    size = len(payload)
    head = bytes([0x81, (0x80 if masked else 0) | 126]) + size.to_bytes(2, "big")
    assert 125 < size < 65_536
    if not masked:
        return head + payload
    mask = b"\x11\x22\x33\x44"
    return head + mask + bytes(b ^ mask[i & 3] for i, b in enumerate(payload))


def media(n: int, payload: bytes) -> bytes:
    return (
        b'{"event":"media","sequenceNumber":"%d","media":{"track":"inbound","chunk":"%d","timestamp":"%d","payload":"%b"},'
        b'"streamSid":"%b"}' % (n + 2, n + 1, 20 * n + 57, payload, SID.encode())
    )


def audio(payload: bytes) -> bytes:
    return b'{"audio_event":{"audio_base_64":"%b","event_id":7,"is_final":false},"type":"audio"}' % payload


async def main(row: str, messages: int) -> None:
    session = CallSession(SessionOptions(client_data=b"{}", converters=lambda _in, _out: (None, None)))
    nobody = Nobody()
    nobody.session = session
    clock = SystemClock()
    recorder = new_recorder(session.side, keeps=False)
    phone = PhoneLeg(session, clock, nobody, recorder)
    agent = AgentLeg(session, clock, nobody, recorder)
    phone_side = protocol_factory(lambda _path, _signature: phone, 65_536)()
    phone_side.connection_made(Wire(socket.socket()))
    phone_side.data_received(
        b"GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    start = (
        '{"event":"start","sequenceNumber":"1","start":{"accountSid":"AC1","streamSid":"%s","callSid":"CA1",'
        '"tracks":["inbound"],"mediaFormat":{"encoding":"audio/x-mulaw","sampleRate":8000,"channels":1},'
        '"customParameters":{}},"streamSid":"%s"}' % (SID, SID)
    )
    phone_side.data_received(frame(start.encode(), masked=True))
    # The agent's side is driven below its handshake: what is counted begins at a frame.
    agent_side = AgentSide(LeanSocket(agent, max_message=1 << 24, write_limit=4096))
    agent.message(
        b'{"conversation_initiation_metadata_event":{"conversation_id":"conv_1","agent_output_audio_format":"ulaw_8000",'
        b'"user_input_audio_format":"ulaw_8000"},"type":"conversation_initiation_metadata"}',
        clock.now_ns(),
    )
    gc.disable()  # a collection belongs to no message
    noise = random.Random(1)
    payloads = [base64.b64encode(noise.randbytes(160)) for _ in range(50)]
    up = [frame(media(n, p), masked=True) for n, p in enumerate(payloads)]
    down = [audio(p) for p in payloads]
    analyst = Analyst(session.side)
    playout = session.downlink.playout
    for n in range(messages):
        if row == "downlink":
            agent_side.feed(down[n % 50])
        else:
            phone_side.data_received(up[n % 50])
        if n % AT_ONCE == AT_ONCE - 1:
            if row == "analyst":
                analyst.work()
            else:
                session.side.clear()
        if playout.outstanding_marks:  # as a carrier does, though sooner: marks do not pile up
            playout.mark_returned(f"0.{playout.returned_marks + 1}", clock.now_ns())
    assert playout.outstanding_marks <= 1
    assert row != "downlink" or messages < 100 or playout.returned_marks
    expected = session.uplink.relayed if row != "downlink" else session.downlink.chunks
    assert expected == messages, (expected, messages)


class AgentSide:
    """Hands frames to the agent's listener as picows would."""

    def __init__(self, listener: LeanSocket) -> None:
        self._listener = listener
        self._transport = picows.WSTransport(
            True, Wire(socket.socket()), logging.getLogger("load"), asyncio.get_running_loop()
        )
        listener.on_ws_connected(self._transport)

    def feed(self, message: bytes) -> None:
        self._listener.on_ws_frame(self._transport, picows._make_test_ws_frame(WSMsgType.TEXT, message, True, False))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
