"""From a call that was played to what is shown of it: evidence, verdict, figures, report.

The only place where the judge's findings meet the report's shapes; touches no process and no file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from ..emulators.scenario import Scenario
from ..report.figures import side_by_side
from ..report.view import CallReport, Part, Report
from .evidence import Evidence, gather
from .judge import Gap, Verdict, cuts, gaps, spans, verdict
from .stage import Played

__all__ = ["Outcome", "judge", "measured", "report_of"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """One call, judged."""

    played: Played
    evidence: Evidence
    gaps: tuple[Gap, ...]
    verdict: Verdict

    @property
    def cpu_per_message_us(self) -> float | None:
        """CPU time of the server process between answer and end, per media message relayed, both ways."""
        if not self.played.cpu_ns or not self.evidence.relayed:
            return None
        return self.played.cpu_ns / self.evidence.relayed / 1000


def judge(played: Played, scenario: Scenario) -> Outcome:
    """Look at everything once the call is over."""
    evidence = gather(played.carrier, played.agent, played.recording)
    found = verdict(
        evidence,
        scenario,
        played.call,
        played.carrier,
        health=played.health,
        server_exit=played.server_exit,
        backstage_log=played.backstage_log,
    )
    return Outcome(played, evidence, tuple(gaps(evidence, played.call)), found)


def measured(outcomes: Sequence[Outcome]) -> Mapping[str, Mapping[str, float | None]]:
    """By profile, the figures that are measured outside the product."""
    return {
        outcome.played.profile: {
            "first_word": outcome.evidence.first_word_ms,
            "first_word_live": (outcome.played.call.get("latencies") or {}).get("answer_to_first_word_ms"),
            "barge_in": outcome.evidence.interruptions[0].stop_ms if outcome.evidence.interruptions else None,
            "cpu": outcome.cpu_per_message_us,
        }
        for outcome in outcomes
    }


def report_of(outcomes: Sequence[Outcome], facts: Mapping[str, str]) -> Report:
    """The page of these calls."""
    return Report(
        calls=[_shown(outcome) for outcome in outcomes],
        title="One conversation, two servers" if len(outcomes) > 1 else "A call, measured",
        made_at=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M"),
        facts=facts,
        figures=side_by_side({o.played.profile: o.played.call for o in outcomes}, measured(outcomes)),
    )


def _shown(outcome: Outcome) -> CallReport:
    played, evidence = outcome.played, outcome.evidence
    return CallReport(
        profile=played.profile,
        call=played.call,
        events=played.events,
        recording=played.recording,
        heard=spans(evidence),
        gaps=[gap.as_dict() for gap in outcome.gaps],
        recorded={gap.turn: gap.ms for gap in outcome.gaps if gap.turn is not None},
        interruptions=cuts(evidence),
        checks=[check.as_dict() for check in outcome.verdict.checks],
        stages=_stages(outcome),
        setup=[Part(key, label, ms) for key, label, ms in evidence.setup],
    )


def _stages(outcome: Outcome) -> dict[object, list[Part]]:
    """By the product's turn number: the stages seen from outside, with our own part of the way set apart."""
    bridges = {turn.get("index"): turn.get("bridge_ms") or 0.0 for turn in outcome.played.call.get("turns") or ()}
    shown: dict[object, list[Part]] = {}
    for gap, stages in zip(outcome.gaps, outcome.evidence.stages, strict=False):
        if gap.turn is None or not stages:
            continue
        key, label, ms = stages[-1]
        parts = [Part(*stage) for stage in stages[:-1]]
        bridge_ms = min(ms, bridges.get(gap.turn, 0.0))
        shown[gap.turn] = [*parts, Part("bridge", "Bridge", bridge_ms), Part(key, label, ms - bridge_ms)]
    return shown
