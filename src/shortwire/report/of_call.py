"""A call as the API answers it, with its tape or a recording where there is one, to what the page shows.

Pure: dictionaries and bytes in, `CallReport` out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .findings import findings, setup_parts_ms
from .view import CallReport

__all__ = ["call_report", "conversation", "gaps", "interruptions", "notes"]


def call_report(
    call: Mapping[str, Any],
    events: Sequence[Mapping[str, Any]] = (),
    *,
    recording: bytes | None = None,
    taped_turns: Sequence[Mapping[str, Any]] | None = None,
    recorded: Mapping[Any, float] | None = None,
    verdict: str = "",
    damage: str = "",
) -> CallReport:
    """The page of one call.

    Args:
        call: as ``GET /v1/calls/{id}`` answers it.
        events: its events, as the API gives them.
        recording: 16-bit stereo WAV, party left.
        taped_turns: the turns read from the tape the recording was made of, on its time line; None: the recording is
            the carrier's and begins with the answer.
        recorded: by turn index, response gaps found in the samples of the carrier's recording, ms.
        verdict: how it sounded, one line.
        damage: where and why its tape could not be read on.
    """
    turns = list(call.get("turns") or ()) if taped_turns is None else list(taped_turns)
    # The carrier's recording begins with the answer, our instants with the news of it.
    shift = 0.0 if taped_turns is not None else setup_parts_ms(call.get("latencies") or {}).get("answer_notice_ms", 0.0)
    return CallReport(
        profile=str(call.get("profile") or "call"),
        call=call,
        events=events,
        recording=recording,
        heard=conversation(turns, shift),
        gaps=[{**gap, "note": ""} for gap in gaps(turns, shift)],
        recorded=recorded or {},
        interruptions=interruptions(turns, shift),
        notes=notes(call, verdict),
        damage=damage,
    )


def notes(call: Mapping[str, Any], verdict: str = "") -> list[str]:
    """What to know of a call, a sentence each. Why it failed, if it did, stands by itself (`ending.bad_ending`)."""
    found = [
        f"{finding.text}: {finding.change} (doctor: {finding.check})." if finding.change else f"{finding.text}."
        for finding in findings(call)
        if finding.what != "cause"
    ]
    return [*found, *([f"Sound: {verdict}."] if verdict else [])]


def conversation(turns: Sequence[Mapping[str, Any]], shift_ms: float = 0.0) -> list[dict[str, Any]]:
    """Who spoke from when to when, with their words, in order of time."""
    spans: list[dict[str, Any]] = []
    for turn in turns:
        for who, start, end in (("party", "speech_start_ms", "speech_end_ms"), ("agent", "heard_ms", "heard_end_ms")):
            if turn.get(start) is None or turn.get(end) is None:
                continue
            span = {"who": who, "start_ms": turn[start] + shift_ms, "end_ms": turn[end] + shift_ms}
            spans.append({**span, "text": turn.get(who) or "", "interrupted": who == "agent" and turn["interrupted"]})
    return sorted(spans, key=lambda span: float(span["start_ms"]))


def gaps(turns: Sequence[Mapping[str, Any]], shift_ms: float = 0.0) -> list[dict[str, Any]]:
    """Each response gap between its two instants."""
    return [
        {
            "turn": turn.get("index"),
            "from_ms": turn["speech_end_ms"] + shift_ms,
            "to_ms": turn["heard_ms"] + shift_ms,
            "ms": turn["response_gap_ms"],
        }
        for turn in turns
        if turn.get("response_gap_ms") is not None and turn.get("speech_end_ms") is not None
    ]


def interruptions(turns: Sequence[Mapping[str, Any]], shift_ms: float = 0.0) -> list[dict[str, Any]]:
    """Each time the agent was stopped: from the party's first voiced frame over it to our telling the carrier."""
    return [
        {
            "at_ms": turn["heard_end_ms"] - turn["stop_ms"] + shift_ms,
            "silent_ms": turn["heard_end_ms"] + shift_ms,
            "ms": turn["stop_ms"],
        }
        for turn in turns
        if turn.get("stop_ms") is not None and turn.get("heard_end_ms") is not None
    ]
