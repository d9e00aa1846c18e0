"""How much of what we write may wait in the system, and for how long, before a receiver counts as slow.

Left alone, the system grows a send buffer to megabytes, minutes of audio, before it tells the writer that
nobody reads. Page: tcp(7), TCP_NOTSENT_LOWAT and TCP_USER_TIMEOUT.
"""

from __future__ import annotations

import socket
from typing import Any, Final

__all__ = ["STUCK_S", "UNSENT", "bound_writes"]

UNSENT: Final = (16 * 1024, 64 * 1024)
"""Least and most bytes that may wait unsent in the system. 16 KiB: 1.2 s of mu-law for the agent, and room for the
frames that were kept while it was not ready. What is on its way does not count, so a long way costs nobody audio; a
bounded buffer (SO_SNDBUF) would count it, and each small frame in it with 1 to 2 KiB. The system adds to a
message that waits already, so it may be up to 64 KiB more where the peer has opened a wide window."""
STUCK_S: Final = 10.0
"""How long written bytes may go unacknowledged, or wait for a peer that has no room, before the system ends the
connection: a peer that goes on sending is noticed no other way. About as long as the agent's heartbeat takes."""

_UNSENT: Final[int | None] = getattr(socket, "TCP_NOTSENT_LOWAT", None)
_STUCK: Final[int | None] = getattr(socket, "TCP_USER_TIMEOUT", None)


def bound_writes(system: Any, write_limit: int) -> None:
    """Bound what waits below a transport; above, `write_limit` bytes may.

    `system`: a TCP socket, or what stands for one in an event loop. Where the system has neither option (Windows),
    only the transport's own limit holds.
    """
    least, most = UNSENT
    if _UNSENT is not None:
        system.setsockopt(socket.IPPROTO_TCP, _UNSENT, min(max(write_limit, least), most))
    if _STUCK is not None:
        system.setsockopt(socket.IPPROTO_TCP, _STUCK, int(STUCK_S * 1000))
