"""Did the call go as scripted? Named checks, each with a sentence; nothing is taken on trust.

Judged from what the emulators and the recording say. The product's own account appears only where it is
the thing under test: its state, its hang-up cause, and its response gaps against the recording's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..emulators.scenario import Scenario
from .evidence import AgentTurn, Evidence

__all__ = ["Check", "Gap", "Verdict", "cuts", "gaps", "spans", "verdict"]

FRAME_MS = 20.0
_CALLBACKS = ["ringing", "in-progress", "completed"]
"""What the product asks to be told, in this order (`initiated` may come first)."""


@dataclass(frozen=True, slots=True)
class Check:
    """One question and its answer."""

    name: str
    passed: bool
    text: str

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Gap:
    """One response gap in the recording, with the product's own figure for it."""

    turn: int | None
    """The product's number of the turn; None when it has none at that time."""
    from_ms: float
    to_ms: float
    live_ms: float | None

    @property
    def ms(self) -> float:
        return self.to_ms - self.from_ms

    def as_dict(self) -> dict[str, Any]:
        return {"turn": self.turn, "from_ms": self.from_ms, "to_ms": self.to_ms, "ms": self.ms, "live_ms": self.live_ms}


@dataclass(frozen=True, slots=True)
class Verdict:
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        return bool(self.checks) and all(check.passed for check in self.checks)


def gaps(evidence: Evidence, call: Mapping[str, Any]) -> list[Gap]:
    """Each gap heard, paired with the product's replies by their order."""
    replies = [turn for turn in call.get("turns") or () if turn.get("kind") == "reply"]
    answered = [exchange for exchange in evidence.exchanges if exchange.reply is not None]
    found = []
    for index, exchange in enumerate(answered):
        assert exchange.reply is not None
        turn = replies[index] if index < len(replies) else {}
        found.append(Gap(turn.get("index"), exchange.said.end_ms, exchange.reply.start_ms, turn.get("response_gap_ms")))
    return found


def verdict(
    evidence: Evidence,
    scenario: Scenario,
    call: Mapping[str, Any],
    carrier: Mapping[str, Any],
    *,
    health: Mapping[str, Any],
    server_exit: int | None,
    backstage_log: Sequence[str] = (),
    tolerance_ms: float = FRAME_MS,
) -> Verdict:
    """All checks of one call.

    Args:
        evidence: see `shortwire.demo.evidence.gather`.
        call: the product's account, as its API gives it.
        carrier: the carrier emulator's description, with its timeline.
        health: the server's own figures after the call.
        server_exit: its exit status after SIGTERM; None: not asked to end.
        backstage_log: what the emulators' process printed; anything is a mistake in an emulator.
        tolerance_ms: how far live response gaps may be from the recording's.
    """
    return Verdict(
        (
            _completed(call, carrier),
            _said(evidence, scenario),
            _reached_the_agent(evidence),
            _replied(evidence, scenario),
            _interrupted(evidence, scenario),
            _no_stale_audio(evidence),
            _goodbye(evidence),
            _hung_up(evidence, call, carrier),
            _callbacks(carrier),
            _nothing_left(evidence, health, server_exit),
            _no_warnings(evidence, carrier),
            _emulators_well(carrier, backstage_log),
            _gaps_agree(evidence, call, tolerance_ms),
        )
    )


def _completed(call: Mapping[str, Any], carrier: Mapping[str, Any]) -> Check:
    states = (call.get("state"), call.get("disposition"), carrier.get("status"))
    return Check(
        "the call was completed",
        states == ("ended", "answered", "completed"),
        f"we say {states[0]} and {states[1]}, the carrier says {states[2]}",
    )


def _said(evidence: Evidence, scenario: Scenario) -> Check:
    wanted = [say.text for say in scenario.party.says if say.text]
    said = [said.text for said in evidence.said]
    return Check(
        "the party said what the script says",
        said == wanted and len(evidence.party) == len(wanted),
        f"{len(said)} of {len(wanted)} utterances begun, {len(evidence.party)} found in the recording",
    )


