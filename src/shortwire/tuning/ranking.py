"""From trials to advice: paired differences, what is certain of them, and the lines to write into `.env`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..bench.stats import Effect, effect
from .trial import FIGURES, Trial
from .variants import REFERENCE, Variant

__all__ = ["Rank", "env_lines", "rank"]


@dataclass(frozen=True, slots=True)
class Rank:
    """What one variant did, compared with the reference of the same rounds. Milliseconds; less is better."""

    variant: Variant
    effects: dict[str, Effect | None]
    failed: int
    """Calls of it that did not come to their end; they are in no difference."""

    @property
    def measurable(self) -> dict[str, Effect]:
        return {name: found for name, found in self.effects.items() if found is not None and found.measurable}

    @property
    def cost_ms(self) -> float:
        """All that is certain, added up: positive is slower for the caller than the reference."""
        return sum(found.difference for found in self.measurable.values())

    @property
    def better(self) -> bool:
        """Faster somewhere, slower nowhere, and no call lost."""
        certain = self.measurable.values()
        return bool(certain) and all(found.difference < 0 for found in certain) and not self.failed

    @property
    def text(self) -> str:
        """For a person."""
        if not self.measurable:
            return "no measurable effect"
        return ", ".join(
            f"{FIGURES[name]} {found.difference:+.0f} ms ({found.low:+.0f} to {found.high:+.0f})"
            for name, found in self.measurable.items()
        )

    def as_dict(self) -> dict[str, Any]:
        return {
            "variant": self.variant.name,
            "setting": self.variant.setting,
            "value": self.variant.value,
            "text": self.text,
            "cost_ms": self.cost_ms,
            "failed": self.failed,
            "effects": {
                name: None
                if found is None
                else {
                    "difference_ms": found.difference,
                    "low_ms": found.low,
                    "high_ms": found.high,
                    "reference_ms": found.reference,
                    "pairs": found.pairs,
                    "measurable": found.measurable,
                }
                for name, found in self.effects.items()
            },
        }


def rank(variants: Sequence[Variant], trials: Sequence[Trial]) -> list[Rank]:
    """Each variant but the reference, the one that costs the caller most first."""
    by_place = {(trial.variant, trial.round): trial for trial in trials}
    found = []
    for variant in variants:
        if variant.name == REFERENCE.name:
            continue
        mine = [trial for trial in trials if trial.variant == variant.name]
        pairs = [
            (trial, other)
            for trial in mine
            if trial.ok and (other := by_place.get((REFERENCE.name, trial.round))) is not None and other.ok
        ]
        effects = {
            name: effect([getattr(a, name) for a, _ in pairs], [getattr(b, name) for _, b in pairs]) for name in FIGURES
        }
        found.append(Rank(variant, effects, sum(1 for trial in mine if not trial.ok)))
    return sorted(found, key=lambda entry: -entry.cost_ms)


def env_lines(ranks: Sequence[Rank]) -> list[str]:
    """Lines for `.env`: a value where the difference is certain, a remark where it is not."""
    lines = []
    for setting in sorted({entry.variant.setting for entry in ranks}):
        mine = [entry for entry in ranks if entry.variant.setting == setting]
        usual = mine[0].variant.usual
        better = sorted((entry for entry in mine if entry.better), key=lambda entry: entry.cost_ms)
        free = [entry for entry in better if not entry.variant.billed]
        if free:
            lines.append(f"{setting}={free[0].variant.value}  # against {usual}: {free[0].text}")
        elif any(entry.measurable for entry in mine if not entry.variant.billed):
            worst = max((entry for entry in mine if not entry.variant.billed), key=lambda entry: entry.cost_ms)
            lines.append(f"{setting}={usual}  # {worst.variant.value} instead: {worst.text}")
        else:
            lines.append(f"# {setting}={usual}: no measurable effect here")
        costly = [entry for entry in better if entry.variant.billed]
        lines += [f"# {setting}={entry.variant.value} (may be billed): {entry.text}" for entry in costly]
    return lines
