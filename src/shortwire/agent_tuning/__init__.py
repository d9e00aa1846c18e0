"""`shortwire agent`: what of an agent's configuration costs or saves time, and changing it without losing the old one.

Every field, default and effect is from protocols/elevenlabs.md sections 4.3, 4.4 and 10; what the vendor does not
publish is said to be unpublished.
"""

from __future__ import annotations

from .keeper import Keeper, Kept
from .levers import Proposal, Reading, Verdict, proposals, read_levers
from .paths import MISSING, change_of, differences, value_at

__all__ = [
    "MISSING",
    "Keeper",
    "Kept",
    "Proposal",
    "Reading",
    "Verdict",
    "change_of",
    "differences",
    "proposals",
    "read_levers",
    "value_at",
]
