"""What dominates, over one call and over many, and whether it got slower."""

from __future__ import annotations

from typing import Any

import pytest
from rich.console import Console

from shortwire.errors import UsageError
from shortwire.report.findings import dead_air, findings, gap_parts_ms
from shortwire.report.gate import baseline_of, compare, read_baseline
from shortwire.report.many import aggregate, by_agent, by_day, changes
from shortwire.report.of_call import call_report, conversation, gaps, interruptions
from shortwire.report.overview import render_many
from shortwire.report.page import render
from shortwire.report.view import Report, setup_parts
from shortwire.report.waterfall import change_table, conversation_lines, percentile_table, waterfall_lines


def turn(index: int, *, end: float = 500.0, gen: float = 400.0, out: float = 90.0, **more: Any) -> dict[str, Any]:
    began = 5000.0 * index
    gap = end + gen + 1.0 + out
    return {
        "index": index, "kind": "reply", "party": f"question {index}", "agent": f"reply {index}",
        "speech_start_ms": began, "speech_end_ms": began + 1000, "heard_ms": began + 1000 + gap,
        "heard_end_ms": began + 3000 + gap, "response_gap_ms": gap, "agent_ms": end + gen, "endpointing_ms": end,
        "generation_ms": gen, "bridge_ms": 1.0, "playout_ms": out, "stop_ms": None, "interrupted": False,
        "dead_air_ms": gap, "agent_over_ms": 0.0, **more,
    }  # fmt: skip


def call(*turns: dict[str, Any], first: float = 600.0, **more: Any) -> dict[str, Any]:
    setup = {"answer_notice_ms": 90.0, "agent_upgrade_ms": first - 300, "first_audio_ms": 120.0, "playout_ms": 90.0}
    latencies = {"answer_to_first_word_ms": first, "setup": setup, "bridge_us": {"p99": 400.0}}
    return {
        "id": "call_1", "agent_id": "agent_1", "profile": "optimized", "created_at": 1_700_000_000.0, "state": "ended",
        "cause": None, "disposition": "answered", "turns": list(turns), "latencies": latencies, **more,
    }  # fmt: skip


def printed(*lines: Any) -> str:
    console = Console(width=80, highlight=False, force_terminal=False)
    with console.capture() as capture:
        for line in lines:
            console.print(line)
    return capture.get()


def test_parts_add_up_to_the_gap() -> None:
    assert sum(gap_parts_ms(turn(1)).values()) == turn(1)["response_gap_ms"]
    assert list(gap_parts_ms(turn(1))) == ["endpointing_ms", "generation_ms", "bridge_ms", "playout_ms"]
    together = turn(1, end=900.0, gen=0.1)
    assert gap_parts_ms(together)["agent_ms"] == 900.1
    assert sum(gap_parts_ms(together).values()) == pytest.approx(together["response_gap_ms"])
    assert gap_parts_ms({**turn(1), "kind": "greeting"}) == {}


@pytest.mark.parametrize(
    ("parts", "part", "check"),
    [
        ({"end": 1500.0}, "endpointing_ms", "agent.turn_taking"),
        ({"gen": 1500.0}, "generation_ms", "agent.llm"),
        ({"out": 1500.0}, "playout_ms", "network.carrier"),
    ],
)
def test_the_part_that_dominates_is_named_with_what_to_change(parts: dict[str, float], part: str, check: str) -> None:
    found = findings(call(turn(1, **parts), turn(2, **parts)))
    gap = next(f for f in found if f.what == "gap")
    assert (gap.part, gap.check) == (part, check)
    assert gap.change
    setup = next(f for f in found if f.what == "setup")
    assert setup.part == "agent_upgrade_ms"
    assert "300 ms" in setup.text


def test_silence_and_an_agent_that_cuts_in_are_findings() -> None:
    found = findings(call(turn(1, dead_air_ms=4200.0), turn(2, agent_over_ms=700.0)))
    texts = {f.what: f.text for f in found}
    assert texts["dead-air"] == "1 silence(s) of more than 2 s, the longest 4.2 s before turn 1"
    assert texts["talk-over"] == "the agent spoke over the caller 1 time(s), 0.7 s together"
    assert dead_air([turn(1, dead_air_ms=4200.0)], 5000) == []
    assert findings({"turns": [], "latencies": {}}) == []


