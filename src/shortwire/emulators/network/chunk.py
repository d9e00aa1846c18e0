"""What travels through a chain: bytes with the instant they are due, or the end of them.

The instant is the ideal one, not the one at which a late timer noticed: a busy machine is charged once,
at the end of the chain, and never part by part.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["NEVER_NS", "Mark", "StreamChunk"]

NEVER_NS = 2**62
"""An instant that does not come."""


class Mark(StrEnum):
    """How a direction can end. Kept in order with the bytes before it."""

    END = "end"
    """The source will send no more: the target gets an end of file."""
    BROKEN = "broken"
    """The source's connection broke: the target's is broken too."""
    RESET = "reset"
    """A fault breaks both ends at once."""
    GONE = "gone"
    """A fault breaks the target's end; the source is never told."""


@dataclass(frozen=True, slots=True)
class StreamChunk:
    """Some bytes of one direction, or a mark."""

    data: bytes
    at_ns: int
    """When it reaches the part that holds it, or leaves it; monotonic nanoseconds."""
    mark: Mark | None = None
    apart: bool = False
    """To be written in a turn of the event loop of its own, so that the reader has a chance to see it alone."""
