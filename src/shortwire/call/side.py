"""The side log: what the media path leaves behind for everything that is not the media path.

One append per message, drained by the driver a few times a second; turns, tape, voice activity and
figures are made from it. An entry is ``(instant in ns, kind, value)``; instants never decrease.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

__all__ = [
    "AGENT_AUDIO",
    "BARGE_IN",
    "DOWNLINK",
    "FRAMES",
    "FROM_AGENT",
    "FROM_PHONE",
    "HEARD",
    "NOTE",
    "RELAYED",
    "TICK",
    "TO_AGENT",
    "TO_PHONE",
    "UPLINK",
    "UPLINK_KEPT",
    "WORDS",
    "WRITTEN",
    "SideEntry",
    "SideLog",
    "Wire",
    "nobody_listens",
    "plain",
]

SideEntry = tuple[int, int, Any]
SideLog = list[SideEntry]
Wire = Callable[[SideEntry], None]
"""Takes what only a tape wants to know: messages that are no audio, and what the session was told beside them."""


def nobody_listens(entry: SideEntry) -> None:
    """`Wire` of a call without a tape."""


# Small integers instead of an enum: comparing them is part of the media path's cost.
UPLINK: Final = 1
"""Party audio read from the phone socket and sent to the agent. value: payload"""
UPLINK_KEPT: Final = 10
"""The same, but kept for later, or dropped. value: payload"""
WORDS: Final = 11
"""Text of the conversation. value: (event kind, text)"""
AGENT_AUDIO: Final = 12
"""An audio message was read from the agent socket; what became of it follows. value: (event_id, payload as it
came, converted: bool)"""
RELAYED: Final = 15
"""Both in one, for what is usual: an audio message was read from the agent and its payload written to the phone, as
it came and in one piece. value: (event_id, payload, ms)"""
DOWNLINK: Final = 2
"""One media message to the phone, or agent audio that was overtaken. value: (payload, dropped: bool, event_id)"""
WRITTEN: Final = 3
"""The first audio of a run was handed to the phone socket. value: ms"""
HEARD: Final = 4
"""A mark confirmed something. value: (`Confirmed.run_started_ns`, ms still queued)"""
BARGE_IN: Final = 5
"""`clear` was written at this instant. value: unheard_ms"""
FROM_PHONE: Final = 6
"""Any other message read. value: bytes"""
FROM_AGENT: Final = 7
TO_PHONE: Final = 8
"""Any other message written. value: bytes"""
TO_AGENT: Final = 9
NOTE: Final = 13
"""What the driver told the session beside messages, before it did. value: {"input": name of the method, ...}"""
FRAMES: Final = 16
"""Several entries in a row that are `UPLINK` or `RELAYED`, measured already (`native/_notes.pyx`); the instant is the
first's. value: an object whose `entries()` are the same one by one, where payloads are kept"""
TICK: Final = 14
"""The session was told the time, and did something about it. value: None"""


def plain(entries: Iterable[SideEntry]) -> Iterator[SideEntry]:
    """The same, with nothing gathered in `FRAMES`."""
    for entry in entries:
        if entry[1] == FRAMES:
            yield from entry[2].entries()
        else:
            yield entry
