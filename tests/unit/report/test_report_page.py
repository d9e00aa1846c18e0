"""The page: everything in it, nothing fetched, nothing a caller says can become markup."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import wave
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest

from shortwire.report.findings import gaps_in_parts
from shortwire.report.page import render
from shortwire.report.view import CallReport, Part, Report, gap_parts, number, peaks, turn_parts

EVIL = "</script><script>alert('x')</script><img src=x onerror=alert(1)>&\"'"


def stereo(seconds: float = 1.0) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(8000)
        frames = b"".join(
            int(n % 80 * 400).to_bytes(2, "little", signed=True) + b"\0\0" for n in range(int(8000 * seconds))
        )
        file.writeframes(frames)
    return buffer.getvalue()


def turn(index: int, gap: float, *, said: str = "Can I bring my dog?", **more: Any) -> dict[str, Any]:
    return {
        "index": index,
        "kind": "reply",
        "party": said,
        "agent": "Of course.",
        "response_gap_ms": gap,
        "endpointing_ms": gap - 500,
        "generation_ms": 300.0,
        "bridge_ms": 0.25,
        "playout_ms": 199.75,
        **more,
    }


def call(profile: str = "optimized", said: str = "Can I bring my dog?") -> CallReport:
    greeting = {"index": 0, "kind": "greeting", "agent": "Hello.", "response_gap_ms": None}
    return CallReport(
        profile=profile,
        call={
            "state": "ended",
            "cause": "agent_ended",
            "disposition": "answered",
            "turns": [greeting, turn(1, 1234.0, said=said)],
            "latencies": {"answer_to_first_word_ms": 432.1, "api_ms": {"Twilio create call": {"max": 251.4, "n": 1}}},
        },
        events=[{"seq": 1, "at": 10.0, "kind": "party.said", "data": {"text": said}}],
        recording=stereo(),
        heard=[{"who": "party", "start_ms": 100, "end_ms": 400, "text": said}],
        gaps=[{"turn": 1, "from_ms": 400, "to_ms": 900, "ms": 500.0}],
        interruptions=[{"at_ms": 200, "silent_ms": 350, "ms": 150}],
        checks=[{"name": "heard", "passed": False, "text": said}],
    )


class Elements(HTMLParser):
    """Every element with its attributes, and the text of the scripts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self._in_script = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        self._in_script = tag == "script"
        if self._in_script:
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        if self._in_script:
            self.scripts[-1] += data

    def handle_endtag(self, tag: str) -> None:
        self._in_script = False


def test_what_a_caller_says_is_shown_and_never_becomes_markup() -> None:
    plain, evil = Elements(render(Report([call()]))), Elements(render(Report([call(said=EVIL)], title=EVIL)))
    assert [tag for tag, _ in evil.found] == [tag for tag, _ in plain.found]
    assert not any(name.startswith("on") for _, attrs in evil.found for name in attrs)
    assert json.loads(evil.scripts[0])[0]["spans"][0]["text"] == EVIL


def test_nothing_is_fetched() -> None:
    page = Elements(render(Report([call()])))
    addresses = [value for _, attrs in page.found for name, value in attrs.items() if name in ("src", "href")]
    assert addresses
    assert all(address and address.startswith("data:") for address in addresses)
    assert "@import" not in render(Report([call()]))


def test_the_policy_permits_exactly_the_pages_own_script() -> None:
    page = Elements(render(Report([call()])))
    policy = next(a["content"] for t, a in page.found if t == "meta" and a.get("http-equiv"))
    digest = base64.b64encode(hashlib.sha256(page.scripts[1].encode()).digest()).decode()
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    assert f"script-src 'sha256-{digest}'" in policy


def test_figures_of_both_calls_and_the_difference_are_there() -> None:
    slow = call("baseline")
    slow = CallReport(profile="baseline", call={**slow.call, "latencies": {"answer_to_first_word_ms": 864.2}})
    page = render(Report([slow, call()]))
    assert "864" in page
    assert "432" in page
    assert "−50 %" in page
    assert "1\u202f234 ms" in page
    assert "1 of 1" not in page
    assert "0 of 1 checks passed" in page
    assert "251 ms" in page


def test_the_recording_is_inside() -> None:
    page = render(Report([call()]))
    (sound,) = re.findall(r'src="data:audio/wav;base64,([^"]+)"', page)
    assert base64.b64decode(sound) == stereo()


def test_a_call_that_never_came_about_still_has_a_page() -> None:
    page = render(Report([CallReport("optimized", {"state": "ended", "cause": "busy", "turns": [], "latencies": {}})]))
    assert "busy" in page
    assert "Nothing was said" in page
    assert "<audio" not in page


