"""A call that failed: why, and what to change, stand before what was measured; nothing is said of what nobody heard."""

from __future__ import annotations

from typing import Any

import pytest

from shortwire.doctor import load_checks
from shortwire.report.ending import bad_ending
from shortwire.report.findings import findings
from shortwire.report.many import aggregate, by_agent, by_day, measurements
from shortwire.report.of_call import call_report
from shortwire.report.overview import render_many
from shortwire.report.page import render
from shortwire.report.sound import sound_words
from shortwire.report.view import Report, setup_parts
from shortwire.report.waterfall import waterfall_lines
from shortwire.terms import Fault, HangupCause

SILENT = {"uplink": {"frames": 8, "speech_db": None}, "downlink": {"speech_db": None}}
SPOKEN = {"uplink": {"frames": 800, "speech_db": -20.0}, "downlink": {}}


def cause(slug: HangupCause, detail: str = "") -> dict[str, Any]:
    return {"slug": slug.value, "fault": slug.fault.value, "meaning": slug.meaning, "detail": detail}


def failed(slug: HangupCause, detail: str = "", *, first: float | None = None, **more: Any) -> dict[str, Any]:
    setup = {"agent_upgrade_ms": 1.7, "agent_ready_ms": 0.1}
    latencies = {"answer_to_first_word_ms": first, "setup": setup}
    call = {"id": "call_1", "state": "ended", "disposition": "answered", "turns": [], "latencies": latencies}
    return {**call, "cause": cause(slug, detail), "connected_at": 1.0, **more}


@pytest.mark.parametrize("slug", [cause for cause in HangupCause if cause.fault is not Fault.NONE])
def test_every_failure_says_what_to_change_and_names_checks_that_exist(slug: HangupCause) -> None:
    ending = bad_ending(failed(slug))
    assert ending is not None
    assert ending.happened
    assert ending.change
    assert ending.change not in ending.happened
    assert set(filter(None, ending.check.split(", "))) <= set(load_checks())


def test_a_call_that_ended_as_somebody_wanted_has_no_bad_ending() -> None:
    assert bad_ending(failed(HangupCause.PARTY_HANGUP)) is None
    assert bad_ending({"cause": None}) is None


def test_the_cause_comes_first_and_a_first_word_that_never_came_is_no_finding() -> None:
    call = failed(HangupCause.AGENT_OVERRIDE_DENIED, "Override for field 'x' is not allowed")
    (found,) = findings(call)
    assert (found.what, found.part, found.check) == ("cause", "agent_override_denied", "agent.overrides")
    assert "is not allowed" in found.text
    assert "security settings" in found.change
    assert waterfall_lines(call) == []
    assert setup_parts(call_report(call)) == []
    assert not any(name.startswith("setup.") for name in measurements([call]))


def test_a_failed_call_that_said_its_greeting_is_not_told_to_shorten_it() -> None:
    found = findings(failed(HangupCause.AGENT_QUOTA, first=160.0))
    assert [finding.what for finding in found] == ["cause"]
    assert "credits" in found[0].change


def test_the_page_begins_with_why_it_failed() -> None:
    call = failed(HangupCause.AGENT_QUOTA, "exceeds your <quota>")
    page = render(Report([call_report(call)]))
    assert "Why it ended: agent_quota" in page
    assert "exceeds your &lt;quota&gt;" in page
    assert "add credits" in page
    assert page.index("Why it ended") < page.index('class="figures"')
    assert "Why it ended" not in render(Report([call_report({**call, "cause": None})]))


def overview(*calls: dict[str, Any]) -> str:
    figures = {
        "since": "1d", "all": aggregate(calls), "by_agent": by_agent(calls), "by_day": by_day(calls),
        "by_call": {call["id"]: aggregate([call])["figures"] for call in calls},
    }  # fmt: skip
    return render_many(figures, calls)


def test_many_calls_are_counted_and_named_by_cause() -> None:
    calls = [failed(slug, id=f"call_{n}") for n, slug in enumerate([HangupCause.AGENT_LOST] * 2 + [HangupCause.BUSY])]
    calls.append(failed(HangupCause.PARTY_HANGUP, id="call_9"))
    assert aggregate(calls)["faults"] == {"agent_lost": 2, "busy": 1}
    page = overview(*calls)
    assert "3 ended as nobody wanted: agent_lost 2 times, busy." in page
    assert page.count(">agent_lost</span>") == 2
    assert ">party_hangup</span>" in page
    assert "<li>failed <b>3</b></li>" in page


def test_answered_turns_are_those_with_a_gap() -> None:
    turns = [{"index": 0, "kind": "greeting", "response_gap_ms": None}, {"index": 1, "response_gap_ms": 900.0}]
    page = overview(failed(HangupCause.PARTY_HANGUP, turns=turns))
    assert "<li>answered turns <b>1</b></li>" in page


def test_one_in_twenty_wants_twenty() -> None:
    def call_of(count: int) -> dict[str, Any]:
        turns = [{"index": n, "kind": "reply", "response_gap_ms": 900.0 + n} for n in range(count)]
        return failed(HangupCause.PARTY_HANGUP, turns=turns)

    assert "one in twenty took" in overview(call_of(20))
    assert "one in twenty" not in overview(call_of(4))
    assert "the longest took 903 ms" in overview(call_of(4))
    assert "longest took" not in overview(call_of(1))
    assert "In 1 call the median" in overview(call_of(1))


def test_two_calls_each_say_it_in_their_place() -> None:
    good = call_report({**failed(HangupCause.PARTY_HANGUP), "profile": "baseline"})
    page = render(Report([good, call_report(failed(HangupCause.AGENT_LOST))]))
    assert page.count("Why it ended") == 1
    assert page.index('class="figures"') < page.index("Why it ended")


@pytest.mark.parametrize("slug", [HangupCause.BUSY, HangupCause.CARRIER_REFUSED, HangupCause.AGENT_OVERRIDE_DENIED])
def test_where_nobody_was_heard_there_is_no_verdict_on_the_sound(slug: HangupCause) -> None:
    assert not sound_words(failed(slug), SILENT, "good")
    assert not sound_words(failed(slug, connected_at=None), {}, "no audio came from the phone")


def test_the_sound_of_a_call_that_broke_off_is_of_the_part_that_there_was() -> None:
    assert sound_words(failed(HangupCause.AGENT_LOST), SPOKEN, "good") == "good, as far as the call went"
    assert sound_words(failed(HangupCause.AGENT_LOST, first=150.0), SILENT, "good") == "good, as far as the call went"
    assert sound_words(failed(HangupCause.AGENT_ENDED), SPOKEN, "good") == "good"
    assert sound_words(failed(HangupCause.AGENT_ENDED), SPOKEN, "good", damaged=True).endswith("tape could be read")


def test_somebody_who_picked_up_and_of_whom_nothing_came_is_worth_a_word() -> None:
    words = "no audio came from the phone"
    assert sound_words(failed(HangupCause.PARTY_HANGUP), {"uplink": {"frames": 0}}, words) == words
