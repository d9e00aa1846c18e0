"""Field sets of the requests Twilio sends, in the order they were captured (twilio.md 4.2, 4.3).

Pure. Order does not matter to the signature; it is kept because a receiver must not depend on another one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from .stamps import iso_nanos, rfc2822

if TYPE_CHECKING:
    from .call import Call

__all__ = ["call_status", "stream_event", "voice_request"]

Params = list[tuple[str, str]]

_VOICE_ORDER = """
    Called ToState CallerCountry Direction CallerState ToZip CallSid To CallerZip ToCountry ApiVersion CalledZip
    CalledCity CallStatus From AccountSid CalledCountry CallerCity Caller FromCountry ToCity FromCity CalledState
    FromZip FromState
""".split()  # noqa: SIM905  a list of 25 quoted words is harder to compare with a capture
_STATUS_ORDER = """
    Called ToState CallerCountry Direction Timestamp CallbackSource SipResponseCode CallerState ToZip SequenceNumber
    CallSid To CallerZip ToCountry CalledZip ApiVersion CalledCity CallStatus Duration From CallDuration AccountSid
    CalledCountry CallerCity ToCity FromCountry Caller FromCity CalledState FromZip AnsweredBy FromState
    ParentCallSid RecordingUrl RecordingSid RecordingDuration
""".split()  # noqa: SIM905  a list of 25 quoted words is harder to compare with a capture
_COUNTRIES = {
    "+1": "US", "+31": "NL", "+33": "FR", "+34": "ES", "+39": "IT", "+41": "CH", "+43": "AT", "+44": "GB", "+49": "DE",
    "+55": "BR", "+61": "AU", "+81": "JP", "+91": "IN",
}  # fmt: skip


def _country(number: str) -> str:
    return next((name for prefix, name in _COUNTRIES.items() if number.startswith(prefix)), "")


def _standard(call: Call, status: str) -> dict[str, str]:
    places = {f"{who}{what}": "" for who in ("To", "From", "Caller", "Called") for what in ("City", "State", "Zip")}
    return {
        **places,
        "AccountSid": call.account_sid,
        "ApiVersion": "2010-04-01",
        "CallSid": call.sid,
        "CallStatus": status,
        "Direction": call.direction,
        "From": call.sender,
        "Caller": call.sender,
        "FromCountry": _country(call.sender),
        "CallerCountry": _country(call.sender),
        "To": call.to,
        "Called": call.to,
        "ToCountry": _country(call.to),
        "CalledCountry": _country(call.to),
    }


def voice_request(call: Call, extra: Mapping[str, str] | None = None) -> Params:
    """To `Url`, a number's VoiceUrl, and every `action`. Incoming calls: alphabetical order, as captured."""
    fields = _standard(call, call.status)
    if call.direction == "inbound":
        fields["StirVerstat"] = "TN-Validation-Passed-A"
        names = sorted(fields)
    else:
        names = list(_VOICE_ORDER)
    for name, value in (("ApplicationSid", call.application_sid), ("ParentCallSid", call.parent_sid or "")):
        if value:
            fields[name] = value
            names.append(name)
    return [(name, fields[name]) for name in names] + list((extra or {}).items())


def call_status(call: Call, status: str, sequence: int, at_s: float) -> Params:
    """A status callback. Terminal ones carry CallDuration (s), Duration (minutes begun) and SipResponseCode."""
    fields = _standard(call, status)
    fields["Timestamp"] = rfc2822(at_s) or ""
    fields["CallbackSource"] = "call-progress-events"
    fields["SequenceNumber"] = str(sequence)
    if call.ending is not None and status == call.ending.status:
        seconds = call.duration_s or 0
        fields["CallDuration"] = str(seconds)
        fields["Duration"] = str(math.ceil(seconds / 60))
        fields["SipResponseCode"] = str(call.ending.sip_code)
        recording = call.recordings.of_create
        if recording is not None:
            fields["RecordingUrl"] = call.recording_url(recording)
            fields["RecordingSid"] = recording.sid
            fields["RecordingDuration"] = str(round(recording.length_ms / 1000))
    if call.verdict is not None:
        fields["AnsweredBy"] = call.verdict.answered_by
    if call.parent_sid:
        fields["ParentCallSid"] = call.parent_sid
    return [(name, fields[name]) for name in _STATUS_ORDER if name in fields]


def stream_event(call: Call, stream_sid: str, name: str, event: str, error: str = "") -> Params:
    fields = [
        ("StreamName", name or stream_sid),
        ("StreamEvent", event),
        ("CallSid", call.sid),
        ("Timestamp", iso_nanos()),
        ("AccountSid", call.account_sid),
        ("StreamSid", stream_sid),
    ]
    return fields + ([("StreamError", error)] if error else [])
