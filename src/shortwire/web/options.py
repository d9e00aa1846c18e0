"""What the web layer is told: frozen, filled by `app` from the settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .echo import DoctorEcho

__all__ = ["SignatureCheck", "WebOptions"]

SignatureCheck = Callable[[str, Sequence[tuple[str, str]], str], bool]
"""(url, form fields in the order they came, signature) to whether Twilio signed them. Tries the spellings of
the URL that protocols/twilio.md 4.4 lists, and compares in constant time."""


@dataclass(frozen=True, slots=True)
class WebOptions:
    public_url: str
    """https://host as the vendors see it, without a trailing slash. The Host header is never trusted."""
    api_key: str
    verify_signature: SignatureCheck
    api_body_bytes: int = 64 * 1024
    webhook_body_bytes: int = 32 * 1024
    webhook_fields: int = 200
    """Twilio sends some thirty; more than this many are refused unread."""
    body_deadline_s: float = 10.0
    """A body that takes longer is given up."""
    webhook_deadline_s: float = 10.0
    """Twilio gives up after 15 s (section 4.1); we say so before that."""
    heartbeat_s: float = 15.0
    """Pause after which an event stream sends a comment, so that proxies keep it open."""

    public_address: Callable[[], str] | None = None
    """The address at this moment, where a tunnel may change it; None: `public_url`, for ever."""
    echo: DoctorEcho | None = None
    """What `shortwire doctor` asks through the public address; None: it cannot."""
    figures: Callable[[], Mapping[str, Any]] | None = None
    """What /v1/health tells, where several processes are one server; None: the desk's own."""

    def __post_init__(self) -> None:
        if not self.api_key:
            # An empty key would compare equal to an empty header.
            raise ValueError("the web layer needs an API key")
