"""Ids and dates as the vendor writes them (REST API "SIDs"; RFC 2822 for calls, ISO 8601 for streams)."""

from __future__ import annotations

import time
import uuid
from datetime import UTC, datetime
from email.utils import format_datetime

__all__ = ["iso_nanos", "mint", "rfc2822", "sid_like"]


def mint(prefix: str) -> str:
    """Two letters and 32 hex digits. Never seeded: a restarted emulator must not reuse yesterday's ids."""
    return prefix + uuid.uuid4().hex


def sid_like(prefix: str, name: str) -> str:
    """A stable id for a thing that has a name, such as an owned number."""
    return prefix + uuid.uuid5(uuid.NAMESPACE_OID, name).hex


def rfc2822(wall_s: float | None) -> str | None:
    """``Thu, 12 Feb 2026 11:48:25 +0000``."""
    if wall_s is None:
        return None
    return format_datetime(datetime.fromtimestamp(int(wall_s), UTC))


def iso_nanos() -> str:
    """Now, with nine fractional digits and ``Z``, as captured in stream callbacks."""
    seconds, nanos = divmod(time.time_ns(), 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{nanos:09d}Z"
