"""`shortwire doctor`: finds the wrong setting before the caller hears it.

Checks stand in `groups`, one file per group; each registers what it measures and every problem it can find together
with the remedy, so that the page of docs and the words on the screen are the same words. Nothing here dials.
"""

from __future__ import annotations

from .check import CHECKS, Check, Finding, Outcome, Problem
from .runner import Examination, examine, load_checks

__all__ = ["CHECKS", "Check", "Examination", "Finding", "Outcome", "Problem", "examine", "load_checks"]
