"""REST of calls: create, list, fetch, update, delete, and their log entries (pages "call-resource" and below).

Says what is allowed; does it through the exchange and the call.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .asked import Asked, Reply, in_time, paged, query_of
from .call import FINAL, Call
from .exchange import Exchange
from .fields import check_create, check_update
from .program import Source
from .refusals import Refusal
from .resources import call_resource, event_resource, notification_resource

__all__ = ["Calls"]

_FILTERS = {"To", "From", "ParentCallSid", "Status"} | {
    f"{name}{sign}" for name in ("StartTime", "EndTime") for sign in ("", "<", ">")
}
_STATUSES = {"queued", "ringing", "in-progress", *FINAL}
_LOG_FILTERS = {"Log", "MessageDate", "MessageDate<", "MessageDate>"}


class Calls:
    """Handlers; each raises `Refusal`."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._config = exchange.config

    def find(self, asked: Asked) -> Call:
        """The call of the path."""
        call = self._exchange.calls.get(asked.ids[0])
        if call is None:
            raise Refusal.not_found(asked.path)
        return call

    def in_progress(self, asked: Asked, code: int = 21220) -> Call:
        """The call of the path, which somebody has answered and nobody ended."""
        call = self.find(asked)
        if call.status != "in-progress" or call.ending_soon or call.line is None:
            raise Refusal.not_in_progress(code)
        return call

    async def create(self, asked: Asked) -> Reply:
        fields = check_create(asked.form, self._config)
        events = [event for event in asked.form.get("StatusCallbackEvent", []) if event]
        recording_events = [event for event in asked.form.get("RecordingStatusCallbackEvent", []) if event]
        call = self._exchange.place(fields, events, recording_events)
        return Reply(201, call_resource(call, just_created=True))

    async def fetch(self, asked: Asked) -> Reply:
        return Reply(200, call_resource(self.find(asked)))

    async def delete(self, asked: Asked) -> Reply:
        call = self.find(asked)
        if call.status not in FINAL:
            raise Refusal.not_in_progress()
        del self._exchange.calls[call.sid]
        return Reply(204)

    async def update(self, asked: Asked) -> Reply:
        call = self.find(asked)
        fields = check_update(asked.form, self._config)
        if call.status in FINAL or call.ending_soon:
            raise Refusal.not_in_progress()
        if "Status" in fields:
            await self._end(call, fields["Status"])
            return Reply(200, call_resource(call))
        if "Url" in fields or "Twiml" in fields:
            if call.status != "in-progress":
                raise Refusal.not_in_progress()
            call.redirect(
                Source(
                    url=fields.get("Url", ""),
                    method=fields.get("Method", "POST"),
                    text=fields.get("Twiml"),
                    fallback_url=fields.get("FallbackUrl", ""),
                    fallback_method=fields.get("FallbackMethod", "POST"),
                )
            )
        if "TimeLimit" in fields:
            call.set_time_limit(int(fields["TimeLimit"]))
        if "StatusCallback" in fields:
            _, _, events = call.status_callback
            call.status_callback = (fields["StatusCallback"], fields.get("StatusCallbackMethod", "POST"), events)
        return Reply(200, call_resource(call))

    async def _end(self, call: Call, status: str) -> None:
        answered = call.status == "in-progress"
        if status == "canceled" and answered:
            raise Refusal.not_in_progress()
        final = "completed" if answered else self._config.choices.completed_while_ringing
        call.end("canceled" if status == "canceled" else final, "api", 200 if answered else 487)
        await call.ended()

    async def list(self, asked: Asked) -> Reply:
        query = query_of(asked, _FILTERS)
        if query.get("Status", "queued") not in _STATUSES:
            raise Refusal.bad_field(f"Status is not valid: {query['Status']}")
        calls = [call for call in reversed(self._exchange.calls.values()) if _matches(call, query)]
        return paged("calls", [call_resource(call) for call in calls], asked, query)

    async def notifications(self, asked: Asked) -> Reply:
        call = self.find(asked)
        query = query_of(asked, _LOG_FILTERS)
        rows = [
            notification_resource(call, note)
            for note in call.notifications
            if note["log"] == query.get("Log", note["log"]) and in_time(note["at_s"], query, "MessageDate")
        ]
        return paged("notifications", rows, asked, query)

    async def notification(self, asked: Asked) -> Reply:
        call = self.find(asked)
        for note in call.notifications:
            if note["sid"] == asked.ids[1]:
                return Reply(200, notification_resource(call, note))
        raise Refusal.not_found(asked.path)

    async def events(self, asked: Asked) -> Reply:
        """Every request this call made to the web server, and what came back."""
        call = self.find(asked)
        query = query_of(asked, set())
        ledger = self._exchange.ledger
        entries = [*ledger.entries("webhook", call.sid), *ledger.entries("callback", call.sid)]
        rows: list[dict[str, Any]] = [event_resource(entry) for entry in sorted(entries, key=lambda e: e["n"])]
        return paged("events", rows, asked, query)


def _matches(call: Call, query: Mapping[str, str]) -> bool:
    same = (
        ("To", call.to),
        ("From", call.sender),
        ("Status", call.status),
        ("ParentCallSid", call.parent_sid or ""),
    )
    if any(query.get(name, actual) != actual for name, actual in same):
        return False
    return in_time(call.start_s, query, "StartTime") and in_time(call.end_s, query, "EndTime")
