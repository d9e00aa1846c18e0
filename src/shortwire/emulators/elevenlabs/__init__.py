"""The ElevenLabs Agents service, imitated on loopback: REST, the conversation socket, an agent that listens.

`ElevenLabsEmulator` is the server, `EmulatorConfig` what can be chosen, `run` the command line.
docs/reference/emulator-elevenlabs.md says first what it does not know.
"""

from __future__ import annotations

from shortwire.emulators.elevenlabs.cli import run
from shortwire.emulators.elevenlabs.config import (
    Behaviour,
    EmulatorConfig,
    FaultError,
    Faults,
    McpServer,
    PostCallWebhook,
    ScriptedEvent,
    ScriptedTool,
)
from shortwire.emulators.elevenlabs.ledger import ConversationRecord, Ledger
from shortwire.emulators.elevenlabs.mind import AgentMind
from shortwire.emulators.elevenlabs.server import ElevenLabsEmulator
from shortwire.emulators.elevenlabs.turns import Turn

__all__ = [
    "AgentMind",
    "Behaviour",
    "ConversationRecord",
    "ElevenLabsEmulator",
    "EmulatorConfig",
    "FaultError",
    "Faults",
    "Ledger",
    "McpServer",
    "PostCallWebhook",
    "ScriptedEvent",
    "ScriptedTool",
    "Turn",
    "run",
]
