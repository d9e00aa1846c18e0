"""Which settings are worth it: the plan, the journal, the ranking, the advice; no call is placed here."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from shortwire.call.options import Prewarm, Toggles
from shortwire.emulators.scenario import load
from shortwire.errors import ConfigError, UsageError
from shortwire.tuning import run as tuning
from shortwire.tuning.live import trial_of
from shortwire.tuning.page import page
from shortwire.tuning.ranking import env_lines, rank
from shortwire.tuning.trial import Journal, Trial, order, remaining
from shortwire.tuning.variants import REFERENCE, Variant, names, variants

MOODS = [100.0, 140.0, 90.0, 200.0, 120.0, 160.0, 110.0]
"""A first word's milliseconds round by round: the machine's, not a setting's."""


def test_every_toggle_is_tried_on_its_other_side() -> None:
    usual = Toggles()
    assert {name.lower() for name in names()} == set(Toggles.__dataclass_fields__)
    for variant in variants():
        for name, value in variant.settings.items():
            field = getattr(usual, name.lower())
            given: object = Prewarm(value) if name == "PREWARM" else value == "true"
            assert (given != field) == (name == variant.setting), variant.name


def test_every_level_of_prewarming_is_tried() -> None:
    tried = {variant.value for variant in variants(["prewarm"])[1:]}
    assert tried == {level.value for level in Prewarm} - {REFERENCE.settings["PREWARM"]}


def test_what_may_be_billed_can_be_left_out() -> None:
    assert [v.value for v in variants(["PREWARM"], billed=False)[1:]] == ["off", "signed-url"]


def test_a_misspelt_setting_is_refused() -> None:
    with pytest.raises(UsageError, match="PREWRAM"):
        variants(["prewram"])


def test_rounds_hold_everybody_once_and_rotate() -> None:
    planned = order(["a", "b", "c"], 4)
    assert len(planned) == len(set(planned)) == 12
    assert [planned[3 * number][1] for number in range(4)] == ["a", "b", "c", "a"]


def test_a_run_broken_off_goes_on(tmp_path: Path) -> None:
    file, plan, planned = tmp_path / "trials.jsonl", {"where": "lan"}, order(["reference", "x"], 2)
    journal = Journal(file, plan)
    journal.add(Trial("reference", 0, 100.0, 900.0, 210.0))
    journal.add(Trial("x", 0, problems=["no answer"]))
    with file.open("a") as broken:
        broken.write('{"variant": "x", "rou')
    again = Journal(file, plan)
    assert [(t.variant, t.round, t.ok) for t in again.trials] == [("reference", 0, True), ("x", 0, False)]
    assert remaining(planned, again.trials) == [(1, "x"), (1, "reference")]
    again.add(Trial("x", 1, 1.0))
    assert len(Journal(file, plan).trials) == 3


def test_a_journal_of_another_run_is_not_mixed_in(tmp_path: Path) -> None:
    file = tmp_path / "trials.jsonl"
    Journal(file, {"where": "lan", "version": "1"}).add(Trial("reference", 0, 1.0))
    with pytest.raises(UsageError, match="where differ"):
        Journal(file, {"where": "far", "version": "1"})
    assert Journal(file, {"where": "far", "version": "1"}, fresh=True).trials == []


@pytest.mark.parametrize("content", ["", "hello\n", '{"other": 1}\n', '{"plan": {}}\n{"strange": 1}\n'])
def test_what_is_no_journal_is_said_to_be_none(tmp_path: Path, content: str) -> None:
    file = tmp_path / "trials.jsonl"
    file.write_text(content)
    with pytest.raises(UsageError, match="not a journal"):
        Journal(file, {})


def trials(variant: str, first: float, gap: float = 0.0, *, fails: bool = False) -> list[Trial]:
    found = [Trial(variant, n, mood + first, 800.0 + mood / 10 + gap, 210.0) for n, mood in enumerate(MOODS)]
    return [*found[:-1], Trial(variant, len(MOODS) - 1, problems=["gone"])] if fails else found


