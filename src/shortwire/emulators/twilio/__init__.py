"""The Twilio emulator: an account with numbers, a party that speaks, and a line whose both ends are recorded.

Shares no code with the product; talks to it only as Twilio does. ``python -m shortwire.emulators.twilio --help``
"""

from __future__ import annotations

from ..scenario import PartyScript, Say
from .account import AccountFacts, NumberFacts
from .call import Call
from .config import Choices, OwnedNumber, TwilioConfig, WebhookManners
from .control import describe
from .faults import Faults
from .ledger import Ledger
from .server import TwilioEmulator

__all__ = [
    "AccountFacts",
    "Call",
    "Choices",
    "Faults",
    "Ledger",
    "NumberFacts",
    "OwnedNumber",
    "PartyScript",
    "Say",
    "TwilioConfig",
    "TwilioEmulator",
    "WebhookManners",
    "describe",
]
