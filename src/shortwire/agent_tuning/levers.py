"""The fields of an agent that cost or save time on the phone, judged one by one.

A lever reads the value, says what it costs and where that is written, and may propose another value together with what
is lost by it. Milliseconds only where the vendor or a measurement gives them. Follows elevenlabs.md 4.3, 4.4 and 10.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from .paths import MISSING, value_at

__all__ = ["NEEDED_EVENTS", "WANTED_EVENTS", "Proposal", "Reading", "Verdict", "proposals", "read_levers"]

CONFIG = "conversation_config."
NEEDED_EVENTS = ("audio", "interruption")
"""Without the first nothing is heard; without the second nobody can interrupt (section 4.3)."""
WANTED_EVENTS = ("user_transcript", "agent_response", "agent_response_correction")
"""Without these there is no transcript, and no words to a turn."""

_FORMATS_SOURCE = "ElevenLabs API reference, agents: ulaw_8000 avoids transcoding for telephony"
_MODELS = {
    "eleven_flash_v2": (75, 75),
    "eleven_flash_v2_5": (75, 75),
    "eleven_v4_turbo": (100, 100),
    "eleven_turbo_v2": (250, 300),
    "eleven_turbo_v2_5": (250, 300),
}
"""Published model time to first audio, milliseconds (section 10)."""
_QUICK_LLM = re.compile(
    r"gemini-[\d.]+-flash(-lite)?|gpt-4o-mini|gpt-4\.1-(mini|nano)|claude-haiku|qwen3|gpt-oss|glm-45-air", re.ASCII
)
_SLOW_LLM = re.compile(r"claude-(opus|sonnet)|gemini-[\d.]+-pro|gpt-5(?!.*(mini|nano))|grok", re.ASCII)
_LONG_PROMPT = 8000


class Verdict(StrEnum):
    GOOD = "good"
    COSTS = "costs"
    """Time per turn, or per call."""
    BROKEN = "broken"
    """A call will not work as people expect."""
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Proposal:
    """One change, with its price."""

    path: str
    old: Any
    new: Any
    effect: str
    risk: str
    """What gets worse; empty: nothing that is known."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One field, as it is."""

    path: str
    value: Any
    verdict: Verdict
    effect: str
    source: str
    cost_ms: tuple[int, int] | None = None
    """Per turn, against the best value; None: nobody publishes it."""
    proposal: Proposal | None = None


Judge = Callable[[Any, Mapping[str, Any]], Reading | None]
_LEVERS: list[tuple[str, Judge]] = []


def _lever(path: str) -> Callable[[Judge], Judge]:
    def register(judge: Judge) -> Judge:
        _LEVERS.append((CONFIG + path, judge))
        return judge

    return register


def read_levers(agent: Mapping[str, Any]) -> list[Reading]:
    """Every field that matters for time and is in this configuration (the answer of GET agents/{id})."""
    readings = []
    for path, judge in _LEVERS:
        value = value_at(agent, path)
        if value is not MISSING and (reading := judge(value, agent)) is not None:
            readings.append(reading)
    return readings


def proposals(agent: Mapping[str, Any], *, risky: bool = True) -> list[Proposal]:
    """What could be changed; without `risky`, only what costs no quality."""
    found = [reading.proposal for reading in read_levers(agent) if reading.proposal is not None]
    return found if risky else [proposal for proposal in found if not proposal.risk]


def _good(path: str, value: Any, effect: str, source: str) -> Reading:
    return Reading(CONFIG + path, value, Verdict.GOOD, effect, source)


def _costs(  # noqa: PLR0917 - a table row
    path: str,
    value: Any,
    effect: str,
    source: str,
    new: Any = MISSING,
    gain: str = "",
    risk: str = "",
    cost_ms: tuple[int, int] | None = None,
    verdict: Verdict = Verdict.COSTS,
) -> Reading:
    full = CONFIG + path
    proposal = None if new is MISSING else Proposal(full, value, new, gain, risk)
    return Reading(full, value, verdict, effect, source, cost_ms, proposal)


def conversion_delay_ms(name: str, *, downlink: bool) -> float | None:
    """What our converter adds for a format; None when it cannot be converted here."""
    try:
        from ..audio.convert import converters

        up, down = converters("ulaw_8000" if downlink else name, name if downlink else "ulaw_8000")
    except (ImportError, ValueError):
        return None
    made = down if downlink else up
    return made.delay_ms if made is not None else 0.0


def _format(path: str, value: Any, *, downlink: bool) -> Reading:
    if value == "ulaw_8000":
        return _good(path, value, "passes between both vendors untouched", _FORMATS_SOURCE)
    delay_ms = conversion_delay_ms(str(value), downlink=downlink)
    cost = (round(delay_ms), round(delay_ms) + 1) if delay_ms is not None else None
    words = (
        f"is converted here, which adds {delay_ms:.1f} ms and work" if delay_ms is not None else "is not convertible"
    )
    verdict = Verdict.COSTS if delay_ms is not None else Verdict.BROKEN
    gain = "no conversion, no resampling noise; a phone line carries 8 kHz mu-law anyway"
    return _costs(path, value, words, _FORMATS_SOURCE, "ulaw_8000", gain, "", cost, verdict)


