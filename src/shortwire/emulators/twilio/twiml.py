"""TwiML documents to verbs (pages "voice/twiml" and below). Pure; refuses what the emulator cannot play.

Attributes that no page lists are kept as warnings; verbs that are not imitated are errors, because a
call that silently skips one would prove nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from xml.etree import ElementTree as ET

from .verbs import (
    Conference,
    Connect,
    Dial,
    Gather,
    Hangup,
    Number,
    Pause,
    Play,
    Record,
    Redirect,
    Reject,
    Say,
    Start,
    Stop,
    Stream,
    Verb,
)

__all__ = ["TRACKS", "TwimlError", "check_parameter", "parse"]

MAX_PARAMETER = 500
MAX_SAY = 4096
TRACKS = ("inbound_track", "outbound_track", "both_tracks")


class TwimlError(ValueError):
    """Cannot be played; `code` goes to the call's notifications."""

    def __init__(self, message: str, code: int = 12100) -> None:
        super().__init__(message)
        self.code = code


_ATTRIBUTES = {
    "Connect": {"action", "method"},
    "Start": {"action", "method"},
    "Stop": set(),
    "Stream": {"url", "name", "track", "statusCallback", "statusCallbackMethod", "connectorName"},
    "Parameter": {"name", "value"},
    "Say": {"voice", "language", "loop"},
    "Play": {"loop", "digits"},
    "Pause": {"length"},
    "Gather": {
        "input", "action", "method", "timeout", "numDigits", "finishOnKey", "speechTimeout", "actionOnEmptyResult",
        "language", "hints", "profanityFilter", "partialResultCallback", "partialResultCallbackMethod", "bargeIn",
        "speechModel", "enhanced", "debug", "maxSpeechTime",
    },
    "Record": {
        "action", "method", "timeout", "finishOnKey", "maxLength", "playBeep", "trim", "recordingStatusCallback",
        "recordingStatusCallbackMethod", "recordingStatusCallbackEvent", "transcribe", "transcribeCallback",
    },
    "Redirect": {"method"},
    "Reject": {"reason"},
    "Hangup": set(),
    "Dial": {
        "action", "method", "timeout", "timeLimit", "callerId", "answerOnBridge", "hangupOnStar", "record", "trim",
        "ringTone", "sequential", "callReason", "recordingTrack", "recordingStatusCallback",
        "recordingStatusCallbackMethod", "recordingStatusCallbackEvent",
    },
    "Number": {
        "url", "method", "sendDigits", "statusCallback", "statusCallbackEvent", "statusCallbackMethod", "byoc",
        "machineDetection", "amdStatusCallback", "amdStatusCallbackMethod",
    },
    "Conference": {
        "muted", "startConferenceOnEnter", "endConferenceOnExit", "beep", "waitUrl", "waitMethod", "maxParticipants",
        "record", "trim", "coach", "region", "participantLabel", "statusCallback", "statusCallbackEvent",
        "statusCallbackMethod", "recordingStatusCallback", "recordingStatusCallbackMethod",
        "recordingStatusCallbackEvent", "eventCallbackUrl",
    },
}  # fmt: skip
_ATTRIBUTES["Client"] = _ATTRIBUTES["Number"]
_ATTRIBUTES["Sip"] = _ATTRIBUTES["Number"] | {"username", "password"}
_EVENTS = {"initiated", "ringing", "answered", "completed"}
_RECORD = {
    "do-not-record", "record-from-answer", "record-from-ringing", "record-from-answer-dual", "record-from-ringing-dual",
    "true", "false",
}  # fmt: skip


