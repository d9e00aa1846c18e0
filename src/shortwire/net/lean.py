"""Lean WebSocket legs on picows: a synchronous callback from the socket, no task, no queue, no copy.

picows neither joins fragmented messages nor completes the close handshake, and it lends its buffer only
for the time of a callback: all three are settled here, once, for both legs. Pages: RFC 6455 sections 5 and 7.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Callable
from typing import Final, cast

import structlog
from picows import WSCloseCode, WSFrame, WSMsgType, WSTransport

from ..clock import NS_PER_MS, SystemClock
from ..native import AVAILABLE, Listener, sender
from ..ports import SocketListener
from .heartbeat import Heartbeat
from .outbound import bound_writes

__all__ = ["CLOSE_WAIT_S", "LeanSocket", "tuned_socket"]

_TEXT: Final = WSMsgType.TEXT
_CONTINUATION: Final = WSMsgType.CONTINUATION
_CLOSE: Final = WSMsgType.CLOSE
_BINARY: Final = WSMsgType.BINARY

_NEVER_SENT: Final = (1004, 1005, 1006, 1015)

_BUNCHED_NS: Final = 2_000_000
"""Two messages so close together were held back together."""
_QUICK_FOR: Final = 256
"""Messages for which acknowledgements are hurried then: five seconds of frames."""
_QUICK_EVERY: Final = 8
"""Messages between two requests for it: each is a system call, and often an acknowledgement of its own."""
CLOSE_WAIT_S: Final = 2.0
"""How long the peer may take to answer our close frame."""
_LOST_S: Final = 0.1
"""For our close frame to leave, to a peer that is lost."""

_now_ns = SystemClock.now_ns
_TCP: Final = socket.IPPROTO_TCP
_QUICKACK: Final[int | None] = getattr(socket, "TCP_QUICKACK", None)
_LAST_DATA: Final = slice(52, 56)
log = structlog.get_logger(__name__)


def tuned_socket(transport: asyncio.BaseTransport, write_limit: int) -> socket.socket | None:
    """Switch Nagle's algorithm off and bound what waits; the socket for quick acknowledgements, or None without them.

    The answer shares the transport's descriptor and must be detached before that is closed.
    """
    system = transport.get_extra_info("socket")
    if system is None or system.family not in (socket.AF_INET, socket.AF_INET6):
        return None
    # One of our own: what uvloop hands out makes a new socket for each option, which costs three system calls.
    own = socket.socket(system.family, socket.SOCK_STREAM, _TCP, fileno=system.fileno())
    own.setsockopt(_TCP, socket.TCP_NODELAY, 1)
    bound_writes(own, write_limit)
    if _QUICKACK is None:
        own.detach()
        return None
    return own


def _nowhere(_message: bytes) -> None:
    """Before the connection is there, nobody is told of the socket."""


class LeanSocket(Listener):
    """A picows listener that feeds a `SocketListener`, and a `MessageSocket` to write to."""

    def __init__(
        self,
        listener: SocketListener,
        *,
        max_message: int,
        write_limit: int,
        tuned: bool = True,
        heartbeat: Heartbeat | None = None,
    ) -> None:
        """`tuned`: TUNE_SOCKETS. `heartbeat`: who asks whether the peer is still there."""
        super().__init__()
        self.send: Callable[[bytes], None] = _nowhere
        """See `MessageSocket`."""
        self.shortcut = getattr(listener, "shortcut", None)
        self._listener = listener
        self._media = listener.media
        self._relayed = listener.relayed
        self._max_message = max_message
        self._write_limit = write_limit
        self._transport: WSTransport | None = None
        self._partial: bytearray | None = None
        self._partial_is_text = True
        self._close = (1006, "")
        self._closing = False
        self.ours = False
        """See `MessageSocket`."""
        self._giving_up: asyncio.TimerHandle | None = None
        self._tuned = tuned
        self._heartbeat = heartbeat
        self._quick_left = 0
        self._audio_ns = 0
        self._socket: socket.socket | None = None
        """The system's socket, for quick acknowledgements; None: not tuned, or not to be had."""

    # What picows calls

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport
        transport.underlying_transport.set_write_buffer_limits(high=self._write_limit)
        if self._tuned:
            self._socket = tuned_socket(transport.underlying_transport, self._write_limit)
            if self._socket is not None:
                self.quick_fd = self._socket.fileno()
        self.send = sender(transport)
        if self._heartbeat is not None:
            self._heartbeat.watch(self)
        self._listener.opened(self)

    def frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """See `native.Listener`."""
        self.heard = True
        # The opcode is not asked for yet: it costs as much as cutting out the audio, and no message that is not text
        # has audio's shape. What is not audio is looked at closely.
        if not frame.fin or self._partial is not None:
            self._other(transport, frame)
            return
        read_ns = _now_ns()
        data = frame.get_payload_as_bytes()
        try:
            relayed = self._media(data, read_ns)
        except Exception:
            self.broken("audio")
            return
        if relayed:
            self._relayed(read_ns, _now_ns())
            if self._quick_left or read_ns - self._audio_ns < _BUNCHED_NS:
                self._hurry()
            self._audio_ns = read_ns
        elif relayed is None:
            self._text(transport, frame, data, read_ns)

    if not AVAILABLE:
        on_ws_frame = frame  # one call less

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.untap()
        if self._heartbeat is not None:
            self._heartbeat.forget(self)
        if self._socket is not None:
            self.quick_fd = -1
            self._socket.detach()  # the descriptor is the transport's
        self._transport = self._socket = None
        self.send = _nowhere
        sent = transport.close_handshake.sent if transport.close_handshake is not None else None
        if sent is not None and self._close == (1006, ""):
            # picows ended it: a message it would not take.
            self.ours, self._close = True, (int(sent.code.value), sent.reason or "")
        if self._giving_up is not None:
            self._giving_up.cancel()
        self._listener.closed(*self._close)

    def pause_writing(self) -> None:
        self._listener.paused(True)

    def resume_writing(self) -> None:
        self._listener.paused(False)

    # MessageSocket

    def close(self, code: int, reason: str) -> None:
        transport = self._transport
        if transport is None or self._closing:
            return
        self._closing = self.ours = True
        self._close = (code, reason)
        # RFC 6455 section 5.5: a control frame holds 125 bytes, two of them the code.
        transport.send_close(cast(WSCloseCode, code), reason.encode()[:123])
        self._giving_up = asyncio.get_running_loop().call_later(CLOSE_WAIT_S, self._give_up)

    # `Heard`

    def came_within(self, ns: int) -> bool:
        # picows tells of whole frames only. tcp(7): TCP_INFO; linux/tcp.h: tcpi_last_data_recv, milliseconds ago.
        if self._socket is None or sys.platform != "linux":
            return False
        info = self._socket.getsockopt(_TCP, socket.TCP_INFO, _LAST_DATA.stop)
        return int.from_bytes(info[_LAST_DATA], sys.byteorder) * NS_PER_MS < ns

    def ping(self) -> None:
        if self._transport is not None:
            self._transport.send_ping()

    def lost(self) -> None:
        if self._transport is None:
            return
        if not self._closing:
            self._closing = self.ours = True
            self._close = (1001, "no pong within 5 s")
            self._transport.send_close(WSCloseCode.GOING_AWAY, self._close[1].encode())
        if self._giving_up is not None:
            self._giving_up.cancel()
        # It is not waited for: who gives no pong answers no close frame.
        self._giving_up = asyncio.get_running_loop().call_later(_LOST_S, self._give_up)

    # The rest

    def _hurry(self) -> None:
        """Have what was read acknowledged at once, now and again for a while.

        A peer that gathers small writes (Nagle) sends its next frame when we acknowledge the last one; Linux may delay
        that by 40 ms, and then two come together. tcp(7): TCP_QUICKACK is not permanent.
        """
        if not self._quick_left:
            self._quick_left = _QUICK_FOR
        if self._quick_left % _QUICK_EVERY == 0 and self._socket is not None and _QUICKACK is not None:
            self._socket.setsockopt(_TCP, _QUICKACK, 1)
        self._quick_left -= 1

    def _give_up(self) -> None:
        if self._transport is not None:
            self._transport.disconnect(graceful=False)

    def _text(self, transport: WSTransport, frame: WSFrame, data: bytes, read_ns: int) -> None:
        """A whole message that is not audio."""
        if frame.msg_type is not _TEXT:
            self._other(transport, frame)
        elif len(data) > self._max_message:
            self._too_big()
        else:
            try:
                if self._listener.other(data, read_ns):
                    self._relayed(read_ns, _now_ns())
            except Exception:
                self.broken("message")
            else:
                if frame.rsv1 or frame.rsv2 or frame.rsv3 or not data.isascii():
                    self._check(frame, data)

    def _other(self, transport: WSTransport, frame: WSFrame) -> None:
        kind = frame.msg_type
        if frame.rsv1 or frame.rsv2 or frame.rsv3:
            self._check(frame, b"")
        elif kind is _CLOSE:
            self._closed_by_peer(transport, frame.get_payload_as_bytes())
        elif kind is _BINARY and frame.fin and self._partial is None:
            self._listener.binary()
        elif kind in (_TEXT, _BINARY, _CONTINUATION):
            self._fragment(frame)

    def _fragment(self, frame: WSFrame) -> None:
        """RFC 6455 section 5.4: a message in several frames."""
        starts = frame.msg_type is not _CONTINUATION
        if starts == (self._partial is not None):
            self._refuse(1002, "fragment out of place")
            return
        if self._partial is None:
            self._partial, self._partial_is_text = bytearray(), frame.msg_type is _TEXT
            self.joining = True
        self._partial += frame.get_payload_as_bytes()
        if len(self._partial) > self._max_message:
            self._refuse(1009, "message too big")
        elif frame.fin:
            data, self._partial = bytes(self._partial), None
            self.joining = False
            try:
                if not self._partial_is_text:
                    self._listener.binary()
                elif data.isascii() or self._check(frame, data):
                    read_ns = _now_ns()
                    if self._listener.message(data, read_ns):
                        self._relayed(read_ns, _now_ns())
            except Exception:
                self.broken("fragmented message")

    def _check(self, frame: WSFrame, data: bytes) -> bool:
        """What a peer may not send fails the connection (RFC 6455 sections 5.2 and 8.1); whether it may be sent."""
        if frame.rsv1 or frame.rsv2 or frame.rsv3:
            self._refuse(1002, "reserved bit without an extension")
            return False
        try:
            data.decode()
        except UnicodeDecodeError:
            self._refuse(1007, "text that is not UTF-8")
            return False
        return True

    def _too_big(self) -> None:
        """picows has said 1009 and goes on reading: nothing of what comes now counts."""
        self._closing = self.ours = True
        self._close = (1009, "message too big")
        self._hear_no_more()

    def _refuse(self, code: int, reason: str) -> None:
        self.close(code, reason)
        self._hear_no_more()

    def _hear_no_more(self) -> None:
        """Whatever still comes is a fragment out of place, and goes nowhere."""
        self._partial, self.joining = bytearray(), True

    def _closed_by_peer(self, transport: WSTransport, payload: bytes) -> None:
        if not self._closing:
            code = int.from_bytes(payload[:2], "big") if len(payload) >= 2 else 1005
            self._close = (code, payload[2:].decode("utf-8", "replace"))
            self._closing = True
            # Echo the code; 1005 stands for "no code". Others that may not be sent come all the same, and picows
            # lets 0 and 1006 pass (RFC 6455 section 7.4.1).
            echo = 1000 if len(payload) < 2 else code if code >= 1000 and code not in _NEVER_SENT else 1002
            transport.send_close(cast(WSCloseCode, echo))
        transport.disconnect()

    def written(self, read_ns: int, written_ns: int) -> None:
        """See `native.Listener`."""
        self._relayed(read_ns, written_ns)

    def broken(self, what: str) -> None:
        """See `native.Listener`."""
        # A listener never raises; if one does, that is our mistake, and this call's alone.
        log.exception("socket.listener_failed", what=what)
        self.close(1011, "internal error")
