"""The agent's side of the load, and what else a bridge may ask of a vendor: ``python -m shortwire.bench.agent``.

Echoes each piece of the caller's audio as one of its own, or talks in chunks and interrupts itself. Messages have
the order of keys and the formats of live ones (protocols/elevenlabs.md 1 and 6.5, and the recorded corpus).
Answers the signed-URL request and the carrier's "how is this call" as well: every call is over.
"""

from __future__ import annotations

import json
import re
import socket
import ssl
from typing import Any

from ..clock import SystemClock
from .ask import Questions, first_question, say
from .line import Line, accept_key, header
from .machine import step_back
from .poll import Loop
from .stamp import EXTRA, NOBODY, Voice, read
from .tally import Tally

__all__ = ["AgentSide", "main"]

_now_ns = SystemClock.now_ns
_CARRIER_CALL = re.compile(rb"/2010-04-01/Accounts/(AC[0-9a-f]{32})/Calls/(CA[0-9a-f]{32})\.json")
_PING_S = 2.0
_CYCLE_S = 5.0
_SPEECH_S = 3.0
_BYTES_PER_MS = 8
_METADATA = (
    b'{"conversation_initiation_metadata_event":{"conversation_id":"conv_%d","agent_output_audio_format":"ulaw_8000",'
    b'"user_input_audio_format":"ulaw_8000"},"type":"conversation_initiation_metadata"}'
)
_AUDIO = b'{"audio_event":{"audio_base_64":"%b","event_id":%d,"is_final":false},"type":"audio"}'
_PING = b'{"ping_event":{"event_id":%d,"ping_ms":null},"type":"ping"}'
_INTERRUPTION = b'{"interruption_event":{"event_id":%d},"type":"interruption"}'


