"""A network between two programs on one machine: a TCP relay with a chain of parts each way.

Works on bytes, so TLS and WebSocket pass through untouched and pay their real round trips. The kernel's
loopback handshake is free, a real one is not: the first bytes of a connection wait one round trip more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from .connection import Connection
from .end import End
from .fault import Fault, FaultError
from .profiles import LegNetwork
from .scheduler import LoopScheduler, Scheduler
from .standing import StandingFaults

__all__ = ["NetworkRelay"]

TRIGGERS = ("answered",)


class NetworkRelay:
    """``async with NetworkRelay("127.0.0.1", port, LegNetwork(45, 2)) as relay: relay.port``.

    Listens on 127.0.0.1. `connections` counts the ones it took; `charge_handshake` False leaves the
    handshake's round trip out. Everything random is drawn from `seed`. `faults` stand from the start,
    after those of the `leg`; `add`, `change`, `remove`, `reset` and `trigger` work while it runs.
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
        faults: Sequence[Fault] = (),
        scheduler: Scheduler | None = None,
    ) -> None:
        self.leg = leg
        self.port = port
        self.connections = 0
        self._upstream = (upstream_host, upstream_port)
        self._seed = seed
        self._charge_handshake = charge_handshake
        self._scheduler = scheduler or LoopScheduler()
        self._server: asyncio.Server | None = None
        self._live: dict[int, Connection] = {}
        self._dials: set[asyncio.Task[None]] = set()
        self._at_start = (*leg.parts(), *faults)
        self._past_bytes = {"up": 0, "down": 0}
        self._standing = StandingFaults(self._live.values(), self._scheduler)
        names = [fault.name for fault in self._at_start]
        if twins := {name for name in names if names.count(name) > 1}:
            raise FaultError(f"two faults are named {min(twins)!r}: give each a name of its own")

    async def start(self) -> None:
        """Listen; faults that begin at the start begin to count. Raises `OSError` if the port is taken."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: End(self._accepted), "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        self._standing.replace_all(self._at_start)

    async def stop(self) -> None:
        """Drops what is in flight."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for task in list(self._dials):
            task.cancel()
        await asyncio.gather(*self._dials, return_exceptions=True)
        for connection in list(self._live.values()):
            connection.abort()
        self._standing.replace_all(())
        await asyncio.sleep(0)

    @property
    def open_connections(self) -> int:
        return len(self._live)

    def add(self, fault: Fault) -> None:
        """Let a fault stand, at the end of the chains. Raises `FaultError` if one of that name stands."""
        self._standing.add(fault)

    def change(self, name: str, /, **options: Any) -> Fault:
        """Other options for a fault, on live connections too. Raises `FaultError`."""
        return self._standing.change(name, options)

    def remove(self, name: str) -> None:
        """Take a fault out; what it held goes on. Raises `FaultError`."""
        self._standing.remove(name)

    def reset(self) -> None:
        """Back to the faults it was started with, counted from now; connections stay."""
        self._standing.replace_all(self._at_start)

    def trigger(self, name: str) -> list[str]:
        """Say that something happened (`answered`). Names of the faults that were waiting for it."""
        if name not in TRIGGERS:
            raise FaultError(f"a trigger must be one of {', '.join(TRIGGERS)}: {name!r}")
        return self._standing.trigger(name)

    def faults(self, name: str | None = None) -> list[dict[str, Any]]:
        """Every fault (or one) with its state and its counters. Raises `FaultError` for an unknown name."""
        return self._standing.describe(name)

    def describe(self) -> dict[str, Any]:
        """The relay as the control API shows it."""
        live = self._live.values()
        return {
            "listen": f"127.0.0.1:{self.port}",
            "to": f"{self._upstream[0]}:{self._upstream[1]}",
            "seed": self._seed,
            "connections": self.connections,
            "open": [
                {"number": c.number, "bytes_up": c.up.bytes_out, "bytes_down": c.down.bytes_out, "faults": c.faults}
                for c in live
            ],
            "bytes_up": self._past_bytes["up"] + sum(c.up.bytes_out for c in live),
            "bytes_down": self._past_bytes["down"] + sum(c.down.bytes_out for c in live),
            "faults": self.faults(),
        }

    def _accepted(self, client: End) -> None:
        self.connections += 1
        connection = Connection(self.connections, client, self._scheduler, seed=self._seed, on_gone=self._gone)
        self._live[connection.number] = connection
        self._standing.meet(connection)
        if self._charge_handshake:
            connection.charge_handshake()
        if connection.number in self._live:  # a reset may have hit it already
            task = asyncio.get_running_loop().create_task(self._dial(connection))
            self._dials.add(task)
            task.add_done_callback(self._dials.discard)

    def _gone(self, connection: Connection) -> None:
        if self._live.pop(connection.number, None) is not None:
            self._standing.part_from(connection)
            self._past_bytes["up"] += connection.up.bytes_out
            self._past_bytes["down"] += connection.down.bytes_out

    async def _dial(self, connection: Connection) -> None:
        """Nobody there: the client sees its connection reset one round trip later, as it would see a refusal."""
        loop = asyncio.get_running_loop()
        try:
            await loop.create_connection(lambda: End(connection.upstream_ready), *self._upstream)
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
