"""From reports to rows: losses, noise, medians, effects; and what is drawn of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from shortwire.bench import beside, toggles
from shortwire.bench.commands import effects_lines
from shortwire.bench.load import Costs, Load, Measured, evaluate
from shortwire.bench.machine import Usage, facts, usage
from shortwire.bench.plot import PANELS, plot
from shortwire.bench.rounds import FIGURES, rotated, summary
from shortwire.bench.show import curve_lines, write_curve
from shortwire.bench.soak import Asked, Sample, Soaked, judge
from shortwire.bench.subject import find_peers, shortwire
from shortwire.errors import UsageError

WINDOW_NS = 2_000_000_000


def side(**changes: Any) -> dict[str, Any]:
    quiet = {"p50": 100.0, "p99": 200.0, "max": 300.0, "n": 100}
    said = {
        "delay_us": quiet,
        "own_share_us": quiet,
        "late_us": quiet,
        "in_window": 100,
        "damaged": 0,
        "disordered": 0,
        "gaps": 0,
        "arrived": {"1": 100},
        "first": {"1": 0},
        "sent": {"1": 100},
        "skipped": 0,
        "clears": {},
        "times": {"1": {"dialled": 0, "answered": 5_000_000, "started": 9_000_000, "first_audio": 30_000_000}},
        "failed": [],
        "opened": {"1": 10_500_000},
        "interruptions": {},
        "open": 0,
    }
    return {**said, **changes}


def costs(*, server_ns: int = 4_000_000, busy_ns: int | None = 10_000_000) -> Costs:
    def at(cpu_ns: int, rss: int) -> Usage:
        return Usage(cpu_ns, rss, 10, 2, 1)

    return Costs(
        at(0, 1 << 20), at(1000, 2 << 20), at(1000 + server_ns, 3 << 20), 6_000_000, 8_000_000, busy_ns, WINDOW_NS, 2
    )


def result(phones: dict[str, Any], agent: dict[str, Any], load: Load | None = None, **options: Any) -> Measured:
    spent = costs(**options)
    return evaluate("x", load or Load(calls=1), phones, agent, costs=spent, window_open=1)


def test_a_good_run() -> None:
    found = result(side(), side())
    assert found.ok and not found.noisy
    assert found.cpu_us == pytest.approx(20.0)
    assert found.memory_kib == 2048.0
    assert (found.webhook_ms, found.setup_ms, found.answer_ms, found.first_audio_ms) == (5.0, 1.5, 5.5, 21.0)


def test_an_agent_that_was_there_before_took_no_time() -> None:
    assert result(side(), side(opened={"1": 4_000_000})).setup_ms == 0.0


def test_frames_before_the_first_that_arrived_are_no_loss() -> None:
    found = result(side(), side(first={"1": 3}, arrived={"1": 97}))
    assert (found.early, found.lost, found.ok) == (3, 0, True)


def test_missing_frames_are_a_loss_and_said() -> None:
    found = result(side(), side(first={"1": 3}, arrived={"1": 95}))
    assert found.lost == 2
    assert found.problems == ["2 lost"]


def test_missing_chunks_are_a_loss_unless_the_call_was_cleared() -> None:
    assert result(side(arrived={"1": 90}), side()).lost == 10
    cleared = result(side(arrived={"1": 90}, clears={"1": [5]}), side())
    assert (cleared.lost, cleared.dropped_at_clear, cleared.ok) == (0, 10, True)


def test_company_is_not_counted() -> None:
    assert result(side(), side(sent={"1": 100, "1000000001": 70})).lost == 0


def test_an_interruption_is_timed_to_its_own_clear() -> None:
    asked, told = [1_000_000, 5_000_000, 9_000_000], [1_300_000, 9_100_000]
    found = result(side(clears={"1": told}), side(interruptions={"1": asked}))
    assert found.clear_p50_us == 200.0


@pytest.mark.parametrize(
    ("phones", "agent", "text"),
    [
        ({"damaged": 1}, {}, "1 damaged"),
        ({}, {"disordered": 2}, "2 out of order"),
        ({"failed": ["call 9: gone"]}, {}, "1 calls failed, first: call 9: gone"),
        ({}, {"open": 1}, "1 agent sockets left open"),
        ({"in_window": 0}, {"in_window": 0}, "nothing was relayed"),
    ],
)
def test_what_spoils_a_row(phones: dict[str, Any], agent: dict[str, Any], text: str) -> None:
    assert text in result(side(**phones), side(**agent)).problems


LATE = {"p50": 1.0, "p99": 1500.0, "max": 9000.0, "n": 9}


@pytest.mark.parametrize(
    ("phones", "agent", "options", "text"),
    [
        ({"late_us": LATE}, {}, {}, "load late by 1500 us at p99"),
        ({}, {"own_share_us": LATE}, {}, "load read late by 1500 us at p99"),
        ({"skipped": 4}, {}, {}, "4 frames never sent"),
        ({}, {}, {"busy_ns": 1_000_000_000}, "others used 25% of the machine"),
    ],
)
def test_what_makes_a_row_noisy(
    phones: dict[str, Any], agent: dict[str, Any], options: dict[str, Any], text: str
) -> None:
    found = result(side(**phones), side(**agent), **options)
    assert found.noise == [text]
    assert found.ok


def test_a_long_run_counts_what_is_missing_between_two() -> None:
    load = Load(calls=1, forget=True, call_s=3.0)
    assert result(side(gaps=1), side(gaps=2), load).lost == 3
    talk = result(side(gaps=1), side(gaps=2), Load(calls=1, forget=True, mode="talk"))
    assert (talk.lost, talk.dropped_at_clear) == (2, 1)


def run(cpu_us: float, *, noise: str = "", problem: str = "", calls: int = 10, subject: str = "a") -> Measured:
    found = Measured(subject, calls, "echo", cpu_us=cpu_us, relayed=100, up_p50_us=cpu_us * 3, up_p99_us=cpu_us * 9)
    found.noise += [noise] if noise else []
    found.problems += [problem] if problem else []
    return found


def test_rows_are_of_clean_rounds() -> None:
    row = summary([run(10), run(90, noise="late"), run(12), run(11)])
    assert (row.values["cpu_us"], row.rounds, row.clean, row.verdict) == (11, 4, 3, "ok")


def test_without_a_clean_round_the_row_says_so() -> None:
    row = summary([run(10, noise="load late"), run(20, noise="load late")])
    assert row.values["cpu_us"] == 15
    assert row.noisy
    assert row.verdict == "NOISY: load late"


def test_a_loss_is_in_the_verdict_whatever_the_medians() -> None:
    row = summary([run(10), run(11), run(12, problem="3 lost")])
    assert row.verdict == "3 lost"


def test_everybody_is_first_once() -> None:
    subjects = [shortwire(name) for name in "abc"]
    firsts = [rotated(subjects, number)[0].name for number in range(4)]
    assert firsts == ["a", "b", "c", "a"]
    assert sorted(s.name for s in rotated(subjects, 2)) == ["a", "b", "c"]


def test_figures_are_fields_of_a_run() -> None:
    assert set(FIGURES) <= set(Measured("x", 1, "echo").as_dict())
    assert set(toggles.EFFECTS) <= set(FIGURES)


def test_toggles_change_one_thing() -> None:
    found = toggles.variants([], alone=True)
    by_name = {subject.name: (subject, against) for subject, against, _ in found}
    on, off = by_name["all on"][0].settings, by_name["all off"][0].settings
    assert set(on) == set(off) == set(toggles.TOGGLES)
    assert all(on[name] != off[name] for name in on)
    for name in toggles.TOGGLES:
        one_off, against = by_name[f"{name} off"]
        assert {n for n in on if one_off.settings[n] != on[n]} == {name} and against == "all on"
        only, against = by_name[f"only {name}"]
        assert {n for n in on if only.settings[n] != off[n]} == {name} and against == "all off"


def test_a_misspelt_toggle_is_refused() -> None:
    with pytest.raises(UsageError, match="PREWRAM"):
        toggles.variants(["prewram"], alone=False)
    with pytest.raises(UsageError, match="tapes"):
        beside.chosen_kinds(["tapes"])


def test_effects_are_paired_by_round_and_failures_left_out() -> None:
    moods = [10.0, 50.0, 20.0, 70.0, 30.0, 5.0]
    reference = [run(mood) for mood in moods]
    treated = [run(mood + 4) for mood in moods]
    treated[0].problems.append("9 lost")
    found = toggles.compare([("on", "", ""), ("off", "on", "")], {"on": reference, "off": treated}, ("cpu_us",))
    assert len(found) == 1
    assert found[0].effect is not None and found[0].effect.pairs == 5
    assert found[0].text.startswith("+4.0")
    lines = effects_lines("title", found)
    assert any("+4.0" in line for line in lines)


def test_no_effect_is_said() -> None:
    same = [run(n) for n in (1, 2, 3, 4, 5, 6)]
    found = toggles.compare([("off", "on", "")], {"on": same, "off": same}, ("cpu_us",))
    assert found[0].text == "no measurable effect"
    assert "no measurable effect" in effects_lines("title", found)[-1]


def rows() -> list[Any]:
    return [
        summary([run(cpu, calls=calls, subject=name)])
        for calls in (10, 50, 200)
        for name, cpu in (("optimized", 20.0), ("<peer> & co", 900.0))
    ]


def test_the_plot_is_a_drawing_of_every_row() -> None:
    drawn = plot(rows(), "A < B", "note")
    root = ElementTree.fromstring(drawn)
    svg = "{http://www.w3.org/2000/svg}"
    assert len(root.findall(f".//{svg}g")) == len(PANELS)
    known = [panel for panel in PANELS if rows()[0].values[panel.figure] is not None]
    assert len(root.findall(f".//{svg}circle")) == len(known) * 6
    assert "not known here" in drawn
    for circle in root.findall(f".//{svg}circle"):
        assert 0 <= float(circle.get("cx", "-1")) <= 460 and 0 <= float(circle.get("cy", "-1")) <= 260


def test_a_plot_of_one_point_and_of_none() -> None:
    ElementTree.fromstring(plot(rows()[:1], "one", ""))
    ElementTree.fromstring(plot([], "none", ""))


def test_files_say_where_they_come_from(tmp_path: Path) -> None:
    from shortwire.bench.machine import cores

    written = write_curve(tmp_path, rows(), [run(1)], facts(cores()))
    document = json.loads(written[0].read_text())
    assert {"cpu", "cores", "date", "command", "python", "shortwire"} <= set(document["machine"])
    assert len(document["rows"]) == 6 and len(document["runs"]) == 1
    assert [path.name for path in written] == ["bench.json", "bench-echo.svg"]
    assert len([line for line in curve_lines(rows()) if "optimized" in line]) == 3


def soaked(**changes: Any) -> Soaked:
    before = Usage(0, 0, 20, 8, 1)
    samples = [Sample(at, 100 + at, 20, 8, 0, 1.0) for at in range(0, 100, 10)]
    usual = {"after": before, "live_after": 0, "tasks_before": 5, "tasks_after": 5}
    options: dict[str, Any] = {**usual, **changes}
    return Soaked(5, 100.0, samples, before, measured=run(1), **options)


def test_a_soak_that_came_back() -> None:
    found = soaked()
    assert judge(found) == []
    assert found.slope_mib_per_hour == pytest.approx(3600.0)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"after": Usage(0, 0, 40, 8, 1)}, "descriptors"),
        ({"after": Usage(0, 0, 20, 500, 1)}, "threads"),
        ({"live_after": 1}, "still live"),
        ({"tasks_after": 50}, "tasks"),
        ({"asked": Asked(9, 1)}, "1 failed"),
        ({"asked": Asked(0, 0)}, "0 answered"),
    ],
)
def test_what_a_soak_leaves_behind(changes: dict[str, Any], word: str) -> None:
    problems = judge(soaked(**changes))
    assert len(problems) == 1 and word in problems[0]


def test_peers_of_the_checkout_are_found() -> None:
    folder = Path(__file__).parents[3] / "benchmarks" / "peers"
    found = {peer.name: peer for peer in find_peers(folder, None)}
    assert set(found) == {"fastapi_websockets", "node_ws"}
    assert not found["fastapi_websockets"].missing
    with pytest.raises(UsageError, match="nobody"):
        find_peers(folder, ("nobody",))


def test_a_peer_that_cannot_run_says_what_to_do(tmp_path: Path) -> None:
    peer = tmp_path / "it"
    peer.mkdir()
    said = {"name": "it", "command": ["{python}", "x"], "needs_files": ["lib"], "setup": "make lib"}
    (peer / "peer.json").write_text(json.dumps(said))
    (found,) = find_peers(tmp_path, None)
    assert "make lib" in found.missing


def test_no_key_of_ours_reaches_a_child(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELEVENLABS_API_KEY", "sk_real")
    monkeypatch.setenv("SHORTWIRE_DATABASE_URL", "postgresql://real")
    seen = shortwire("x", PREWARM="off").environment({"PORT": "1"})
    assert "sk_real" not in seen.values() and "SHORTWIRE_DATABASE_URL" not in seen
    assert (seen["PREWARM"], seen["PORT"]) == ("off", "1")


def test_our_own_usage_can_be_read() -> None:
    import os
    import sys

    found = usage(os.getpid())
    if not sys.platform.startswith("linux"):
        pytest.skip("told by /proc only")
    assert found is not None
    assert found.rss_bytes > 1 << 20 and found.threads >= 1 and found.descriptors >= 3 and found.cpu_ns > 0
    assert usage(2**22 + 1) is None
