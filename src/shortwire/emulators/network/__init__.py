"""The network emulator: relays that make loopback as slow, narrow and unreliable as a real network.

Start with `NetworkRelay` and `NETWORKS`; `Fault.of` builds what can go wrong. ``run`` is the command line.
Knows bytes and sockets; nothing of calls, vendors or the product. docs/reference/emulator-network.md.
"""

from __future__ import annotations

from collections.abc import Sequence

from .fault import Fault, FaultError
from .profiles import NETWORKS, WAYS, LegNetwork, Network
from .relay import NetworkRelay

__all__ = ["NETWORKS", "WAYS", "Fault", "FaultError", "LegNetwork", "Network", "NetworkRelay", "run"]


def run(argv: Sequence[str] | None = None) -> int:
    """The command line; see `cli.run`. Imported late: it needs an HTTP server."""
    from .cli import run as run_cli

    return run_cli(argv)
