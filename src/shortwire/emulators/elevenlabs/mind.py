"""The agent's brain: turn taking, sans-I/O. Frames, messages and instants in; messages out.

It hears by voice activity, holds a turn for over after silence in the audio that arrived, thinks for a drawn time,
speaks, and stops when it is spoken over. It knows no socket and no clock. Vendor page: agents, "Conversation flow".
"""

from __future__ import annotations

import random
import uuid
from collections import deque
from collections.abc import Callable
from enum import Enum

from shortwire.emulators.elevenlabs import messages, notices
from shortwire.emulators.elevenlabs.config import Behaviour
from shortwire.emulators.elevenlabs.fillers import Fillers
from shortwire.emulators.elevenlabs.hearing import Heard, Hearing
from shortwire.emulators.elevenlabs.messages import Message
from shortwire.emulators.elevenlabs.mouth import Mouth, Planned
from shortwire.emulators.elevenlabs.numbering import Numbering
from shortwire.emulators.elevenlabs.observer import Observer
from shortwire.emulators.elevenlabs.script_reader import ScriptReader
from shortwire.emulators.elevenlabs.scripted import AT_START
from shortwire.emulators.elevenlabs.toolbox import Toolbox
from shortwire.emulators.elevenlabs.turn_settings import TurnSettings, plain_words
from shortwire.emulators.elevenlabs.turns import Close, Output, Send, Turn, spoken_part
from shortwire.emulators.scenario import AgentScript

__all__ = ["AgentMind", "Phase"]

_MS = 1_000_000


class Phase(Enum):
    """What the agent is about. Whether it *speaks* is no phase: that follows from its playout estimate."""

    LISTENING = "listening"
    THINKING = "thinking"
    AWAITING_TOOL = "awaiting_tool"
    OVER = "over"


