"""What the emulators saw of one call, laid on one time line, and what its recording holds.

The carrier's and the agent's emulator keep monotonic instants of the same machine; here they become
milliseconds since the party picked up. Plain dictionaries in (their ledgers), dataclasses out; no
judgement and nothing the product said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .heard import Exchange, Interruption, Samples, Span, exchanges, interruptions, read_stereo, speech, turns

__all__ = ["AgentTurn", "Evidence", "Said", "Stages", "gather"]


_NOTHING: Samples = np.zeros(0, dtype=np.int16)

Stages = tuple[tuple[str, str, float], ...]
"""Consecutive parts of a delay: (key, label, ms)."""


@dataclass(frozen=True, slots=True)
class Said:
    """One scripted utterance of the party. ``_ms`` since the answer."""

    text: str
    begin_ms: float
    end_ms: float


@dataclass(frozen=True, slots=True)
class AgentTurn:
    """One thing the agent said, as the agent knows it. ``_ms`` since the answer."""

    text: str
    first_audio_ms: float | None
    audio_ms: float
    """Sent; more than was heard if it was interrupted."""
    interrupted: bool
    end_call: bool
    voice: bool
    """It answers the party's voice."""
    heard_from_ms: float | None
    """Position of the party's speech in the audio the agent received, its first voiced frame ..."""
    heard_to_ms: float | None
    """... and its last."""
    arrived_ms: float | None = None
    """When that last voiced frame arrived at the agent."""
    certain_ms: float | None = None
    """When the agent held the party's turn for over."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything a judge may look at."""

    said: tuple[Said, ...]
    agent_turns: tuple[AgentTurn, ...]
    party: tuple[Span, ...]
    """Turns of the party in the recording, with their words."""
    agent: tuple[Span, ...]
    """Turns of the agent as heard, with their words."""
    exchanges: tuple[Exchange, ...]
    interruptions: tuple[Interruption, ...]
    stream: Mapping[str, Any]
    """The carrier's record of the media stream; empty if there was none."""
    conversation: Mapping[str, Any]
    """The agent's record of the conversation; empty if there was none."""
    ended_ms: float | None
    """The carrier's end of the call."""
    setup: Stages
    """From the answer to the first word, adding up to it."""
    stages: tuple[Stages, ...]
    """The same for each answered exchange, in order, adding up to its gap; empty where the agent's turn is unknown."""

    @property
    def first_word_ms(self) -> float | None:
        return self.agent[0].start_ms if self.agent else None

    @property
    def relayed(self) -> int:
        """Media messages through the bridge, both ways, counted where they arrived."""
        uplink = int((self.conversation.get("audio_in") or {}).get("messages", 0))
        return uplink + int((self.stream.get("received") or {}).get("media", 0))


def gather(carrier: Mapping[str, Any], agent: Mapping[str, Any], recording: bytes) -> Evidence:
    """From the carrier's description of the call, the agent's ledger and the stereo recording (none: ``b""``).

    Raises `ValueError` when the recording is not 16-bit stereo.
    """
    zero_ns = int(carrier.get("answered_ns") or 0)
    conversations = agent.get("conversations") or [{}]
    conversation: Mapping[str, Any] = conversations[0]
    stream: Mapping[str, Any] = (carrier.get("streams") or [{}])[0]

    def since(ns: int | None) -> float | None:
        return None if ns is None else (ns - zero_ns) / 1e6

    left, right, rate = read_stereo(recording) if recording else (_NOTHING, _NOTHING, 8000)
    party_speech = speech(left, "party", rate=rate)
    # The agent's audio starts wherever in a frame it arrived: a finer look than the party's whole frames.
    agent_speech = speech(right, "agent", rate=rate, hop_ms=5)
    said = tuple(Said(u["text"], u["begin_ms"], u["end_ms"]) for u in carrier.get("utterances") or () if u["text"])
    agent_turns = tuple(
        AgentTurn(
            text=turn["agent_text"],
            first_audio_ms=since(turn["first_audio_ns"]),
            audio_ms=turn["audio_ms"],
            interrupted=turn["interrupted_ns"] is not None,
            end_call=turn["end_call"],
            voice=turn["kind"] == "voice",
            heard_from_ms=turn["speech_began_ms"],
            heard_to_ms=turn["speech_ended_ms"],
            arrived_ms=since(turn.get("speech_ended_ns")),
            certain_ms=since(turn.get("turn_certain_ns")),
        )
        for turn in conversation.get("turns") or ()
    )
    party = _named(turns(party_speech, agent_speech), [s.text for s in said])
    heard = _named(turns(agent_speech, party_speech), [t.text for t in agent_turns])
    answers = tuple(exchanges(party, heard))
    return Evidence(
        said=said,
        agent_turns=agent_turns,
        party=party,
        agent=heard,
        exchanges=answers,
        interruptions=tuple(interruptions(party, heard)),
        stream=stream,
        conversation=conversation,
        ended_ms=since((carrier.get("instants_ns") or {}).get("ended")),
        stages=_all_stages(answers, [turn for turn in agent_turns if turn.voice]),
        setup=_setup(stream, since(conversation.get("opened_ns")), agent_turns, heard),
    )


def _named(found: Sequence[Span], texts: Sequence[str]) -> tuple[Span, ...]:
    """Spans with their words, by order; without words where there are more spans than texts."""
    return tuple(replace(span, text=texts[index] if index < len(texts) else "") for index, span in enumerate(found))


def _setup(
    stream: Mapping[str, Any], connected_ms: float | None, agent_turns: Sequence[AgentTurn], heard: Sequence[Span]
) -> Stages:
    return _staged(
        0.0,
        ("carrier", "Media stream opens", stream.get("open_ms")),
        ("connect", "Agent's socket opens", connected_ms),
        ("generation", "Agent's first audio", agent_turns[0].first_audio_ms if agent_turns else None),
        ("playout", "Way to the ear", heard[0].start_ms if heard else None),
    )


def _all_stages(found: Sequence[Exchange], voiced: Sequence[AgentTurn]) -> tuple[Stages, ...]:
    answered = [exchange for exchange in found if exchange.reply is not None]
    if len(answered) != len(voiced):
        return tuple(() for _ in answered)  # who answered whom would be a guess
    return tuple(_gap_stages(exchange, turn) for exchange, turn in zip(answered, voiced, strict=True))


def _gap_stages(exchange: Exchange, turn: AgentTurn) -> Stages:
    """Where the time between the party's last sound and the reply's first one went."""
    return _staged(
        exchange.said.end_ms,
        ("uplink", "Way to the agent", turn.arrived_ms),
        ("endpointing", "End-pointing", turn.certain_ms),
        ("generation", "Generation", turn.first_audio_ms),
        ("playout", "Way to the ear", None if exchange.reply is None else exchange.reply.start_ms),
    )


def _staged(from_ms: float, *instants: tuple[str, str, float | None]) -> Stages:
    """Lengths between instants; nothing at all when one of them is unknown."""
    parts: list[tuple[str, str, float]] = []
    at_ms = from_ms
    for key, label, instant in instants:
        if instant is None:
            return ()
        # What was ready before its turn came (a prewarmed agent) took no time of the party's.
        parts.append((key, label, max(0.0, instant - at_ms)))
        at_ms = max(at_ms, instant)
    return tuple(parts)
