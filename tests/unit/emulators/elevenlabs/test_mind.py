"""Turn taking in virtual time: audio is fed frame by frame and the clock is an integer."""

from __future__ import annotations

import base64
import random
from itertools import pairwise

import pytest

from shortwire.emulators.elevenlabs.config import Behaviour, ScriptedTool
from shortwire.emulators.elevenlabs.mind import AgentMind, Phase
from shortwire.emulators.elevenlabs.turns import Close, Send, spoken_part
from shortwire.emulators.scenario import AgentScript, Reply
from shortwire.emulators.speech import speak

MS = 1_000_000
FRAME = 20 * MS
SILENT = b"\xff" * 160

SCRIPT = AgentScript(
    first_message="Hello.",
    replies=(
        Reply("We are open from nine in the morning until ten at night, every day of the week.", think_ms=(400, 400)),
        Reply("Yes.", think_ms=(300, 500)),
        Reply("Goodbye.", think_ms=(300, 500), end_call=True),
    ),
    transcripts=("What are your opening hours?", "No, thank you."),
)


class Call:
    """Both ends of a call on one clock: 20 ms per frame, timers fired exactly when due."""

    def __init__(self, script: AgentScript = SCRIPT, behaviour: Behaviour | None = None, **options) -> None:
        behaviour = behaviour or Behaviour(greeting_think_ms=(100, 100))
        self.mind = AgentMind(script, behaviour, random.Random(5), voice=lambda text: speak(text, "agent"), **options)
        self.now = 1_000 * MS
        self.log: list[tuple[int, object]] = []
        self.parts: list[str] = []
        self.mind.start(self.now)
        self._collect()

    def _collect(self) -> None:
        for output in self.mind.take():
            if isinstance(output, Send) and output.message["type"] == "agent_chat_response_part":
                self.parts.append(output.message["text_response_part"]["type"])  # no agent lists it by default
            else:
                self.log.append((self.now, output.message if isinstance(output, Send) else output))

    def until(self, end: int) -> None:
        while (due := self.mind.next_deadline()) is not None and due <= end:
            self.now = max(self.now, due)
            self.mind.handle_timer(self.now)
            self._collect()
        self.now = end

    def hear(self, ulaw: bytes) -> None:
        for at in range(0, len(ulaw), 160):
            self.until(self.now + FRAME)
            self.mind.hear(ulaw[at : at + 160], self.now)
            self._collect()

    def quiet(self, ms: int) -> None:
        self.hear(SILENT * (ms // 20))

    def wait(self, ms: int) -> None:
        """No audio arrives at all."""
        self.until(self.now + ms * MS)

    def say(self, text: str) -> None:
        self.hear(speak(text, "party"))

    def kinds(self) -> list[str]:
        return [m["type"] if isinstance(m, dict) else "close" for _, m in self.log]

    def of(self, kind: str) -> list[dict]:
        return [m for _, m in self.log if isinstance(m, dict) and m["type"] == kind]

    def at(self, kind: str) -> list[int]:
        return [t for t, m in self.log if isinstance(m, dict) and m["type"] == kind]


def greeted(**options) -> Call:
    call = Call(**options)
    call.quiet(1000)  # 100 ms of thinking, half a second of "Hello."
    return call


def test_the_first_message_comes_with_audio_then_text():
    call = greeted()
    assert call.kinds() == ["audio", "agent_response"]
    assert call.parts == ["start", "delta", "stop"]
    assert base64.b64decode(call.of("audio")[0]["audio_event"]["audio_base_64"]) == speak("Hello.", "agent")
    assert call.of("audio")[0]["audio_event"]["event_id"] == 1
    assert call.at("audio") == [1_100 * MS]


def test_without_a_first_message_it_waits_for_the_party():
    call = Call(AgentScript(first_message="", replies=(Reply("Yes.", (100, 100)),)))
    call.quiet(2000)
    assert call.log == []
    call.say("Hello.")
    call.quiet(700)
    assert call.kinds() == ["user_transcript", "audio", "agent_response"]


def test_the_answer_comes_after_the_silence_and_the_thinking_counted_from_the_audio():
    call = greeted()
    began = call.now
    call.say("What are your opening hours?")
    ended = call.now
    call.quiet(1500)
    turn = call.mind.turns[1]
    assert abs(turn.speech_began_ns - began) <= FRAME
    assert abs(turn.speech_ended_ns - ended) <= FRAME
    assert turn.turn_certain_ns == turn.speech_ended_ns + 500 * MS
    assert turn.think_ms == 400
    assert turn.first_audio_ns == turn.turn_certain_ns + 400 * MS
    assert turn.speech_ended_ms - turn.speech_began_ms == pytest.approx((ended - began) / MS, abs=40)
    assert call.kinds()[2:] == ["user_transcript", "audio", "audio", "audio", "agent_response"]
    transcript = call.of("user_transcript")[0]["user_transcription_event"]
    assert transcript["user_transcript"] == "What are your opening hours?"
    assert {m["audio_event"]["event_id"] for m in call.of("audio")[1:]} == {transcript["event_id"]}
    response = call.of("agent_response")[1]["agent_response_event"]
    assert len(response["in_response_to_ids"]) == 1


def test_chunks_are_a_second_then_two_point_four_and_all_at_once():
    call = greeted()
    call.say("What are your opening hours?")
    call.quiet(1500)
    sizes = [len(base64.b64decode(m["audio_event"]["audio_base_64"])) for m in call.of("audio")[1:]]
    assert sizes == [8000, 19200, len(speak(SCRIPT.replies[0].text, "agent")) - 27200]
    assert len(set(call.at("audio")[1:])) == 1


def test_silence_that_does_not_arrive_is_not_the_end_of_a_turn():
    call = greeted()
    call.say("What are your opening hours?")
    call.wait(5000)
    assert "user_transcript" not in call.kinds()
    call.quiet(1000)
    assert "user_transcript" in call.kinds()


def test_a_pause_in_a_sentence_is_not_answered_even_when_thinking_had_begun():
    call = greeted()
    call.say("What are your opening hours?")
    call.quiet(700)  # 500 certain, 200 of 400 thought
    call.say("Hello.")
    assert "user_transcript" not in call.kinds()
    call.quiet(1500)
    assert call.kinds().count("user_transcript") == 1
    turn = call.mind.turns[1]
    assert turn.speech_ended_ms - turn.speech_began_ms > 2000


def test_a_barge_in_stops_the_agent_after_200_ms_of_voice():
    call = greeted()
    call.say("What are your opening hours?")
    call.quiet(2000)
    began = call.now
    call.say("No, thank you.")
    call.quiet(1500)
    asked, answered = call.mind.turns[1], call.mind.turns[2]
    assert 200 * MS <= asked.interrupted_ns - began <= 300 * MS
    kinds = call.kinds()
    assert kinds[kinds.index("interruption") :][:3] == ["interruption", "agent_response_correction", "user_transcript"]
    assert asked.event_id < asked.interruption_id < answered.event_id
    correction = call.of("agent_response_correction")[0]["agent_response_correction_event"]
    assert correction["event_id"] == asked.event_id
    assert correction["original_agent_response"] == SCRIPT.replies[0].text
    said = correction["corrected_agent_response"]
    assert said.endswith("...")
    assert 1 <= len(said.split()) < len(SCRIPT.replies[0].text.split()) / 2
    assert asked.spoken_ms == pytest.approx((asked.interrupted_ns - asked.first_audio_ns) / MS)
    assert answered.user_text == "No, thank you."


def test_a_cough_does_not_stop_the_agent():
    call = greeted()
    call.say("What are your opening hours?")
    call.quiet(2000)
    call.hear(speak("Hello.", "party")[: 160 * 6])
    call.quiet(1500)
    assert "interruption" not in call.kinds()


def test_who_speaks_after_the_playout_does_not_interrupt():
    call = greeted()
    call.say("What are your opening hours?")
    call.quiet(6000)
    call.say("No, thank you.")
    call.quiet(1500)
    assert "interruption" not in call.kinds()
    assert len(call.mind.turns) == 3


@pytest.mark.parametrize("options", [{"interruptible": False}, {"greeting_interruptible": False}])
def test_where_interruptions_are_off_the_greeting_is_spoken_to_its_end(options):
    script = AgentScript(first_message=SCRIPT.replies[0].text, replies=(Reply("Yes.", (100, 100)),))
    call = Call(script, **options)
    call.quiet(500)
    call.say("No, thank you.")
    call.quiet(800)
    assert call.kinds() == ["audio", "audio", "audio", "agent_response"]


def test_a_written_message_interrupts_with_the_id_of_the_next_turn_as_captured():
    call = Call()
    call.wait(200)
    call.mind.user_message("Stop.", call.now)
    call.wait(600)
    assert call.kinds()[:4] == ["audio", "agent_response", "interruption", "agent_response_correction"]
    assert call.kinds()[4:] == ["audio", "audio", "audio", "agent_response"]
    assert call.of("interruption")[0]["interruption_event"]["event_id"] == 2
    assert call.of("audio")[1]["audio_event"]["event_id"] == 2
    assert "user_transcript" not in call.kinds()
    assert call.mind.turns[1].user_text == "Stop."


@pytest.mark.parametrize(("rule", "equal"), [("strict", False), ("equal", True)])
def test_the_rule_for_interruption_ids_can_be_fixed(rule, equal):
    call = Call(behaviour=Behaviour(greeting_think_ms=(100, 100), interruption_ids=rule))
    call.wait(200)
    call.mind.user_message("Stop.", call.now)
    call.wait(600)
    stopped = call.of("interruption")[0]["interruption_event"]["event_id"]
    following = call.of("audio")[1]["audio_event"]["event_id"]
    assert (following == stopped) is equal
    assert following >= stopped > 1


def test_real_time_pacing_sends_each_chunk_when_the_last_was_played_and_drops_the_rest_when_stopped():
    call = greeted(behaviour=Behaviour(greeting_think_ms=(100, 100), pacing="realtime", chunk_ms=(200,)))
    call.say("What are your opening hours?")
    call.quiet(2000)
    times = call.at("audio")
    assert {b - a for a, b in pairwise(times[3:])} == {200 * MS}
    sent = len(times)
    call.say("No, thank you.")
    call.quiet(300)
    assert len(call.at("audio")) - sent <= 2
    # Captured: a response that was not yet sent comes already cut, after the interruption, without a correction.
    assert call.kinds()[-2:] == ["interruption", "agent_response"]
    assert call.of("agent_response")[-1]["agent_response_event"]["agent_response"].endswith("...")


def test_end_call_closes_right_after_the_last_audio():
    script = AgentScript(first_message="", replies=(Reply("Goodbye.", (100, 100), end_call=True),))
    call = Call(script)
    call.say("Hello.")
    call.quiet(1000)
    assert call.kinds() == ["user_transcript", "audio", "agent_response", "agent_tool_response", "close"]
    assert call.log[-1][1] == Close(1000, "")
    assert call.log[-1][0] == call.at("audio")[0]  # the goodbye is still playing at the phone
    assert call.of("agent_tool_response")[0]["agent_tool_response"]["tool_name"] == "end_call"
    assert call.mind.phase is Phase.OVER
    assert call.mind.next_deadline() is None
    said = len(call.log)
    call.say("Hello.")
    call.mind.user_message("?", call.now)
    call.quiet(2000)
    assert len(call.log) == said


def result(call_id: str, **fields) -> dict:
    return {"tool_call_id": call_id, "result": "ok", "is_error": False, **fields}


def with_tool(**changes) -> Call:
    tool = ScriptedTool(0, "look_up", {"city": "Berlin"}, **changes)
    call = Call(behaviour=Behaviour(greeting_think_ms=(100, 100), tools=(tool,)))
    call.quiet(1000)
    call.say("What are your opening hours?")
    call.quiet(1000)
    return call


def test_a_client_tool_is_called_before_the_reply_and_its_result_awaited():
    call = with_tool()
    assert call.kinds()[2:] == ["user_transcript", "client_tool_call"]
    event = call.of("client_tool_call")[0]["client_tool_call"]
    assert event["parameters"] == {"city": "Berlin"}
    assert not call.mind.tool_result(result("another"), call.now)
    call.quiet(1000)
    assert call.mind.tool_result(result(event["tool_call_id"]), call.now)
    call.quiet(1000)
    assert call.kinds()[4:] == ["agent_tool_response", "audio", "audio", "audio", "agent_response"]
    assert call.of("agent_tool_response")[0]["agent_tool_response"]["status"] == "success"
    assert not call.mind.tool_result(result(event["tool_call_id"]), call.now)


def test_a_tool_without_an_answer_fails_after_its_timeout():
    call = with_tool(response_timeout_s=2.0)
    call.quiet(3000)
    assert call.of("agent_tool_response")[0]["agent_tool_response"]["is_error"] is True
    assert call.kinds()[-1] == "agent_response"


def test_a_tool_that_expects_no_response_is_not_waited_for():
    call = with_tool(expects_response=False)
    assert call.kinds()[2:5] == ["user_transcript", "client_tool_call", "audio"]


def test_silence_makes_it_ask_and_then_hang_up():
    behaviour = Behaviour(greeting_think_ms=(100, 100), re_engage=True)
    call = Call(behaviour=behaviour, turn_timeout_s=7.0, silence_end_call_s=12.0)
    call.quiet(30_000)
    asked = [turn for turn in call.mind.turns if turn.kind == "re_engagement"]
    greeting_ends = 1_100 * MS + len(speak("Hello.", "agent")) // 8 * MS
    assert asked[0].first_audio_ns == greeting_ends + 7_000 * MS
    assert call.log[-1] == (greeting_ends + 12_000 * MS, Close(1000, ""))


def test_activity_puts_off_the_question():
    call = Call(behaviour=Behaviour(greeting_think_ms=(100, 100), re_engage=True))
    call.quiet(6000)
    call.mind.activity(call.now)
    call.quiet(6000)
    assert [turn.kind for turn in call.mind.turns] == ["greeting"]
    call.quiet(2000)
    assert [turn.kind for turn in call.mind.turns] == ["greeting", "re_engagement"]


def test_nothing_is_asked_and_nobody_hung_up_on_by_default():
    call = Call()
    call.quiet(30_000)
    assert call.kinds() == ["audio", "agent_response"]


def test_when_the_script_is_used_up_it_says_so():
    call = Call(AgentScript(first_message="", replies=()))
    call.say("Hello.")
    call.quiet(1500)
    assert call.of("agent_response")[0]["agent_response_event"]["agent_response"] == Behaviour().fallback
    assert call.of("user_transcript")[0]["user_transcription_event"]["user_transcript"] == "..."


def test_the_same_seed_draws_the_same_call():
    def play() -> list[tuple[int, object]]:
        call = greeted()
        call.say("What are your opening hours?")
        call.quiet(6000)
        call.say("No, thank you.")
        call.quiet(1500)
        return call.log

    assert play() == play()


@pytest.mark.parametrize(
    ("spoken_ms", "expected"),
    [(0, "..."), (-5, "..."), (250, "one..."), (999, "one two three..."), (5000, "one two three four...")],
)
def test_what_was_spoken_is_counted_in_words(spoken_ms, expected):
    assert spoken_part("one two three four", spoken_ms, 1000) == expected
    assert spoken_part("one", 0, 0) == "..."
