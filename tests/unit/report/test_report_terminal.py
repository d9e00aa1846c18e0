"""The tables, at 80 columns."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from shortwire.report.figures import side_by_side
from shortwire.report.terminal import check_lines, comparison_table, setup_table, turn_table
from shortwire.report.view import CallReport, Part


def shown(*renderables: Any, width: int = 80) -> str:
    out = io.StringIO()
    console = Console(file=out, width=width, highlight=False)
    for renderable in renderables:
        console.print(renderable)
    return out.getvalue()


def call(first_word: float | None, gap: float) -> dict[str, Any]:
    return {"latencies": {"answer_to_first_word_ms": first_word, "response_gap_ms": {"p50": gap, "p95": gap, "n": 4}}}


def test_both_profiles_and_the_difference_stand_side_by_side() -> None:
    text = shown(comparison_table(side_by_side({"baseline": call(1600.0, 1000), "optimized": call(400.0, 1001)})))
    (line,) = [line for line in text.splitlines() if line.startswith("Answer to first word")]
    assert line.split("  ")[0] == "Answer to first word"
    assert "1\u202f600 ms" in line
    assert "400 ms" in line
    assert "−1\u202f200 ms (−75 %)" in line


def test_a_change_that_rounds_to_nothing_has_no_sign() -> None:
    text = shown(comparison_table(side_by_side({"baseline": call(1000.0, 1000), "optimized": call(999.0, 1004)})))
    assert text.count("(±0 %)") == 3


def test_figures_measured_outside_stand_before_the_products_own() -> None:
    rows = side_by_side({"optimized": call(400.0, 1000)}, {"optimized": {"first_word": 500.0, "cpu": None}})
    values = {row["key"]: row["values"]["optimized"] for row in rows}
    assert values == {"first_word": 500.0, "gap_p50": 1000, "gap_p95": 1000}
    assert {row["key"]: row["counts"]["optimized"] for row in rows}["gap_p50"] == 4


def test_what_only_one_call_has_is_not_compared() -> None:
    (first, *_) = side_by_side({"baseline": call(None, 1000), "optimized": call(400.0, 1000)})
    assert first["values"] == {"baseline": None, "optimized": 400.0}
    assert first["difference"] is None
    assert first["change_percent"] is None
    assert "–" in shown(comparison_table([first]))


@pytest.mark.parametrize("value", [True, "12", None, {}])
def test_what_is_no_number_is_no_figure(value: Any) -> None:
    assert side_by_side({"optimized": {"latencies": {"answer_to_first_word_ms": value}}}) == []


def report() -> CallReport:
    parts = [Part(*part) for part in (("uplink", "Way to the agent", 110.0), ("endpointing", "End-pointing", 500.0))]
    parts += [
        Part("generation", "Generation", 400.0),
        Part("bridge", "Bridge", 0.21),
        Part("playout", "Way to the ear", 95.0),
    ]
    turns = [
        {"index": 0, "kind": "greeting", "response_gap_ms": None},
        {
            "index": 1,
            "kind": "reply",
            "party": "[red]Do you have a table[/red] for two tonight?",
            "response_gap_ms": 1105.2,
        },
        {"index": 2, "kind": "reply", "party": "Yes.", "barge_in": True, "response_gap_ms": 990.0},
    ]
    return CallReport(
        "optimized",
        {"turns": turns},
        recorded={1: 1110.0, 2: 985.0},
        stages={1: parts, 2: parts},
        setup=parts[:2],
    )


def test_the_turns_fit_into_eighty_columns_with_every_figure() -> None:
    text = shown(turn_table(report()))
    lines = text.splitlines()
    assert max(map(len, lines)) <= 80
    (line,) = [line for line in lines if line.startswith("1 ")]
    assert "[red]Do you have" in line
    assert [cell for cell in line.split(" ") if cell][-7:] == [
        "110",
        "500",
        "400",
        "0.21",
        "95",
        "1\u202f105",
        "1\u202f110",
    ]
    assert "(cut off)" in next(line for line in lines if line.startswith("2 "))


def test_the_setup_adds_up() -> None:
    table = setup_table([report()])
    assert table is not None
    assert "610" in shown(table).splitlines()[-1]
    assert setup_table([CallReport("optimized", {})]) is None


def test_failed_checks_stand_out() -> None:
    checks = [{"name": "heard", "passed": True, "text": "all"}, {"name": "ended", "passed": False, "text": "[bold]no"}]
    good, bad = (line.plain for line in check_lines(checks))
    assert good == "  ✓ heard: all"
    assert bad == "  ✗ ended: [bold]no"