def setting(name: str, value: str, usual: str = "true", *, billed: bool = False) -> Variant:
    return Variant(f"{name}={value}", name, value, usual, billed)


OFF, SLOW, SAME = (
    setting("PREWARM", "off", "tls"),
    setting("INLINE_TWIML", "false"),
    setting("LATENCY_LOGGING", "false"),
)


def test_the_worst_comes_first_and_no_effect_is_said() -> None:
    everything = [*trials("reference", 0), *trials(OFF.name, 400), *trials(SLOW.name, 150), *trials(SAME.name, 0)]
    ranks = rank([REFERENCE, SAME, SLOW, OFF], everything)
    assert [entry.variant.name for entry in ranks] == [OFF.name, SLOW.name, SAME.name]
    assert "+400 ms (+400 to +400)" in ranks[0].text
    assert ranks[2].text == "no measurable effect"
    assert env_lines(ranks) == [
        "INLINE_TWIML=true  # false instead: answer to first word +150 ms (+150 to +150)",
        "# LATENCY_LOGGING=true: no measurable effect here",
        "PREWARM=tls  # off instead: answer to first word +400 ms (+400 to +400)",
    ]


def test_what_is_faster_is_to_be_written() -> None:
    ranks = rank([REFERENCE, SLOW], [*trials("reference", 0), *trials(SLOW.name, -60)])
    assert env_lines(ranks) == ["INLINE_TWIML=false  # against true: answer to first word -60 ms (-60 to -60)"]


def test_faster_here_and_slower_there_is_not_advised() -> None:
    ranks = rank([REFERENCE, SLOW], [*trials("reference", 0), *trials(SLOW.name, -60, 20)])
    assert not ranks[0].better
    assert env_lines(ranks)[0].startswith("INLINE_TWIML=true")


def test_what_loses_calls_is_not_advised() -> None:
    ranks = rank([REFERENCE, SLOW], [*trials("reference", 0), *trials(SLOW.name, -60, fails=True)])
    assert ranks[0].failed == 1
    assert env_lines(ranks)[0].startswith("INLINE_TWIML=true")


def test_what_may_be_billed_is_shown_and_not_written() -> None:
    costly = setting("PREWARM", "conversation", "tls", billed=True)
    ranks = rank([REFERENCE, OFF, costly], [*trials("reference", 0), *trials(OFF.name, 90), *trials(costly.name, -70)])
    lines = env_lines(ranks)
    assert lines[0].startswith("PREWARM=tls")
    assert lines[1].startswith("# PREWARM=conversation (may be billed)")


def test_few_rounds_prove_nothing() -> None:
    few = [trial for trial in [*trials("reference", 0), *trials(OFF.name, 400)] if trial.round < 4]
    assert rank([REFERENCE, OFF], few)[0].text == "no measurable effect"


def test_the_page_holds_everything_and_fetches_nothing() -> None:
    ranks = rank([REFERENCE, OFF, SAME], [*trials("reference", 0), *trials(OFF.name, 400), *trials(SAME.name, 0)])
    text = page(ranks, env_lines(ranks), {"where": "<lan>"})
    assert "PREWARM=off" in text and "+400" in text and "&lt;lan&gt;" in text and "no effect" in text
    assert "http" not in text.replace("http-equiv", "")


def test_a_live_call_gives_the_servers_own_figures() -> None:
    call: dict[str, Any] = {
        "disposition": "answered",
        "latencies": {"answer_to_first_word_ms": 640.0, "barge_in_stop_ms": {"p50": 90.0, "n": 1}},
        "turns": [{"response_gap_ms": 900.0}, {"response_gap_ms": None}, {"response_gap_ms": 1100.0}],
    }
    assert trial_of("x", 2, call) == Trial("x", 2, 640.0, 1000.0, 90.0)
    assert not trial_of("x", 2, {"disposition": "no_answer"}).ok


