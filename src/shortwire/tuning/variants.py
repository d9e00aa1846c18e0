"""What is tried: the optimized profile, and the same with one setting on its other side or another level."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ..errors import UsageError

__all__ = ["REFERENCE", "Variant", "names", "variants"]


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to run the server."""

    name: str
    setting: str
    """The variable it changes; empty for the reference."""
    value: str
    usual: str
    """The variable's value in the reference."""
    billed: bool = False
    """Whether the vendor may charge for it."""
    settings: dict[str, str] = field(default_factory=dict)


_ON = ("true", "false")
_LEVELS = (
    ("DISABLE_WEBSOCKET_COMPRESSION", *_ON),
    ("INCREASE_MAX_PAYLOAD", *_ON),
    ("OPTIMIZE_AUDIO_PARSING", *_ON),
    ("LATENCY_LOGGING", *_ON),
    ("LOW_LATENCY_MODE", *_ON),
    ("PREWARM", "tls", "off", "signed-url", "conversation"),
    ("INLINE_TWIML", *_ON),
    ("TUNE_SOCKETS", *_ON),
)
"""Setting, its value in the reference, and what else is tried."""

REFERENCE = Variant("reference", "", "", "", settings={name: usual for name, usual, *_ in _LEVELS})


def names() -> list[str]:
    return [name for name, *_ in _LEVELS]


def variants(only: Sequence[str] = (), *, billed: bool = True) -> list[Variant]:
    """The reference first, then each variant. Raises `UsageError` for a name that is no setting of these.

    Args:
        only: settings to try; none: all.
        billed: whether to try what the vendor may charge for (the emulators charge nothing).
    """
    wanted = [name.strip().upper() for name in only if name.strip()]
    if strangers := [name for name in wanted if name not in names()]:
        raise UsageError(f"{', '.join(strangers)}: not to be tuned", details=f"settings: {', '.join(names())}")
    found = [REFERENCE]
    for name, usual, *others in _LEVELS:
        if wanted and name not in wanted:
            continue
        for value in others:
            costs = value == "conversation"
            if costs and not billed:
                continue
            settings = {**REFERENCE.settings, name: value}
            found.append(Variant(f"{name}={value}", name, value, usual, costs, settings))
    return found
