"""What goes wrong on purpose, as values that can be set while the emulator runs: ``POST /_emulator/faults``.

Nothing here does anything; `rest`, `webhooks`, `call` and `media_stream` ask. Network faults are the relay's business
(`shortwire.emulators.network`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, get_type_hints

__all__ = ["NO_FAULTS", "FaultError", "FaultSwitch", "Faults"]

_CREATE_THEN = ("", "timeout", "500", "reset")
_ORDERS = ("", "sequential", "concurrent", "reversed")
_CALLBACKS = {
    "initiated", "ringing", "in-progress", "completed", "busy", "no-answer", "failed", "canceled", "stream",
    "recording", "amd", "all",
}  # fmt: skip


class FaultError(ValueError):
    """These faults cannot be set; the text says why."""


@dataclass(frozen=True, slots=True)
class Faults:
    """What goes wrong, until reset. ``_times``: only the next so many, 0 for all."""

    # -- REST
    rest_status: int = 0
    """Answer requests with this HTTP status (401, 429, 500, 503, ...) and do nothing."""
    rest_code: int = 0
    """The vendor's code in that answer; 0: the one that belongs to the status."""
    rest_times: int = 0
    rest_method: str = ""
    """Only this method."""
    rest_path: str = ""
    """Only paths that contain this text."""
    rest_delay_ms: int = 0
    """Before every REST answer."""
    retry_after_s: int | None = None
    """A ``Retry-After`` header on those answers."""
    create_then: str = ""
    """The call is created, then: "timeout" (no answer for `create_hold_ms`), "500" or "reset" (a cut connection)."""
    create_times: int = 0
    create_hold_ms: int = 60_000

    # -- webhooks and callbacks
    webhook_delay_ms: int = 0
    """The voice request leaves so much later: a slow carrier."""
    webhook_twice: bool = False
    """Every voice request is sent a second time with the same idempotency token, as after a lost answer."""
    callback_lost: tuple[str, ...] = ()
    """Callbacks never sent: CallStatus names, "stream", "recording", "amd" or "all"."""
    callback_twice: tuple[str, ...] = ()
    callback_delay_ms: int = 0
    callback_order: str = ""
    """Instead of `WebhookManners.order`: sequential, concurrent or reversed."""

    # -- media
    upgrade_delay_ms: int = 0
    """Before the media socket is opened."""
    media_delay_ms: int = 0
    """Every message of the stream leaves so much later."""
    media_stall_ms: tuple[int, int] | None = None
    """[after, for]: nothing leaves for so long, then all of it at once. From the socket's opening."""
    missing_stop: bool = False
    """The stream ends without `stop`."""
    reset_after_ms: int | None = None
    """The media connection is cut without a close frame. From the socket's opening."""
    unknown_keys: bool = False
    """A key nobody knows in every message of the stream and in every webhook."""

    @classmethod
    def parse(cls, document: Any) -> Faults:
        """From JSON; whatever is not named is off. Raises `FaultError`."""
        if not isinstance(document, dict):
            raise FaultError("faults must be a JSON object")
        hints = get_type_hints(cls)
        known = [f.name for f in fields(cls)]
        if strangers := sorted(set(document) - set(known)):
            raise FaultError(f"unknown fault {strangers[0]!r}; known: {', '.join(known)}")
        made = cls(**{name: _checked(name, hints[name], value) for name, value in document.items()})
        if made.create_then not in _CREATE_THEN:
            raise FaultError('create_then must be "timeout", "500" or "reset"')
        if made.callback_order not in _ORDERS:
            raise FaultError("callback_order must be sequential, concurrent or reversed")
        if made.rest_status and not 400 <= made.rest_status <= 599:
            raise FaultError("rest_status must be 400 to 599")
        for name in (*made.callback_lost, *made.callback_twice):
            if name not in _CALLBACKS:
                raise FaultError(f"not a callback: {name!r}; known: {', '.join(sorted(_CALLBACKS))}")
        return made


NO_FAULTS = Faults()


class FaultSwitch:
    """The faults that are on, and how often the limited ones have struck."""

    def __init__(self) -> None:
        self.on = NO_FAULTS
        self._struck: Counter[str] = Counter()

    def set(self, faults: Faults) -> None:
        self.on = NO_FAULTS if faults == NO_FAULTS else faults
        self._struck.clear()

    def strikes(self, name: str, times: int) -> bool:
        """Once more, unless it has struck `times` times already (0: no limit)."""
        if times and self._struck[name] >= times:
            return False
        self._struck[name] += 1
        return True


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(_whole, value))


_CHECKS: dict[Any, tuple[Callable[[Any], bool], str]] = {
    bool: (lambda value: isinstance(value, bool), "true or false"),
    int: (_whole, "a whole number, 0 or more"),
    str: (lambda value: isinstance(value, str), "a text"),
    int | None: (lambda value: value is None or _whole(value), "a whole number, 0 or more, or null"),
    tuple[str, ...]: (_texts, "a list of texts"),
    tuple[int, int] | None: (lambda value: value is None or _pair(value), "a list of two whole numbers, or null"),
}


def _checked(name: str, hint: Any, value: Any) -> Any:
    check, must_be = _CHECKS[hint]
    if not check(value):
        raise FaultError(f"{name} must be {must_be}")
    return tuple(value) if isinstance(value, list) else value