def test_the_waterfall_is_as_long_as_its_sum_and_fits_80_columns() -> None:
    text = printed(*waterfall_lines(call(turn(1), turn(2, gen=900.0))))
    lines = text.splitlines()
    assert max(map(len, lines)) <= 80
    bars = {line.split()[0] + line.split()[1]: line.split()[2] for line in lines[:3]}
    assert len(bars["turn2"]) == 52
    assert len(bars["turn1"]) == round(52 * 991 / 1491)
    assert set(bars["turn2"]) <= set("egbp")
    assert len(bars["firstword"]) == round(52 * 600 / 1491)
    assert waterfall_lines({"turns": [], "latencies": {}}) == []


def test_a_bar_is_called_what_was_measured_and_its_parts_are_those_of_the_turns() -> None:
    turns = [turn(n, bridge_ms=bridge) for n, bridge in enumerate((0.1, 0.3, 0.2, 0.4), 1)]
    one = call({**turns[0], "response_gap_ms": 988.49}, *turns[1:])
    one["latencies"]["setup"]["bridge_ms"] = 70.0
    text = printed(*waterfall_lines(one))
    assert "988 ms" in next(line for line in text.splitlines() if line.startswith("  turn 1"))
    (bridge,) = [line for line in text.splitlines() if line.startswith("   b ")]
    assert "0.20 ms" in bridge  # p50 of the four turns; neither the mean of the middle two nor the set-up's
    assert aggregate([one])["figures"]["gap.bridge_ms"]["p50"] == 0.2
    page = render(Report([call_report(one)]))
    assert '<div class="sum">988 ms</div>' in page


def test_a_median_is_a_value_that_occurred() -> None:
    ends = (100.0, 200.0, 400.0, 800.0)
    calls = [call(*(turn(n, end=end, gen=10.0) for n, end in enumerate(ends, 1)))]
    assert "(210 ms a turn)" in findings(calls[0])[0].text
    old, new = ({"response_gap_ms": [value + more for value in ends]} for more in (0.0, 300.0))
    (slower,) = compare(old, new)
    assert (slower.old, slower.new) == (200.0, 500.0)


def test_a_conversation_is_told_in_order_of_time_and_harmless() -> None:
    cut = turn(1, interrupted=True, stop_ms=300.0, agent="\x1b[2Jboo")
    text = printed(*conversation_lines([cut, turn(2)]))
    assert text.index("question 1") < text.index("991 ms") < text.index("boo") < text.index("question 2")
    assert "\x1b" not in text
    assert "(interrupted)" in text


def test_what_has_no_time_stands_behind_the_last_known_instant() -> None:
    greeting = {"index": 0, "kind": "greeting", "agent": "Hello.", "heard_ms": 200.0, "heard_end_ms": 2000.0}
    untimed = {**turn(1), "speech_start_ms": None, "speech_end_ms": None}
    unheard = {**turn(2), "heard_ms": None, "heard_end_ms": None, "response_gap_ms": None}
    text = printed(*conversation_lines([greeting, untimed, unheard, turn(3)]))
    said = ["Hello.", "question 1", "reply 1", "question 2", "reply 2", "question 3"]
    assert [text.index(words) for words in said] == sorted(text.index(words) for words in said)
    nobody_knows = [{**untimed, "heard_ms": None, "heard_end_ms": None, "response_gap_ms": None}]
    text = printed(*conversation_lines([greeting, *nobody_knows]))
    assert text.index("Hello.") < text.index("question 1") < text.index("reply 1")


def test_a_figure_that_only_one_call_has_is_a_dash_without_a_unit() -> None:
    rows = changes(aggregate([call(turn(1))]), aggregate([call(turn(1, stop_ms=200.0))]))
    line = next(line for line in printed(change_table(rows, ("first", "second"))).splitlines() if "clear" in line)
    assert "– ms" not in line
    assert line.split()[3:5] == ["–", "200"]


