"""The whole error tree. Imports nothing.

    BridgeError
    ├── UsageError                 the caller of the API or the command line has to change something
    │   ├── NumberRefused          not a number we may dial
    │   ├── NotFound               no such call
    │   ├── Conflict               the idempotency key was used for another request, or the call is over
    │   ├── Unauthorized           no or a wrong API key
    │   └── Forbidden              bad signature, or a ticket that opens nothing
    ├── ConfigError                a setting has to be changed before anything can work
    ├── Unavailable                draining or overloaded: try another node, or later
    ├── PeerError                  a vendor did not do its part
    │   ├── CarrierError
    │   │   ├── CarrierRefused     a clear no, with the carrier's code
    │   │   └── CarrierUncertain   no clear answer: it may have happened
    │   └── AgentError
    └── StoreError                 the database

Each carries what to answer: `code` (a stable slug for programs), `http_status`, `exit_status`.
The text is for a person and says what to change.
"""

from __future__ import annotations

__all__ = [
    "AgentError",
    "BridgeError",
    "CarrierError",
    "CarrierRefused",
    "CarrierUncertain",
    "ConfigError",
    "Conflict",
    "Forbidden",
    "NotFound",
    "NumberRefused",
    "PeerError",
    "StoreError",
    "Unauthorized",
    "Unavailable",
    "UsageError",
]


class BridgeError(Exception):
    """Base of all our errors."""

    code = "internal_error"
    http_status = 500
    exit_status = 1

    def __init__(self, message: str, *, details: str = "", code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        """What happened, in one sentence."""
        self.details = details
        """What to change, or the vendor's own words."""
        if code is not None:
            self.code = code
        self.call_id = ""
        """The call it happened to, where there is one: it is stored and can be looked at."""

    def __str__(self) -> str:
        return f"{self.message}: {self.details}" if self.details else self.message


class UsageError(BridgeError):
    code = "bad_request"
    http_status = 400
    exit_status = 2


class NumberRefused(UsageError):
    code = "number_refused"
    http_status = 422


class NotFound(UsageError):
    code = "not_found"
    http_status = 404


class Conflict(UsageError):
    code = "conflict"
    http_status = 409


class Unauthorized(UsageError):
    code = "unauthorized"
    http_status = 401


class Forbidden(UsageError):
    code = "forbidden"
    http_status = 403


class ConfigError(BridgeError):
    code = "bad_configuration"
    http_status = 500
    exit_status = 78  # EX_CONFIG of sysexits.h


class Unavailable(BridgeError):
    code = "unavailable"
    http_status = 503
    exit_status = 75  # EX_TEMPFAIL


class PeerError(BridgeError):
    code = "peer_error"
    http_status = 502
    exit_status = 69  # EX_UNAVAILABLE


class CarrierError(PeerError):
    code = "carrier_error"


class CarrierRefused(CarrierError):
    """The carrier said no; nothing was dialled."""

    code = "carrier_refused"

    def __init__(self, message: str, *, carrier_code: int | None, status: int, details: str = "") -> None:
        super().__init__(message, details=details)
        self.carrier_code = carrier_code
        """Twilio's error code, https://www.twilio.com/docs/api/errors."""
        self.status = status
        """HTTP status of the refusal."""


class CarrierUncertain(CarrierError):
    """Time-out, reset or 5xx after the request was sent: the call may have been placed."""

    code = "carrier_uncertain"
    http_status = 504


class AgentError(PeerError):
    """The agent's host refused or failed. `cause` is the slug of a `HangupCause`."""

    code = "agent_error"

    def __init__(self, message: str, *, cause: str, details: str = "") -> None:
        super().__init__(message, details=details)
        self.cause = cause


class StoreError(BridgeError):
    code = "store_error"
    http_status = 503
    exit_status = 74  # EX_IOERR
