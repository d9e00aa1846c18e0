"""The verdict on a call's sound, where there was any: a call in which nobody was heard sounds neither good nor poor.

The words come from `shortwire.audio.quality.verdict`; here is only whether they may be said, and of what part of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .ending import bad_ending

__all__ = ["sound_words", "was_heard"]


def was_heard(quality: Mapping[str, Any] | None) -> bool:
    """Whether anybody spoke, by the figures of a whole tape. Live ones have no level of the agent's."""
    sides = ((quality or {}).get(side) or {} for side in ("uplink", "downlink"))
    return any(side.get("speech_db") is not None for side in sides)


def sound_words(
    call: Mapping[str, Any], quality: Mapping[str, Any] | None, verdict: str, *, damaged: bool = False
) -> str:
    """The verdict as it may be shown; empty where there was nothing to be heard.

    Args:
        call: as the API answers it; of a tape alone, its turns.
        quality: the figures behind the verdict.
        verdict: of them.
        damaged: they are of a tape that could not be read to its end.
    """
    if not verdict:
        return ""
    ending = bad_ending(call)
    if not was_heard(quality) and not _agent_was_heard(call):
        # Somebody who picked up and of whom nothing came is worth a word, if nothing else explains it.
        silent = ending is None and call.get("connected_at") is not None
        return verdict if silent and not ((quality or {}).get("uplink") or {}).get("frames") else ""
    if damaged:
        return f"{verdict}, as far as the tape could be read"
    return verdict if ending is None or ending.fault == "party" else f"{verdict}, as far as the call went"


def _agent_was_heard(call: Mapping[str, Any]) -> bool:
    first = (call.get("latencies") or {}).get("answer_to_first_word_ms")
    return first is not None or any(turn.get("heard_ms") is not None for turn in call.get("turns") or ())
