"""Everything that can be set on the Twilio emulator, and every UNCONFIRMED choice by name.

What the vendor documents is not an option. `Choices` holds what nobody outside the vendor knows;
docs/reference/emulator-twilio.md lists it first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from ..scenario import PartyScript

__all__ = ["Choices", "OwnedNumber", "TwilioConfig", "WebhookManners"]

Method = Literal["GET", "POST"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnedNumber:
    """A number of the account: what happens when somebody calls it."""

    voice_url: str = ""
    """Asked for TwiML on an incoming call. Empty: incoming calls fail."""
    voice_method: Method = "POST"
    fallback_url: str = ""
    fallback_method: Method = "POST"
    status_callback: str = ""
    """Told when an incoming call is completed."""
    status_callback_method: Method = "POST"
    script: PartyScript | None = None
    """Who calls this number; None: the config's scenario."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookManners:
    """How the emulator reaches the public web server (twilio.md 4.1)."""

    connect_timeout_s: float = 5.0
    read_timeout_s: float = 15.0
    total_timeout_s: float = 15.0
    """Hard ceiling of one request with its retries and redirects."""
    retries: int = 1
    """After a failed connection only, as the vendor's default `rp=ct`."""
    keep_alive: bool = False
    """Reuse connections between webhooks. UNCONFIRMED; a new connection each time is the slower truth."""
    ca_file: str | None = None
    """Trust these certificates instead of the public ones (a local test CA). Self-signed ones are refused as ever."""
    order: Literal["sequential", "concurrent", "reversed"] = "sequential"
    """Status callbacks of a call: one after the other, each as it happens, or in pairs the wrong way round."""
    time_scale: float = 1.0
    """All time limits times this, overrides in a URL's fragment too: 0.1 makes a test of the 15 s ceiling short."""
    pair_window_s: float = 0.2
    """For "reversed": how long a callback waits for the next one to overtake it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What no authoritative source says. Each default is the likeliest reading of the corpus."""

    unknown_fields: Literal["refuse", "ignore"] = "refuse"
    """Fields of a REST request that no page lists; refused with 21200."""
    missing_from_code: int = 21213
    missing_to_code: int = 21201
    invalid_to_code: int = 21211
    """21211 or 21217."""
    first_timestamp_ms: tuple[int, int] = (57, 171)
    """`media.timestamp` of the first frame, drawn between these."""
    timestamp_wobble_ms: int = 1
    """Later timestamps are off the 20 ms grid by up to this much."""
    empty_parameters: Literal["object", "absent"] = "object"
    """`customParameters` of a stream without `<Parameter>`."""
    play_out_after_close: bool = False
    """When the server closes the stream: let the buffered audio finish first."""
    stream_event_on_server_close: Literal["stream-stopped", "stream-error"] = "stream-stopped"
    close_code: int = 1000
    """Our close code after `stop`."""
    max_message_bytes: int = 0
    """Longest message taken from the server; 0: any."""
    max_queued_ms: int = 0
    """Longest playout buffer; what is more is dropped with a warning in the ledger. 0: any."""
    outbox_frames: int = 25
    """Frames that may wait for a slow reader before 31930."""
    reject_status: Literal["busy", "no-answer"] = "no-answer"
    """Status of a call refused by `<Reject reason="rejected">`."""
    completed_while_ringing: Literal["canceled", "completed"] = "canceled"
    """REST status after `Status=completed` on a call nobody has answered."""
    sequence_counts: Literal["fired", "all"] = "fired"
    """SequenceNumber of a status callback: of the ones asked for, or of all that could have been."""
    fallback_error_fields: bool = True
    """ErrorCode and ErrorUrl in the request to a fallback URL."""
    idempotency_token_always: bool = True
    """I-Twilio-Idempotency-Token on first attempts too, as captured."""
    say_ms_per_character: int = 60
    """How long a `<Say>` is silent on a machine that cannot speak its text."""
    play_ms: int = 2000
    """How long a `<Play>` is silent whose file cannot be played."""
    message_end_silence_ms: int = 3_000
    """Silence behind a machine's greeting after which no beep is expected: `machine_end_silence`."""
    amd_timeout_in_greeting: Literal["unknown", "machine_end_other"] = "unknown"
    """The verdict when MachineDetectionTimeout comes while a machine still speaks."""
    live_calls_status: int = 429
    """HTTP status of 10004."""
    queue_full_status: int = 400
    """HTTP status of 22005."""
    stream_created_status: int = 200
    """HTTP status of the answer to a started stream, as documented; 201 is possible."""
    not_recordable_code: int = 21220
    """Code when a recording is started or changed on a call that is not in progress."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TwilioConfig:
    """One account."""

    account_sid: str
    auth_token: str
    api_keys: Mapping[str, str] = field(default_factory=dict)
    """SK sid to secret; they open the REST API and sign nothing."""
    numbers: Mapping[str, OwnedNumber] = field(default_factory=dict)
    """E.164 to what answers there; also the permitted `From` numbers."""
    scenario: PartyScript = field(default_factory=PartyScript)
    """The party of every call without one of its own."""
    parties: Mapping[str, PartyScript] = field(default_factory=dict)
    """By the party's number."""
    seed: int = 1
    calls_per_second: float = 1.0
    """Calls created over REST leave the queue at this rate; 0: at once."""
    permitted_prefixes: tuple[str, ...] | None = None
    """Where the account may call, such as ("+1", "+44"); None: everywhere."""
    dial_s: float = 0.2
    """From `initiated` to `ringing`."""
    time_limit_s: int = 14_400
    """Longest call without a `TimeLimit`."""
    applications: Mapping[str, OwnedNumber] = field(default_factory=dict)
    """TwiML applications by AP sid: what `ApplicationSid` of a create stands for."""
    verified_numbers: tuple[str, ...] | None = None
    """A trial account's: only these may be called (21219). None: no trial."""
    premium_prefixes: tuple[str, ...] = ("+1900", "+1976")
    """Refused with 21202."""
    max_live_calls: int = 0
    """Calls of this account that are not over; one more is refused with 10004. 0: any number."""
    max_queue_s: int = 86_400
    """Longest wait in the queue; a create that would wait longer is refused with 22005."""
    max_concurrent_requests: int = 100
    """REST requests at the same time; one more is answered 429 with 20429."""
    recording_processing_s: float = 0.1
    """From the end of a recording to `completed`."""
    recordings_need_auth: bool = False
    """The voice setting "enforce HTTP auth on media URLs"; off, as on a new account."""
    conference_guests: Mapping[str, PartyScript] = field(default_factory=dict)
    """By the conference's name: a party that is called into it when its first member comes."""
    dialed_leg_s: float = 1.0
    """How long the leg of a `<Dial>` lasts when `parties` has no script for its number."""
    dialed_leg_status: Literal["completed", "busy", "no-answer", "failed"] = "completed"
    webhooks: WebhookManners = field(default_factory=WebhookManners)
    choices: Choices = field(default_factory=Choices)

    def __post_init__(self) -> None:
        if not (self.account_sid.startswith("AC") and len(self.account_sid) == 34):
            raise ValueError("account_sid must be AC and 32 hex digits")
        if not self.auth_token:
            raise ValueError("auth_token must not be empty: it signs every webhook")
        for number in self.numbers:
            if not number.startswith("+"):
                raise ValueError(f"numbers must be in E.164 form, such as +15005550006: {number!r}")