@_lever("asr.user_input_audio_format")
def _input(value: Any, agent: Mapping[str, Any]) -> Reading:
    return _format("asr.user_input_audio_format", value, downlink=False)


@_lever("tts.agent_output_audio_format")
def _output(value: Any, agent: Mapping[str, Any]) -> Reading:
    return _format("tts.agent_output_audio_format", value, downlink=True)


@_lever("tts.model_id")
def _model(value: Any, agent: Mapping[str, Any]) -> Reading:
    path, source = "tts.model_id", "ElevenLabs docs, models: times without the network"
    language = value_at(agent, CONFIG + "agent.language")
    best = "eleven_flash_v2" if language in ("en", MISSING, None, "") else "eleven_flash_v2_5"
    time = _MODELS.get(str(value))
    if time is not None and time[1] <= 100:
        return _good(path, value, f"about {time[0]} ms to the first sound", source)
    cost = (time[0] - 75, time[1] - 75) if time else None
    words = f"{time[0]} to {time[1]} ms to the first sound" if time else "slower than flash; its time is not published"
    gain = "about 75 ms to the first sound"
    return _costs(path, value, words, source, best, gain, "a plainer voice", cost)


@_lever("turn.turn_eagerness")
def _eagerness(value: Any, agent: Mapping[str, Any]) -> Reading:
    path, source = "turn.turn_eagerness", "ElevenLabs docs, latency: eager ends turns sooner, more false ends"
    if value == "eager":
        return _good(path, value, "turns end early", source)
    words = (
        "waits longest before it takes the turn" if value == "patient" else "waits a little before it takes the turn"
    )
    return _costs(path, value, words, source, "eager", "turns end sooner", "speaks into pauses of slow speakers")


@_lever("turn.spelling_patience")
def _spelling(value: Any, agent: Mapping[str, Any]) -> Reading:
    path, source = "turn.spelling_patience", "ElevenLabs API reference, agents: auto waits longer while somebody spells"
    if value == "off":
        return _good(path, value, "no extra waiting", source)
    words = "waits longer whenever somebody seems to spell"
    return _costs(path, value, words, source, "off", "no extra waiting", "cuts into spelt names and numbers")


@_lever("turn.speculative_turn")
def _speculative(value: Any, agent: Mapping[str, Any]) -> Reading:
    path, source = "turn.speculative_turn", "ElevenLabs docs, latency: the LLM starts during the silence"
    if value is True:
        return _good(path, value, "the answer is begun before the turn has surely ended", source)
    words = "the LLM starts only when the turn has surely ended"
    return _costs(path, value, words, source, True, "the LLM works during the silence", "more LLM calls are paid for")


@_lever("turn.soft_timeout_config.timeout_seconds")
def _soft(value: Any, agent: Mapping[str, Any]) -> Reading:
    path, source = (
        "turn.soft_timeout_config.timeout_seconds",
        "ElevenLabs API reference, agents: a filler, about 3 s suggested",
    )
    if isinstance(value, int | float) and value > 0:
        return _good(path, value, f"says a filler when the LLM takes over {value:g} s", source)
    words = "dead air for as long as a slow LLM takes"
    risk = "a filler may come just before the answer"
    return _costs(path, value, words, source, 3.0, "a filler instead of dead air", risk)


@_lever("agent.prompt.llm")
def _llm(value: Any, agent: Mapping[str, Any]) -> Reading:
    path, source = (
        "agent.prompt.llm",
        "ElevenLabs docs, latency: time to first token is among the largest parts of a turn",
    )
    name = str(value)
    if name == "custom-llm":
        words = "your own model: its time to first token is yours to measure"
        return Reading(CONFIG + path, value, Verdict.NOTE, words, source)
    if _QUICK_LLM.match(name):
        return _good(path, value, "one of the quick ones", source)
    if _SLOW_LLM.match(name):
        words = "one of the slow ones; the vendor publishes no times"
        risk = "another model answers differently: try it before customers do"
        return _costs(path, value, words, source, "gemini-2.5-flash", "the vendor's quick default", risk)
    return Reading(CONFIG + path, value, Verdict.NOTE, "nothing is known of its speed", source)


@_lever("agent.prompt.reasoning_effort")
def _effort(value: Any, agent: Mapping[str, Any]) -> Reading:
    path, source = "agent.prompt.reasoning_effort", "ElevenLabs docs, latency: none or minimal"
    if value in (None, "none", "minimal"):
        return _good(path, value, "no thinking aloud before the answer", source)
    risk = "less thorough answers"
    return _costs(path, value, "thinks before it speaks", source, "minimal", "first token sooner", risk)


