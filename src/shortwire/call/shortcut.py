"""What the core expects of a shortcut: straight audio that never comes to it.

A driver may hand one to each direction. It sees each message first and either takes it whole, books kept, or has done
nothing; the core tells it where straight audio goes and when it stops. `shortwire.native` has the one that is used.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from .playout import Playout

__all__ = ["DownlinkShortcut", "Shortcut", "UplinkShortcut"]


class Shortcut(Protocol):
    """One direction of one call."""

    relayed: int
    """Messages that went this way."""
    last_ns: int
    """When the last of them was read; 0 before."""

    def aim(self, send: object) -> None:
        """Where straight audio goes from now on; None, or a `send` it does not know, closes it."""
        ...

    def end(self) -> None:
        """Nothing goes this way any more."""
        ...


class UplinkShortcut(Shortcut, Protocol):
    """Party audio to the agent."""

    def begin(self, ending: bytes, head: bytes, tail: bytes) -> None:
        """The stream has begun: what follows the payload in its messages, and what goes around it in ours."""
        ...

    def confirm(self, before_name: bytes, playout: Playout) -> None:
        """Marks that come back may be confirmed here, without anybody being told: what stands before their names, but
        for the sequence number, and the ledger. Only while audio goes this way."""
        ...


class DownlinkShortcut(Shortcut, Protocol):
    """Agent audio to the phone."""

    @property
    def playout(self) -> Playout:
        """What it has written, and what it has to know of what others have."""
        ...

    def begin(self, head: bytes, tail: bytes, mark: Callable[[int], None]) -> None:
        """The phone can be written to; `mark(now_ns)` writes a mark, where one is due."""
        ...

    def manage(self, clear: bytes, mark_head: bytes, mark_tail: bytes, most_marks: int) -> None:
        """Runs may begin and be cut off here too: the message that clears, what goes around the name of a mark, and how
        many marks may be out. Whoever feeds it is told when the phone was written to, as with audio that it did not
        take."""
        ...

    def answer(self, send: object) -> None:
        """Pings of the agent are answered here too, without anybody being told; None, or a `send` it does not know:
        they are not."""
        ...
