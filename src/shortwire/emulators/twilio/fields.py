"""Which fields a REST request may carry and what may stand in them (page "call-resource", twilio.md 3.2 and 3.4).

Strict: what no page lists is refused, so that a misspelt field cannot pass a test.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import urlsplit

from .config import TwilioConfig
from .refusals import Refusal
from .twiml import TRACKS, TwimlError, check_parameter
from .verbs import Stream

__all__ = [
    "E164",
    "Form",
    "check_create",
    "check_recording",
    "check_recording_update",
    "check_stream",
    "check_stream_update",
    "check_update",
]

Form = Mapping[str, Sequence[str]]
Check = Callable[[str, str], None]

E164 = re.compile(r"\+[1-9]\d{7,14}")
MAX_TWIML = 4000
_SID = re.compile(r"[A-Z]{2}[0-9a-f]{32}")


def _any(name: str, value: str) -> None:
    del name, value


def _url(name: str, value: str) -> None:
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise Refusal.bad_url(name, value) from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0 or " " in value:
        raise Refusal.bad_url(name, value)


def _stream_url(name: str, value: str) -> None:
    try:
        parts = urlsplit(value)
        local = parts.scheme == "ws" and parts.hostname in {"127.0.0.1", "localhost", "::1"}
        whole = bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise Refusal.bad_url(name, value) from None
    if not whole or not (parts.scheme == "wss" or local):
        raise Refusal.bad_url(name, value)


def _passports(name: str, value: str) -> None:
    if len(value.split(",")) > 5:
        raise Refusal.bad_field(f"{name} must not hold more than 5")


def _callback_url(name: str, value: str) -> None:
    _url(name, value)
    if "_" in (urlsplit(value).hostname or ""):
        raise Refusal.bad_field(f"{name} must not have an underscore in its host: {value}")


def _twiml(name: str, value: str) -> None:
    if len(value) > MAX_TWIML:
        raise Refusal.bad_field(f"{name} must not be longer than {MAX_TWIML} characters; it has {len(value)}")


def _digits(name: str, value: str) -> None:
    if not re.fullmatch(r"[0-9A-D#*wW]{0,32}", value):
        raise Refusal.bad_field(f"{name} is not valid: {value}")


def _one_of(*allowed: str) -> Check:
    def check(name: str, value: str) -> None:
        if value not in allowed:
            raise Refusal.bad_field(f"{name} must be one of {', '.join(allowed)}: {value}")

    return check


def _number(low: int, high: int) -> Check:
    def check(name: str, value: str) -> None:
        if not re.fullmatch(r"\d{1,9}", value) or not low <= int(value) <= high:
            raise Refusal.bad_field(f"{name} must be a whole number from {low} to {high}: {value}")

    return check


def _sid(prefix: str) -> Check:
    def check(name: str, value: str) -> None:
        if not (value.startswith(prefix) and _SID.fullmatch(value)):
            raise Refusal(21218 if prefix == "AP" else 21200, f"{name} is not valid: {value}")

    return check


_METHOD = _one_of("GET", "POST")
_BOOLEAN = _one_of("true", "false", "True", "False")

_SHARED: dict[str, Check] = {
    "Url": _url,
    "Twiml": _twiml,
    "Method": _METHOD,
    "FallbackUrl": _url,
    "FallbackMethod": _METHOD,
    "StatusCallback": _callback_url,
    "StatusCallbackMethod": _METHOD,
    "TimeLimit": _number(1, 86_400),
}
CREATE: dict[str, Check] = {
    **_SHARED,
    "To": _any,
    "From": _any,
    "ApplicationSid": _sid("AP"),
    "StatusCallbackEvent": _one_of("initiated", "ringing", "answered", "completed"),
    "Timeout": _number(1, 600),
    "SendDigits": _digits,
    "CallerId": _any,
    "CallReason": _any,
    "CallToken": _any,
    "Passports": _passports,
    "Byoc": _sid("BY"),
    "SipAuthUsername": _any,
    "SipAuthPassword": _any,
    "ClientNotificationUrl": _url,
    "Record": _BOOLEAN,
    "RecordingChannels": _one_of("mono", "dual"),
    "RecordingTrack": _one_of("inbound", "outbound", "both"),
    "RecordingStatusCallback": _callback_url,
    "RecordingStatusCallbackMethod": _METHOD,
    "RecordingStatusCallbackEvent": _one_of("in-progress", "completed", "absent"),
    "RecordingConfigurationId": _any,
    "Trim": _one_of("trim-silence", "do-not-trim"),
    "MachineDetection": _one_of("Enable", "DetectMessageEnd"),
    "MachineDetectionTimeout": _number(3, 59),
    "MachineDetectionSpeechThreshold": _number(1000, 6000),
    "MachineDetectionSpeechEndThreshold": _number(500, 5000),
    "MachineDetectionSilenceTimeout": _number(2000, 10_000),
    "AsyncAmd": _one_of("true", "false"),
    "AsyncAmdStatusCallback": _callback_url,
    "AsyncAmdStatusCallbackMethod": _METHOD,
}
_RECORDING_FIELDS = (
    "RecordingChannels",
    "RecordingTrack",
    "RecordingStatusCallback",
    "RecordingStatusCallbackMethod",
    "RecordingStatusCallbackEvent",
    "Trim",
)
RECORDING: dict[str, Check] = {name: CREATE[name] for name in _RECORDING_FIELDS} | {"RecordingConfigurationId": _any}
RECORDING_UPDATE: dict[str, Check] = {
    "Status": _one_of("in-progress", "paused", "stopped"),
    "PauseBehavior": _one_of("silence", "skip"),
}
STREAM: dict[str, Check] = {
    "Url": _stream_url,
    "Name": _any,
    "Track": _one_of(*TRACKS),
    "StatusCallback": _callback_url,
    "StatusCallbackMethod": _METHOD,
}
_PARAMETER = re.compile(r"Parameter([1-9]\d?)\.(Name|Value)")
STREAM_UPDATE: dict[str, Check] = {"Status": _one_of("stopped")}
UPDATE: dict[str, Check] = {**_SHARED, "Status": _one_of("canceled", "completed")}
_REPEATABLE = {"StatusCallbackEvent", "RecordingStatusCallbackEvent"}


def _check_fields(form: Form, known: Mapping[str, Check], config: TwilioConfig) -> dict[str, str]:
    """The last value of every known field. Raises `Refusal`."""
    for name, values in form.items():
        if name not in known:
            if config.choices.unknown_fields == "refuse":
                raise Refusal.bad_field(f"{name} is not a parameter of this request")
            continue
        if len(values) > 1 and name not in _REPEATABLE:
            raise Refusal.bad_field(f"{name} must not be given more than once")
        for value in values:
            if value or name in {"Url", "StatusCallbackEvent"}:
                known[name](name, value)
    return {name: values[-1] for name, values in form.items() if name in known and values[-1]}


def check_create(form: Form, config: TwilioConfig) -> dict[str, str]:
    """Fields of a call that may be placed. Raises `Refusal`."""
    to, sender = form.get("To", [""])[-1], form.get("From", [""])[-1]
    if not to:
        raise Refusal(config.choices.missing_to_code, "No 'To' number is specified")
    if not sender:
        raise Refusal(config.choices.missing_from_code, "No 'From' number is specified")
    if not any(form.get(name, [""])[-1] for name in ("Url", "Twiml", "ApplicationSid")):
        raise Refusal.bad_field("One of Url, Twiml or ApplicationSid must be given")
    fields = _check_fields(form, CREATE, config)
    if "ApplicationSid" in fields and fields["ApplicationSid"] not in config.applications:
        raise Refusal(21218, f"ApplicationSid is not valid: {fields['ApplicationSid']}")
    _check_from(to, sender, config)
    _check_to(to, fields, config)
    return fields


_SIP = re.compile(r"sips?:[^@\s]+@[^@\s]+")
_CLIENT = re.compile(r"client:[A-Za-z0-9_.-]{1,121}")
_MAGIC_TO: Mapping[str, Callable[[str], Refusal]] = {
    "+15005550001": lambda number: Refusal.bad_to(21217, number),
    "+15005550002": Refusal.unreachable,
    "+15005550003": Refusal.not_permitted,
    "+15005550004": Refusal.blocked,
}
"""The test numbers of the vendor's page "test-credentials", refused for every account here."""


