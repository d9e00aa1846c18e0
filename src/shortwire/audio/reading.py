"""Everything a tape has to say, read once: turns, recording, quality, echo. Off the media path.

The tape goes through this build's session (`call.replay`), so its turns are what this build would have measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..call.replay import replay
from ..call.side import SideLog
from ..call.tape import Tape
from ..call.turns import Turn
from ..clock import NS_PER_MS
from .analyst import Analyst
from .quality import Echo, find_echo, quality_of, verdict
from .recording import Recording, recording, stereo_wav

__all__ = ["Reading", "read"]


@dataclass(frozen=True, slots=True)
class Reading:
    """What was found. Instants of the turns are ms since the beginning of the recording."""

    turns: Sequence[Turn]
    recording: Recording | None
    quality: dict[str, Any]
    echo: Echo | None
    verdict: str
    duration_ms: float

    def wav(self, tape: Tape) -> bytes | None:
        return stereo_wav(tape)


def read(tape: Tape) -> Reading:
    """Read a tape. Raises `UsageError` for one that cannot be replayed."""
    log: SideLog = []
    replay(tape, log)
    found = recording(tape)
    first_ns, last_ns = tape.records[0].at_ns, tape.records[-1].at_ns
    analyst = Analyst(log)
    analyst.answered(found.start_ns if found else first_ns)
    _, turns = analyst.finish(last_ns)
    quality = quality_of(tape.records)
    echo = _echo(found)
    return Reading(turns, found, quality, echo, verdict(quality, echo), (last_ns - first_ns) / NS_PER_MS)


def _echo(found: Recording | None) -> Echo | None:
    if found is None:
        return None
    try:
        return find_echo(found.party, found.agent)
    except ImportError:  # numpy is an extra; everything else is there without it
        return None
