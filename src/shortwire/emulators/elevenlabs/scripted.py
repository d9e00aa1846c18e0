"""What an agent does beside talking, by script: tools it uses, events it reports, fillers it knows.

Plain values without behaviour. They are given per reply (numbers from 0), so that a scenario stays readable.
Vendor pages: agents API, "Client events", "Tools", "MCP".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from shortwire.emulators.elevenlabs.notices import KEYS

__all__ = ["AT_START", "McpServer", "ScriptedEvent", "ScriptedTool"]

AT_START = -1
"""As ``before_reply``: when the conversation starts."""


@dataclass(frozen=True, slots=True)
class ScriptedTool:
    """A tool that the agent uses before it gives one of its replies. Several for one reply run in their order."""

    before_reply: int
    """Number of the reply, from 0."""
    tool_name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """``{{name}}`` in texts is replaced by dynamic variables."""
    expects_response: bool = True
    response_timeout_s: float = 20.0
    """Then a client tool counts as failed and the reply is given all the same (``response_timeout_secs``)."""
    tool_type: Literal["client", "webhook", "mcp", "system"] = "client"
    result: str = ""
    """What a webhook, mcp or system tool answers. A client tool's answer comes from the client."""
    duration_ms: int = 0
    """How long a webhook, mcp or system tool takes."""
    is_error: bool = False
    """A webhook, mcp or system tool fails."""
    is_blocked: bool = False
    """The tool is blocked, so it is not called at all."""
    execution_mode: Literal["immediate", "post_tool_speech", "async"] = "immediate"
    """async: the reply does not wait. post_tool_speech is announced like that and otherwise like immediate."""
    interruption_mode: Literal["allow", "disable_during_tool", "disable_during_tool_and_turn"] = "allow"
    service_id: str = "mcp_emulated"
    needs_approval: bool = False
    """An mcp tool waits for ``mcp_tool_approval_result``."""
    approval_timeout_s: float = 300.0

    def __post_init__(self) -> None:
        if not self.tool_name:
            raise ValueError("a scripted tool needs a tool_name")
        if self.needs_approval and self.tool_type != "mcp":
            raise ValueError(f"{self.tool_name}: only mcp tools can need approval")


@dataclass(frozen=True, slots=True)
class ScriptedEvent:
    """A message out of the ordinary, sent before a reply (or `AT_START`), if the agent's ``client_events`` list it."""

    before_reply: int
    kind: str
    """Its ``type``: guardrail_triggered, rich_content, agent_typing, client_error, error, ..."""
    payload: Mapping[str, Any] = field(default_factory=dict)
    """Its payload object; a missing ``event_id`` is the turn's where that message has one."""
    always: bool = False
    """Send it even if ``client_events`` does not list it."""

    def __post_init__(self) -> None:
        if self.kind not in KEYS:
            raise ValueError(f"{self.kind!r} cannot be scripted; known: {', '.join(sorted(KEYS))}")


@dataclass(frozen=True, slots=True)
class McpServer:
    """One integration in ``mcp_connection_status``."""

    integration_id: str
    integration_type: Literal["mcp_server", "mcp_integration"] = "mcp_server"
    is_connected: bool = True
    tool_count: int = 0
