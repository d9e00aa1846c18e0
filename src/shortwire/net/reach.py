"""A TCP connection to a host by name, and when each step of it was done.

What a loop's own `create_connection` does, in steps, because it tells nobody when the name was known and when the host
had answered. Of several addresses the next one is tried while the one before has not answered (RFC 8305): an address
that swallows everything must not use up the deadline of all. asyncio can do that, uvloop cannot; aiohttp's package for
it connects by `loop.sock_connect`, and uvloop's asks the resolver again, in a thread.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from ..clock import SystemClock

__all__ = ["Reached", "reach"]

_now_ns = SystemClock.now_ns

_NEXT_S = 0.25
"""How long an address has before the next one is tried beside it: RFC 8305 section 5."""

Connect = Callable[[asyncio.AbstractEventLoop, socket.socket, Any], Awaitable[None]]
"""Connects a socket that does not block to an address. Raises `OSError`."""
_Connected = tuple[socket.socket, int]
"""And the instant at which it was."""


@dataclass(frozen=True, slots=True)
class Reached:
    """A connected socket that does not block; whoever gets it closes it."""

    system: socket.socket
    looked_up_ns: int
    """When the addresses were there; 0 where the host is an address."""
    tcp_ns: int


async def reach(host: str, port: int, *, connect: Connect | None = None, next_s: float = _NEXT_S) -> Reached:
    """Connect to the address of a host that answers first. Raises `OSError`; a deadline is the caller's."""
    looked_up_ns = 0
    addresses = _spelled_out(host, port)
    if not addresses:
        addresses = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        looked_up_ns = _now_ns()
    connect = connect or _connect
    if len(addresses) == 1:
        system, tcp_ns = await _attempt(addresses[0], connect)
    else:
        system, tcp_ns = await _race(_in_turn(addresses), connect, next_s)
    return Reached(system, looked_up_ns, tcp_ns)


def _in_turn(addresses: Sequence[Any]) -> list[Any]:
    """In the resolver's order, but one of each family after the other: it is often a whole family that is dead."""
    families: dict[int, list[Any]] = {}
    for address in addresses:
        families.setdefault(address[0], []).append(address)
    return [address for rank in zip_longest(*families.values()) for address in rank if address is not None]


async def _race(addresses: list[Any], connect: Connect, next_s: float) -> _Connected:
    """The first connection that is made; a failure makes room for the next attempt at once."""
    running: set[asyncio.Task[_Connected]] = set()
    failures: list[OSError] = []
    try:
        while addresses or running:
            if addresses:
                running.add(asyncio.create_task(_attempt(addresses.pop(0), connect)))
            patience_s = next_s if addresses else None
            done, _ = await asyncio.wait(running, timeout=patience_s, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                running.discard(task)
                error = task.exception()
                if error is None:
                    return task.result()
                if not isinstance(error, OSError):
                    raise error
                failures.append(error)
        raise _together(failures)
    finally:
        for task in running:
            task.cancel()
            task.add_done_callback(_close)


async def _attempt(address: Any, connect: Connect) -> _Connected:
    family, kind, protocol, _, place = address
    system = socket.socket(family, kind, protocol)  # fails for a family that this machine does not have
    try:
        system.setblocking(False)
        await connect(asyncio.get_running_loop(), system, place)
    except BaseException:
        system.close()
        raise
    return system, _now_ns()


def _close(late: asyncio.Task[_Connected]) -> None:
    """An attempt that nobody waits for any more; it may have come to its end before it was told."""
    if not late.cancelled() and late.exception() is None:
        late.result()[0].close()


def _spelled_out(host: str, port: int) -> Sequence[Any]:
    """The one address of a host that is an address: nothing to look up, and no thread to ask."""
    if "%" in host:  # a zone, which only the resolver knows
        return ()
    try:
        version = ipaddress.ip_address(host).version
    except ValueError:
        return ()
    if version == 4:
        return ((socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port)),)
    return ((socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port, 0, 0)),)


async def _connect(loop: asyncio.AbstractEventLoop, system: socket.socket, address: Any) -> None:
    """connect(2), without blocking. Not `loop.sock_connect`: uvloop's asks the resolver again, in a thread."""
    if sys.platform == "win32":
        await loop.sock_connect(system, address)
        return
    try:
        system.connect(address)
    except (BlockingIOError, InterruptedError):
        answered = loop.create_future()
        loop.add_writer(system.fileno(), _answer, answered)
        try:
            await answered
        finally:
            loop.remove_writer(system.fileno())
        if error := system.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise OSError(error, f"{os.strerror(error)} by {address[0]}") from None


def _answer(answered: asyncio.Future[None]) -> None:
    if not answered.done():
        answered.set_result(None)


def _together(failures: Sequence[OSError]) -> OSError:
    """One failure for those of all addresses."""
    if not failures:
        return OSError("the name has no address")
    words = list(dict.fromkeys(map(str, failures)))
    return failures[0] if len(words) == 1 else OSError("; ".join(words))
