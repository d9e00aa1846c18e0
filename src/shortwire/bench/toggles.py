"""Each optimization alone and all together, with intervals: DESIGN section 9, paired round by round.

Reference is everything on (the optimized profile), or with `alone` everything off, and one thing differs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..errors import UsageError
from .load import Load, Measured
from .rounds import Progress, rotated
from .run import Bench, measure
from .stats import Effect, effect
from .subject import Subject, shortwire

__all__ = ["EFFECTS", "TOGGLES", "Finding", "compare", "examine", "variants"]

ALL_ON, ALL_OFF = "all on", "all off"
TOGGLES: dict[str, tuple[str, str, str]] = {
    "DISABLE_WEBSOCKET_COMPRESSION": ("true", "false", ""),
    "INCREASE_MAX_PAYLOAD": ("true", "false", "matters for messages over 1 MiB, which this load has none of"),
    "OPTIMIZE_AUDIO_PARSING": ("true", "false", ""),
    "LATENCY_LOGGING": ("true", "false", ""),
    "LOW_LATENCY_MODE": ("true", "false", "shortens the agent's turns, which this load does not take"),
    "PREWARM": ("tls", "off", ""),
    "INLINE_TWIML": ("true", "false", "outbound calls only; `shortwire tune` places those"),
    "TUNE_SOCKETS": ("true", "false", ""),
}
"""Setting to its value on, its value off, and why this load may not show what it does."""

EFFECTS = {
    "cpu_us": "CPU per message, us",
    "up_p50_us": "uplink p50, us",
    "up_p99_us": "uplink p99, us",
    "down_p50_us": "downlink p50, us",
    "down_p99_us": "downlink p99, us",
    "answer_ms": "answer to agent socket, ms",
    "memory_kib": "memory per call, KiB",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """What one variant does to one figure, against its reference."""

    variant: str
    against: str
    figure: str
    effect: Effect | None
    noisy_rounds: int
    remark: str

    @property
    def text(self) -> str:
        """For a person."""
        if self.effect is None:
            return "not measured"
        if not self.effect.measurable:
            return "no measurable effect"
        percent = "" if self.effect.percent is None else f" ({self.effect.percent:+.0f} %)"
        return f"{self.effect.difference:+.1f}{percent}"

    def as_dict(self) -> dict[str, Any]:
        found = self.effect
        numbers = (
            {}
            if found is None
            else {
                "difference": found.difference,
                "low": found.low,
                "high": found.high,
                "reference": found.reference,
                "percent": found.percent,
                "pairs": found.pairs,
                "measurable": found.measurable,
            }
        )
        return {
            "variant": self.variant,
            "against": self.against,
            "figure": self.figure,
            "text": self.text,
            "noisy_rounds": self.noisy_rounds,
            "remark": self.remark,
            **numbers,
        }


def variants(only: Sequence[str], *, alone: bool) -> list[tuple[Subject, str, str]]:
    """(subject, name of what it is compared with, remark). Raises `UsageError` for a name that is no toggle."""
    chosen = [name.strip().upper() for name in only if name.strip()] or list(TOGGLES)
    if strangers := [name for name in chosen if name not in TOGGLES]:
        raise UsageError(f"{', '.join(strangers)}: no such toggle", details=f"toggles: {', '.join(TOGGLES)}")
    on = {name: side[0] for name, side in TOGGLES.items()}
    off = {name: side[1] for name, side in TOGGLES.items()}
    found = [(shortwire(ALL_ON, **on), "", "")]
    for name in chosen:
        found.append((shortwire(f"{name} off", **{**on, name: off[name]}), ALL_ON, TOGGLES[name][2]))
    found.append((shortwire(ALL_OFF, **off), ALL_ON, ""))
    if alone:
        for name in chosen:
            found.append((shortwire(f"only {name}", **{**off, name: on[name]}), ALL_OFF, TOGGLES[name][2]))
    return found


async def examine(
    bench: Bench, chosen: Sequence[tuple[Subject, str, str]], rounds: int, load: Load, progress: Progress
) -> tuple[list[Finding], dict[str, list[Measured]]]:
    """Measure all variants in rotated rounds and compare them pair by pair."""
    # An agent that takes compression, so that its toggle has both of its sides.
    load = replace(load, compression=True)
    subjects = [subject for subject, _, _ in chosen]
    runs: dict[str, list[Measured]] = {subject.name: [] for subject in subjects}
    done, total = 0, rounds * len(subjects)
    for number in range(rounds):
        for subject in rotated(subjects, number):
            progress(done, total, f"round {number + 1} of {rounds}: {subject.name}")
            runs[subject.name].append(await measure(bench, subject, load))
            done += 1
    progress(done, total, "done")
    return compare([(subject.name, against, remark) for subject, against, remark in chosen], runs), runs


def compare(
    chosen: Sequence[tuple[str, str, str]], runs: dict[str, list[Measured]], figures: Sequence[str] = tuple(EFFECTS)
) -> list[Finding]:
    """Each variant against its reference, by rounds; rounds in which either failed are left out."""
    found = []
    for name, against, remark in chosen:
        if not against:
            continue
        pairs = [(a, b) for a, b in zip(runs[name], runs[against], strict=True) if a.ok and b.ok]
        noisy = sum(1 for a, b in pairs if a.noisy or b.noisy)
        for figure in figures:
            difference = effect([getattr(a, figure) for a, _ in pairs], [getattr(b, figure) for _, b in pairs])
            found.append(Finding(name, against, figure, difference, noisy, remark))
    return found