class AgentMind:
    """One conversation's agent.

    `start`, then `hear` every 20 ms frame; after any call send what `take` gives; `handle_timer` at `next_deadline`.
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
        settings: TurnSettings | None = None,
        toolbox: Toolbox | None = None,
    ) -> None:
        """``voice``: a text's whole audio in ``output_format``. ``script.first_message`` is said as it stands."""
        self.turns: list[Turn] = []
        self.backchannels: list[tuple[str, int]] = []
        """(text, instant) of what was heard and ignored while the agent spoke."""
        self.phase = Phase.LISTENING
        self._settings = settings = settings or TurnSettings()
        self.end_of_turn_ms = round(script.end_of_turn_ms * settings.eagerness / 20) * 20
        self.hearing = Hearing(self.end_of_turn_ms)
        self._observer = Observer(settings.listed, behaviour, self.end_of_turn_ms)
        self._mouth = Mouth(behaviour, settings, output_format, None if text_only else voice)
        self._fillers = Fillers(settings.soft_timeout, rng)
        self._toolbox = toolbox or Toolbox(behaviour.tools, rng, settings.listed)
        self._numbers = Numbering(rng, behaviour.interruption_ids)
        self._lines = ScriptReader(script, behaviour.fallback)
        self._first_message = script.first_message
        self._behaviour = behaviour
        self._rng = rng
        self._interruptible = interruptible
        self._greeting_interruptible = greeting_interruptible
        self._turn_timeout_ns = int(turn_timeout_s * 1e9)
        self._silence_end_call_ns = int(silence_end_call_s * 1e9)
        self._think_extra_ms = think_extra_ms
        self._outputs: list[Output] = []
        self._due: deque[Planned] = deque()
        self._turn: Turn | None = None
        self._speak_at_ns: int | None = None
        self._uninterrupted = False
        """What is being heard now is a backchannel."""
        self._quiet_since_ns = 0
        """The party's last sign of life, or the end of our own speech, whichever is later."""
        self._party_quiet_since_ns = 0
        """The same, but asking whether they are still there does not count."""

    # -- what the driver calls -------------------------------------------------------------------------------------

    def start(self, now_ns: int) -> None:
        """Begin the conversation: the first message, or waiting for the party when there is none."""
        self.activity(now_ns)
        self._events(AT_START, 0)
        if self._first_message:
            turn = Turn("greeting", agent_text=self._first_message, turn_certain_ns=now_ns)
            self._think(turn, self._behaviour.greeting_think_ms, now_ns)

    def hear(self, frame: bytes, now_ns: int) -> None:
        """20 ms of the party, mu-law."""
        if self.phase is Phase.OVER:
            return
        heard = self.hearing.feed(frame, now_ns, needed_ms=self._needed_ms(now_ns))
        if self.hearing.last_voice_ns == now_ns:
            self.activity(now_ns)
        if heard is Heard.BEGAN or self._spoken_over(now_ns):
            self._utterance_began(now_ns)
        elif heard is Heard.ENDED:
            self._utterance_ended(now_ns)
        for message in self._observer.feed(self.hearing, self._lines.transcript(), self._numbers.coming):
            self._outputs.append(Send(message))

    def user_message(self, text: str, now_ns: int) -> None:
        """A turn in writing: stops the agent at once, and is answered."""
        if self.phase is Phase.OVER:
            return
        self.activity(now_ns)
        if self._speaking(now_ns) or self._due:
            self._interrupt(now_ns, by_voice=False)
        self._toolbox.stop()
        turn = Turn("text", user_text=text, turn_certain_ns=now_ns)
        turn.in_response_to = [self._uuid()]
        self._think(turn, self._lines.answer(turn).think_ms, now_ns)

    def tool_result(self, message: Message, now_ns: int) -> bool:
        """``client_tool_result``. False: nobody waits for it (the SDKs answer every call, so that is no error)."""
        return self._tool_said(self._toolbox.client_result(message), now_ns)

    def approval(self, message: Message, now_ns: int) -> bool:
        """``mcp_tool_approval_result``. False: nobody waits for it."""
        return self._tool_said(self._toolbox.approval(message, now_ns), now_ns)

    def farewell(self, text: str, reason: str, now_ns: int) -> None:
        """Say this whatever is going on, then close (``max_conversation_duration_message``)."""
        if self.phase is Phase.OVER or (self._turn is not None and self._turn.closes is not None):
            return
        if self._speaking(now_ns) or self._due:
            self._interrupt(now_ns, by_voice=False)
        self._toolbox.stop()
        self._think(Turn("farewell", agent_text=text, closes=reason, turn_certain_ns=now_ns), (0, 0), now_ns)
        self.handle_timer(now_ns)

    def activity(self, now_ns: int) -> None:
        """``user_activity``: the party is busy, not gone."""
        self._quiet_since_ns = self._party_quiet_since_ns = now_ns

    def take(self) -> list[Output]:
        """What is to be sent now, in order."""
        outputs, self._outputs = self._outputs, []
        return outputs

    def next_deadline(self) -> int | None:
        """When `handle_timer` has something to do."""
        due_ns = self._due[0][0] if self._due else None
        instants = [self._speak_at_ns, self._toolbox.deadline_ns, self._fillers.next_ns, due_ns, *self._silences()]
        return min((instant for instant in instants if instant is not None), default=None)

    def handle_timer(self, now_ns: int) -> None:
        """Do what is due."""
        self._flush(now_ns)
        if self._toolbox.deadline_ns is not None and now_ns >= self._toolbox.deadline_ns:
            self._tool_said(self._toolbox.handle_timer(now_ns), now_ns)
        if self._speak_at_ns is not None and now_ns >= self._speak_at_ns:
            self._speak_at_ns = None
            self._respond(now_ns)
        elif (filler := self._fillers.due(now_ns)) is not None:
            self._fill(filler, now_ns)
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
        tool = self._toolbox.running
        if tool is not None and tool.interruption_mode != "allow":
            return None
        if self._turn is not None and self._turn.closes is not None:
            return None  # goodbye is goodbye
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
        if not self._speaking(now_ns) or needed_ms is None or turn.first_audio_ns is None or self._uninterrupted:
            return False
        return now_ns - turn.first_audio_ns >= needed_ms * _MS

    def _utterance_began(self, now_ns: int) -> None:
        if self._speaking(now_ns) or self._due:
            if plain_words(self._lines.transcript()) in self._settings.ignore_terms:
                self._uninterrupted = True
            else:
                self._interrupt(now_ns, by_voice=True)
        elif self.phase is Phase.THINKING and self._turn is not None and self._turn.kind == "voice":
            self._speak_at_ns = None  # the sentence goes on: it was a pause, not the end
            self._fillers.thinking_ended()
            if self._fillers.playing(now_ns):  # stop the filler; what is said next must not look stale
                self._fillers.ends_ns = now_ns
                self._outputs.append(Send(messages.interruption(self._numbers.interruption(by_voice=True))))
                self._turn.event_id = self._numbers.turn(spoken_to=True)

    def _utterance_ended(self, now_ns: int) -> None:
        utterance, turn = self.hearing.utterance, self._turn
        assert utterance is not None
        if self._uninterrupted:
            self._uninterrupted = False
            self.backchannels.append((self._lines.take_transcript(), now_ns))
            return
        if self.phase is Phase.AWAITING_TOOL:
            return  # spoken into the tool's work; the answer comes after it
        if self.phase is Phase.THINKING and turn is not None:
            if turn.kind != "voice":
                return  # spoken into our thinking about something else; that answer comes
            between_ms = (turn.think_ms, turn.think_ms)
        else:
            if self._speaking(now_ns) or self._due:  # spoken over for less than a barge-in: their turn all the same
                self._interrupt(now_ns, by_voice=True)
            turn = Turn("voice", speech_began_ms=utterance.began_ms, speech_began_ns=utterance.began_ns)
            turn.in_response_to = [self._uuid()]
            turn.user_text = self._lines.take_transcript()
            between_ms = self._lines.answer(turn).think_ms
        turn.speech_ended_ms, turn.speech_ended_ns = utterance.ended_ms, utterance.ended_ns
        turn.turn_certain_ns = now_ns
        self._think(turn, between_ms, now_ns)

    # -- thinking and speaking -------------------------------------------------------------------------------------

    def _think(self, turn: Turn, between_ms: tuple[int, int], now_ns: int) -> None:
        again = turn is self._turn
        turn.think_ms = self._rng.randint(*between_ms) + (0 if again else self._think_extra_ms)
        self._turn, self.phase = turn, Phase.THINKING
        self._speak_at_ns = now_ns + turn.think_ms * _MS
        if turn.kind in ("voice", "text"):
            self._fillers.thinking_began(now_ns)
            if not again and "internal_tentative_agent_response" in self._settings.listed:
                self._outputs.append(Send(notices.tentative_response(turn.agent_text)))

    def _announce(self, turn: Turn) -> None:
        """The turn gets its numbers, and the party's words are reported."""
        if turn.event_id:
            return
        turn.event_id, turn.response_id = self._numbers.turn(spoken_to=turn.kind == "voice"), self._uuid()
        self.turns.append(turn)
        if turn.kind == "voice":
            self._outputs.append(Send(messages.user_transcript(turn.user_text, turn.event_id)))
        if turn.reply is not None:
            self._events(turn.reply, turn.event_id)

    def _respond(self, now_ns: int) -> None:
        turn = self._turn
        assert turn is not None
        self._announce(turn)
        while (tool := self._toolbox.next_before(turn.reply)) is not None:
            turn.tool_names.append(tool.tool_name)
            turn.tool_types.append(tool.tool_type)
            self._outputs += map(Send, self._toolbox.begin(tool, turn.event_id, now_ns))
            if self._toolbox.running is not None:
                self.phase = Phase.AWAITING_TOOL
                return
        self._say(turn, now_ns)

    def _tool_said(self, said: list[Message] | None, now_ns: int) -> bool:
        """After a result, a decision or a deadline: on with the reply, unless the tool still runs."""
        if said is None or self._turn is None:
            return False
        self._outputs += map(Send, said)
        if self._toolbox.running is None:
            self.phase = Phase.THINKING
            # Who speaks into the tool's work is listened to before the answer is given.
            waits = self._turn.kind == "voice" and self.hearing.speaking
            self._speak_at_ns = None if waits else now_ns + self._turn.think_ms * _MS
        return True

    def _events(self, reply: int, event_id: int) -> None:
        for event in self._behaviour.events:
            if event.before_reply == reply:
                self._outputs.append(Send(notices.notice(event.kind, event.payload, event_id), always=event.always))

    def _fill(self, text: str, now_ns: int) -> None:
        """A filler, while the answer is not ready: audio only, under the number of the turn it belongs to."""
        turn = self._turn
        assert turn is not None
        self._announce(turn)
        turn.fillers.append(text)
        for _, output, audio_ms in self._mouth.audio(text, turn.event_id, now_ns):
            self._fillers.ends_ns = max(self._fillers.ends_ns, now_ns) + int(audio_ms * _MS)
            self._outputs.append(output)

    def _say(self, turn: Turn, now_ns: int) -> None:
        self.phase = Phase.LISTENING
        self._fillers.thinking_ended()
        turn.playout_ends_ns = max(now_ns, self._fillers.ends_ns)
        if turn.agent_text:
            self._outputs += self._mouth.parts(turn)
        self._due += self._mouth.utterance(turn, now_ns)
        if turn.end_call:
            close = self._due.pop()
            last_ns = self._due[-1][0] if self._due else now_ns
            call_id = f"end_call_{self._rng.getrandbits(128):032x}"
            self._due += (
                (last_ns, Send(message), 0.0) for message in self._mouth.end_call(turn, call_id, self._toolbox)
            )
            self._due.append(close)
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
                    turn.first_audio_ns = now_ns
                    turn.playout_from_ns = max(now_ns, self._fillers.ends_ns)
                    turn.playout_ends_ns = turn.playout_from_ns
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
        began_ns = now_ns if turn.playout_from_ns is None else turn.playout_from_ns
        turn.interrupted_ns = now_ns
        turn.spoken_ms = min(turn.audio_ms, max(0, now_ns - began_ns) / _MS)
        turn.spoken_text = spoken_part(turn.agent_text, turn.spoken_ms, turn.audio_ms + unsent_ms)
        turn.interruption_id = self._numbers.interruption(by_voice=by_voice)
        self.activity(now_ns)
        self._outputs.append(Send(messages.interruption(turn.interruption_id)))
        if turn.response_sent:
            taken_back = messages.correction(turn.agent_text, turn.spoken_text, turn.event_id, turn.response_id)
            self._outputs.append(Send(taken_back))
        else:  # captured: the response comes already cut, and no correction follows
            cut = messages.agent_response(turn.spoken_text, turn.event_id, turn.response_id, turn.in_response_to)
            turn.response_sent = True
            self._outputs.append(Send(cut))

    # -- silence and the end ---------------------------------------------------------------------------------------

    def _silences(self) -> tuple[int | None, int | None]:
        """When to speak up, and when to hang up, if nothing is heard until then."""
        if self.phase is not Phase.LISTENING or self.hearing.speaking or self._due:
            return None, None
        timeout_ns = self._turn_timeout_ns if self._behaviour.re_engage else 0
        if not self.turns and not self._first_message and self._settings.initial_wait_s is not None:
            timeout_ns = int(self._settings.initial_wait_s * 1e9)
        re_engage = self._quiet_since_ns + timeout_ns
        end_call = self._party_quiet_since_ns + self._silence_end_call_ns
        return (
            re_engage if timeout_ns > 0 else None,
            end_call if self._silence_end_call_ns > 0 else None,
        )

    def _close(self, code: int, reason: str) -> None:
        self.phase = Phase.OVER
        self._due.clear()
        self._speak_at_ns = None
        self._toolbox.stop()
        self._fillers.thinking_ended()
        self._outputs.append(Close(code, reason))

    def _uuid(self) -> str:
        return str(uuid.UUID(int=self._rng.getrandbits(128), version=4))
