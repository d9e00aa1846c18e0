"""The agent's brain: turn taking, sans-I/O. Frames, messages and instants in; messages out.

It hears by voice activity, holds a turn for over after silence in the audio that arrived, thinks for
a drawn time, speaks, and stops when it is spoken over. It knows no socket, no JSON text and no clock.
Vendor pages: agents API, "Client events" and "Conversation flow".
"""

from __future__ import annotations

import random
import uuid
from collections import deque
from collections.abc import Callable
from enum import Enum

from shortwire.emulators.elevenlabs import messages
from shortwire.emulators.elevenlabs.config import Behaviour, ScriptedTool
from shortwire.emulators.elevenlabs.formats import bytes_per_ms, chunks
from shortwire.emulators.elevenlabs.hearing import Heard, Hearing
from shortwire.emulators.elevenlabs.turns import Close, Output, Send, Turn, spoken_part
from shortwire.emulators.scenario import AgentScript, Reply

__all__ = ["AgentMind", "Phase"]

_MS = 1_000_000


class Phase(Enum):
    """What the agent is about. Whether it *speaks* is not a phase: it follows from its playout estimate."""

    LISTENING = "listening"
    THINKING = "thinking"
    AWAITING_TOOL = "awaiting_tool"
    OVER = "over"


class AgentMind:
    """One conversation's agent.

    Call `start` once, then `hear` for every 20 ms frame; after any call send what `take` gives, and call
    `handle_timer` at `next_deadline`.
    """

    def __init__(
        self,
        script: AgentScript,
        behaviour: Behaviour,
        rng: random.Random,
        *,
        voice: Callable[[str], bytes],
        output_format: str = "ulaw_8000",
        interruptible: bool = True,
        greeting_interruptible: bool = True,
        text_only: bool = False,
        turn_timeout_s: float = 7.0,
        silence_end_call_s: float = -1.0,
        think_extra_ms: int = 0,
    ) -> None:
        """``voice``: a text's whole audio in ``output_format``. ``script.first_message`` is said as it stands."""
        self.turns: list[Turn] = []
        self.phase = Phase.LISTENING
        self.hearing = Hearing(script.end_of_turn_ms)
        self._script = script
        self._behaviour = behaviour
        self._rng = rng
        self._voice = voice
        self._format = output_format
        self._interruptible = interruptible
        self._greeting_interruptible = greeting_interruptible
        self._text_only = text_only
        self._turn_timeout_ns = int(turn_timeout_s * 1e9)
        self._silence_end_call_ns = int(silence_end_call_s * 1e9)
        self._think_extra_ms = think_extra_ms
        self._outputs: list[Output] = []
        self._due: deque[tuple[int, Output, float]] = deque()  # (instant, output, ms of audio in it)
        self._turn: Turn | None = None
        self._speak_at_ns: int | None = None
        self._tool_until_ns: int | None = None
        self._tool: tuple[ScriptedTool, str] | None = None
        self._called: set[int] = set()
        self._replies_given = 0
        self._utterances = 0
        self._last_id = 0
        self._next_id: int | None = None
        self._quiet_since_ns = 0
        """The party's last sign of life, or the end of our own speech, whichever is later."""
        self._party_quiet_since_ns = 0
        """The same, but asking whether they are still there does not count."""

    # -- what the driver calls -------------------------------------------------------------------------------------

    def start(self, now_ns: int) -> None:
        """Begin the conversation: the first message, or waiting for the party when there is none."""
        self.activity(now_ns)
        if self._script.first_message:
            turn = Turn("greeting", agent_text=self._script.first_message, turn_certain_ns=now_ns)
            self._think(turn, self._behaviour.greeting_think_ms, now_ns)

    def hear(self, frame: bytes, now_ns: int) -> None:
        """20 ms of the party, mu-law, in the order of arrival."""
        if self.phase is Phase.OVER:
            return
        heard = self.hearing.feed(frame, now_ns, needed_ms=self._needed_ms(now_ns))
        if self.hearing.last_voice_ns == now_ns:
            self.activity(now_ns)
        if heard is Heard.BEGAN or self._spoken_over(now_ns):
            self._utterance_began(now_ns)
        elif heard is Heard.ENDED:
            self._utterance_ended(now_ns)

    def user_message(self, text: str, now_ns: int) -> None:
        """A turn in writing: stops the agent at once, and is answered."""
        if self.phase is Phase.OVER:
            return
        self.activity(now_ns)
        if self._speaking(now_ns) or self._due:
            self._interrupt(now_ns, by_voice=False)
        self._tool = self._tool_until_ns = None
        turn = Turn("text", user_text=text, turn_certain_ns=now_ns)
        turn.in_response_to = [self._uuid()]
        self._think(turn, self._next_reply(turn).think_ms, now_ns)

    def tool_result(self, call_id: str, now_ns: int, *, is_error: bool) -> bool:
        """False: nobody waits for this one (the official SDKs answer every call, so it is no error)."""
        if self._tool is None or self._tool[1] != call_id:
            return False
        self._tool_done(now_ns, is_error=is_error)
        return True

    def activity(self, now_ns: int) -> None:
        """``user_activity``: the party is busy, not gone."""
        self._quiet_since_ns = self._party_quiet_since_ns = now_ns

    def take(self) -> list[Output]:
        """What is to be sent now, in order."""
        outputs, self._outputs = self._outputs, []
        return outputs

    def next_deadline(self) -> int | None:
        """The instant at which `handle_timer` has something to do."""
        instants = [self._speak_at_ns, self._tool_until_ns, self._due[0][0] if self._due else None, *self._silences()]
        return min((instant for instant in instants if instant is not None), default=None)

    def handle_timer(self, now_ns: int) -> None:
        """Do what is due."""
        self._flush(now_ns)
        if self._tool_until_ns is not None and now_ns >= self._tool_until_ns:
            self._tool_done(now_ns, is_error=True)
        if self._speak_at_ns is not None and now_ns >= self._speak_at_ns:
            self._speak_at_ns = None
            self._respond(now_ns)
        re_engage_ns, end_call_ns = self._silences()
        if end_call_ns is not None and now_ns >= end_call_ns:
            self._close(1000, "")
        elif re_engage_ns is not None and now_ns >= re_engage_ns:
            turn = Turn("re_engagement", agent_text=self._behaviour.re_engagement, turn_certain_ns=now_ns)
            self._think(turn, (0, 0), now_ns)

    # -- hearing ---------------------------------------------------------------------------------------------------

    def _speaking(self, now_ns: int) -> bool:
        return self._turn is not None and self._turn.speaking_at(now_ns)

    def _needed_ms(self, now_ns: int) -> int | None:
        if self.phase is Phase.AWAITING_TOOL:
            return None
        if not self._speaking(now_ns):
            return self._behaviour.speech_start_ms
        greeting = self._turn is not None and self._turn.kind == "greeting"
        allowed = self._interruptible and (self._greeting_interruptible or not greeting)
        return self._behaviour.barge_in_ms if allowed else None

    def _spoken_over(self, now_ns: int) -> bool:
        """The party spoke first, we began all the same, and they go on."""
        turn = self._turn
        if turn is None or not self.hearing.speaking or self.hearing.last_voice_ns != now_ns:
            return False
        needed_ms = self._needed_ms(now_ns)
        if not self._speaking(now_ns) or needed_ms is None or turn.first_audio_ns is None:
            return False
        return now_ns - turn.first_audio_ns >= needed_ms * _MS

    def _utterance_began(self, now_ns: int) -> None:
        if self._speaking(now_ns) or self._due:
            self._interrupt(now_ns, by_voice=True)
        elif self.phase is Phase.THINKING and self._turn is not None and self._turn.kind == "voice":
            self._speak_at_ns = None  # the sentence goes on: it was a pause, not the end
        # Else: silence, or they speak while our first message or written answer is still to come: it comes.

    def _utterance_ended(self, now_ns: int) -> None:
        utterance, turn = self.hearing.utterance, self._turn
        assert utterance is not None
        between_ms: tuple[int, int]
        if self.phase is Phase.THINKING and turn is not None:
            if turn.kind != "voice":
                return  # spoken into our thinking about something else; that answer comes
            between_ms = (turn.think_ms, turn.think_ms)
        else:
            if self._speaking(now_ns) or self._due:  # spoken over for less than a barge-in: their turn all the same
                self._interrupt(now_ns, by_voice=True)
            turn = Turn("voice", speech_began_ms=utterance.began_ms, speech_began_ns=utterance.began_ns)
            turn.in_response_to = [self._uuid()]
            turn.user_text = self._transcript()
            between_ms = self._next_reply(turn).think_ms
        turn.speech_ended_ms, turn.speech_ended_ns = utterance.ended_ms, utterance.ended_ns
        turn.turn_certain_ns = now_ns
        self._think(turn, between_ms, now_ns)

    def _transcript(self) -> str:
        number, self._utterances = self._utterances, self._utterances + 1
        return self._script.transcripts[number] if number < len(self._script.transcripts) else "..."

    def _next_reply(self, turn: Turn) -> Reply:
        number = self._replies_given
        if number >= len(self._script.replies):
            reply = Reply(self._behaviour.fallback)
        else:
            reply = self._script.replies[number]
            turn.reply = number
            self._replies_given += 1
        turn.agent_text, turn.end_call = reply.text, reply.end_call
        return reply

    # -- thinking and speaking -------------------------------------------------------------------------------------

    def _think(self, turn: Turn, between_ms: tuple[int, int], now_ns: int) -> None:
        turn.think_ms = self._rng.randint(*between_ms) + (0 if turn is self._turn else self._think_extra_ms)
        self._turn, self.phase = turn, Phase.THINKING
        self._speak_at_ns = now_ns + turn.think_ms * _MS

    def _respond(self, now_ns: int) -> None:
        turn = self._turn
        assert turn is not None
        tool = None if turn.reply is None or turn.reply in self._called else self._tool_before(turn.reply)
        if not turn.event_id:
            turn.event_id, turn.response_id = self._turn_id(turn), self._uuid()
            self.turns.append(turn)
            if turn.kind == "voice":
                self._outputs.append(Send(messages.user_transcript(turn.user_text, turn.event_id)))
        if tool is not None:
            self._call_tool(tool, turn, now_ns)
        else:
            self._say(turn, now_ns)

    def _turn_id(self, turn: Turn) -> int:
        if self._next_id is not None:
            number, self._next_id = self._next_id, None
        elif turn.kind == "voice":
            number = self._last_id + self._rng.randint(6, 16)  # live: 10 for the first spoken turn, 54 after 39
        else:
            number = self._last_id + 1
        self._last_id = number
        return number

    def _say(self, turn: Turn, now_ns: int) -> None:
        self.phase = Phase.LISTENING
        for text, part in (("", "start"), (turn.agent_text, "delta"), ("", "stop")):
            self._outputs.append(Send(messages.text_part(text, part, turn.event_id, turn.response_id)))
        audio = b"" if self._text_only else self._voice(turn.agent_text)
        due_ns = now_ns
        for chunk in chunks(audio, self._format, self._behaviour.chunk_ms, self._behaviour.chunk_bytes):
            chunk_ms = len(chunk) / bytes_per_ms(self._format)
            self._due.append((due_ns, Send(messages.audio(chunk, turn.event_id)), chunk_ms))
            realtime = self._behaviour.pacing == "realtime"
            due_ns += int((chunk_ms if realtime else self._behaviour.chunk_gap_ms) * _MS)
        last_ns = self._due[-1][0] if self._due else now_ns
        response = messages.agent_response(turn.agent_text, turn.event_id, turn.response_id, turn.in_response_to)
        self._due.append((last_ns, Send(response), 0.0))
        if turn.end_call:
            done = messages.tool_response(
                "end_call", f"end_call_{self._rng.getrandbits(128):032x}", "system", turn.event_id
            )
            self._due.append((last_ns, Send(done), 0.0))
            self._due.append((last_ns, Close(1000, ""), 0.0))
        self._flush(now_ns)

    def _flush(self, now_ns: int) -> None:
        turn = self._turn
        while self._due and self._due[0][0] <= now_ns and self.phase is not Phase.OVER:
            _, output, audio_ms = self._due.popleft()
            assert turn is not None
            if isinstance(output, Close):
                self._close(output.code, output.reason)
                return
            if audio_ms:
                if turn.first_audio_ns is None:
                    turn.first_audio_ns = turn.playout_ends_ns = now_ns
                turn.audio_ms += audio_ms
                turn.playout_ends_ns = max(turn.playout_ends_ns, now_ns) + int(audio_ms * _MS)
                self._quiet_since_ns = max(self._quiet_since_ns, turn.playout_ends_ns)
                if turn.kind != "re_engagement":
                    self._party_quiet_since_ns = self._quiet_since_ns
            elif isinstance(output, Send) and output.message["type"] == "agent_response":
                turn.response_sent = True
            self._outputs.append(output)

    def _interrupt(self, now_ns: int, *, by_voice: bool) -> None:
        """Stop speaking: what was not sent is dropped, what was not heard is taken back."""
        turn = self._turn
        assert turn is not None
        unsent_ms = sum(audio_ms for _, _, audio_ms in self._due)
        self._due.clear()
        began_ns = now_ns if turn.first_audio_ns is None else turn.first_audio_ns
        turn.interrupted_ns = now_ns
        turn.spoken_ms = min(turn.audio_ms, (now_ns - began_ns) / _MS)
        turn.spoken_text = spoken_part(turn.agent_text, turn.spoken_ms, turn.audio_ms + unsent_ms)
        turn.interruption_id = self._interruption_id(by_voice=by_voice)
        self.activity(now_ns)
        self._outputs.append(Send(messages.interruption(turn.interruption_id)))
        if turn.response_sent:
            taken_back = messages.correction(turn.agent_text, turn.spoken_text, turn.event_id, turn.response_id)
            self._outputs.append(Send(taken_back))
        else:  # captured: the response comes already cut, and no correction follows
            cut = messages.agent_response(turn.spoken_text, turn.event_id, turn.response_id, turn.in_response_to)
            turn.response_sent = True
            self._outputs.append(Send(cut))

    def _interruption_id(self, *, by_voice: bool) -> int:
        rule = self._behaviour.interruption_ids
        if rule == "equal" or (rule == "live" and not by_voice):
            self._next_id = self._last_id + 1
            return self._next_id
        self._last_id += self._rng.randint(6, 16)
        return self._last_id

    # -- tools -----------------------------------------------------------------------------------------------------

    def _tool_before(self, reply: int) -> ScriptedTool | None:
        return next((tool for tool in self._behaviour.tools if tool.before_reply == reply), None)

    def _call_tool(self, tool: ScriptedTool, turn: Turn, now_ns: int) -> None:
        self._called.add(tool.before_reply)
        call_id = f"{tool.tool_name}_{self._rng.getrandbits(128):032x}"
        call = messages.client_tool_call(tool.tool_name, call_id, tool.parameters, turn.event_id, tool.expects_response)
        self._outputs.append(Send(call))
        if tool.expects_response:
            self._tool, self.phase = (tool, call_id), Phase.AWAITING_TOOL
            self._tool_until_ns = now_ns + int(tool.response_timeout_s * 1e9)
        else:
            self._say(turn, now_ns)

    def _tool_done(self, now_ns: int, *, is_error: bool) -> None:
        assert self._tool is not None and self._turn is not None
        (tool, call_id), self._tool, self._tool_until_ns = self._tool, None, None
        response = messages.tool_response(tool.tool_name, call_id, "client", self._turn.event_id, is_error=is_error)
        self._outputs.append(Send(response))
        self.phase = Phase.THINKING
        self._speak_at_ns = now_ns + self._turn.think_ms * _MS

    # -- silence and the end ---------------------------------------------------------------------------------------

    def _silences(self) -> tuple[int | None, int | None]:
        """When to speak up, and when to hang up, if nothing is heard until then."""
        if self.phase is not Phase.LISTENING or self.hearing.speaking or self._due:
            return None, None
        re_engage = self._quiet_since_ns + self._turn_timeout_ns
        end_call = self._party_quiet_since_ns + self._silence_end_call_ns
        return (
            re_engage if self._behaviour.re_engage and self._turn_timeout_ns > 0 else None,
            end_call if self._silence_end_call_ns > 0 else None,
        )

    def _close(self, code: int, reason: str) -> None:
        self.phase = Phase.OVER
        self._due.clear()
        self._speak_at_ns = self._tool_until_ns = None
        self._outputs.append(Close(code, reason))

    def _uuid(self) -> str:
        return str(uuid.UUID(int=self._rng.getrandbits(128), version=4))
