"""A network between two programs on one machine: a TCP relay that delays every byte and loses none.

Works on bytes, so TLS and WebSocket pass through untouched and pay their real round trips. The kernel's
loopback handshake is free, a real one is not: the first bytes of a connection wait one round trip more.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Final

__all__ = ["NETWORKS", "LegNetwork", "Network", "NetworkRelay"]

_IN_FLIGHT_LIMIT = 4 << 20
"""Bytes per direction on the wire: more than a fast line at 200 ms holds; beyond it reading pauses."""


@dataclass(frozen=True, slots=True)
class LegNetwork:
    """One way, each way."""

    one_way_ms: float = 0.0
    jitter_ms: float = 0.0
    """Each read is late by up to this much more, drawn evenly; order is kept."""

    def __post_init__(self) -> None:
        if self.one_way_ms < 0 or self.jitter_ms < 0:
            raise ValueError("one_way_ms and jitter_ms must not be negative")


@dataclass(frozen=True, slots=True)
class Network:
    """Between the bridge and its two neighbours."""

    carrier: LegNetwork
    agent: LegNetwork


NETWORKS: Final[dict[str, Network]] = {
    "none": Network(LegNetwork(), LegNetwork()),
    "same-region": Network(LegNetwork(1.0, 0.5), LegNetwork(1.5, 0.5)),
    "cross-continent": Network(LegNetwork(45.0, 2.0), LegNetwork(65.0, 3.0)),
    "home-line-tunnel": Network(LegNetwork(60.0, 8.0), LegNetwork(30.0, 6.0)),
}
"""cross-continent: the bridge far from both. home-line-tunnel: a laptop behind a tunnel, the agent nearer."""


class NetworkRelay:
    """``async with NetworkRelay("127.0.0.1", port, LegNetwork(45, 2)) as relay: relay.port``.

    Listens on 127.0.0.1. `connections` counts the ones it took; `charge_handshake` False leaves the
    handshake's round trip out. Draws from `seed`.
    """

    def __init__(
        self,
        upstream_host: str,
        upstream_port: int,
        leg: LegNetwork,
        *,
        port: int = 0,
        seed: int = 1,
        charge_handshake: bool = True,
    ) -> None:
        self.leg = leg
        self.port = port
        self.connections = 0
        self._upstream = (upstream_host, upstream_port)
        self._dice = random.Random(seed)  # noqa: S311
        self._charge_handshake = charge_handshake
        self._server: asyncio.Server | None = None
        self._live: set[_Connection] = set()
        self._dials: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _End(self._accepted), "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Drops what is in flight."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for task in list(self._dials):
            task.cancel()
        await asyncio.gather(*self._dials, return_exceptions=True)
        for connection in list(self._live):
            connection.abort()
        await asyncio.sleep(0)

    @property
    def open_connections(self) -> int:
        return len(self._live)

    def _accepted(self, client: _End) -> None:
        self.connections += 1
        connection = _Connection(client, self.leg, self._dice, charge=self._charge_handshake)
        self._live.add(connection)
        connection.on_gone = lambda: self._live.discard(connection)
        task = asyncio.get_running_loop().create_task(self._dial(connection))
        self._dials.add(task)
        task.add_done_callback(self._dials.discard)

    async def _dial(self, connection: _Connection) -> None:
        """Nobody there: the client sees its connection reset one round trip later, as it would see a refusal."""
        loop = asyncio.get_running_loop()
        try:
            await loop.create_connection(lambda: _End(connection.upstream_ready), *self._upstream)
        except OSError:
            await asyncio.sleep(2 * self.leg.one_way_ms / 1000)
            connection.abort()
        except asyncio.CancelledError:
            connection.abort()
            raise

    async def __aenter__(self) -> NetworkRelay:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()


class _Connection:
    """Two ends and a delay line each way."""

    def __init__(self, client: _End, leg: LegNetwork, dice: random.Random, *, charge: bool) -> None:
        self.client = client
        self.upstream: _End | None = None
        self.on_gone = _nothing
        extra_ms = 2 * leg.one_way_ms if charge else 0.0
        self._up = _DelayLine(client, leg, dice, held_until=time.monotonic() + extra_ms / 1000)
        self._down: _DelayLine | None = None
        self._leg = leg
        self._dice = dice
        client.outlet = self._up
        client.on_lost = lambda error: self._lost(self._up, error)

    def upstream_ready(self, upstream: _End) -> None:
        self.upstream = upstream
        # A server that speaks first is not heard before the client's handshake is through, either.
        self._down = _DelayLine(upstream, self._leg, self._dice, held_until=self._up.held_until)
        upstream.outlet = self._down
        down = self._down
        upstream.on_lost = lambda error: self._lost(down, error)
        upstream.on_writable = self._up.flush
        self.client.on_writable = self._down.flush
        self._down.connect(self.client)
        self._up.connect(upstream)

    def abort(self) -> None:
        for line in (self._up, self._down):
            if line is not None:
                line.stop()
        for end in (self.client, self.upstream):
            if end is not None:
                end.abort()
        self.on_gone()

    def _lost(self, line: _DelayLine, error: Exception | None) -> None:
        """One end is gone for good; the other end hears of it after the delay."""
        if error is not None:
            line.reset()
        else:
            line.end()
        others = (self.client, self.upstream)
        if all(end is None or end.gone for end in others):
            self.on_gone()


class _End(asyncio.Protocol):
    """One socket. Hands what it reads to `outlet`."""

    def __init__(self, ready: Callable[[_End], None]) -> None:
        self._ready = ready
        self.outlet: _DelayLine | None = None
        self.on_lost = _nothing_lost
        self.on_writable = _nothing
        self.writable = True
        self.gone = False
        self._transport: asyncio.Transport | None = None
        self._half_closed = False
        self._read_to_end = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        raw = transport.get_extra_info("socket")
        if raw is not None:
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._ready(self)

    def data_received(self, data: bytes) -> None:
        if self.outlet is not None:
            self.outlet.put(data)

    def eof_received(self) -> bool:
        if self.outlet is not None:
            self.outlet.end()
        self._read_to_end = True
        return not self._half_closed  # the other direction may go on; when it has ended too, the socket closes

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone = True
        self.on_lost(exc)

    def pause_writing(self) -> None:
        self.writable = False

    def resume_writing(self) -> None:
        self.writable = True
        self.on_writable()

    def write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing() and not self._half_closed:
            self._transport.write(data)

    def write_eof(self) -> None:
        if self._transport is not None and not self._transport.is_closing() and not self._half_closed:
            self._half_closed = True
            if self._read_to_end:
                self._transport.close()  # both directions have ended; buffered bytes are still written
            else:
                self._transport.write_eof()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Break it: the other side gets a reset, not an end of file."""
        if self._transport is not None:
            raw = self._transport.get_extra_info("socket")
            if raw is not None and not self._transport.is_closing():
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._transport.abort()

    def pause_reading(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()


_EOF: Final = b""
_RESET: Final = None


class _DelayLine:
    """One direction: what was read, each with the instant it may be written."""

    def __init__(self, source: _End, leg: LegNetwork, dice: random.Random, *, held_until: float) -> None:
        self.held_until = held_until
        """Monotonic seconds: nothing leaves the source before this (the handshake)."""
        self._source = source
        self._target: _End | None = None
        self._leg = leg
        self._dice = dice
        self._pipe: deque[tuple[float, bytes | None]] = deque()
        self._in_flight = 0
        self._last_due = 0.0
        self._paused = False
        self._ended = False
        self._timer: asyncio.TimerHandle | None = None

    def connect(self, target: _End) -> None:
        self._target = target
        self.flush()

    def put(self, data: bytes) -> None:
        if not self._ended:
            self._enter(data)

    def end(self) -> None:
        if not self._ended:
            self._enter(_EOF)
            self._ended = True

    def reset(self) -> None:
        """A broken connection: what is in flight still arrives, then the break."""
        self._ended = True
        self._enter(_RESET)

    def stop(self) -> None:
        self._pipe.clear()
        self._ended = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def flush(self) -> None:
        """Write everything that is due, as long as the target takes it."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._target is None:
            return
        while self._pipe and self._target.writable:
            due, data = self._pipe[0]
            wait = due - time.monotonic()
            if wait > 0:
                self._timer = asyncio.get_running_loop().call_later(wait, self.flush)
                break
            self._pipe.popleft()
            self._deliver(self._target, data)
        if self._paused and self._in_flight <= _IN_FLIGHT_LIMIT // 2:
            self._paused = False
            self._source.resume_reading()

    def _deliver(self, target: _End, data: bytes | None) -> None:
        if data is _RESET:
            target.abort()
        elif not data:
            if self._source.gone:
                target.close()  # closed altogether: buffered bytes are still written
            else:
                target.write_eof()
        else:
            self._in_flight -= len(data)
            target.write(data)

    def _enter(self, data: bytes | None) -> None:
        delay_ms = self._leg.one_way_ms + self._dice.uniform(0.0, self._leg.jitter_ms)
        leaves = max(time.monotonic(), self.held_until)
        self._last_due = max(self._last_due, leaves + delay_ms / 1000)
        self._pipe.append((self._last_due, data))
        if data:
            self._in_flight += len(data)
            if self._in_flight > _IN_FLIGHT_LIMIT and not self._paused:
                self._paused = True
                self._source.pause_reading()
        if self._timer is None:
            self.flush()


def _nothing() -> None: ...


def _nothing_lost(error: Exception | None) -> None:
    del error