def _check_from(to: str, sender: str, config: TwilioConfig) -> None:
    if not E164.fullmatch(to) and _CLIENT.fullmatch(sender):
        return
    if not E164.fullmatch(sender) or sender == "+15005550001":
        raise Refusal.bad_from(sender)
    if sender not in config.numbers:
        raise Refusal.not_owned(sender)


def _check_to(to: str, fields: Mapping[str, str], config: TwilioConfig) -> None:
    if _SIP.fullmatch(to) or _CLIENT.fullmatch(to):
        if "Byoc" in fields:
            raise Refusal.bad_field("Byoc is for calls to phone numbers only")
        return
    if not E164.fullmatch(to):
        raise Refusal.bad_to(config.choices.invalid_to_code, to)
    if to in _MAGIC_TO:
        raise _MAGIC_TO[to](to)
    if to.startswith(config.premium_prefixes):
        raise Refusal.premium(to)
    if config.verified_numbers is not None and to not in config.verified_numbers:
        raise Refusal.not_verified(to)
    if config.permitted_prefixes is not None and not to.startswith(config.permitted_prefixes):
        raise Refusal.not_permitted(to)


def check_recording(form: Form, config: TwilioConfig) -> dict[str, str]:
    """Fields of a recording to be started on a live call. Raises `Refusal`."""
    return _check_fields(form, RECORDING, config)