def parse(document: str | bytes) -> tuple[list[Verb], list[str]]:
    """Verbs in order, and warnings. Raises `TwimlError`."""
    text = document.encode() if isinstance(document, str) else document
    if b"<!DOCTYPE" in text or b"<!ENTITY" in text:
        raise TwimlError("Error on line 1: a document type is not allowed")
    try:
        root = ET.fromstring(text)  # noqa: S314  entities are refused above
    except ET.ParseError as error:
        raise TwimlError(f"Error: {error}") from None
    if root.tag != "Response":
        raise TwimlError(f"the root element must be <Response>, not <{root.tag}>")
    if (root.text or "").strip():
        raise TwimlError("text outside of a verb")
    warnings: list[str] = []
    return [_verb(element, warnings) for element in root], warnings


def check_parameter(name: str, value: str) -> None:
    """A pair for a stream's `customParameters`. Raises `TwimlError`."""
    if not name:
        raise TwimlError("<Parameter> needs a name")
    if len(name) + len(value) >= MAX_PARAMETER:
        raise TwimlError(f"<Parameter> {name!r}: name and value must be under {MAX_PARAMETER} characters")


def _verb(element: ET.Element, warnings: list[str]) -> Verb:
    build = _BUILDERS.get(element.tag)
    if build is None:
        raise TwimlError(f"<{element.tag}> is not a verb this emulator plays; it plays {', '.join(sorted(_BUILDERS))}")
    return build(element, warnings)


def _attributes(element: ET.Element, warnings: list[str]) -> dict[str, str]:
    known = _ATTRIBUTES[element.tag]
    warnings += [f"<{element.tag}> has no attribute {name!r}" for name in element.attrib if name not in known]
    return {name: value for name, value in element.attrib.items() if name in known}


def _no_children(element: ET.Element) -> None:
    if len(element):
        raise TwimlError(f"<{element.tag}> must not contain <{element[0].tag}>")


def _whole(element: ET.Element, name: str, default: int, low: int = 0) -> int:
    value = element.get(name, str(default))
    if not re.fullmatch(r"\d{1,9}", value) or int(value) < low:
        raise TwimlError(f"{name} of <{element.tag}> must be a whole number, {low} or more: {value!r}")
    return int(value)


def _truth(element: ET.Element, name: str, default: bool) -> bool:
    value = element.get(name, str(default)).lower()
    if value not in {"true", "false"}:
        raise TwimlError(f"{name} of <{element.tag}> must be true or false: {value!r}")
    return value == "true"


def _method(element: ET.Element, name: str = "method") -> str:
    method = element.get(name, "POST").upper()
    if method not in {"GET", "POST"}:
        raise TwimlError(f"{name} of <{element.tag}> must be GET or POST: {method!r}")
    return method


def _only_stream(element: ET.Element) -> ET.Element:
    if len(element) != 1 or element[0].tag != "Stream":
        raise TwimlError(f"<{element.tag}> must contain one <Stream>; its other nouns are not played by this emulator")
    return element[0]


def _connect(element: ET.Element, warnings: list[str]) -> Connect:
    found = _attributes(element, warnings)
    stream = _stream(_only_stream(element), warnings)
    if stream.track != "inbound_track":
        raise TwimlError(f"track of a <Stream> in <Connect> must be inbound_track: {stream.track!r}", 31941)
    return Connect(stream, found.get("action", ""), _method(element))


def _start(element: ET.Element, warnings: list[str]) -> Start:
    _attributes(element, warnings)
    return Start(_stream(_only_stream(element), warnings))


def _stop(element: ET.Element, warnings: list[str]) -> Stop:
    noun = _only_stream(element)
    name = _attributes(noun, warnings).get("name", "")
    if not name:
        raise TwimlError("<Stream> in <Stop> needs the name of the stream")
    return Stop(name)


def _stream(element: ET.Element, warnings: list[str]) -> Stream:
    found = _attributes(element, warnings)
    if not found.get("url"):
        raise TwimlError("<Stream> needs a url", 31923)
    track = found.get("track", "inbound_track")
    if track not in TRACKS:
        raise TwimlError(f"track of a <Stream> must be one of {', '.join(TRACKS)}: {track!r}", 31941)
    parameters: dict[str, str] = {}
    for child in element:
        if child.tag != "Parameter":
            raise TwimlError(f"<Stream> must not contain <{child.tag}>")
        pair = _attributes(child, warnings)
        check_parameter(pair.get("name", ""), pair.get("value", ""))
        parameters[pair["name"]] = pair.get("value", "")
    return Stream(
        url=found["url"],
        name=found.get("name", ""),
        track=track,
        status_callback=found.get("statusCallback", ""),
        status_callback_method=_method(element, "statusCallbackMethod"),
        parameters=parameters,
    )


