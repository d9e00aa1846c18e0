"""The parts a chain is made of, one file each, and the table of them by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..part import Part
from .bandwidth import Bandwidth
from .blackhole import Blackhole
from .corrupt import Corrupt
from .half_open import HalfOpen
from .jitter import Jitter
from .latency import Latency
from .reset import Reset
from .slicer import Slicer
from .stall import Stall

__all__ = ["PARTS"]

PARTS: Mapping[str, type[Part[Any]]] = {
    part.kind: part for part in (Latency, Jitter, Bandwidth, Slicer, Stall, Reset, HalfOpen, Blackhole, Corrupt)
}
