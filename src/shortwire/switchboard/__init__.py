"""Drives `call/`: registers live calls, joins their legs, runs their clocks, tells their facts, drains."""

from .desk import Switchboard

__all__ = ["Switchboard"]
