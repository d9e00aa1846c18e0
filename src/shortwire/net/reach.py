"""A TCP connection to a host by name, and when each step of it was done.

What the loop's own `create_connection` does (addresses in the resolver's order, the first that answers is taken), in
steps, because it tells nobody when the name was known and when the host had answered. It takes no step of its own.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..clock import SystemClock

__all__ = ["Reached", "reach"]

_now_ns = SystemClock.now_ns


@dataclass(frozen=True, slots=True)
class Reached:
    """A connected socket that does not block; whoever gets it closes it."""

    system: socket.socket
    looked_up_ns: int
    """When the addresses were there; 0 where the host is an address."""
    tcp_ns: int


async def reach(host: str, port: int) -> Reached:
    """Connect to the first address of a host that answers. Raises `OSError`; a deadline is the caller's."""
    loop = asyncio.get_running_loop()
    looked_up_ns = 0
    addresses = _spelled_out(host, port)
    if not addresses:
        addresses = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        looked_up_ns = _now_ns()
    failures: list[OSError] = []
    for family, kind, protocol, _, address in addresses:
        try:
            system = socket.socket(family, kind, protocol)
        except OSError as error:  # a family this machine does not have
            failures.append(error)
            continue
        try:
            system.setblocking(False)
            await _connect(loop, system, address)
        except OSError as error:
            system.close()
            failures.append(error)
        except BaseException:
            system.close()
            raise
        else:
            return Reached(system, looked_up_ns, _now_ns())
    raise _together(failures)


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
