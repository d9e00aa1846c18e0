"""Where the agent is in its script: what it will hear next, what it will say next.

Vendor-free: an agent with ears but without speech recognition or language model needs somebody to tell it.
"""

from __future__ import annotations

from shortwire.emulators.elevenlabs.turns import Turn
from shortwire.emulators.scenario import AgentScript, Reply

__all__ = ["ScriptReader"]


class ScriptReader:
    """One conversation's place in the script."""

    def __init__(self, script: AgentScript, fallback: str) -> None:
        self._script = script
        self._fallback = fallback
        self._utterances = 0
        self._replies = 0

    def transcript(self) -> str:
        """What is being heard, or will be heard next."""
        transcripts = self._script.transcripts
        return transcripts[self._utterances] if self._utterances < len(transcripts) else "..."

    def take_transcript(self) -> str:
        text = self.transcript()
        self._utterances += 1
        return text

    def answer(self, turn: Turn) -> Reply:
        """Put the next reply into the turn; the fallback when there is none left."""
        if self._replies >= len(self._script.replies):
            reply = Reply(self._fallback)
        else:
            reply, turn.reply = self._script.replies[self._replies], self._replies
            self._replies += 1
        turn.agent_text, turn.end_call = reply.text, reply.end_call
        turn.closes = "" if reply.end_call else None
        return reply