@_lever("agent.prompt.thinking_budget")
def _thinking(value: Any, agent: Mapping[str, Any]) -> Reading | None:
    path, source = "agent.prompt.thinking_budget", "ElevenLabs API reference, agents: 0 is off where supported"
    if value is None:
        return None
    if value == 0:
        return _good(path, value, "no thinking tokens", source)
    risk = "less thorough answers"
    return _costs(path, value, f"up to {value} tokens before the first word", source, 0, "first token sooner", risk)


@_lever("agent.prompt.enable_reasoning_summary")
def _summary(value: Any, agent: Mapping[str, Any]) -> Reading:
    path, source = (
        "agent.prompt.enable_reasoning_summary",
        "ElevenLabs API reference, agents: off gives a faster first token",
    )
    if not value:
        return _good(path, value, "off", source)
    return _costs(path, value, "delays the first token", source, False, "first token sooner")


@_lever("agent.prompt.cascade_timeout_seconds")
def _cascade(value: Any, agent: Mapping[str, Any]) -> Reading:
    path, source = "agent.prompt.cascade_timeout_seconds", "ElevenLabs docs, latency: 2 s for faster failover"
    if isinstance(value, int | float) and value <= 2:
        return _good(path, value, f"a silent LLM is replaced after {value:g} s", source)
    words = f"a silent LLM is waited for {value} s before another is asked"
    risk = "the backup model answers more often"
    return _costs(path, value, words, source, 2.0, "2 s instead, when the LLM hangs", risk)


@_lever("tts.text_normalisation_type")
def _normalisation(value: Any, agent: Mapping[str, Any]) -> Reading:
    path, source = "tts.text_normalisation_type", "ElevenLabs API reference, agents: `elevenlabs` adds a little latency"
    if value != "elevenlabs":
        return _good(path, value, "numbers are written out by the LLM", source)
    risk = "numbers and dates may be read differently"
    return _costs(path, value, "adds a little to every sentence", source, "system_prompt", "a little less", risk)


@_lever("tts.supported_voices")
def _voices(value: Any, agent: Mapping[str, Any]) -> Reading | None:
    if not value:
        return None
    path, source = "tts.supported_voices", "reported by users: about 200 ms per switch"
    return _costs(path, f"{len(value)} voices", "each switch of voice costs", source, cost_ms=(200, 200))


@_lever("tts.optimize_streaming_latency")
def _no_op(value: Any, agent: Mapping[str, Any]) -> Reading:
    source = "ElevenLabs API reference, agents: deprecated, ignored"
    path = CONFIG + "tts.optimize_streaming_latency"
    return Reading(path, value, Verdict.NOTE, "does nothing for agents, whatever it says", source)


@_lever("agent.prompt.rag.enabled")
def _rag(value: Any, agent: Mapping[str, Any]) -> Reading | None:
    if not value:
        return None
    words = "one retrieval per turn; not needed if the knowledge fits the prompt"
    return _costs("agent.prompt.rag.enabled", value, words, "ElevenLabs docs, latency: RAG adds one retrieval per turn")


@_lever("agent.prompt.prompt")
def _prompt(value: Any, agent: Mapping[str, Any]) -> Reading | None:
    length = len(str(value or ""))
    if length <= _LONG_PROMPT:
        return None
    words = "a long prompt is read before every answer"
    return _costs(
        "agent.prompt.prompt", f"{length} characters", words, "ElevenLabs docs, latency: short prompt, few tools"
    )


@_lever("conversation.client_events")
def _events(value: Any, agent: Mapping[str, Any]) -> Reading:
    path, source = (
        "conversation.client_events",
        "ElevenLabs API reference, agents: must contain interruption for barge-in",
    )
    listed = list(value) if isinstance(value, list) else []
    needed = [name for name in NEEDED_EVENTS if name not in listed]
    wanted = [name for name in WANTED_EVENTS if name not in listed]
    if not needed and not wanted:
        return _good(path, listed, "everything the bridge listens for", source)
    words = f"missing: {', '.join([*needed, *wanted])}"
    verdict = Verdict.BROKEN if needed else Verdict.NOTE
    gain = "barge-in reaches the phone" if "interruption" in needed else "the bridge hears what it needs"
    return _costs(path, listed, words, source, [*listed, *needed, *wanted], gain, verdict=verdict)


@_lever("agent.first_message")
def _first_message(value: Any, agent: Mapping[str, Any]) -> Reading:
    path, source = "agent.first_message", "ElevenLabs API reference, agents: empty means the agent waits for the user"
    if value:
        return _good(path, _short(str(value)), "the agent speaks first", source)
    words = "the agent is silent until the caller speaks"
    return Reading(CONFIG + path, value, Verdict.COSTS, words, source)


def _short(text: str, longest: int = 48) -> str:
    return text if len(text) <= longest else text[: longest - 3] + "..."
