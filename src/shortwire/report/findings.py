"""What made somebody wait, and what to change: the parts of the delays that dominate, with the doctor's rules.

Input is the call as ``GET /v1/calls/{id}`` answers it. Nothing is formatted for a medium here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..call.setup import SETUP_LABELS
from ..call.summary import DEAD_AIR_MS, median
from .ending import Ending, bad_ending

__all__ = ["GAP_PARTS", "Finding", "dead_air", "findings", "gap_parts_ms", "gaps_in_parts", "setup_parts_ms"]

GAP_PARTS = {
    "endpointing_ms": "End-pointing",
    "generation_ms": "Generation",
    "agent_ms": "Agent",
    "bridge_ms": "Bridge",
    "playout_ms": "Way to the ear and back",
}
"""Parts of a response gap in order. `agent_ms` stands for the two before it where they cannot be told apart."""

_TOGETHER_MS = 30.0
"""A transcript that comes with the audio says nothing of when the turn was held for over."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing worth changing, or worth knowing."""

    what: str
    """"cause" (it ended as nobody wanted), "gap", "setup", "dead-air", "talk-over"."""
    part: str
    text: str
    """What was measured."""
    change: str = ""
    """What to change; empty: nothing that we know of."""
    check: str = ""
    """The doctor's check that looks at it: ``shortwire doctor`` shows it under this name."""


_CHANGES: Mapping[str, tuple[str, str]] = {
    "endpointing_ms": ("make the agent hold turns for over sooner (turn eagerness, turn model)", "agent.turn_taking"),
    "generation_ms": ("a faster model or voice: 'shortwire agent tune' shows which setting costs what", "agent.llm"),
    "agent_ms": (
        "the agent's turn-taking and model: 'shortwire agent tune' shows which setting costs what",
        "agent.turn_taking, agent.llm",
    ),
    "bridge_ms": ("this machine is busy or the agent's audio has to be converted: see", "machine.event_loop"),
    "playout_ms": ("run the server nearer to the carrier's media region", "network.carrier"),
    "answer_notice_ms": ("run the server nearer to the carrier", "network.carrier"),
    "stream_open_ms": ("INLINE_TWIML=true saves the carrier a question after the pick-up", "way_in"),
    "stream_start_ms": ("PREWARM=tls opens the agent beside the media stream", "settings.valid"),
    "signed_url_ms": ("PREWARM=signed-url or tls fetches it while it rings", "agent.signed_url"),
    "agent_lookup_ms": ("PREWARM=tls looks the name up while it rings; a resolver nearby is faster", "network.agent"),
    "agent_tcp_ms": ("PREWARM=tls connects while it rings", "network.agent"),
    "agent_tls_ms": ("PREWARM=tls has TLS ready while it rings", "network.agent"),
    "agent_connect_ms": ("PREWARM=tls connects while it rings; not through a proxy", "network.agent"),
    "agent_upgrade_ms": ("run the server nearer to the agent's host", "network.agent"),
    "agent_ready_ms": ("the agent's host; PREWARM=conversation starts it while the call is answered", "network.agent"),
    "first_audio_ms": ("a shorter first message, a faster voice, or PREWARM=conversation", "agent.first_message"),
}


def gap_parts_ms(turn: Mapping[str, Any]) -> dict[str, float]:
    """Parts of one turn's response gap by key, in order; they add up to it. Empty where it was not measured."""
    if turn.get("kind") == "greeting" or not _is_number(turn.get("response_gap_ms")):
        return {}
    split = _is_number(turn.get("endpointing_ms")) and (turn.get("generation_ms") or 0.0) > _TOGETHER_MS
    keys = ("endpointing_ms", "generation_ms") if split else ("agent_ms",)
    return {key: float(turn[key]) for key in (*keys, "bridge_ms", "playout_ms") if _is_number(turn.get(key))}