def test_many_calls_are_pooled_by_agent_and_by_day() -> None:
    calls = [call(turn(1), turn(2)), call(turn(1, gen=900.0), agent_id="agent_2", created_at=1_700_200_000.0)]
    every = aggregate(calls)
    assert (every["calls"], every["turns"], every["figures"]["response_gap_ms"]["n"]) == (2, 3, 3)
    assert every["figures"]["response_gap_ms"]["max"] == 1491.0
    assert {name: group["turns"] for name, group in by_agent(calls).items()} == {"agent_1": 2, "agent_2": 1}
    assert [group["calls"] for group in by_day(calls).values()] == [1, 1]
    rows = changes(aggregate(calls[:1]), aggregate(calls[1:]))
    assert rows[0]["label"] in ("Response gap", "Gap: Generation")
    assert rows[0]["difference"] == 500.0
    assert max(map(len, printed(change_table(rows, ("first", "second"))).splitlines())) <= 80
    assert "Response gap" in printed(percentile_table(every["figures"]))


def test_the_gate_names_the_part_that_got_slower() -> None:
    old = baseline_of([call(*(turn(n, gen=400.0 + n) for n in range(1, 9)))])
    slow = baseline_of([call(*(turn(n, gen=700.0 + n) for n in range(1, 9)))])
    (slower,) = compare(read_baseline(old), slow["values"])
    assert (slower.name, slower.part, slower.part_ms) == ("response_gap_ms", "gap.generation_ms", 300.0)
    assert slower.chance is not None
    assert slower.chance < 0.01
    assert compare(old["values"], old["values"]) == []
    assert compare(slow["values"], old["values"]) == []


def test_the_gate_can_tell_chance_from_change() -> None:
    wild = [200.0, 1800.0, 300.0, 1500.0, 900.0, 1100.0]
    other = [1300.0, 400.0, 1700.0, 250.0, 1000.0, 1150.0]
    old = baseline_of([call(*(turn(n, gen=g) for n, g in enumerate(wild, 1)))])
    new = baseline_of([call(*(turn(n, gen=g) for n, g in enumerate(other, 1)))])
    assert compare(old["values"], new["values"]) == []


def test_the_gate_holds_the_first_word_too() -> None:
    old, new = baseline_of([call(turn(1), first=600.0)]), baseline_of([call(turn(1), first=1400.0)])
    (slower,) = compare(old["values"], new["values"])
    assert (slower.name, slower.part, slower.part_ms) == ("answer_to_first_word_ms", "setup.agent_upgrade_ms", 800.0)
    assert slower.chance is None


def test_a_baseline_holds_no_words() -> None:
    assert "question" not in str(baseline_of([call(turn(1))]))
    with pytest.raises(UsageError, match="not a baseline"):
        read_baseline({"format": "something"})


def test_a_page_of_a_call_without_a_recording() -> None:
    one = call(turn(1, stop_ms=300.0, interrupted=True), turn(2))
    shown = call_report(one, verdict="good")
    assert [span["who"] for span in shown.heard] == ["party", "agent"] * 2
    assert shown.heard[0]["start_ms"] == 5090.0  # as the carrier's recording has it: the answer was before the news
    assert [gap["ms"] for gap in shown.gaps] == [991.0, 991.0]
    assert shown.interruptions[0]["silent_ms"] - shown.interruptions[0]["at_ms"] == 300.0
    assert sum(part.ms for part in setup_parts(shown)) == 600.0
    page = render(Report([shown]))
    assert "Sound: good." in page
    assert "News of the answer reaches us" in page


def test_turns_without_instants_are_left_out() -> None:
    assert conversation([{"speech_start_ms": None, "heard_ms": 5.0, "heard_end_ms": None}]) == []
    assert gaps([{"response_gap_ms": 5.0, "speech_end_ms": None}]) == []
    assert interruptions([{"stop_ms": 5.0, "heard_end_ms": None}]) == []


def test_a_page_of_many_calls_fetches_nothing_and_escapes() -> None:
    calls = [call(turn(1), agent_id="<script>"), call(turn(1), id="call_2")]
    figures = {
        "since": "1d", "all": aggregate(calls), "by_agent": by_agent(calls), "by_day": by_day(calls),
        "by_call": {c["id"]: aggregate([c])["figures"] for c in calls},
    }  # fmt: skip
    page = render_many(figures, calls)
    assert "&lt;script&gt;" in page
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "")
    assert "In 2 calls the median reply was heard 991 ms" in page
    empty = {"since": "1d", "all": aggregate([]), "by_agent": {}, "by_day": {}, "by_call": {}}
    assert "0 calls" in render_many(empty, [])