def check_recording_update(form: Form, config: TwilioConfig) -> dict[str, str]:
    fields = _check_fields(form, RECORDING_UPDATE, config)
    if "Status" not in fields:
        raise Refusal.bad_field("Status must be given: in-progress, paused or stopped")
    return fields


def check_stream(form: Form, config: TwilioConfig) -> Stream:
    """A one-way stream to be started. Raises `Refusal`."""
    pairs = {name: values[-1] for name, values in form.items() if _PARAMETER.fullmatch(name)}
    fields = _check_fields({name: values for name, values in form.items() if name not in pairs}, STREAM, config)
    if "Url" not in fields:
        raise Refusal.bad_field("Url must be given")
    parameters: dict[str, str] = {}
    for number in sorted({int(name[9:].partition(".")[0]) for name in pairs}):
        name, value = pairs.get(f"Parameter{number}.Name", ""), pairs.get(f"Parameter{number}.Value", "")
        try:
            check_parameter(name, value)
        except TwimlError as error:
            raise Refusal.bad_field(f"Parameter{number}: {error}") from None
        parameters[name] = value
    return Stream(
        url=fields["Url"],
        name=fields.get("Name", ""),
        track=fields.get("Track", "inbound_track"),
        status_callback=fields.get("StatusCallback", ""),
        status_callback_method=fields.get("StatusCallbackMethod", "POST"),
        parameters=parameters,
    )


def check_stream_update(form: Form, config: TwilioConfig) -> None:
    if "Status" not in _check_fields(form, STREAM_UPDATE, config):
        raise Refusal.bad_field("Status must be stopped")


def check_update(form: Form, config: TwilioConfig) -> dict[str, str]:
    """Fields of an update. Raises `Refusal`."""
    fields = _check_fields(form, UPDATE, config)
    if not fields:
        raise Refusal.bad_field("An update must change something: Status, Url, Twiml, StatusCallback or TimeLimit")
    if "Url" in fields and "Twiml" in fields:
        raise Refusal.bad_field("Url and Twiml are mutually exclusive")
    if "Status" in fields and ("Url" in fields or "Twiml" in fields):
        raise Refusal.bad_field("Status cannot be given together with Url or Twiml")
    return fields