def gaps_in_parts(turns: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Each measured gap with the parts that can be told apart, for whoever reads JSON: turn, ms, parts."""
    return [
        {"turn": turn.get("index"), "ms": turn["response_gap_ms"], "parts": parts}
        for turn in turns
        if (parts := gap_parts_ms(turn))
    ]


def setup_parts_ms(latencies: Mapping[str, Any]) -> dict[str, float]:
    """Parts from the answer to the first word, in order; empty where no word was heard: they lead nowhere then.

    Unknown names (of another version) are left out.
    """
    if not _is_number(latencies.get("answer_to_first_word_ms")):
        return {}
    found = latencies.get("setup") or {}
    return {key: float(found[key]) for key in SETUP_LABELS if _is_number(found.get(key))}


def dead_air(turns: Sequence[Mapping[str, Any]], over_ms: float = DEAD_AIR_MS) -> list[tuple[Any, float]]:
    """Silences of both that lasted longer: turn before which, and how long."""
    return [
        (turn.get("index"), float(turn["dead_air_ms"]))
        for turn in turns
        if _is_number(turn.get("dead_air_ms")) and turn["dead_air_ms"] > over_ms
    ]


def findings(call: Mapping[str, Any], *, dead_air_ms: float = DEAD_AIR_MS) -> list[Finding]:
    """Why it failed, if it did; then what dominates, the worst first. Nothing where nothing was measured."""
    turns = list(call.get("turns") or ())
    found = []
    if ending := bad_ending(call):
        found.append(_of_ending(ending))
    if gap := _of_gaps(turns):
        found.append(gap)
    # A call that failed before anybody was answered has another trouble than how long its first word took.
    if (gap or not ending) and (setup := _of_setup(call.get("latencies") or {})):
        found.append(setup)
    if silences := dead_air(turns, dead_air_ms):
        index, worst = max(silences, key=lambda silence: silence[1])
        text = f"{len(silences)} silence(s) of more than {dead_air_ms / 1000:g} s, the longest {worst / 1000:.1f} s"
        found.append(Finding("dead-air", "dead_air_ms", f"{text} before turn {index}"))
    over = [float(turn["agent_over_ms"]) for turn in turns if (turn.get("agent_over_ms") or 0.0) > 100.0]
    if over:
        text = f"the agent spoke over the caller {len(over)} time(s), {sum(over) / 1000:.1f} s together"
        change = "it holds pauses for the end of a turn: make it more patient"
        found.append(Finding("talk-over", "agent_over_ms", text, change, "agent.turn_taking"))
    return found


def _of_ending(ending: Ending) -> Finding:
    text = f"{ending.happened} ({ending.slug})"
    return Finding(
        "cause", ending.slug, f"{text}: {ending.detail}" if ending.detail else text, ending.change, ending.check
    )


def _of_gaps(turns: Sequence[Mapping[str, Any]]) -> Finding | None:
    falls = [parts for turn in turns if (parts := gap_parts_ms(turn))]
    total = sum(sum(parts.values()) for parts in falls)
    if not total:
        return None
    sums = {key: sum(parts.get(key, 0.0) for parts in falls) for key in GAP_PARTS}
    key = max(sums, key=lambda name: sums[name])
    usual = median([parts[key] for parts in falls if key in parts])
    text = f"{GAP_PARTS[key]} is {100 * sums[key] / total:.0f} % of the response gaps ({usual:.0f} ms a turn)"
    change, check = _CHANGES[key]
    return Finding("gap", key, text, change, check)


def _of_setup(latencies: Mapping[str, Any]) -> Finding | None:
    parts = setup_parts_ms(latencies)
    total = sum(parts.values())
    if not total:
        return None
    key = max(parts, key=lambda name: parts[name])
    text = f"{SETUP_LABELS[key]} is {100 * parts[key] / total:.0f} % of the way to the first word ({parts[key]:.0f} ms)"
    change, check = _CHANGES.get(key, ("", ""))
    return Finding("setup", key, text, change, check)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
