"""The tools of the script, from the request to the response: client, webhook, mcp (with approval), system.

Sans-I/O: instants in, messages out. It does not know what the agent says. Vendor page: agents API, "Tools",
and the tool messages of "Client events".
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from shortwire.emulators.elevenlabs import messages, notices
from shortwire.emulators.elevenlabs.messages import Message
from shortwire.emulators.elevenlabs.scripted import ScriptedTool

__all__ = ["Toolbox"]

_MS = 1_000_000

_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
"""``mcp_tool_call.timestamp`` counts from here, so that the same call has the same text."""


class Toolbox:
    """One conversation's tools; at most one of them holds the reply back."""

    def __init__(
        self,
        tools: tuple[ScriptedTool, ...],
        rng: random.Random,
        listed: frozenset[str],
        mocks: Mapping[str, Any] | None = None,
    ) -> None:
        """``mocks``: the client's ``tool_mock_config``."""
        self.running: ScriptedTool | None = None
        self.deadline_ns: int | None = None
        """When the running tool is done, or given up."""
        self._waiting: list[ScriptedTool] = list(tools)
        self._rng = rng
        self._listed = listed
        self._mocks = mocks or {}
        self._call_id = ""
        self._event_id = 0
        self._asking = False
        self._began_ns: int | None = None

    def next_before(self, reply: int | None) -> ScriptedTool | None:
        """The next tool of this reply that was not used yet; it counts as used."""
        found = next((tool for tool in self._waiting if tool.before_reply == reply), None)
        if found is not None:
            self._waiting.remove(found)
        return found

    def begin(self, tool: ScriptedTool, event_id: int, now_ns: int) -> list[Message]:
        """Use it. Afterwards `running` says whether the reply has to wait."""
        if self._began_ns is None:
            self._began_ns = now_ns
        self._call_id = f"{tool.tool_name}_{self._rng.getrandbits(128):032x}"
        self._event_id = event_id
        out = self._request(tool)
        if tool.is_blocked:
            return out + self._response(tool, "", is_error=True, is_called=False)
        if tool.tool_type == "client" and not self._mocked(tool):
            expects = tool.expects_response
            call = messages.client_tool_call(tool.tool_name, self._call_id, tool.parameters, event_id, expects)
            out.append(call)
            return out if not expects else out + self._wait(tool, now_ns, int(tool.response_timeout_s * 1000))
        if tool.tool_type == "mcp":
            return out + self._mcp_begins(tool, now_ns)
        if tool.duration_ms and not self._mocked(tool):
            return out + self._wait(tool, now_ns, tool.duration_ms)
        return out + self._response(tool, tool.result, is_error=tool.is_error)

    def client_result(self, message: Message) -> list[Message] | None:
        """``client_tool_result``; None when nobody waits for it."""
        tool = self.running
        if tool is None or tool.tool_type != "client" or message["tool_call_id"] != self._call_id:
            return None
        error_type = message.get("error_type")
        result = message["result"]
        text = result if isinstance(result, str) else json.dumps(result)
        self.stop()
        is_error = bool(message["is_error"] or error_type)
        return self._response(tool, text, is_error=is_error, is_called=error_type != "user_rejected")

    def approval(self, message: Message, now_ns: int) -> list[Message] | None:
        """``mcp_tool_approval_result``; None when nobody waits for it."""
        tool = self.running
        if tool is None or not self._asking or message["tool_call_id"] != self._call_id:
            return None
        self._asking = False
        if message["is_approved"]:
            return [self._mcp(tool, now_ns, state="loading"), *self._wait(tool, now_ns, tool.duration_ms)]
        self.stop()
        return self._mcp_fails(tool, now_ns, "The tool call was not approved.", is_called=False)

    def handle_timer(self, now_ns: int) -> list[Message]:
        """What the running tool's deadline brings."""
        tool = self.running
        if tool is None or self.deadline_ns is None or now_ns < self.deadline_ns:
            return []
        asking, self._asking = self._asking, False
        self.stop()
        if tool.tool_type == "client":
            return self._response(tool, "timed out", is_error=True)
        if tool.tool_type != "mcp":
            return self._response(tool, tool.result, is_error=tool.is_error)
        if asking:
            return self._mcp_fails(tool, now_ns, "The approval timed out.", is_called=False)
        return self._mcp_ends(tool, now_ns)

    def stop(self) -> None:
        """Nobody waits for the running tool any more."""
        self.running = self.deadline_ns = None
        self._asking = False

    # -- the messages ----------------------------------------------------------------------------------------------

    def _mocked(self, tool: ScriptedTool) -> bool:
        strategy = self._mocks.get("mocking_strategy", "none")
        return strategy == "all" or (
            strategy == "selected" and tool.tool_name in (self._mocks.get("mocked_tool_names") or ())
        )

    def _wait(self, tool: ScriptedTool, now_ns: int, ms: int) -> list[Message]:
        if tool.execution_mode != "async":
            self.running, self.deadline_ns = tool, now_ns + ms * _MS
        return []

    def _request(self, tool: ScriptedTool) -> list[Message]:
        if "agent_tool_request" not in self._listed:
            return []
        more = {
            "expects_response": tool.expects_response,
            "disable_interruptions": tool.interruption_mode != "allow",
            "response_timeout_secs": int(tool.response_timeout_s),
            "execution_mode": tool.execution_mode,
        }
        return [notices.tool_request(tool.tool_name, self._call_id, tool.tool_type, self._event_id, more)]

    def _response(self, tool: ScriptedTool, result: str, *, is_error: bool, is_called: bool = True) -> list[Message]:
        response = messages.tool_response(
            tool.tool_name, self._call_id, tool.tool_type, self._event_id, is_error=is_error
        )
        response["agent_tool_response"].update(is_blocked=tool.is_blocked, is_called=is_called)
        return [response, *self.full(response, result)]

    def full(self, response: Message, result: str) -> list[Message]:
        """The full payload beside a response, if listed."""
        listed = "agent_tool_response_full_payload" in self._listed
        return [notices.tool_response_full(response, result)] if listed else []

    def _mcp(self, tool: ScriptedTool, now_ns: int, **state: Any) -> Message:
        began_ns = self._began_ns if self._began_ns is not None else now_ns
        at = _EPOCH + timedelta(microseconds=(now_ns - began_ns) // 1000)
        call = {
            "service_id": tool.service_id,
            "tool_call_id": self._call_id,
            "tool_name": tool.tool_name,
            "tool_description": None,
            "parameters": dict(tool.parameters),
        }
        return notices.mcp_tool_call(call, at.isoformat(), state)

    def _mcp_begins(self, tool: ScriptedTool, now_ns: int) -> list[Message]:
        out = [self._mcp(tool, now_ns, state="loading")]
        if tool.needs_approval:
            timeout_s = int(tool.approval_timeout_s)
            out.append(self._mcp(tool, now_ns, state="awaiting_approval", approval_timeout_secs=timeout_s))
            self._asking, self.running = True, tool
            self.deadline_ns = now_ns + int(tool.approval_timeout_s * 1e9)
            return out
        if tool.duration_ms:
            return out + self._wait(tool, now_ns, tool.duration_ms)
        return out + self._mcp_ends(tool, now_ns)

    def _mcp_ends(self, tool: ScriptedTool, now_ns: int) -> list[Message]:
        if tool.is_error:
            return self._mcp_fails(tool, now_ns, tool.result or "The tool failed.")
        done = self._mcp(tool, now_ns, state="success", result=[{"type": "text", "text": tool.result}])
        return [done, *self._response(tool, tool.result, is_error=False)]

    def _mcp_fails(self, tool: ScriptedTool, now_ns: int, why: str, *, is_called: bool = True) -> list[Message]:
        failed = self._mcp(tool, now_ns, state="failure", error_message=why)
        return [failed, *self._response(tool, why, is_error=True, is_called=is_called)]
