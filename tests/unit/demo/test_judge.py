"""A call built by hand, and every way in which it can have gone wrong: each must fail exactly its own check."""

from __future__ import annotations

import io
import wave
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import numpy as np
import pytest

from shortwire.demo.evidence import gather
from shortwire.demo.judge import cuts, gaps, spans, verdict
from shortwire.emulators.scenario import AgentScript, PartyScript, Reply, Say, Scenario

ZERO_NS = 1_000_000_000_000

SCENARIO = Scenario(
    party=PartyScript(says=(Say("A table?"), Say("The garden.", when="agent_speaking"), Say("Goodbye."))),
    agent=AgentScript(
        first_message="Hello.",
        replies=(Reply("At seven, or at eight."), Reply("The garden it is."), Reply("Goodbye.", end_call=True)),
    ),
)

# (who, start, end) in ms since the answer; the second reply is interrupted at 6000 and silent at 6300.
PARTY = ((2000, 3000), (6000, 7000), (9400, 10000))
AGENT = ((800, 1600), (4000, 6300), (8000, 9000), (11000, 12000))
AUDIO_MS = (800, 5000, 1000, 1000)
TEXTS = ("Hello.", "At seven, or at eight.", "The garden it is.", "Goodbye.")


def wav(party: Any, agent: Any, length_ms: int = 13_000) -> bytes:
    samples = np.zeros((length_ms * 8, 2), dtype="<i2")
    for channel, stretches in enumerate((party, agent)):
        for start, end in stretches:
            n = np.arange(int(start * 8), int(end * 8))
            samples[n, channel] = (8000 * np.sin(2 * np.pi * 440 * n / 8000)).astype("<i2")
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(samples.tobytes())
    return buffer.getvalue()


def ns(ms: float) -> int:
    return ZERO_NS + int(ms * 1e6)


def agent_turn(index: int) -> dict[str, Any]:
    heard = PARTY[index - 1] if index else None
    return {
        "kind": "voice" if index else "greeting",
        "agent_text": TEXTS[index],
        "first_audio_ns": ns(AGENT[index][0] - 110),
        "audio_ms": AUDIO_MS[index],
        "interrupted_ns": ns(6200) if index == 1 else None,
        "end_call": index == 3,
        # The agent hears from 300 ms after the answer on.
        "speech_began_ms": heard[0] - 300 if heard else None,
        "speech_ended_ms": heard[1] - 300 if heard else None,
        "speech_ended_ns": ns(heard[1] + 115) if heard else None,
        "turn_certain_ns": ns(heard[1] + 615) if heard else None,
    }


class World:
    """Everything the judge is given, to be spoilt by a test."""

    def __init__(self) -> None:
        self.party, self.agent_heard = list(PARTY), list(AGENT)
        self.carrier: dict[str, Any] = {
            "status": "completed",
            "ended_by": "api",
            "answered_ns": ZERO_NS,
            "instants_ns": {"ended": ns(12_400)},
            "notifications": [],
            "utterances": [
                {"text": say.text, "begin_ms": start, "end_ms": end}
                for say, (start, end) in zip(SCENARIO.party.says, PARTY, strict=True)
            ],
            "streams": [
                {
                    "open_ms": 200.0,
                    "closed_ms": 12_400.0,
                    "sent": {"media": 610},
                    "received": {"media": 12},
                    "dropped_frames": 0,
                    "clears": [{"at_ms": 6300.0, "dropped_ms": 2700.0, "queued_ms": 2700.0, "marks": []}],
                    "warnings": [],
                }
            ],
            "timeline": [
                {"kind": "callback", "status": 204, "params": {"CallStatus": status}}
                for status in ("ringing", "in-progress", "completed")
            ],
        }
        self.agent: dict[str, Any] = {
            "conversations": [
                {
                    "opened_ns": ns(350),
                    "closed_ns": ns(11_000),
                    "closed_by": "emulator",
                    "close_code": 1000,
                    "notes": [],
                    "audio_in": {"messages": 530},
                    "turns": [agent_turn(index) for index in range(4)],
                }
            ]
        }
        self.call: dict[str, Any] = {
            "state": "ended",
            "disposition": "answered",
            "cause": {"slug": "agent_ended"},
            "turns": [
                {"index": 0, "kind": "greeting", "response_gap_ms": None},
                {"index": 1, "kind": "reply", "response_gap_ms": 1004.0},
                {"index": 2, "kind": "reply", "response_gap_ms": 991.0},
                {"index": 3, "kind": "reply", "response_gap_ms": 1010.0},
            ],
        }
        self.health: dict[str, Any] = {"calls": 0}
        self.server_exit: int | None = 0
        self.backstage_log: list[str] = []

    @property
    def stream(self) -> dict[str, Any]:
        return self.carrier["streams"][0]

    @property
    def conversation(self) -> dict[str, Any]:
        return self.agent["conversations"][0]

    def evidence(self) -> Any:
        return gather(self.carrier, self.agent, wav(self.party, self.agent_heard))

    def failed(self) -> list[str]:
        found = verdict(
            self.evidence(),
            SCENARIO,
            self.call,
            self.carrier,
            health=self.health,
            server_exit=self.server_exit,
            backstage_log=self.backstage_log,
        )
        assert found.passed == all(check.passed for check in found.checks)
        return [check.name for check in found.checks if not check.passed]


