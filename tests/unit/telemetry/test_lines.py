"""Lines that keep nobody waiting: in order, bounded, and a blocked output that costs lines and nothing else."""

from __future__ import annotations

import asyncio
import io
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from shortwire.records import CallEvent, CallRecord, EventKind
from shortwire.telemetry import lines as lines_module
from shortwire.telemetry.latency_lines import LatencyLines
from shortwire.telemetry.lines import LinePipe, standard_output
from shortwire.terms import AgentId, CallDirection, CallId, CallState, Profile

CALL = CallRecord(
    CallId("call_1"),
    CallDirection.OUTBOUND,
    CallState.CONNECTED,
    Profile.OPTIMIZED,
    "+15005550006",
    "+15005550001",
    AgentId("a"),
    0.0,
)


class Blocked(io.StringIO):
    """A pipe without a reader: writing waits until somebody reads."""

    def __init__(self) -> None:
        super().__init__()
        self.reader = threading.Event()
        self.waiting = threading.Event()

    def write(self, text: str) -> int:
        self.waiting.set()
        assert self.reader.wait(60)
        return super().write(text)


def started(stream: io.TextIOBase, capacity: int = 1000) -> LinePipe[str]:
    pipe: LinePipe[str] = LinePipe(stream, str, lambda count: f"{count} lost", capacity=capacity)
    pipe.start()
    return pipe


def round_trip(ms: int) -> CallEvent:
    return CallEvent(CALL.id, ms, 0.0, EventKind.ROUND_TRIP, {"ms": ms, "average_ms": ms})


def test_everything_put_before_the_end_arrives_in_order():
    stream = io.StringIO()
    pipe = started(stream, 10_000)
    for number in range(5000):
        pipe.put(f"line {number}")
    pipe.close(60)
    assert stream.getvalue().splitlines() == [f"line {number}" for number in range(5000)]
    assert (pipe.dropped, pipe.broken) == (0, 0)


def test_a_line_is_written_without_a_second_one_and_without_an_end():
    reading, writing = os.pipe()
    with os.fdopen(reading) as reader, os.fdopen(writing, "w") as stream:
        pipe = started(stream)
        pipe.put("at once")
        assert reader.readline() == "at once\n"
        pipe.close(60)


async def test_a_blocked_output_keeps_neither_the_loop_nor_a_call_waiting():
    stream = Blocked()
    pipe = started(stream, 5)
    sink = LatencyLines(lambda line, _call_id: pipe.put(line))
    sink.on_event(CALL, round_trip(0))
    assert await asyncio.to_thread(stream.waiting.wait, 60)  # the thread hangs in the write
    for ms in range(1, 101):
        sink.on_event(CALL, round_trip(ms))
        await asyncio.sleep(0)
    assert pipe.dropped == 95
    stream.reader.set()
    await asyncio.to_thread(pipe.close, 60)
    assert stream.getvalue().splitlines() == [
        "[LATENCY] Audio round trip: 0ms, Avg: 0.00ms",
        "95 lost",
        *(f"[LATENCY] Audio round trip: {ms}ms, Avg: {ms}.00ms" for ms in range(1, 6)),
    ]


def test_losses_are_told_at_the_end_where_no_line_follows():
    stream = Blocked()
    pipe = started(stream)
    pipe.put("first")
    assert stream.waiting.wait(60)
    pipe.close(0)
    pipe.put("late")
    stream.reader.set()
    pipe.close(60)
    assert stream.getvalue().splitlines() == ["first", "1 lost"]


def test_closing_does_not_wait_for_a_blocked_output_and_nothing_is_taken_after_it():
    stream = Blocked()
    pipe = started(stream, 2)
    for number in range(10):
        pipe.put(str(number))
    assert stream.waiting.wait(60)
    pipe.close(0.05)
    assert not stream.reader.is_set()  # it came back although nobody ever read
    lost = pipe.dropped
    pipe.put("late")
    assert pipe.dropped == lost + 1
    stream.reader.set()


def test_a_line_that_cannot_be_made_or_written_is_counted_and_costs_no_other():
    stream = io.StringIO()
    pipe: LinePipe[int] = LinePipe(stream, lambda number: str(1 // number), lambda _count: None)
    pipe.start()
    pipe.put(0)
    pipe.put(1)
    pipe.close(60)
    assert (stream.getvalue(), pipe.broken) == ("1\n", 1)
    gone = io.StringIO()
    gone.close()
    broken = started(gone)
    broken.put("nobody hears")
    broken.close(60)
    assert broken.broken == 1


def test_what_was_lost_on_standard_output_is_told_in_the_log_and_not_to_scripts(
    monkeypatch: pytest.MonkeyPatch,
):
    stream = Blocked()
    monkeypatch.setattr(sys, "stdout", stream)
    told: list[int] = []
    monkeypatch.setattr(lines_module.log, "warning", lambda _event, *, lines_dropped: told.append(lines_dropped))
    pipe = standard_output()
    pipe.start()
    pipe.put("[LATENCY] 1")
    assert stream.waiting.wait(60)
    for _ in range(lines_module.QUEUE_LINES + 3):
        pipe.put("[LATENCY] 2")
    stream.reader.set()
    pipe.close(60)
    assert told == [3]
    assert set(stream.getvalue().splitlines()) == {"[LATENCY] 1", "[LATENCY] 2"}


_NOBODY_READS = """
import logging, sys
from shortwire.telemetry.lines import standard_output
from shortwire.telemetry.logs import configure_logging
log, lines = configure_logging("INFO"), standard_output()
lines.start()
for number in range(20_000):
    lines.put("a line of fifty characters, and twenty thousand of it")
    logging.getLogger("x").info("a line of the log")
lines.close(0.1)
log.close(0.1)
with open(sys.argv[1], "w") as file:
    file.write("came through")
"""


def test_a_process_whose_output_nobody_reads_goes_on_and_ends(tmp_path: Path):
    """The interpreter flushes both standard streams at its end, and would wait for a thread that is blocked in one."""
    program = [sys.executable, "-c", _NOBODY_READS, str(tmp_path / "said")]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            assert process.wait(60) == 0
        finally:
            process.kill()
    assert (tmp_path / "said").read_text() == "came through"
