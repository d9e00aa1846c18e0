"""How many files and sockets this process may have open."""

from __future__ import annotations

import contextlib

__all__ = ["more_descriptors"]


def more_descriptors() -> None:
    """As many as the system lets us have. The usual limit, 1024, is kept that low for programs that use select(2);
    a call holds up to four (the party's socket twice where it is read beside its transport, and the agent's)."""
    with contextlib.suppress(ImportError, ValueError, OSError):  # not on Windows, which has no such limit
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