def test_a_good_call_passes_every_check() -> None:
    assert World().failed() == []


def test_gaps_are_read_from_the_recording_and_paired_with_the_live_ones() -> None:
    world = World()
    found = gaps(world.evidence(), world.call)
    assert [(gap.turn, gap.ms, gap.live_ms) for gap in found] == [
        (1, 1000, 1004.0),
        (2, 1000, 991.0),
        (3, 1000, 1010.0),
    ]


def test_the_setup_adds_up_to_the_first_word() -> None:
    evidence = World().evidence()
    assert [(key, ms) for key, _, ms in evidence.setup] == [
        ("carrier", 200),
        ("connect", 150),
        ("generation", 340),
        ("playout", 110),
    ]
    assert sum(ms for _, _, ms in evidence.setup) == evidence.first_word_ms == 800


def test_an_agent_that_was_ready_before_the_stream_took_no_time() -> None:
    world = World()
    world.conversation["opened_ns"] = ns(-500)
    assert {key: ms for key, _, ms in world.evidence().setup}["connect"] == 0
    assert sum(ms for _, _, ms in world.evidence().setup) == 800


def test_the_stages_of_each_gap_add_up_to_it() -> None:
    evidence = World().evidence()
    assert [(key, ms) for key, _, ms in evidence.stages[0]] == [
        ("uplink", 115),
        ("endpointing", 500),
        ("generation", 275),
        ("playout", 110),
    ]
    assert [sum(ms for _, _, ms in stages) for stages in evidence.stages] == [1000, 1000, 1000]


def test_who_answered_whom_is_not_guessed() -> None:
    world = World()
    world.conversation["turns"][2]["kind"] = "re_engagement"
    assert world.evidence().stages == ((), (), ())


def test_messages_are_counted_where_they_arrived() -> None:
    assert World().evidence().relayed == 530 + 12


def test_what_the_report_draws() -> None:
    evidence = World().evidence()
    drawn = spans(evidence)
    assert [span["start_ms"] for span in drawn] == sorted(start for start, _ in (*PARTY, *AGENT))
    assert [span["text"] for span in drawn if span["who"] == "agent"] == list(TEXTS)
    assert [span["text"] for span in drawn if span.get("interrupted")] == ["At seven, or at eight."]
    assert cuts(evidence) == [{"at_ms": 6000, "silent_ms": 6300, "ms": 300, "heard": True}]


COMPLETED = "the call was completed"
SAID = "the party said what the script says"
REACHED = "every frame reached the agent"
REPLIED = "every reply was heard, in order and whole"
BARGED = "the barge-in stopped the agent"
STALE = "nothing of a stopped sentence was heard later"
GOODBYE = "the goodbye was heard to its end"
HUNG_UP = "the agent ended the call, and we hung up the phone"
CALLBACKS = "status callbacks came in order and were accepted"
LEFT = "nothing was left open"
WARNINGS = "neither vendor had anything to complain about"
TROUBLE = "the emulators had no trouble of their own"
AGREE = "live response gaps agree with the recording within 20 ms"


def spoil(**changes: Any) -> Callable[[World], None]:
    def change(world: World) -> None:
        for name, value in changes.items():
            setattr(world, name, value)

    return change


def put(where: str, key: str, value: Any) -> Callable[[World], None]:
    return lambda world: getattr(world, where).__setitem__(key, value)