def test_without_a_recording_the_transcripts_are_the_conversation() -> None:
    silent = CallReport(
        "optimized",
        {"state": "ended", "turns": []},
        events=[
            {"at": 5.0, "kind": "call.created", "data": {}},
            {"at": 7.5, "kind": "agent.said", "data": {"text": "Hello."}},
        ],
    )
    page = render(Report([silent]))
    assert "Hello." in page
    assert "2.5 s" in page


def test_parts_of_a_gap_add_up_to_it() -> None:
    assert sum(part.ms for part in turn_parts(turn(1, 1100))) == pytest.approx(1100)


def test_without_a_transcript_the_agents_time_is_one_part() -> None:
    whole = {**turn(1, 1100), "endpointing_ms": None, "generation_ms": None, "agent_ms": 900.0}
    assert next((part.label, part.ms) for part in turn_parts(whole)) == ("Agent", 900.0)
    assert sum(part.ms for part in turn_parts(whole)) == pytest.approx(1100)


def test_a_damaged_tape_is_said_in_plain_words_and_first() -> None:
    whole, rest = call(), call()
    alone = replace(whole, call={**whole.call, "latencies": {}, "turns": []}, damage="the file ends at byte <99>")
    page = render(Report([alone]))
    assert page.index("Its tape is damaged") < page.index('class="head"')
    assert "the file ends at byte &lt;99&gt;" in page
    assert "No answered turn in what could be read." in page
    assert "No turn was answered." not in page
    assert "figures are the server" in render(Report([replace(rest, damage="cut")]))


def test_what_came_together_is_one_part_on_the_page_too() -> None:
    together = {**turn(1, 1158.1), "endpointing_ms": 958.0, "generation_ms": 0.1, "agent_ms": 958.1}
    assert [(part.key, part.label) for part in turn_parts(together)] == [
        ("agent", "Agent"),
        ("bridge", "Bridge"),
        ("playout", "Way to the ear and back"),
    ]
    page = render(Report([CallReport("optimized", {"turns": [together, turn(2, 1100.0)]})]))
    columns = re.findall(r"<th>([^<]+)</th>", page)
    assert columns[:5] == ["End-pointing", "Generation", "Agent", "Bridge", "Way to the ear and back"]
    assert [row["parts"] for row in gaps_in_parts([together])] == [
        {"agent_ms": 958.1, "bridge_ms": 0.25, "playout_ms": 199.75}
    ]


def test_stages_seen_from_outside_are_not_mixed_with_the_calls_own() -> None:
    shown = CallReport("optimized", {}, stages={1: [Part("uplink", "Way to the agent", 110.0)]})
    assert [part.key for part in gap_parts(shown, turn(1, 1100.0))] == ["uplink"]
    assert gap_parts(shown, turn(2, 1100.0)) == []


def test_only_what_a_recording_holds_stands_beside_the_live_gaps() -> None:
    assert "gap, recording" not in render(Report([call()]))
    page = render(Report([replace(call(), recorded={1: 1239.4})]))
    assert "gap, recording" in page
    assert "<td>1\u202f239</td>" in page


@pytest.mark.parametrize(
    ("heard", "words", "label"),
    [(False, "we told the carrier to stop after 150 ms", "clear after"), (True, "was silent after", "silent after")],
)
def test_a_barge_in_says_what_was_measured(heard: bool, words: str, label: str) -> None:
    cut = {"at_ms": 200, "silent_ms": 350, "ms": 150, "heard": heard}
    page = Elements(render(Report([replace(call(), interruptions=[cut])])))
    assert json.loads(page.scripts[0])[0]["interruptions"][0]["label"] == f"{label} 150 ms"
    assert words in render(Report([replace(call(), interruptions=[cut])]))


def test_a_gap_that_was_not_measured_has_no_parts() -> None:
    assert turn_parts({**turn(1, 1100), "response_gap_ms": None}) == []
    assert turn_parts({"kind": "greeting", "playout_ms": 100.0, "response_gap_ms": 5.0}) == []


def test_peaks_are_the_loudest_sample_of_each_channel() -> None:
    drawn = peaks(stereo(0.1))
    party, agent = (base64.b64decode(lane) for lane in drawn["lanes"])
    assert drawn["duration_ms"] == pytest.approx(100)
    assert len(party) == len(agent) == 20
    assert max(party) == (79 * 400) >> 7
    assert max(agent) == 0


@pytest.mark.parametrize("data", [b"", b"RIFF....WAVE", b"not a recording at all"])
def test_what_is_no_recording_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="not a WAV file"):
        peaks(data)


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (0, "0"), (-0.001, "0"), (0.123, "0.12"), (1.25, "1.2"), (999.6, "1\u202f000"), (-12.4, "-12")],
)
def test_numbers_for_people(value: float | None, text: str) -> None:
    assert number(value) == text
