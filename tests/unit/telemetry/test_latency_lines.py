"""The seed's lines, character for character."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from shortwire.call.summary import CallFigures, call_summary
from shortwire.records import CallEvent, CallRecord, EventKind
from shortwire.telemetry.latency_lines import LatencyLines
from shortwire.terms import AgentId, CallDirection, CallId, CallState, Profile


def record(name: str = "call_1") -> CallRecord:
    return CallRecord(
        id=CallId(name),
        direction=CallDirection.OUTBOUND,
        state=CallState.CONNECTED,
        profile=Profile.OPTIMIZED,
        number="+15005550006",
        our_number="+15005550001",
        agent_id=AgentId("a"),
        created_at=0.0,
    )


def lines_of(kind: str, data: Mapping[str, Any], name: str = "call_1") -> list[tuple[str, str]]:
    written: list[tuple[str, str]] = []
    sink = LatencyLines(lambda line, call_id: written.append((line, call_id)))
    sink.on_event(record(name), CallEvent(CallId(name), 1, 0.0, kind, data))
    return written


def test_a_round_trip() -> None:
    assert lines_of(EventKind.ROUND_TRIP, {"ms": 450.2, "average_ms": 423.5}) == [
        ("[LATENCY] Audio round trip: 450ms, Avg: 423.50ms", "call_1")
    ]


def test_the_summary_block() -> None:
    figures = CallFigures(audio_messages=45)
    figures.round_trips_ms += [350.0, 270.5, 423.5, 650.0]
    data = call_summary(figures)
    assert [line for line, _ in lines_of(EventKind.SUMMARY, data)] == [
        "[LATENCY] Call Performance Summary:",
        "  - Average round trip: 423.50ms",
        "  - Minimum round trip: 270ms",
        "  - Maximum round trip: 650ms",
        "  - Total audio messages: 45",
    ]


@pytest.mark.parametrize(
    ("vendor", "call", "line"),
    [
        ("elevenlabs", "signed_url", "[LATENCY] ElevenLabs API (signed URL): 123ms"),
        ("twilio", "create_call", "[LATENCY] Twilio API (create call): 123ms"),
    ],
)
def test_api_times(vendor: str, call: str, line: str) -> None:
    assert lines_of(EventKind.API_TIME, {"vendor": vendor, "call": call, "ms": 123.4}) == [(line, "call_1")]


def test_a_call_without_round_trips_does_not_claim_zero() -> None:
    written = [line for line, _ in lines_of(EventKind.SUMMARY, call_summary(CallFigures()))]
    assert written == [
        "[LATENCY] Call Performance Summary:",
        "  - Average round trip: n/a",
        "  - Minimum round trip: n/a",
        "  - Maximum round trip: n/a",
        "  - Total audio messages: 0",
    ]


def test_lines_of_several_calls_say_whose_they_are_beside_the_line() -> None:
    data = {"ms": 1.0, "average_ms": 1.0}
    assert lines_of(EventKind.ROUND_TRIP, data, "call_2")[0][1] == "call_2"


def test_other_events_write_nothing() -> None:
    assert lines_of(EventKind.TURN, {"index": 0}) == []


def test_an_output_that_is_gone_does_not_end_the_call() -> None:
    def broken(_line: str, _call_id: str) -> None:
        raise BrokenPipeError

    sink = LatencyLines(broken)
    sink.on_event(record(), CallEvent(CallId("c"), 1, 0.0, EventKind.ROUND_TRIP, {"ms": 1, "average_ms": 1}))
    assert sink.failed == 1
