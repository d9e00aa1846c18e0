"""A fault as somebody asks for it: which part, where, on how many connections, from when to when.

The same flat table in a scenario file (TOML), over the control API (JSON) and from Python (`Fault.of`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Final, Literal, get_args

from .part import FaultError, NoOptions, not_negative
from .parts import PARTS

__all__ = ["Direction", "Fault", "FaultError", "Since"]

Direction = Literal["up", "down", "both"]
"""up: from whoever connects to the relay to whoever listens behind it; down: the way back."""
Since = Literal["start", "answered", "connection"]

_MIRRORED: Final[dict[Direction, Direction]] = {"up": "down", "down": "up", "both": "both"}


@dataclass(frozen=True, slots=True)
class Fault:
    """One part, asked for. Build it with `Fault.of` or `Fault.parse`, which check it."""

    name: str
    """By what it is changed and removed; unique on a relay."""
    kind: str
    options: Any
    """The options of the part of that kind."""
    direction: Direction = "both"
    toxicity: float = 1.0
    """Share of connections hit, 0 to 1; drawn once for each connection."""
    connection: int | None = None
    """Only the connection with this number, counted from 1; None: all."""
    since: Since = "start"
    """What `at_s` counts from. start: this fault was handed to the relay. answered: the trigger of that name
    (somebody picked up). connection: each connection's own beginning."""
    at_s: float = 0.0
    lift_after_s: float = 0.0
    """How long it stands before it is taken out again; 0: it stays."""

    @classmethod
    def of(cls, kind: str, **table: Any) -> Fault:
        """``Fault.of("stall", for_ms=2000, direction="down")``. Raises `FaultError`."""
        return cls.parse({"kind": kind, **table})

    @classmethod
    def parse(cls, table: Mapping[str, Any]) -> Fault:
        """From the flat table of a file or a request. Raises `FaultError` with what may stand there."""
        kind = table.get("kind")
        if not isinstance(kind, str) or kind not in PARTS:
            raise FaultError(f"kind must be one of {', '.join(PARTS)}: {kind!r}")
        own = {f.name for f in fields(cls)} - {"options"}
        direction = _one_of("direction", table.get("direction", "both"), Direction)
        if PARTS[kind].one_direction and direction == "both":
            raise FaultError(f"{kind} needs a direction, up or down: the end it leads to is the one that is gone")
        made = cls(
            name=_name(table.get("name", kind if direction == "both" else f"{kind}-{direction}")),
            kind=kind,
            options=_options(kind, {k: v for k, v in table.items() if k not in own}),
            direction=direction,
            toxicity=_number("toxicity", table.get("toxicity", 1.0)),
            connection=None if table.get("connection") is None else _whole("connection", table["connection"]),
            since=_one_of("since", table.get("since", "start"), Since),
            at_s=_number("at_s", table.get("at_s", 0.0)),
            lift_after_s=_number("lift_after_s", table.get("lift_after_s", 0.0)),
        )
        not_negative(at_s=made.at_s, lift_after_s=made.lift_after_s)
        if not 0 <= made.toxicity <= 1:
            raise FaultError(f"toxicity is a share of connections, from 0 to 1: {made.toxicity}")
        if made.connection is not None and made.connection < 1:
            raise FaultError(f"connection counts from 1: {made.connection}")
        return made

    def changed(self, changes: Mapping[str, Any]) -> Fault:
        """The same fault with other options. Raises `FaultError`: where and when it hits cannot be changed."""
        if not changes:
            raise FaultError(f"nothing to change; {self.kind} has {_known(self.kind)}")
        return self.parse({**self.as_table(), **_only_options(self.kind, changes)})

    def mirrored(self) -> Fault:
        """The same fault the other way round; a default name follows its direction."""
        direction = _MIRRORED[self.direction]
        name = f"{self.kind}-{direction}" if self.name == f"{self.kind}-{self.direction}" else self.name
        return self.parse({**self.as_table(), "direction": direction, "name": name})

    def as_table(self) -> dict[str, Any]:
        """The flat table; `parse` of it gives the same fault."""
        own = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "options"}
        chosen = fields(self.options) if is_dataclass(self.options) else ()
        return own | {f.name: getattr(self.options, f.name) for f in chosen}


def _known(kind: str) -> str:
    options = PARTS[kind].Options
    return ", ".join(f.name for f in fields(options)) if is_dataclass(options) else "no options"


def _only_options(kind: str, changes: Mapping[str, Any]) -> Mapping[str, Any]:
    options = PARTS[kind].Options
    known = {f.name for f in fields(options)} if is_dataclass(options) else set[str]()
    if strangers := sorted(set(changes) - known):
        raise FaultError(f"{strangers[0]!r} cannot be changed on a {kind} that stands; what can: {_known(kind)}")
    return changes


def _options(kind: str, table: Mapping[str, Any]) -> Any:
    options = PARTS[kind].Options
    if not is_dataclass(options):
        if table:
            raise FaultError(f"unknown key {min(table)!r}: {kind} has no options")
        return NoOptions()
    types = {f.name: f.type for f in fields(options)}
    if strangers := sorted(set(table) - set(types)):
        raise FaultError(f"unknown key {strangers[0]!r}: {kind} has {', '.join(types)}")
    checked = {k: (_whole if types[k] in ("int", int) else _number)(k, v) for k, v in table.items()}
    try:
        return options(**checked)
    except TypeError:
        missing = next(name for name in types if name not in table)
        raise FaultError(f"{kind} needs {missing}") from None


def _name(value: Any) -> str:
    if not isinstance(value, str) or not value.replace("-", "").replace("_", "").isalnum():
        raise FaultError(f"name must be of letters, digits, - and _: {value!r}")
    return value


def _one_of(key: str, value: Any, allowed: Any) -> Any:
    if value not in get_args(allowed):
        raise FaultError(f"{key} must be one of {', '.join(get_args(allowed))}: {value!r}")
    return value


def _number(key: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= 1e12:  # NaN too
        raise FaultError(f"{key} must be a number: {value!r}")
    return value


def _whole(key: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise FaultError(f"{key} must be a whole number: {value!r}")
    return value
