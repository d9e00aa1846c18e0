"""Names of new calls."""

from __future__ import annotations

import secrets

from ..owner import ID_ALPHABET, ID_TIME_DIGITS
from ..terms import CallId

__all__ = ["new_call_id"]

_RANDOM_DIGITS = 17


def new_call_id(wall_s: float, worker: int | None = None) -> CallId:
    """``call_`` and 26 characters: 9 of time (ms, so that ids sort by age), 17 random.

    With several workers the first of the random ones names the one that owns the call.
    """
    milliseconds, head = int(wall_s * 1000), ""
    for _ in range(ID_TIME_DIGITS):
        milliseconds, digit = divmod(milliseconds, len(ID_ALPHABET))
        head = ID_ALPHABET[digit] + head
    mark = "" if worker is None else ID_ALPHABET[worker]
    drawn = "".join(secrets.choice(ID_ALPHABET) for _ in range(_RANDOM_DIGITS - len(mark)))
    return CallId(f"call_{head}{mark}{drawn}")