@pytest.mark.parametrize(
    ("change", "names"),
    [
        pytest.param(put("call", "state", "ending"), [COMPLETED], id="not ended"),
        pytest.param(put("carrier", "status", "failed"), [COMPLETED], id="carrier failed"),
        pytest.param(put("stream", "dropped_frames", 3), [REACHED], id="frames refused"),
        pytest.param(put("conversation", "audio_in", {"messages": 700}), [REACHED], id="more received than sent"),
        pytest.param(put("stream", "clears", []), [BARGED], id="never cleared"),
        pytest.param(put("call", "cause", {"slug": "party_hangup"}), [HUNG_UP], id="wrong cause"),
        pytest.param(put("carrier", "ended_by", "time-limit"), [HUNG_UP], id="phone left to itself"),
        pytest.param(put("conversation", "closed_by", "client"), [HUNG_UP], id="we closed the agent"),
        pytest.param(put("stream", "closed_ms", None), [LEFT], id="stream open"),
        pytest.param(put("conversation", "closed_ns", None), [LEFT], id="conversation open"),
        pytest.param(put("health", "calls", 1), [LEFT], id="call in the server"),
        pytest.param(spoil(health={}), [LEFT], id="server says nothing of its calls"),
        pytest.param(spoil(server_exit=-9), [LEFT], id="server killed"),
        pytest.param(put("conversation", "notes", ["refused: x"]), [WARNINGS], id="agent complains"),
        pytest.param(
            put("carrier", "notifications", [{"error_code": "31951", "message_text": "protocol"}]),
            [WARNINGS],
            id="carrier complains",
        ),
        pytest.param(put("carrier", "timeline", []), [CALLBACKS], id="no callbacks"),
        pytest.param(spoil(backstage_log=["Traceback", "KeyError: 1"]), [TROUBLE], id="emulator raised"),
    ],
)
def test_one_fault_fails_its_own_check(change: Callable[[World], None], names: list[str]) -> None:
    world = World()
    change(world)
    assert world.failed() == names


def test_callbacks_in_the_wrong_order_or_refused() -> None:
    world = World()
    world.carrier["timeline"].reverse()
    assert world.failed() == [CALLBACKS]
    world = World()
    world.carrier["timeline"][1]["status"] = 500
    assert world.failed() == [CALLBACKS]


def test_initiated_may_come_first() -> None:
    world = World()
    first = {"kind": "callback", "status": 204, "params": {"CallStatus": "initiated"}}
    world.carrier["timeline"].insert(0, first)
    assert world.failed() == []


def test_lost_frames_move_the_later_utterances_together() -> None:
    world = World()
    for turn in world.conversation["turns"][2:]:
        turn["speech_ended_ms"] -= 60
    assert world.failed() == [REACHED]


def test_live_gaps_off_by_more_than_a_frame() -> None:
    world = World()
    world.call["turns"][2]["response_gap_ms"] = 1021.0
    assert world.failed() == [AGREE]
    world.call["turns"][2]["response_gap_ms"] = 1019.0
    assert world.failed() == []


def test_a_gap_that_was_not_measured_live() -> None:
    world = World()
    world.call["turns"][2]["response_gap_ms"] = None
    assert world.failed() == [AGREE]


def test_stale_audio_after_the_clear() -> None:
    world = World()
    world.agent_heard[1] = (4000, 6600)
    assert world.failed() == [STALE]


def test_a_goodbye_cut_short() -> None:
    world = World()
    world.agent_heard[3] = (11000, 11400)
    assert world.failed() == [REPLIED, GOODBYE]


def test_a_hang_up_before_the_goodbye_was_over() -> None:
    world = World()
    world.carrier["instants_ns"]["ended"] = ns(11_900)
    assert world.failed() == [GOODBYE]


def test_a_reply_that_was_never_heard() -> None:
    world = World()
    del world.agent_heard[2]
    assert {REPLIED, AGREE} <= set(world.failed())


def test_replies_in_the_wrong_order() -> None:
    world = World()
    turns = world.conversation["turns"]
    turns[2]["agent_text"], turns[3]["agent_text"] = turns[3]["agent_text"], turns[2]["agent_text"]
    assert world.failed() == [REPLIED]


def test_an_utterance_that_was_never_spoken() -> None:
    world = World()
    del world.carrier["utterances"][2]
    del world.party[2]
    assert {SAID, REACHED} <= set(world.failed())


def test_a_call_of_which_nothing_came_fails_and_does_not_break_the_judge() -> None:
    world = World()
    world.party, world.agent_heard = [], []
    world.carrier = {"status": "failed", "answered_ns": None, "instants_ns": {}, "timeline": []}
    world.agent = {"conversations": []}
    world.call = deepcopy({"state": "ended", "disposition": "failed", "cause": None, "turns": []})
    failed = world.failed()
    assert {COMPLETED, SAID, REACHED, REPLIED, BARGED, GOODBYE, HUNG_UP, CALLBACKS, LEFT, AGREE} <= set(failed)