def _say(element: ET.Element, warnings: list[str]) -> Say:
    _attributes(element, warnings)
    text = "".join(element.itertext()).strip()  # SSML elements are allowed inside
    if not text or len(text) > MAX_SAY:
        raise TwimlError(f"<Say> needs text of 1 to {MAX_SAY} characters")
    return Say(text, _whole(element, "loop", 1))


def _play(element: ET.Element, warnings: list[str]) -> Play:
    found = _attributes(element, warnings)
    _no_children(element)
    url, digits = (element.text or "").strip(), found.get("digits", "")
    if not url and not digits:
        raise TwimlError("<Play> needs a url or digits")
    if strangers := set(digits) - set("0123456789*#ABCDwW"):
        raise TwimlError(f"digits of <Play>: not on a telephone's keypad: {''.join(sorted(strangers))}", 13224)
    return Play(url, digits, _whole(element, "loop", 1))


def _pause(element: ET.Element, warnings: list[str]) -> Pause:
    _attributes(element, warnings)
    _no_children(element)
    return Pause(_whole(element, "length", 1))


def _gather(element: ET.Element, warnings: list[str]) -> Gather:
    found = _attributes(element, warnings)
    kinds = tuple(found.get("input", "dtmf").split())
    if not kinds or set(kinds) - {"dtmf", "speech"}:
        raise TwimlError(f"input of <Gather> must be dtmf, speech or both: {found.get('input')!r}")
    key = found.get("finishOnKey", "#")
    if len(key) > 1 or (key and key not in "0123456789*#"):
        raise TwimlError(f"finishOnKey of <Gather> must be one key or empty: {key!r}")
    prompts: list[Say | Play | Pause] = []
    for child in element:
        verb = _verb(child, warnings) if child.tag in {"Say", "Play", "Pause"} else None
        if not isinstance(verb, Say | Play | Pause):
            raise TwimlError(f"<Gather> must not contain <{child.tag}>")
        prompts.append(verb)
    speech_timeout = found.get("speechTimeout", "auto")
    if speech_timeout != "auto" and not speech_timeout.isdecimal():
        raise TwimlError(f"speechTimeout of <Gather> must be seconds or auto: {speech_timeout!r}")
    return Gather(
        prompts=tuple(prompts),
        action=found.get("action", ""),
        method=_method(element),
        input=kinds,
        timeout_s=_whole(element, "timeout", 5),
        num_digits=_whole(element, "numDigits", 0),
        finish_on_key=key,
        speech_timeout_s=1.0 if speech_timeout == "auto" else float(speech_timeout),
        action_on_empty_result=_truth(element, "actionOnEmptyResult", False),
    )


def _record(element: ET.Element, warnings: list[str]) -> Record:
    found = _attributes(element, warnings)
    _no_children(element)
    trim = found.get("trim", "trim-silence")
    if trim not in {"trim-silence", "do-not-trim"}:
        raise TwimlError(f"trim of <Record> must be trim-silence or do-not-trim: {trim!r}")
    return Record(
        action=found.get("action", ""),
        method=_method(element),
        timeout_s=_whole(element, "timeout", 5, 1),
        finish_on_key=found.get("finishOnKey", "1234567890*#"),
        max_length_s=_whole(element, "maxLength", 3600, 1),
        play_beep=_truth(element, "playBeep", True),
        trim=trim,
        status_callback=found.get("recordingStatusCallback", ""),
        status_callback_method=_method(element, "recordingStatusCallbackMethod"),
    )


