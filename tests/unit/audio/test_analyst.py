"""What the analyst makes of entries that follow each other closely."""

from __future__ import annotations

import base64

import pytest

from shortwire.audio.analyst import Analyst
from shortwire.call.side import AGENT_AUDIO, DOWNLINK, HEARD, RELAYED, WORDS, WRITTEN, SideLog
from shortwire.records import EventKind

MS = 1_000_000
CHUNK = base64.b64encode(bytes(800))


def test_a_reply_that_follows_without_a_pause_was_written_when_it_was_read() -> None:
    log: SideLog = []
    analyst = Analyst(log)
    at = 1_000 * MS
    log += [(at, AGENT_AUDIO, (3, CHUNK, False)), (at, DOWNLINK, (CHUNK, False, 3)), (at, WRITTEN, 100)]
    log += [(at + 90 * MS, RELAYED, (3, CHUNK, 100.0))]
    log += [(at + 150 * MS, WORDS, (EventKind.PARTY_SAID, "and?"))]
    log += [(at + 180 * MS, RELAYED, (4, CHUNK, 100.0)), (at + 270 * MS, RELAYED, (4, CHUNK, 100.0))]
    log += [(at + 80 * MS, HEARD, (at + 40 * MS, 100.0)), (at + 500 * MS, HEARD, (at + 300 * MS, 0.0))]
    log.sort(key=lambda entry: entry[0])
    turns = analyst.work()[1] + analyst.finish(at + 2_000 * MS)[1]
    assert [turn.bridge_ms for turn in turns] == [0.0, 0.0]
    assert [turn.playout_ms for turn in turns] == [pytest.approx(40.0), pytest.approx(120.0)]
