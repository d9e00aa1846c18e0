"""A call as a strip: what is loud is high, what is silent costs nothing, and the page plays only what it holds."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Any

import pytest

from shortwire.report.many import aggregate
from shortwire.report.overview import render_many
from shortwire.report.strip import COLUMNS, HALF, Heard, strip

SILENCE, QUIET, LOUD, OTHER_LOUD = 0xFF, 0xB0, 0x80, 0x00


def sound(*seconds: int) -> bytes:
    return b"".join(bytes([code]) * 8000 for code in seconds)


def heights(path: str) -> list[int]:
    """What a path draws, column by column."""
    found, at, y = [0] * COLUMNS, 0, HALF
    for step, value in re.findall(r"([HV])(\d+)", path):
        if step == "V":
            y = int(value)
        else:
            found[at : int(value)] = [abs(y - HALF)] * (int(value) - at)
            at = int(value)
    assert at == COLUMNS
    return found


def test_both_sides_stand_where_they_were_heard() -> None:
    drawn = strip(Heard("call_1", sound(LOUD, SILENCE, SILENCE), sound(SILENCE, SILENCE, OTHER_LOUD)))
    third = COLUMNS // 3
    assert heights(drawn["party"]) == [HALF] * third + [0] * 2 * third
    assert heights(drawn["agent"]) == [0] * 2 * third + [HALF] * third
    assert all(int(y) <= HALF for y in re.findall(r"V(\d+)", drawn["party"]))
    assert all(int(y) >= HALF for y in re.findall(r"V(\d+)", drawn["agent"]))
    assert (drawn["clock"], drawn["length_ms"], drawn["audio"]) == ("0:03.0", 3000, "")


def test_quiet_speech_can_be_seen_and_is_lower() -> None:
    party = heights(strip(Heard("call_1", sound(QUIET, LOUD), sound(SILENCE, SILENCE)))["party"])
    assert 1 <= party[0] < HALF / 2
    assert party[-1] == HALF


def test_one_sample_is_not_lost_between_columns() -> None:
    party = bytearray(sound(SILENCE) * 60)
    party[31_415] = LOUD
    assert max(heights(strip(Heard("call_1", bytes(party), bytes(len(party))))["party"])) == HALF


def test_silence_is_a_line() -> None:
    drawn = strip(Heard("call_1", sound(SILENCE), sound(SILENCE)))
    assert len(drawn["party"]) < 20
    assert strip(Heard("call_1", b"", b""))["length_ms"] == 1


def test_a_long_call_has_its_clock_and_its_longest_gap_inside() -> None:
    gaps = [{"from_ms": 0, "to_ms": 900, "ms": 900.0}, {"from_ms": 61_000, "to_ms": 62_000, "ms": 1000.0}]
    drawn = strip(Heard("call_1", sound(*[SILENCE] * 62), sound(*[SILENCE] * 62), gaps=gaps))
    assert drawn["clock"] == "1:02.0"
    assert drawn["gaps"][1]["at"] + drawn["gaps"][1]["width"] == pytest.approx(COLUMNS, abs=0.2)
    assert drawn["longest"]["label"] == "1\u202f000 ms"
    assert drawn["longest"]["percent"] == 96.0


def page_of(*heard: Heard, note: str = "") -> str:
    calls: list[dict[str, Any]] = [{"id": name, "turns": [], "latencies": {}} for name in ("call_1", "call_2")]
    figures = {
        "since": "1d", "all": aggregate(calls), "by_agent": {}, "by_day": {},
        "by_call": {call["id"]: aggregate([call])["figures"] for call in calls},
    }  # fmt: skip
    return render_many(figures, calls, heard, note)


def test_the_page_holds_what_it_plays_and_allows_nothing_else() -> None:
    page = page_of(Heard("call_1", sound(LOUD), sound(LOUD), wav=b"RIFF"), note="1 of <2>")
    assert '<a href="#call_1">' in page
    assert 'id="call_1"' in page
    assert '<a href="#call_2">' not in page
    assert "data:audio/wav;base64,UklGRg==" in page
    assert "1 of &lt;2&gt;" in page
    [script] = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    [policy] = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert policy == (f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{allowed}'; media-src data:")


def test_what_is_drawn_without_sound_has_nothing_to_press() -> None:
    page = page_of(Heard("call_1", sound(LOUD), sound(LOUD), note="damaged tape"))
    assert "<audio" not in page
    assert "<button" not in page
    assert "damaged tape" in page


def test_a_page_without_sound_has_no_script() -> None:
    assert "<script" not in page_of()
    assert "has a tape" in page_of(note="No call of these has a tape on this machine")
