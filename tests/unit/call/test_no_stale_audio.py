"""No stale audio after a clear, on the wire: the session's own messages against the carrier emulator's playout.

Any order of audio, late audio of an overtaken reply, interruptions, marks and pauses, over a line with a delay in each
direction. Each reply is a byte of its own, so what the ear hears says which reply it is from. 500 orders by default;
STALE_ORDERS=10000 for the bar of issue 5 (about a minute).
"""

from __future__ import annotations

import base64
import json
import os
from collections import deque
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from shortwire.call.session import CallSession, SessionOptions
from shortwire.emulators.twilio.playout import Playout

MS = 1_000_000
STREAM = "MZ" + "2" * 32
FORMATS = {
    "conversation_id": "conv_1",
    "agent_output_audio_format": "ulaw_8000",
    "user_input_audio_format": "ulaw_8000",
}
ORDERS = int(os.environ.get("STALE_ORDERS", "500"))

steps = st.lists(
    st.one_of(
        st.tuples(st.just("audio"), st.integers(-2, 1), st.sampled_from([20, 60, 100, 500, 1500])),
        st.tuples(st.just("interruption"), st.just(0), st.just(0)),
        st.tuples(st.just("wait"), st.just(0), st.sampled_from([1, 20, 50, 210, 800])),
    ),
    max_size=40,
)


class Line:
    """A session and the carrier's playout, with the way between them."""

    def __init__(self, there_ms: int, back_ms: int) -> None:
        self.now_ns = 1000 * MS
        self.there_ns, self.back_ns = there_ms * MS, back_ms * MS
        self.playout = Playout(self.now_ns)
        self.session = CallSession(SessionOptions(client_data=b"{}", converters=lambda _up, _down: (None, None)))
        self.to_carrier: deque[tuple[int, dict[str, Any]]] = deque()
        self.to_us: deque[tuple[int, str]] = deque()
        self.reply = 1
        self.sent_clears: deque[int] = deque()
        """What each `clear` on its way overtook: replies below this number."""
        self.cleared: list[tuple[int, int]] = []
        """(position in what was heard, replies below this are stale from there on)."""
        self.session.phone_opened(lambda m: self.to_carrier.append((self.now_ns, json.loads(m))), self.now_ns)
        start = {"streamSid": STREAM, "callSid": "CA1"}
        self._phone({"event": "start", "sequenceNumber": "1", "start": start, "streamSid": STREAM})
        self.session.agent_opened(lambda _m: None, self.now_ns)
        # Neither the agent nor the party's frames are waited for, however long a script goes on.
        self._agent({"conversation_initiation_metadata_event": FORMATS, "type": "conversation_initiation_metadata"})

    def step(self, what: str, which: int, ms: int) -> None:
        if what == "audio":
            self.reply += which == 1
            number = max(1, self.reply + min(which, 0))
            payload = base64.b64encode(bytes([number]) * (8 * ms)).decode()
            self._agent({"audio_event": {"audio_base_64": payload, "event_id": number}, "type": "audio"})
        elif what == "interruption":
            self.reply += 1
            self.sent_clears.append(self.reply)
            self._agent({"interruption_event": {"event_id": self.reply}, "type": "interruption"})
        else:
            self.wait(ms)

    def wait(self, ms: int) -> None:
        for _ in range(ms):
            self.now_ns += MS
            self._deliver()

    def _deliver(self) -> None:
        now_ns = self.now_ns
        reached = self.playout.advance(now_ns)
        while self.to_carrier and self.to_carrier[0][0] + self.there_ns <= now_ns:
            _, message = self.to_carrier.popleft()
            if message["event"] == "media":
                reached += self.playout.push(base64.b64decode(message["media"]["payload"]), now_ns)
            elif message["event"] == "mark":
                reached += self.playout.mark(message["mark"]["name"], now_ns)
            else:
                reached += self.playout.clear(now_ns).marks
                self.cleared.append((len(self.playout.heard), self.sent_clears.popleft()))
        self.to_us += ((now_ns, mark.name) for mark in reached)
        while self.to_us and self.to_us[0][0] + self.back_ns <= now_ns:
            mark = {"name": self.to_us.popleft()[1]}
            self._phone({"event": "mark", "sequenceNumber": "2", "streamSid": STREAM, "mark": mark})
        if now_ns // MS % 50 == 0:
            self.session.uplink._last_frame_ns = now_ns  # the party's frames play no part here
            self.session.tick(now_ns)

    def _agent(self, message: dict[str, Any]) -> None:
        if self.session.agent_message(json.dumps(message, separators=(",", ":")).encode(), self.now_ns):
            self.session.phone_written(self.now_ns, self.now_ns)

    def _phone(self, message: dict[str, Any]) -> None:
        self.session.phone_message(json.dumps(message).encode(), self.now_ns)


@settings(max_examples=ORDERS, deadline=None, suppress_health_check=list(HealthCheck))
@example([("wait", 0, 800)] * 40 + [("audio", 0, 500), ("interruption", 0, 0)], 0, 0)
@given(steps, st.sampled_from([0, 5, 70]), st.sampled_from([0, 45]))
def test_nothing_of_an_overtaken_reply_is_heard_after_its_clear(
    script: list[tuple[str, int, int]], there_ms: int, back_ms: int
) -> None:
    line = Line(there_ms, back_ms)
    for step in script:
        line.step(*step)
    line.wait(300)
    assert not line.sent_clears
    heard = bytes(line.playout.heard)
    for position, stale_below in line.cleared:
        stale = [number for number in range(1, stale_below) if bytes([number]) in heard[position:]]
        assert stale == [], (position / 8, stale_below)
    # And what we hold for heard was: the ledger never claims audio that nobody can have heard.
    sounded = len(heard) - heard.count(0xFF)
    assert line.session.downlink.playout.confirmed_ms <= sounded / 8 + there_ms + back_ms + 1