def _reached_the_agent(evidence: Evidence) -> Check:
    """The same speech at the same distances, so nothing was lost, doubled or stretched between first and last word."""
    name = "every frame reached the agent"
    received = int((evidence.conversation.get("audio_in") or {}).get("messages", 0))
    sent = int((evidence.stream.get("sent") or {}).get("media", 0))
    dropped = int(evidence.stream.get("dropped_frames", 0))
    heard = [turn for turn in evidence.agent_turns if turn.voice and turn.heard_to_ms is not None]
    if len(heard) != len(evidence.party) or not heard:
        return Check(name, False, f"the agent heard {len(heard)} utterances, {len(evidence.party)} were spoken")
    shifts = [_shift(turn, span.end_ms) for turn, span in zip(heard, evidence.party, strict=True)]
    spread = max(shifts) - min(shifts)
    after = sent - received
    return Check(
        name,
        spread <= FRAME_MS and dropped == 0 and after >= 0,
        f"{sent} frames sent, {received} received ({after} before or after the conversation, {dropped} refused by a "
        f"full socket); the utterances lie as far apart at the agent as at the phone, give or take {spread:.0f} ms",
    )


def _shift(turn: AgentTurn, spoken_ms: float) -> float:
    assert turn.heard_to_ms is not None
    return spoken_ms - turn.heard_to_ms


def _replied(evidence: Evidence, scenario: Scenario) -> Check:
    wanted = [scenario.agent.first_message, *(reply.text for reply in scenario.agent.replies)]
    given = [turn.text for turn in evidence.agent_turns]
    lengths = [
        abs(span.ms - turn.audio_ms) <= 5 * FRAME_MS or turn.interrupted
        for span, turn in zip(evidence.agent, evidence.agent_turns, strict=False)
    ]
    return Check(
        "every reply was heard, in order and whole",
        given == wanted and len(evidence.agent) == len(wanted) and all(lengths),
        f"{len(given)} of {len(wanted)} given by the agent, {len(evidence.agent)} heard, "
        f"{sum(lengths)} as long as they were sent or interrupted",
    )


def _interrupted(evidence: Evidence, scenario: Scenario) -> Check:
    wanted = sum(1 for say in scenario.party.says if say.when == "agent_speaking")
    clears = [clear for clear in evidence.stream.get("clears") or () if clear["dropped_ms"] > 0]
    stopped = sum(1 for turn in evidence.agent_turns if turn.interrupted)
    dropped = ", ".join(f"{clear['dropped_ms']:.0f} ms" for clear in clears)
    return Check(
        "the barge-in stopped the agent",
        stopped == len(clears) == len(evidence.interruptions) == wanted,
        f"{wanted} scripted, {len(evidence.interruptions)} heard, {len(clears)} cleared"
        + (f" ({dropped} of speech dropped)" if dropped else ""),
    )


def _no_stale_audio(evidence: Evidence) -> Check:
    """Between a `clear` and the agent's next first audio the ear hears nothing of the agent."""
    stale = 0.0
    for clear in evidence.stream.get("clears") or ():
        at_ms = clear["at_ms"]
        fresh = [t.first_audio_ms for t in evidence.agent_turns if t.first_audio_ms is not None]
        until = min((ms for ms in fresh if ms > at_ms), default=float("inf"))
        stale += sum(max(0.0, min(span.end_ms, until) - max(span.start_ms, at_ms)) for span in evidence.agent)
    return Check(
        "nothing of a stopped sentence was heard later",
        stale <= FRAME_MS,
        f"{stale:.0f} ms of agent audio heard between a clear and the next reply",
    )


def _goodbye(evidence: Evidence) -> Check:
    name = "the goodbye was heard to its end"
    if not evidence.agent or not evidence.agent_turns or evidence.ended_ms is None:
        return Check(name, False, "there was none")
    span, turn = evidence.agent[-1], evidence.agent_turns[-1]
    return Check(
        name,
        turn.end_call and abs(span.ms - turn.audio_ms) <= 5 * FRAME_MS and evidence.ended_ms >= span.end_ms,
        f"{span.ms:.0f} ms of {turn.audio_ms:.0f} ms heard, hung up {evidence.ended_ms - span.end_ms:.0f} ms later",
    )