class Conversation:
    """One agent socket."""

    def __init__(self, side: AgentSide, line: Line) -> None:
        self.side, self.line = side, line
        self.call = NOBODY
        self.opened_ns = _now_ns()
        self.sent = 0
        self.event_id = 0
        self.pings = 1
        line.on_text, line.on_closed = self._text, self._closed
        side.live.add(self)
        line.send(_METADATA % id(self))
        side.loop.after(_PING_S, self._ping)

    def _text(self, payload: bytes, now_ns: int) -> None:
        at = payload.find(b'"user_audio_chunk"')
        if at < 0:
            return  # client data, pongs
        begin = payload.find(b'"', at + 18) + 1
        stamp = read(payload[begin : payload.find(b'"', begin)])
        if self.call == NOBODY and stamp is not None:
            self.call = stamp.call
            self.side.opened[self.call] = self.opened_ns
            self.side.first_chunk[self.call] = now_ns
            if self.side.talks:
                # Spread over the cycle, so that calls do not all speak at once.
                self.side.loop.after(self.call * 0.618 % 1 * _CYCLE_S, self._talk)
        if self.call < EXTRA:
            self.side.tally.take(stamp, self.call, now_ns, self.side.loop.woken_ns)
        if not self.side.talks and not self.side.quiet:
            self._say(self.side.frame)

    def _say(self, voice: Voice) -> None:
        self.event_id += 1
        piece = voice.piece(self.call, self.sent, _now_ns())
        self.sent += 1
        self.side.sent[self.call] = self.sent
        self.line.send(_AUDIO % (piece, self.event_id))

    def _talk(self) -> None:
        """A cycle: speech at twice real time, the second half replaced by an interruption."""
        if not self.line.open or self.side.quiet:
            return
        chunks = max(2, round(_SPEECH_S * 1000 / self.side.chunk_ms))
        for index in range(chunks // 2 if self.side.barge_in else chunks):
            self.side.loop.after(index * self.side.chunk_ms / 2000, self._chunk)
        if self.side.barge_in:
            self.side.loop.after(chunks // 2 * self.side.chunk_ms / 2000, self._interrupt)
        self.side.loop.after(_CYCLE_S, self._talk)

    def _chunk(self) -> None:
        if self.line.open and not self.side.quiet:
            self._say(self.side.chunk)

    def _interrupt(self) -> None:
        if self.line.open and not self.side.quiet:
            self.event_id += 1
            self.side.interruptions.setdefault(self.call, []).append(_now_ns())
            self.line.send(_INTERRUPTION % self.event_id)

    def _ping(self) -> None:
        if self.line.open:
            self.pings += 1
            self.line.send(_PING % self.pings)
            self.side.loop.after(_PING_S, self._ping)

    def _closed(self) -> None:
        self.side.live.discard(self)
        self.side.closed_ns[self.call] = _now_ns()


class AgentSide:
    """Listens on a free port of this machine. The keys of `config` are those of `shortwire.bench.load.Load`."""

    def __init__(self, loop: Loop, config: dict[str, Any]) -> None:
        self.loop = loop
        self.talks = config["mode"] == "talk"
        self.barge_in: bool = config["barge_in"]
        self.chunk_ms: int = config["chunk_ms"]
        self.compression: bool = config["compression"]
        self.frame = Voice()
        self.chunk = Voice(self.chunk_ms * _BYTES_PER_MS)
        self.live: set[Conversation] = set()
        self.lines: set[Line] = set()
        self.signed_urls = 0
        self.reset()
        self._tls: ssl.SSLContext | None = None
        if config.get("tls"):
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.load_cert_chain(config["tls"]["cert"], config["tls"]["key"])
        self._listener = socket.socket()
        if config["receive_buffer"]:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, config["receive_buffer"])
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(2048)
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self.signs_for = self.port
        """Where the agent is that signed URLs lead to."""
        loop.add(self._listener, self)

    def reset(self) -> None:
        """Forget what was counted so far: the call to warm up."""
        self.quiet = False
        self.tally = Tally()
        self.sent: dict[int, int] = {}
        self.opened: dict[int, int] = {}
        self.first_chunk: dict[int, int] = {}
        self.closed_ns: dict[int, int] = {}
        self.interruptions: dict[int, list[int]] = {}

    def readable(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except BlockingIOError:
                return
            sock.setblocking(False)
            if self._tls is not None:
                sock = self._tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
            line = Line(self.loop, sock, client=False)
            self.lines.add(line)
            line.on_closed = lambda line=line: self.lines.discard(line)  # type: ignore[misc]
            line.on_http = lambda head, body, line=line: self._http(line, head)  # type: ignore[misc]

    def writable(self) -> None: ...

    def _http(self, line: Line, head: bytes) -> None:
        target = head.split(b" ", 2)[1]
        if header(head, b"upgrade").lower() == b"websocket":
            self._upgrade(line, head)
        elif b"get-signed-url" in target or b"get_signed_url" in target:
            self.signed_urls += 1
            web = "wss" if self._tls else "ws"
            host = header(head, b"host").decode().rpartition(":")[0]
            where = f"{web}://{host}:{self.signs_for}/v1/convai/conversation"
            self._answer(line, 200, {"signed_url": f"{where}?agent_id=bench&conversation_signature=bench"})
        elif found := _CARRIER_CALL.search(target):
            account, call = found[1].decode(), found[2].decode()
            self._answer(
                line, 200, {"sid": call, "account_sid": account, "status": "completed", "direction": "inbound"}
            )
        else:
            self._answer(line, 404, {"detail": {"status": "not_found", "message": "not part of this benchmark"}})

    def _answer(self, line: Line, status: int, body: dict[str, Any]) -> None:
        text = json.dumps(body).encode()
        reason = b"OK" if status == 200 else b"Not Found"
        line.write(
            b"HTTP/1.1 %d %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
            % (status, reason, len(text), text)
        )

    def _upgrade(self, line: Line, head: bytes) -> None:
        more = b""
        if self.compression and b"permessage-deflate" in header(head, b"sec-websocket-extensions"):
            # We send as we are (RFC 7692 allows it message by message); what comes is inflated.
            more = b"Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover\r\n"
            line.inflate = True
        line.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: %b\r\n%b\r\n" % (accept_key(header(head, b"sec-websocket-key")), more)
        )
        line.to_websocket()
        self.lines.discard(line)
        Conversation(self, line)

    def question(self, asked: dict[str, Any]) -> None:
        """`reset`, `window`, `quiet`, `mute` (that many conversations), `drop` (kept-alive requests), `sign_for`
        (another agent's port) or `report`."""
        self.signs_for = asked.get("sign_for", self.signs_for)
        if "drop" in asked:
            for line in list(self.lines):
                line.close()
        if "reset" in asked:
            self.reset()
        if "window" in asked:
            self.tally.window(*asked["window"])
        if "quiet" in asked:
            self.quiet = True
        if "mute" in asked:
            chosen = sorted((c for c in self.live if c.call != NOBODY), key=lambda c: c.call)[: asked["mute"]]
            for conversation in chosen:
                conversation.line.mute()
            say({"muted": [conversation.call for conversation in chosen]})
        if "report" in asked:
            say({"report": self.report()})

    def report(self) -> dict[str, Any]:
        return {
            **self.tally.report(),
            "sent": self.sent,
            "opened": self.opened,
            "first_chunk": self.first_chunk,
            "closed": self.closed_ns,
            "interruptions": self.interruptions,
            "open": sum(1 for conversation in self.live if not conversation.line.muted),
            "signed_urls": self.signed_urls,
        }


def main() -> None:
    """Until standard input ends."""
    config = first_question()
    if config.get("steps_back"):
        step_back()
    loop = Loop()
    side = AgentSide(loop, config)
    Questions(loop, side.question)
    say({"port": side.port})
    loop.run()


if __name__ == "__main__":
    main()
