"""A pytest plugin (`-p without_native`): as on a machine where the compiled modules could not be built."""

from __future__ import annotations

import sys

# Python refuses to import what is None here, and `shortwire.native` takes that for "not built".
sys.modules["shortwire.native._ear"] = None  # type: ignore[assignment]
sys.modules["shortwire.native._notes"] = None  # type: ignore[assignment]
sys.modules["shortwire.native._media"] = None  # type: ignore[assignment]
sys.modules["shortwire.native._playout"] = None  # type: ignore[assignment]
sys.modules["shortwire.native._socket"] = None  # type: ignore[assignment]
sys.modules["shortwire.native._strikes"] = None  # type: ignore[assignment]


def pytest_report_header() -> str:
    from shortwire import native

    assert not native.AVAILABLE, "loaded too late: the compiled modules are there"
    return "without the compiled modules"