def _hung_up(evidence: Evidence, call: Mapping[str, Any], carrier: Mapping[str, Any]) -> Check:
    cause = call.get("cause")
    slug = cause.get("slug") if isinstance(cause, Mapping) else cause
    closed = (evidence.conversation.get("closed_by"), evidence.conversation.get("close_code"))
    return Check(
        "the agent ended the call, and we hung up the phone",
        slug == "agent_ended" and closed == ("emulator", 1000) and carrier.get("ended_by") in ("api", "document"),
        f"cause {slug}; conversation closed by {closed[0]} with {closed[1]}; phone ended by {carrier.get('ended_by')}",
    )


def _callbacks(carrier: Mapping[str, Any]) -> Check:
    told = [entry for entry in carrier.get("timeline") or () if entry["kind"] == "callback"]
    statuses = [entry["params"].get("CallStatus") for entry in told if "CallStatus" in entry["params"]]
    refused = [entry for entry in told if not 200 <= int(entry.get("status") or 0) < 300]
    in_order = [status for status in statuses if status != "initiated"] == _CALLBACKS
    return Check(
        "status callbacks came in order and were accepted",
        in_order and not refused,
        f"{', '.join(map(str, statuses)) or 'none'}; {len(refused)} not accepted",
    )


def _nothing_left(evidence: Evidence, health: Mapping[str, Any], server_exit: int | None) -> Check:
    left = [
        *(["the media stream"] if evidence.stream.get("closed_ms") is None else []),
        *(["the conversation"] if evidence.conversation.get("closed_ns") is None else []),
        *(["a call in the server"] if health.get("calls") != 0 else []),
        *([f"the server (exit status {server_exit})"] if server_exit else []),
    ]
    return Check("nothing was left open", not left, f"left: {', '.join(left)}" if left else "both sockets, no call")


def _no_warnings(evidence: Evidence, carrier: Mapping[str, Any]) -> Check:
    complaints = [
        *(f"{note['error_code']} {note['message_text']}" for note in carrier.get("notifications") or ()),
        *(str(warning["text"]) for warning in evidence.stream.get("warnings") or ()),
        *(str(note) for note in evidence.conversation.get("notes") or ()),
    ]
    return Check(
        "neither vendor had anything to complain about",
        not complaints,
        "; ".join(dict.fromkeys(complaints)) or "no warning, no error, no unknown message",
    )


def _emulators_well(carrier: Mapping[str, Any], backstage_log: Sequence[str]) -> Check:
    errors = [str(entry) for entry in carrier.get("timeline") or () if entry["kind"] == "emulator_error"]
    errors += backstage_log[-1:]
    return Check("the emulators had no trouble of their own", not errors, "; ".join(errors) or "neither did")


def _gaps_agree(evidence: Evidence, call: Mapping[str, Any], tolerance_ms: float) -> Check:
    name = f"live response gaps agree with the recording within {tolerance_ms:.0f} ms"
    found = gaps(evidence, call)
    measured = [gap for gap in found if gap.live_ms is not None]
    if not found or len(measured) != len(found) or len(found) != len(evidence.party):
        return Check(
            name, False, f"{len(measured)} of {len(found)} gaps measured live, {len(evidence.party)} utterances"
        )
    off = [_off(gap.ms, gap.live_ms) for gap in measured]
    worst = max(off, key=abs)
    return Check(name, abs(worst) <= tolerance_ms, f"{len(off)} gaps, the largest difference is {worst:+.1f} ms")


def _off(heard_ms: float, live_ms: float | None) -> float:
    return (live_ms or 0.0) - heard_ms


def spans(evidence: Evidence) -> list[dict[str, Any]]:
    """The turns of both as the report draws them."""
    cut = [turn.interrupted for turn in evidence.agent_turns]
    both: list[dict[str, Any]] = [asdict(span) for span in evidence.party]
    both += [
        {**asdict(span), "interrupted": index < len(cut) and cut[index]} for index, span in enumerate(evidence.agent)
    ]
    return sorted(both, key=lambda span: float(span["start_ms"]))


def cuts(evidence: Evidence) -> Sequence[dict[str, Any]]:
    """The interruptions as the report draws them."""
    return [
        {"at_ms": i.at_ms, "silent_ms": i.silent_ms, "ms": i.stop_ms, "heard": True} for i in evidence.interruptions
    ]
