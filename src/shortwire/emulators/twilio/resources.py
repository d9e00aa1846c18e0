"""How a call looks over REST: the Call resource, lists with paging, notifications (twilio.md 3.2, 3.5).

Pure. Key order and null-or-empty values of a running call as captured live; dates RFC 2822, numbers as strings.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from .call import FINAL
from .stamps import rfc2822, sid_like

if TYPE_CHECKING:
    from .call import Call
    from .recording import Recording
    from .streams import OneWay

__all__ = [
    "account_recording_resource",
    "call_resource",
    "event_resource",
    "notification_resource",
    "page",
    "recording_resource",
    "stream_resource",
]

_SUBRESOURCES = {
    "notifications": "Notifications", "user_defined_messages": "UserDefinedMessages",
    "transcriptions": "Transcriptions", "recordings": "Recordings", "streams": "Streams", "payments": "Payments",
    "user_defined_message_subscriptions": "UserDefinedMessageSubscriptions", "siprec": "Siprec", "events": "Events",
}  # fmt: skip


def call_resource(call: Call, *, just_created: bool = False) -> dict[str, Any]:
    """The Call resource. `just_created`: dates still null, as in the captured answer to a create."""
    path = f"/2010-04-01/Accounts/{call.account_sid}/Calls/{call.sid}"
    ours = call.to if call.direction == "inbound" else call.sender
    started = call.start_s is not None and not just_created
    return {
        "date_updated": None if just_created else rfc2822(call.updated_s),
        "price_unit": "USD",
        "parent_call_sid": call.parent_sid,
        "caller_name": "" if started else None,
        "duration": _duration(call) if started else None,
        "from": call.sender,
        "to": call.to,
        "annotation": None,
        "answered_by": call.verdict.answered_by if call.verdict else None,
        "sid": call.sid,
        "queue_time": str(call.queue_ms),
        "price": None,
        "api_version": "2010-04-01",
        "status": call.status,
        "direction": call.direction,
        "start_time": rfc2822(call.start_s) if started else None,
        "date_created": None if just_created else rfc2822(call.created_s),
        "from_formatted": _formatted(call.sender),
        "group_sid": None,
        "trunk_sid": "" if started else None,
        "forwarded_from": None,
        "uri": f"{path}.json",
        "account_sid": call.account_sid,
        "end_time": rfc2822(call.end_s),
        "to_formatted": _formatted(call.to),
        "phone_number_sid": sid_like("PN", ours),
        "subresource_uris": {name: f"{path}/{part}.json" for name, part in _SUBRESOURCES.items()},
    }


def notification_resource(call: Call, notification: Mapping[str, Any]) -> dict[str, Any]:
    at = rfc2822(notification["at_s"])
    return {
        "account_sid": call.account_sid,
        "api_version": "2010-04-01",
        "call_sid": call.sid,
        "date_created": at,
        "date_updated": at,
        "error_code": notification["error_code"],
        "log": notification["log"],
        "message_date": at,
        "message_text": notification["message_text"],
        "more_info": f"https://www.twilio.com/docs/errors/{notification['error_code']}",
        "request_method": None,
        "request_url": None,
        "sid": notification["sid"],
        "uri": f"/2010-04-01/Accounts/{call.account_sid}/Notifications/{notification['sid']}.json",
    }


def event_resource(entry: Mapping[str, Any]) -> dict[str, Any]:
    """A request this account sent, and its answer."""
    return {
        "request": {"parameters": entry["params"], "url": entry["url"], "method": entry["method"]},
        "response": {
            "response_code": entry.get("status"),
            "request_duration": round(entry.get("elapsed_ms", 0)),
            "content_type": entry.get("content_type"),
            "response_body": entry.get("body"),
            "date_created": rfc2822(entry["wall"]),
        },
    }


def recording_resource(account_sid: str, recording: Recording) -> dict[str, Any]:
    """As a call's subresource."""
    path = f"/2010-04-01/Accounts/{account_sid}/Calls/{recording.call_sid}/Recordings/{recording.sid}.json"
    return {
        "account_sid": account_sid,
        "api_version": "2010-04-01",
        "call_sid": recording.call_sid,
        "conference_sid": None,
        "channels": recording.channels,
        "date_created": rfc2822(recording.created_s),
        "date_updated": rfc2822(recording.updated_s),
        "start_time": rfc2822(recording.start_s),
        "price": None,
        "price_unit": None,
        "duration": None if recording.duration_s is None else str(recording.duration_s),
        "sid": recording.sid,
        "source": recording.source,
        "status": recording.status,
        "error_code": None,
        "encryption_details": None,
        "track": recording.track,
        "uri": path,
    }


def account_recording_resource(account_sid: str, recording: Recording, base_url: str) -> dict[str, Any]:
    """As the account's own resource."""
    path = f"/2010-04-01/Accounts/{account_sid}/Recordings/{recording.sid}"
    body = recording_resource(account_sid, recording)
    del body["track"]
    return body | {
        "media_url": f"{base_url}{path}",
        "subresource_uris": {
            "add_on_results": f"{path}/AddOnResults.json",
            "transcriptions": f"{path}/Transcriptions.json",
        },
        "uri": f"{path}.json",
    }


def stream_resource(call: Call, item: OneWay) -> dict[str, Any]:
    return {
        "account_sid": call.account_sid,
        "call_sid": call.sid,
        "sid": item.sid,
        "name": item.noun.name or item.sid,
        "status": item.status,
        "date_updated": rfc2822(time.time()),
        "uri": f"/2010-04-01/Accounts/{call.account_sid}/Calls/{call.sid}/Streams/{item.sid}.json",
    }


def page(
    key: str, rows: Sequence[dict[str, Any]], path: str, query: Mapping[str, str], *, number: int, size: int
) -> dict[str, Any]:
    """The paging envelope of the 2010 API. `rows` is everything that matches."""
    start = number * size
    shown = rows[start : start + size]
    kept = {name: value for name, value in query.items() if name not in {"Page", "PageSize", "PageToken"}}

    def uri(of: int, token: str = "") -> str:
        where = {**kept, "PageSize": str(size), "Page": str(of), **({"PageToken": token} if token else {})}
        return f"{path}?{urlencode(where)}"

    more = len(rows) > start + size
    return {
        "first_page_uri": uri(0),
        "end": start + len(shown) - 1 if shown else start,
        key: list(shown),
        "previous_page_uri": uri(number - 1, _token("PB", shown[:1])) if number and shown else None,
        "uri": uri(number),
        "page_size": size,
        "start": start,
        "next_page_uri": uri(number + 1, _token("PA", shown[-1:])) if more else None,
        "page": number,
    }


def _token(prefix: str, rows: Sequence[Mapping[str, Any]]) -> str:
    return prefix + str(rows[0].get("sid", "")) if rows else prefix


def _duration(call: Call) -> str | None:
    if call.status not in FINAL:
        return "0"
    return str(call.duration_s or 0)


def _formatted(number: str) -> str:
    if len(number) == 12 and number.startswith("+1"):
        return f"({number[2:5]}) {number[5:8]}-{number[8:]}"
    return number