def _redirect(element: ET.Element, warnings: list[str]) -> Redirect:
    _attributes(element, warnings)
    _no_children(element)
    return Redirect((element.text or "").strip(), _method(element))


def _reject(element: ET.Element, warnings: list[str]) -> Reject:
    reason = _attributes(element, warnings).get("reason", "rejected")
    if reason not in {"rejected", "busy"}:
        raise TwimlError(f"reason of <Reject> must be rejected or busy: {reason!r}")
    return Reject(reason)


def _hangup(element: ET.Element, warnings: list[str]) -> Hangup:
    _attributes(element, warnings)
    _no_children(element)
    return Hangup()


def _dial(element: ET.Element, warnings: list[str]) -> Dial:
    found = _attributes(element, warnings)
    bare = (element.text or "").strip()
    numbers = [Number(bare)] if bare else []
    conference: Conference | None = None
    for child in element:
        if child.tag in {"Number", "Client", "Sip"}:
            numbers.append(_number(child, warnings))
        elif child.tag == "Conference" and conference is None:
            conference = _conference(child, warnings)
        else:
            raise TwimlError(f"<Dial> with <{child.tag}> is not played by this emulator")
    if bool(numbers) == (conference is not None):
        raise TwimlError("<Dial> needs a number, or one <Conference> and nothing else", 13224)
    record = found.get("record", "do-not-record")
    if record not in _RECORD:
        raise TwimlError(f"record of <Dial> must be one of {', '.join(sorted(_RECORD))}: {record!r}")
    return Dial(
        numbers=tuple(numbers),
        conference=conference,
        action=found.get("action", ""),
        method=_method(element),
        timeout_s=_whole(element, "timeout", 30, 1),
        time_limit_s=_whole(element, "timeLimit", 14_400, 1),
        caller_id=found.get("callerId", ""),
        hangup_on_star=_truth(element, "hangupOnStar", False),
        record={"true": "record-from-answer", "false": "do-not-record"}.get(record, record),
        trim=found.get("trim", "do-not-trim") == "trim-silence",
        sequential=_truth(element, "sequential", False),
        recording_callback=found.get("recordingStatusCallback", ""),
        recording_callback_method=_method(element, "recordingStatusCallbackMethod"),
    )


def _number(element: ET.Element, warnings: list[str]) -> Number:
    found = _attributes(element, warnings)
    address = (element.text or "").strip()
    if not address:
        raise TwimlError(f"<{element.tag}> in <Dial> is empty", 13224)
    if element.tag == "Client":
        address = f"client:{address.removeprefix('client:')}"
    events = tuple(found.get("statusCallbackEvent", "completed").split())
    if set(events) - _EVENTS:
        raise TwimlError(f"statusCallbackEvent of <{element.tag}> must be of {', '.join(sorted(_EVENTS))}")
    return Number(
        address,
        url=found.get("url", ""),
        method=_method(element),
        send_digits=found.get("sendDigits", ""),
        status_callback=found.get("statusCallback", ""),
        status_callback_method=_method(element, "statusCallbackMethod"),
        status_callback_events=events,
    )


def _conference(element: ET.Element, warnings: list[str]) -> Conference:
    _attributes(element, warnings)
    name = (element.text or "").strip()
    if not name:
        raise TwimlError("<Conference> needs a name", 13224)
    return Conference(
        name,
        muted=_truth(element, "muted", False),
        start_on_enter=_truth(element, "startConferenceOnEnter", True),
        end_on_exit=_truth(element, "endConferenceOnExit", False),
    )


_BUILDERS: dict[str, Callable[[ET.Element, list[str]], Verb]] = {
    "Connect": _connect,
    "Start": _start,
    "Stop": _stop,
    "Say": _say,
    "Play": _play,
    "Pause": _pause,
    "Gather": _gather,
    "Record": _record,
    "Redirect": _redirect,
    "Reject": _reject,
    "Hangup": _hangup,
    "Dial": _dial,
}
