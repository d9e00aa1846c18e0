"""What a person reads while the call goes."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from shortwire.demo.narrator import Narrator


def told(*events: dict[str, Any], lines: tuple[str, ...] = ()) -> list[str]:
    out = io.StringIO()
    narrator = Narrator(Console(file=out, width=80, highlight=False))
    for event in events:
        narrator.event(event)
    for line in lines:
        narrator.server_line(line)
    return out.getvalue().splitlines()


def event(at: float, kind: str, **data: Any) -> dict[str, Any]:
    return {"at": at, "kind": kind, "data": data}


def test_times_count_from_the_first_event() -> None:
    lines = told(event(100.0, "call.state", state="dialing"), event(102.25, "call.state", state="answered"))
    assert lines == ["   0.00 s  dialling", "   2.25 s  answered"]


@pytest.mark.parametrize(
    ("kind", "data", "words"),
    [
        ("party.said", {"text": "Hello?"}, "party  Hello?"),
        ("agent.said", {"text": "[bold]Hi[/bold]"}, "agent  [bold]Hi[/bold]"),
        ("agent.corrected", {"text": "Hi..."}, "(really said: Hi...)"),
        ("barge_in", {"unheard_ms": 1200.4}, "barge-in: the party interrupts, 1200 ms not played"),
        ("agent.ready", {"input_format": "ulaw_8000", "output_format": "pcm_16000"}, "ulaw_8000 in, pcm_16000 out"),
        ("turn", {"index": 2, "response_gap_ms": 1234.4}, "turn 2: answered 1,234 ms after the party's last sound"),
        ("dtmf", {"digit": "5"}, "key 5"),
        ("warning", {"text": "late"}, "warning: late"),
        ("call.ended", {"cause": "busy", "meaning": "the number was busy"}, "ended: the number was busy"),
        ("call.ended", {"cause": "busy"}, "ended: busy"),
    ],
)
def test_each_event_is_a_sentence(kind: str, data: dict[str, Any], words: str) -> None:
    (line,) = told(event(1.0, kind, **data))
    assert words in line


def test_what_nobody_needs_is_left_out() -> None:
    assert told(event(1.0, "turn", index=0, response_gap_ms=None), event(1.0, "call.state", state="created")) == []


def test_control_characters_do_not_reach_the_terminal() -> None:
    (line,) = told(event(1.0, "party.said", text="a\x1b[2Jb\nc"))
    assert "\x1b" not in line
    assert "a [2Jb c" in line


def test_long_sentences_stay_one_line() -> None:
    assert len(told(event(1.0, "agent.said", text="word " * 60))) == 1


def test_the_servers_latency_lines_are_shown_as_they_are() -> None:
    shown = ["[LATENCY] Audio round trip: 450ms, Avg: 423.50ms", "[LATENCY] Call Performance Summary:"]
    shown += ["  - Total audio messages: 45"]
    assert told(lines=("ready on http://127.0.0.1:1", *shown, "12:00 INFO something")) == shown
