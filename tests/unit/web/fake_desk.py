"""A desk for tests: keeps calls in a dict, plays a script of events, can be told to fail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from shortwire.errors import BridgeError, NotFound
from shortwire.numbers import check_number
from shortwire.records import CallEvent, CallRecord, CallRequest, EventKind
from shortwire.terms import (
    AgentId,
    CallDirection,
    CallId,
    CallSid,
    CallState,
    Disposition,
    HangupCause,
    Profile,
)
from shortwire.web import WebOptions

KEY = "0123456789abcdef-key"
PUBLIC_URL = "https://calls.example.com"
TWIML = '<?xml version="1.0" encoding="UTF-8"?><Response><Hangup/></Response>'


def only_signed_with(expected: str = "good") -> Any:
    """A signature check that remembers what it was asked."""
    asked: list[tuple[str, list[tuple[str, str]], str]] = []

    def verify(url: str, fields: Sequence[tuple[str, str]], signature: str) -> bool:
        asked.append((url, list(fields), signature))
        return signature == expected

    verify.asked = asked  # type: ignore[attr-defined]
    return verify


def options(**changes: Any) -> WebOptions:
    return replace(WebOptions(PUBLIC_URL, KEY, only_signed_with(), heartbeat_s=30.0), **changes)


def ended(cause: HangupCause = HangupCause.AGENT_ENDED, disposition: str = "answered") -> tuple[str, dict[str, Any]]:
    data = {
        "cause": cause.value,
        "cause_detail": "",
        "fault": cause.fault.value,
        "meaning": cause.meaning,
        "disposition": disposition,
        "duration_s": 12.5,
    }
    return EventKind.ENDED, data


class FakeDesk:
    def __init__(self) -> None:
        self.calls: dict[CallId, CallRecord] = {}
        self.placed: list[tuple[CallRequest, str | None]] = []
        self.forms: list[tuple[str, dict[str, str], str]] = []
        self.hung_up: list[CallId] = []
        self.script: list[tuple[str, dict[str, Any]]] = [
            (EventKind.CREATED, {}),
            (EventKind.STATE, {"state": "dialing"}),
            (EventKind.STATE, {"state": "ringing"}),
            (EventKind.STATE, {"state": "answered"}),
            (EventKind.AGENT_SAID, {"text": "Hello."}),
            ended(),
        ]
        self.gate: asyncio.Event | None = None
        """If set, events after the first wait for it."""
        self.released = 0
        self.failure: Exception | None = None
        self.fails_once = False
        self.health_now: dict[str, Any] = {"ready": True, "draining": False, "calls": 0}
        self.after: list[int] = []

    def add(self, call_id: str = "call_1", **changes: Any) -> CallRecord:
        call = CallRecord(
            id=CallId(call_id),
            direction=CallDirection.OUTBOUND,
            state=CallState.DIALING,
            profile=Profile.OPTIMIZED,
            number="+14155550123",
            our_number="+14155550100",
            agent_id=AgentId("agent_1"),
            created_at=1_790_000_000.0,
            call_sid=CallSid("CA" + "2" * 32),
        )
        call = replace(call, **changes)
        self.calls[call.id] = call
        return call

    def _maybe_fail(self) -> None:
        failure = self.failure
        if self.fails_once:
            self.failure = None
        if failure:
            raise failure

    async def place_call(self, request: CallRequest, *, idempotency_key: str | None = None) -> CallRecord:
        self.placed.append((request, idempotency_key))
        self._maybe_fail()
        check_number(request.number, {"US"})
        return self.add(f"call_{len(self.calls) + 1}", number=request.number, metadata=request.metadata)

    async def answer_incoming(self, form: Mapping[str, str]) -> str:
        self.forms.append(("incoming", dict(form), ""))
        self._maybe_fail()
        return TWIML

    async def answer_outbound(self, form: Mapping[str, str], call_id: CallId) -> str:
        self.forms.append(("outbound", dict(form), call_id))
        self._maybe_fail()
        return TWIML

    async def status_callback(self, form: Mapping[str, str], call_id: CallId) -> None:
        self.forms.append(("status", dict(form), call_id))
        self._maybe_fail()

    async def get(self, call_id: CallId) -> CallRecord:
        self._maybe_fail()
        if call_id not in self.calls:
            raise NotFound("no such call", details="list them with GET /v1/calls")
        return self.calls[call_id]

    async def list(
        self, *, limit: int = 50, before: CallId | None = None, state: str | None = None
    ) -> Sequence[CallRecord]:
        self._maybe_fail()
        calls = [c for c in reversed(self.calls.values()) if state in (None, c.state.value)]
        ids = [c.id for c in calls]
        start = ids.index(before) + 1 if before in ids else 0
        return calls[start : start + limit]

    async def hang_up(self, call_id: CallId) -> CallRecord:
        call = await self.get(call_id)
        self.hung_up.append(call_id)
        if self.gate:
            self.gate.set()
        cause, disposition = HangupCause.API_HANGUP, Disposition.ANSWERED
        self.calls[call_id] = replace(call, state=CallState.ENDED, cause=cause, disposition=disposition)
        return self.calls[call_id]

    async def follow(self, call_id: CallId, *, after: int = 0) -> AsyncIterator[CallEvent]:
        self.after.append(after)
        try:
            for seq, (kind, data) in enumerate(self.script, 1):
                if seq <= after:
                    continue
                if self.gate and seq > 1:
                    await self.gate.wait()
                yield CallEvent(call_id, seq, 1_790_000_000.0 + seq, kind, data)
        finally:
            self.released += 1

    def health(self) -> Mapping[str, Any]:
        return self.health_now


ANY_ERROR: type[BridgeError] = BridgeError
