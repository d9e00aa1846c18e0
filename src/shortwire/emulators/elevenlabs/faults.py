"""What goes wrong on purpose: the vendor faults, as values that can be set while the emulator runs.

The names are those of ``POST /_emulator/faults``. Nothing here does anything; `mischief`, `rest_errors`,
`socket` and `webhooks` do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

__all__ = ["FaultError", "Faults"]

ERROR_SHAPES = ("full", "legacy", "string", "list", "html", "empty")


class FaultError(ValueError):
    """These faults cannot be set; the text says why."""


@dataclass(frozen=True, slots=True)
class Faults:
    """What goes wrong, until reset. ``_after_ms`` counts from the opened socket (or from the setting, where faults are
    set for one live conversation)."""

    # -- REST
    signed_url_status: int = 0
    """Answer get-signed-url with this status (401, 404, 422, 429, 500, 503)."""
    signed_url_times: int = 0
    """Only the next so many requests; 0: all of them."""
    signed_url_delay_ms: int = 0
    rest_status: int = 0
    """Answer every REST call whose path begins with ``rest_path`` with this status."""
    rest_times: int = 0
    """Only the next so many; 0: all of them."""
    rest_path: str = "/v1/convai/"
    rest_delay_ms: int = 0
    """Before every REST answer below ``rest_path``."""
    error_shape: str = "full"
    """Form of faulty answers: full, legacy (status and message), string, list (422's), html, empty."""
    error_code: str = ""
    """The ``code`` in faulty answers (429: system_busy, rate_limit_exceeded, too_many_concurrent_requests, ...)."""
    retry_after_s: int | None = None
    """A ``Retry-After`` header on faulty answers. UNCONFIRMED that the service sends one."""

    # -- the socket
    upgrade_status: int = 0
    """Refuse the WebSocket upgrade with this status."""
    upgrade_delay_ms: int = 0
    metadata_delay_ms: int = 0
    duplicate_metadata: bool = False
    """The metadata twice (the Python SDK fails an assertion)."""
    close_after_ms: tuple[int, str, int] | None = None
    """[code, reason, ms after the socket opened]."""
    drop_after_ms: int | None = None
    """Cut the TCP connection without a close frame."""
    deaf_after_ms: int | None = None
    """Stop reading: what the client sends fills the buffers. With ``mute_after_ms`` the connection is half-open."""
    mute_after_ms: int | None = None
    """Stop sending anything, without closing."""
    send_after_ms: tuple[str, int] | None = None
    """[raw text, ms]: a message the service would not send."""

    # -- the conversation
    think_extra_ms: int = 0
    withhold_pings: bool = False
    unanswered_pings: int = 0
    """Close with 1002 after so many pings without a pong; 0: as the behaviour says."""
    audio_stops_after_ms: int | None = None
    """No audio message from then on; texts go on."""
    late_audio_ms: int | None = None
    """So long after an interruption one more chunk of the interrupted turn is sent."""
    response_before_transcript: bool = False
    """``agent_response`` overtakes the ``user_transcript`` and the audio of its turn."""
    unknown_messages: bool = False
    """A message of an unknown type before every other one, except the first: `@elevenlabs/client` never gets over a
    first message that is not the metadata."""
    extra_keys: bool = False
    """Unknown keys in every message and payload."""

    # -- post-call webhooks
    webhook_lost: bool = False
    webhook_twice: bool = False
    webhook_delay_ms: int = 0
    webhook_bad_signature: bool = False
    webhook_age_s: int = 0
    """The signature's timestamp lies so far in the past (the SDKs refuse more than 1800)."""

    @classmethod
    def parse(cls, document: Any) -> Faults:
        """From JSON; whatever is not named is off. Raises `FaultError`."""
        if not isinstance(document, dict):
            raise FaultError("faults must be a JSON object")
        kinds = {f.name: str(f.type) for f in fields(cls)}
        if strangers := sorted(set(document) - set(kinds)):
            raise FaultError(f"unknown fault {strangers[0]!r}; known: {', '.join(sorted(kinds))}")
        values = {name: _checked(name, kinds[name], value) for name, value in document.items()}
        if values.get("error_shape", "full") not in ERROR_SHAPES:
            raise FaultError(f"error_shape must be one of {', '.join(ERROR_SHAPES)}")
        return cls(**values)


def _shape(*kinds: type) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and [type(v) for v in value] == list(kinds)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


_CHECKS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "bool": (lambda value: isinstance(value, bool), "true or false"),
    "str": (lambda value: isinstance(value, str), "a text"),
    "int": (_whole, "a whole number, 0 or more"),
    "tuple[int, str, int]": (_shape(int, str, int), "a list of int, str, int"),
    "tuple[str, int]": (_shape(str, int), "a list of str, int"),
}


def _checked(name: str, kind: str, value: Any) -> Any:
    bare = kind.removesuffix(" | None")
    if value is None and bare != kind:
        return None
    check, must_be = _CHECKS[bare]
    if not check(value):
        raise FaultError(f"{name} must be {must_be}")
    return tuple(value) if isinstance(value, list) else value
