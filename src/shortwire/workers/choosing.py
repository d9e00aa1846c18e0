"""Which worker a connection belongs to, from the first bytes of its request. No sockets, no clock.

What names a call or carries a ticket goes to the worker that owns it (`shortwire.owner`); the first question about an
inbound call goes to whoever has least to do, and so does everything else. Bytes are only looked at, and believed in
nothing: the worker that gets the connection reads and checks them all again. Routes: docs/reference/api.md.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_to_bytes

from ..owner import worker_of_call, worker_of_ticket

__all__ = ["LONGEST_HEAD", "Asked", "Chooser", "Seat", "read_request"]

LONGEST_HEAD: Final = 16 * 1024
"""Bytes that are looked at. A request that has not said where it belongs by then goes to anybody, who refuses it."""
_CALL_SIDS: Final = 10_000
"""Inbound calls whose worker is remembered: hours of them, and a few hundred KiB."""

_REQUEST_LINE: Final = re.compile(rb"[!-~]+ (?P<target>[!-~]+) HTTP/[0-9.]+\r?\n")
_METHOD_BEGINS: Final = re.compile(rb"[A-Z]")
_AUTHORITY: Final = re.compile(rb"https?://[^/?#]*", re.IGNORECASE)
_TICKETS: Final = re.compile(r"/(?:outbound-media-stream|doctor/echo)/(?P<ticket>[^/]+)")
_CALLS: Final = re.compile(r"/(?:status-callback|outbound-call-twiml|v1/calls)/(?P<call>[^/]+)")
_CALL_SID: Final = re.compile(rb"(?:^|&)CallSid=(?P<sid>[A-Za-z0-9]{1,64})(?=[&\r\n]|$)", re.MULTILINE)
_LENGTH: Final = re.compile(rb"^content-length:[ \t]*(?P<length>[0-9]{1,9})[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)
_END_OF_HEAD: Final = re.compile(rb"\r?\n\r?\n")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request says about whom it is for. Empty: it is for anybody."""

    worker: int | None = None
    call_sid: bytes = b""


ANYBODY: Final = Asked()


def read_request(peeked: bytes) -> Asked | None:
    """What the first bytes of a connection ask for; None: more of them are needed to tell."""
    if len(peeked) >= LONGEST_HEAD or not _METHOD_BEGINS.match(peeked):
        return _read(peeked) or ANYBODY
    return _read(peeked)


def _read(peeked: bytes) -> Asked | None:
    line = _REQUEST_LINE.match(peeked)
    if line is None:
        # A line that has ended and is none of HTTP's gets its 400 from whoever has it.
        return ANYBODY if b"\n" in peeked else None
    raw_path, _, query = _AUTHORITY.sub(b"", line["target"], count=1).partition(b"?")
    path = unquote_to_bytes(raw_path).decode("latin-1")
    # The echo's anywhere in the path: a proxy that puts something before it is to be found out by the worker.
    if found := _TICKETS.search(path):
        return Asked(worker_of_ticket(found["ticket"]))
    if found := _CALLS.match(path):
        return Asked(worker_of_call(found["call"]))
    if path.rstrip("/") == "/incoming-call":
        return _read_call_sid(query, peeked[line.end() - 2 :])
    return ANYBODY


def _read_call_sid(query: bytes, rest: bytes) -> Asked | None:
    """A form tells the call's id in its query or its body; the body may come behind the head."""
    if found := _CALL_SID.search(query):
        return Asked(call_sid=found["sid"])
    end = _END_OF_HEAD.search(rest)
    if end is None:
        return None
    head, body = rest[: end.end()].lower(), rest[end.end() :]
    if b"100-continue" in head:
        return ANYBODY  # the body comes only when somebody has answered
    length = _LENGTH.search(head)
    whole = length is None or len(body) >= int(length["length"])
    found = _CALL_SID.search(body)
    # At the very end of what is here it may be cut off.
    if found and (whole or found.end() < len(body)):
        return Asked(call_sid=found["sid"])
    chunked = length is None and b"chunked" in head
    return None if not whole or (chunked and not body.endswith(b"0\r\n\r\n")) else ANYBODY


@dataclass(frozen=True, slots=True)
class Seat:
    """A worker that takes connections, as the one who chooses sees it."""

    worker: int
    load: int
    """Calls and connections it has, and those on the way to it."""
    fresh: bool = True
    """Whether it has said so lately: one that is stuck does not."""


class Chooser:
    """Remembers where inbound calls went: a webhook that is repeated must find its call."""

    def __init__(self, remembered: int = _CALL_SIDS) -> None:
        self._remembered = remembered
        self._by_sid: OrderedDict[bytes, int] = OrderedDict()
        self._last = -1

    def choose(self, asked: Asked, seats: Sequence[Seat]) -> int | None:
        """The worker; None: nobody takes connections. Who is asked for and not there is replaced by anybody."""
        present = {seat.worker for seat in seats}
        if asked.worker in present:
            return asked.worker
        if (known := self._by_sid.get(asked.call_sid)) in present:
            return known
        chosen = self._least(seats)
        if asked.call_sid and chosen is not None:
            self._by_sid[asked.call_sid] = chosen
            while len(self._by_sid) > self._remembered:
                self._by_sid.popitem(last=False)
        return chosen

    def _least(self, seats: Sequence[Seat]) -> int | None:
        """Equal ones take turns."""
        if not seats:
            return None
        last = self._last
        best = min(seats, key=lambda seat: (not seat.fresh, seat.load, seat.worker <= last, seat.worker))
        self._last = best.worker
        return best.worker