def test_the_scenario_interrupts_and_ends() -> None:
    scenario = load(tuning.SCENARIO)
    assert [say.when for say in scenario.party.says] == ["agent_silent", "agent_speaking", "agent_silent"]
    assert scenario.agent.replies[-1].end_call
    assert all(low == high for low, high in (reply.think_ms for reply in scenario.agent.replies))


def options(tmp_path: Path, **changes: Any) -> dict[str, Any]:
    usual: dict[str, Any] = {
        "network": "none",
        "rounds": 6,
        "only": "PREWARM",
        "scenario": None,
        "live": "",
        "consent": False,
        "billed": False,
        "fresh": False,
        "out": tmp_path,
    }
    return {**usual, **changes}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"live": "+14155550123"}, "billed"),
        ({"consent": True}, "without a number"),
        ({"network": "moon"}, "no network"),
        ({"scenario": Path("nope.toml")}, "no such scenario: nope.toml; name a file, or one of .*reservation"),
    ],
)
def test_refusals(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        tuning.run(**options(tmp_path, **changes))
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_scenario_is_refused_and_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "odd.toml").write_bytes(b"\xff")
    out = tmp_path / "out"
    with pytest.raises(UsageError, match=r"cannot be played: .*odd\.toml"):
        tuning.run(**options(tmp_path, scenario=tmp_path / "odd.toml", out=out))
    assert not out.exists()


def test_a_file_is_no_folder_to_write_into(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("mine")
    with pytest.raises(UsageError, match=r"README\.md is no folder.*--out"):
        tuning.run(**options(tmp_path, out=tmp_path / "README.md"))
    assert (tmp_path / "README.md").read_text() == "mine"


def test_a_real_call_needs_real_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("ELEVENLABS_API_KEY", "TWILIO_ACCOUNT_SID", "SHORTWIRE_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigError):
        tuning.run(**options(tmp_path, live="+14155550123", consent=True))


def test_a_whole_run_on_pretended_calls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    played: list[tuple[str, int]] = []

    async def play(variant: Variant, number: int) -> Trial:
        played.append((variant.name, number))
        await asyncio.sleep(0)
        extra = {"PREWARM=off": 300.0, "PREWARM=signed-url": 40.0, "PREWARM=conversation": -50.0}.get(variant.name, 0.0)
        return Trial(variant.name, number, MOODS[number] + extra, 900.0, 210.0)

    monkeypatch.setattr(tuning, "_emulated", lambda *_: play)
    assert tuning.run(**options(tmp_path)) == 0
    assert len(played) == 24
    said = capsys.readouterr().out
    assert "PREWARM=tls" in said and "may be billed" in said
    document = json.loads((tmp_path / "tune.json").read_text())
    assert [entry["value"] for entry in document["ranking"]] == ["off", "signed-url", "conversation"]
    assert "PREWARM=tls" in (tmp_path / "tune.env").read_text()
    assert (tmp_path / "tune.html").stat().st_size > 2000
    # Once more: everything is there, nothing is called again; one more round is one more round.
    assert tuning.run(**options(tmp_path)) == 0 and len(played) == 24
    assert tuning.run(**options(tmp_path, rounds=7)) == 0 and len(played) == 28


async def test_trials_are_written_as_they_come(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "trials.jsonl", {})
    todo = [(0, "reference"), (0, OFF.name)]

    async def play(variant: Variant, number: int) -> Trial:
        if variant is OFF:
            raise KeyboardInterrupt
        return Trial(variant.name, number, 1.0)

    with pytest.raises(KeyboardInterrupt):
        await tuning.trials(Console(quiet=True), todo, {"reference": REFERENCE, OFF.name: OFF}, play, journal)
    assert [trial.variant for trial in Journal(tmp_path / "trials.jsonl", {}).trials] == ["reference"]
