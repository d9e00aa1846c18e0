"""What the page and the terminal show of a call, prepared once from plain dictionaries.

Input is what anybody can get: the call as ``GET /v1/calls/{id}`` answers it, its events, the recording as
WAV, and, where there was an emulator, what a judge found in the recording. This module knows the
keys of those dictionaries and nothing else of the house; it formats nothing for a particular medium.
"""

from __future__ import annotations

import array
import base64
import io
import sys
import wave
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..call.setup import SETUP_LABELS
from .findings import GAP_PARTS, gap_parts_ms, setup_parts_ms

__all__ = [
    "CallReport",
    "Part",
    "Report",
    "gap_ms",
    "gap_parts",
    "number",
    "peaks",
    "percent",
    "setup_ms",
    "setup_parts",
    "turn_parts",
]

_PEAK_MS = 5


@dataclass(frozen=True, slots=True)
class Part:
    """One stage of a delay."""

    key: str
    """Stable name, also the colour: uplink, endpointing, generation, agent, bridge, playout, carrier, connect, ..."""
    label: str
    ms: float


@dataclass(frozen=True, slots=True)
class CallReport:
    """One call to be shown."""

    profile: str
    call: Mapping[str, Any]
    """As ``GET /v1/calls/{id}`` answers it."""
    events: Sequence[Mapping[str, Any]] = ()
    recording: bytes | None = None
    """16-bit stereo WAV: left the party, right the agent as heard; starts at the answer."""
    heard: Sequence[Mapping[str, Any]] = ()
    """Turns on the recording's time line: who (party or agent), start_ms, end_ms, text, interrupted."""
    gaps: Sequence[Mapping[str, Any]] = ()
    """Response gaps as they are drawn on it: turn, from_ms, to_ms, ms."""
    recorded: Mapping[Any, float] = field(default_factory=dict)
    """By turn index, the response gaps that the samples of a recording hold, in ms: found without the call's own
    figures, and shown beside them. A recording made of the tape holds none: its instants are the call's own."""
    interruptions: Sequence[Mapping[str, Any]] = ()
    """at_ms, silent_ms, ms; heard: whether silence was found in the recording then, else `clear` was written."""
    checks: Sequence[Mapping[str, Any]] = ()
    """name, passed, text."""
    stages: Mapping[Any, Sequence[Part]] = field(default_factory=dict)
    """By turn index, the stages of its gap as seen from outside; they are shown instead of the call's own."""
    setup: Sequence[Part] = ()
    """From the answer to the first word, as measured outside the product."""
    notes: Sequence[str] = ()
    """What to know of it, a sentence each: what dominates, what to change, how it sounded."""
    damage: str = ""
    """Where and why its tape could not be read on; empty: it was read to its end."""


@dataclass(frozen=True, slots=True)
class Report:
    """One page: one call, or the same conversation on two profiles."""

    calls: Sequence[CallReport]
    title: str = "A call, measured"
    subtitle: str = ""
    made_at: str = ""
    """When, as text."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """What the figures depend on: network, scenario, versions."""
    figures: Sequence[Mapping[str, Any]] = ()
    """Rows of `shortwire.report.figures.side_by_side`; empty: worked out from the calls."""


def peaks(recording: bytes) -> dict[str, Any]:
    """Loudest sample of every 5 ms per channel, 0..255, base64; for drawing.

    Raises `ValueError` unless the recording is a 16-bit mono or stereo WAV.
    """
    try:
        with wave.open(io.BytesIO(recording)) as file:
            channels, width, rate = file.getnchannels(), file.getsampwidth(), file.getframerate()
            data = file.readframes(file.getnframes())
    except (wave.Error, EOFError) as error:
        raise ValueError(f"not a WAV file: {error}") from None
    if width != 2 or channels not in (1, 2):
        raise ValueError(f"expected 16-bit mono or stereo, got {channels} channels of {8 * width} bits")
    samples = array.array("h", data[: len(data) - len(data) % (2 * channels)])
    if sys.byteorder == "big":
        samples.byteswap()
    hop = max(1, rate * _PEAK_MS // 1000)
    lanes = []
    for channel in range(channels):
        lane = samples[channel::channels]
        tops = bytes(min(255, max(map(abs, lane[at : at + hop])) >> 7) for at in range(0, len(lane), hop))
        lanes.append(base64.b64encode(tops).decode())
    return {"step_ms": _PEAK_MS, "duration_ms": 1000 * len(samples) / channels / rate, "lanes": lanes}


_GAP_KEYS = {
    "endpointing_ms": "endpointing",
    "generation_ms": "generation",
    "agent_ms": "agent",
    "bridge_ms": "bridge",
    "playout_ms": "playout",
}

_SETUP_KEYS = {
    "answer_notice_ms": "notice",
    "stream_open_ms": "carrier",
    "stream_start_ms": "start",
    "signed_url_ms": "url",
    "agent_lookup_ms": "lookup",
    "agent_tcp_ms": "tcp",
    "agent_tls_ms": "tls",
    "agent_connect_ms": "connect",
    "agent_upgrade_ms": "upgrade",
    "agent_ready_ms": "ready",
    "first_audio_ms": "generation",
    "bridge_ms": "bridge",
    "playout_ms": "playout",
}


def turn_parts(turn: Mapping[str, Any]) -> list[Part]:
    """The stages of one response gap as the call knows them, in order: the same as in the terminal and over many calls.

    Empty for a greeting and when the gap could not be measured.
    """
    return [Part(_GAP_KEYS[key], GAP_PARTS[key], max(0.0, ms)) for key, ms in gap_parts_ms(turn).items()]


def gap_parts(call: CallReport, turn: Mapping[str, Any]) -> list[Part]:
    """The stages of one gap: those seen from outside where there are any of the call, else the call's own.

    Never some of each: the way to the agent is a stage by itself from outside, and part of two others from within.
    """
    return list(call.stages.get(turn.get("index"), ())) if call.stages else turn_parts(turn)


def gap_ms(call: CallReport, turn: Mapping[str, Any]) -> float:
    """A gap as it was measured; seen from outside, the sum of its stages. Rounded parts need not add up to it."""
    measured = None if call.stages else turn.get("response_gap_ms")
    return sum(part.ms for part in gap_parts(call, turn)) if measured is None else float(measured)


def setup_ms(call: CallReport) -> float:
    """The same of the way to the first word."""
    measured = None if call.setup else (call.call.get("latencies") or {}).get("answer_to_first_word_ms")
    return sum(part.ms for part in setup_parts(call)) if measured is None else float(measured)


def setup_parts(call: CallReport) -> list[Part]:
    """The stages between the answer and the first word, in order: those seen from outside where they are known, else
    the call's own; empty when nobody measured them."""
    if call.setup:
        return list(call.setup)
    own = setup_parts_ms(call.call.get("latencies") or {})
    return [Part(_SETUP_KEYS.get(key, "other"), SETUP_LABELS[key], ms) for key, ms in own.items()]


def number(value: float | None) -> str:
    """For people: three digits that mean something, thousands set apart by a thin space."""
    if value is None:
        return "–"
    if abs(value) < 0.005:
        return "0"  # neither "0.00" nor "-0.00"
    if abs(value) >= 10:
        return f"{value:,.0f}".replace(",", "\u202f")
    return f"{value:.1f}" if abs(value) >= 1 else f"{value:.2f}"


def percent(change: float) -> str:
    """A change for people, with its sign; what rounds to nothing has none."""
    return f"{change:+.0f} %".replace("-", "\u2212") if abs(change) >= 0.5 else "\u00b10 %"
