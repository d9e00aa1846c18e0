"""A trial on the emulators: one whole call on a stage of its own, judged by its recording."""

from __future__ import annotations

import shutil
from pathlib import Path

from rich.console import Console

from ..demo.client import ApiError
from ..demo.narrator import Narrator
from ..demo.outcome import judge
from ..demo.processes import ChildDied
from ..demo.stage import Stage
from ..emulators.scenario import Scenario
from .trial import Trial
from .variants import Variant

__all__ = ["play"]


class _VariantStage(Stage):
    """The demonstration's stage with a variant's settings."""

    def __init__(self, variant: Variant, *, network: str, scenario: Path, folder: Path) -> None:
        super().__init__("optimized", network=network, scenario=scenario, folder=folder)
        self._variant = variant

    def _settings(self, port: int, key: str) -> dict[str, str]:
        return {**super()._settings(port, key), **self._variant.settings}


async def play(variant: Variant, number: int, *, network: str, scenario: Path, script: Scenario, folder: Path) -> Trial:
    """One call; what went wrong with it becomes the trial's problems."""
    shutil.rmtree(folder, ignore_errors=True)
    try:
        async with _VariantStage(variant, network=network, scenario=scenario, folder=folder) as stage:
            played = await stage.play(Narrator(Console(quiet=True)))
    except (ChildDied, ApiError, TimeoutError) as error:
        return Trial(variant.name, number, problems=[str(error).splitlines()[0]])
    except ExceptionGroup as group:
        return Trial(variant.name, number, problems=[str(group.exceptions[0]).splitlines()[0]])
    outcome = judge(played, script)
    evidence = outcome.evidence
    gaps = [gap.ms for gap in outcome.gaps]
    stops = [cut.stop_ms for cut in evidence.interruptions]
    problems = [] if played.call.get("disposition") == "answered" and evidence.agent else ["the call was not answered"]
    if not problems:
        shutil.rmtree(folder, ignore_errors=True)  # what is wrong is kept to be looked at
    return Trial(
        variant.name,
        number,
        evidence.first_word_ms,
        sum(gaps) / len(gaps) if gaps else None,
        sum(stops) / len(stops) if stops else None,
        problems,
    )
