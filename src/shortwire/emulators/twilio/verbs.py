"""The verbs of a TwiML document as values (pages "voice/twiml" and below). Defaults are the vendor's."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = [
    "Conference",
    "Connect",
    "Dial",
    "Gather",
    "Hangup",
    "Number",
    "Pause",
    "Play",
    "Record",
    "Redirect",
    "Reject",
    "Say",
    "Start",
    "Stop",
    "Stream",
    "Verb",
]


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
class Start:
    stream: Stream


@dataclass(frozen=True, slots=True)
class Stop:
    name: str


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Gather:
    prompts: tuple[Say | Play | Pause, ...] = ()
    action: str = ""
    method: str = "POST"
    input: tuple[str, ...] = ("dtmf",)
    timeout_s: int = 5
    num_digits: int = 0
    """0: any number of them."""
    finish_on_key: str = "#"
    speech_timeout_s: float = 1.0
    action_on_empty_result: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    action: str = ""
    method: str = "POST"
    timeout_s: int = 5
    finish_on_key: str = "1234567890*#"
    max_length_s: int = 3600
    play_beep: bool = True
    trim: str = "trim-silence"
    status_callback: str = ""
    status_callback_method: str = "POST"


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
class Number:
    """Who is dialled; `address` may also be ``client:name`` or ``sip:...``."""

    address: str
    url: str = ""
    method: str = "POST"
    send_digits: str = ""
    status_callback: str = ""
    status_callback_method: str = "POST"
    status_callback_events: tuple[str, ...] = ("completed",)


@dataclass(frozen=True, slots=True)
class Conference:
    name: str
    muted: bool = False
    start_on_enter: bool = True
    end_on_exit: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Dial:
    numbers: tuple[Number, ...] = ()
    conference: Conference | None = None
    action: str = ""
    method: str = "POST"
    timeout_s: int = 30
    time_limit_s: int = 14_400
    caller_id: str = ""
    hangup_on_star: bool = False
    record: str = "do-not-record"
    trim: bool = False
    sequential: bool = False
    recording_callback: str = ""
    recording_callback_method: str = "POST"


Verb = Connect | Start | Stop | Say | Play | Pause | Gather | Record | Redirect | Reject | Hangup | Dial
