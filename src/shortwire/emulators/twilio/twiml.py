"""TwiML documents to verbs (pages "voice/twiml" and below). Pure; refuses what the emulator cannot play.

Attributes that no page lists are kept as warnings; verbs that are not imitated are errors, because a
call that silently skips one would prove nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from xml.etree import ElementTree as ET

__all__ = [
    "Connect",
    "Dial",
    "Hangup",
    "Pause",
    "Play",
    "Redirect",
    "Reject",
    "Say",
    "Stream",
    "TwimlError",
    "Verb",
    "parse",
]

MAX_PARAMETER = 500
MAX_SAY = 4096


class TwimlError(ValueError):
    """Cannot be played; `code` goes to the call's notifications."""

    def __init__(self, message: str, code: int = 12100) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Stream:
    url: str
    name: str = ""
    track: str = "inbound_track"
    status_callback: str = ""
    status_callback_method: str = "POST"
    parameters: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Connect:
    stream: Stream
    action: str = ""
    method: str = "POST"


@dataclass(frozen=True, slots=True)
class Say:
    text: str
    loop: int = 1


@dataclass(frozen=True, slots=True)
class Play:
    url: str
    digits: str = ""
    loop: int = 1


@dataclass(frozen=True, slots=True)
class Pause:
    length_s: int = 1


@dataclass(frozen=True, slots=True)
class Redirect:
    url: str
    method: str = "POST"


@dataclass(frozen=True, slots=True)
class Reject:
    reason: str = "rejected"


@dataclass(frozen=True, slots=True)
class Hangup:
    pass


@dataclass(frozen=True, slots=True)
class Dial:
    number: str
    action: str = ""
    method: str = "POST"
    timeout_s: int = 30


Verb = Connect | Say | Play | Pause | Redirect | Reject | Hangup | Dial

_ATTRIBUTES = {
    "Connect": {"action", "method"},
    "Stream": {"url", "name", "track", "statusCallback", "statusCallbackMethod", "connectorName"},
    "Parameter": {"name", "value"},
    "Say": {"voice", "language", "loop"},
    "Play": {"loop", "digits"},
    "Pause": {"length"},
    "Redirect": {"method"},
    "Reject": {"reason"},
    "Hangup": set(),
    "Dial": {
        "action", "method", "timeout", "timeLimit", "callerId", "answerOnBridge", "hangupOnStar", "record", "trim",
        "ringTone", "sequential", "callReason",
    },
    "Number": {"url", "method", "sendDigits", "statusCallback", "statusCallbackEvent", "statusCallbackMethod", "byoc"},
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


def _whole(element: ET.Element, name: str, default: int) -> int:
    value = element.get(name, str(default))
    if not value.isdecimal():
        raise TwimlError(f"{name} of <{element.tag}> must be a whole number: {value!r}")
    return int(value)


def _method(element: ET.Element, name: str = "method") -> str:
    method = element.get(name, "POST").upper()
    if method not in {"GET", "POST"}:
        raise TwimlError(f"{name} of <{element.tag}> must be GET or POST: {method!r}")
    return method


def _connect(element: ET.Element, warnings: list[str]) -> Connect:
    found = _attributes(element, warnings)
    if len(element) != 1 or element[0].tag != "Stream":
        raise TwimlError("<Connect> must contain one <Stream>; its other nouns are not played by this emulator")
    return Connect(_stream(element[0], warnings), found.get("action", ""), _method(element))


def _stream(element: ET.Element, warnings: list[str]) -> Stream:
    found = _attributes(element, warnings)
    if not found.get("url"):
        raise TwimlError("<Stream> needs a url", 31923)
    track = found.get("track", "inbound_track")
    if track != "inbound_track":
        raise TwimlError(f"track of a <Stream> in <Connect> must be inbound_track: {track!r}", 31941)
    parameters: dict[str, str] = {}
    for child in element:
        if child.tag != "Parameter":
            raise TwimlError(f"<Stream> must not contain <{child.tag}>")
        pair = _attributes(child, warnings)
        name, value = pair.get("name", ""), pair.get("value", "")
        if not name:
            raise TwimlError("<Parameter> needs a name")
        if len(name) + len(value) >= MAX_PARAMETER:
            raise TwimlError(f"<Parameter> {name!r}: name and value must be under {MAX_PARAMETER} characters")
        parameters[name] = value
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
    url = (element.text or "").strip()
    if not url and not found.get("digits"):
        raise TwimlError("<Play> needs a url or digits")
    return Play(url, found.get("digits", ""), _whole(element, "loop", 1))


def _pause(element: ET.Element, warnings: list[str]) -> Pause:
    _attributes(element, warnings)
    _no_children(element)
    return Pause(_whole(element, "length", 1))


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
    number = (element.text or "").strip()
    for child in element:
        if child.tag != "Number":
            raise TwimlError(f"<Dial> with <{child.tag}> is not played by this emulator; it dials a number")
        _attributes(child, warnings)
        number = number or (child.text or "").strip()
    if not number:
        raise TwimlError("<Dial> needs a number", 13224)
    return Dial(number, found.get("action", ""), _method(element), _whole(element, "timeout", 30))


_BUILDERS: dict[str, Callable[[ET.Element, list[str]], Verb]] = {
    "Connect": _connect,
    "Say": _say,
    "Play": _play,
    "Pause": _pause,
    "Redirect": _redirect,
    "Reject": _reject,
    "Hangup": _hangup,
    "Dial": _dial,
}
