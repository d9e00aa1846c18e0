"""Networks by name: what lies between the bridge and its two neighbours, in numbers.

Where the numbers come from and what they leave out: docs/reference/emulator-network.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from .fault import Fault

__all__ = ["NETWORKS", "WAYS", "LegNetwork", "Network"]

WAYS: Final = ("server", "carrier", "agent")
"""The three ways of a bridge: to our server (webhooks and media streams, opened by the carrier), to the carrier's
REST API, and to the agent platform (both opened by us)."""


@dataclass(frozen=True, slots=True)
class LegNetwork:
    """The line between the bridge and one neighbour, the same both ways but for `faults`."""

    one_way_ms: float = 0.0
    jitter_ms: float = 0.0
    """Each read is late by up to this much more, drawn evenly; order is kept."""
    faults: tuple[Fault, ...] = ()
    """What else is wrong with it, seen from the bridge: `up` leaves the bridge."""

    def __post_init__(self) -> None:
        if self.one_way_ms < 0 or self.jitter_ms < 0:
            raise ValueError("one_way_ms and jitter_ms must not be negative")

    def parts(self) -> tuple[Fault, ...]:
        """The line as faults, in the order in which the bytes meet them; latency and jitter are faults as well."""
        base = []
        if self.one_way_ms:
            base.append(Fault.of("latency", name="leg-latency", one_way_ms=self.one_way_ms))
        if self.jitter_ms:
            base.append(Fault.of("jitter", name="leg-jitter", up_to_ms=self.jitter_ms))
        return (*base, *self.faults)

    def mirrored(self) -> LegNetwork:
        """The same line for a relay on which the neighbour connects to the bridge."""
        return LegNetwork(self.one_way_ms, self.jitter_ms, tuple(fault.mirrored() for fault in self.faults))


@dataclass(frozen=True, slots=True)
class Network:
    """Between the bridge and its two neighbours."""

    carrier: LegNetwork
    agent: LegNetwork

    def way(self, name: str) -> LegNetwork:
        """The line for the relay on one of `WAYS`, turned so that `up` is from who connects. Raises `KeyError`."""
        return {"server": self.carrier.mirrored(), "carrier": self.carrier, "agent": self.agent}[name]


def _wifi(one_way_ms: float) -> LegNetwork:
    retries = Fault.of("stall", name="wifi-retries", for_ms=180, every_s=4, direction="both")
    return LegNetwork(one_way_ms, 12.0, (retries,))


def _uplink(one_way_ms: float) -> LegNetwork:
    narrow = Fault.of("bandwidth", name="uplink", kbit_per_s=320, queue_bytes=48_000, direction="up")
    return LegNetwork(one_way_ms, 4.0, (narrow,))


NETWORKS: Final[Mapping[str, Network]] = {
    "none": Network(LegNetwork(), LegNetwork()),
    "same-region": Network(LegNetwork(1.0, 0.5), LegNetwork(1.5, 0.5)),
    "cross-continent": Network(LegNetwork(45.0, 2.0), LegNetwork(65.0, 3.0)),
    "home-line-tunnel": Network(LegNetwork(60.0, 8.0), LegNetwork(30.0, 6.0)),
    "lossy-wifi": Network(_wifi(62.0), _wifi(32.0)),
    "congested-uplink": Network(_uplink(60.0), _uplink(30.0)),
}
"""cross-continent: the bridge far from both. home-line-tunnel: a laptop behind a tunnel, the agent nearer.
lossy-wifi: that laptop in the next room. congested-uplink: that laptop while somebody sends a film."""
