"""One scenario file drives both sides of a call: what the party does, what the agent does, what lies between.

TOML. The carrier emulator reads ``[party]``, the agent emulator reads ``[agent]``, the network emulator reads
``[network]`` and ``[[faults]]``; everything drawn at random comes from ``seed``. Unknown keys are refused: a typo
must not become a default.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final, Literal, TypeVar, get_args

from .network import NETWORKS, WAYS, Fault, FaultError, LegNetwork, Network

__all__ = [
    "AgentScript",
    "PartyScript",
    "RelayFault",
    "Reply",
    "Say",
    "Scenario",
    "ScenarioError",
    "find",
    "load",
    "parse",
]

Outcome = Literal["answered", "busy", "no-answer", "failed"]
AnsweredBy = Literal["human", "machine", "fax"]
When = Literal["agent_silent", "agent_speaking", "answered"]


class ScenarioError(ValueError):
    """The file cannot be played; the text says which key and what may stand there."""


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ScenarioError(f"{name} must be one of {', '.join(allowed)}: {value!r}")


@dataclass(frozen=True, slots=True)
class Say:
    """The party says something (or presses keys) when its moment has come."""

    text: str = ""
    when: When = "agent_silent"
    """agent_silent: the agent has spoken since our last words and is silent now. agent_speaking: the agent
    is in the middle of a sentence (a barge-in). answered: counted from the answer."""
    delay_ms: int = 400
    """From that moment on. For agent_speaking: how long the agent has been speaking."""
    digits: str = ""
    """DTMF to press instead of speaking."""

    def __post_init__(self) -> None:
        _one_of("when", self.when, get_args(When))
        if not self.text and not self.digits:
            raise ScenarioError("a say needs text or digits")
        if self.delay_ms < 0:
            raise ScenarioError(f"delay_ms must not be negative: {self.delay_ms}")
        if strangers := set(self.digits) - set("0123456789*#ABCDwW"):
            raise ScenarioError(f"digits: not on a telephone's keypad: {''.join(sorted(strangers))}")


@dataclass(frozen=True, slots=True)
class PartyScript:
    """The human at the phone."""

    outcome: Outcome = "answered"
    ring_s: float = 1.5
    says: tuple[Say, ...] = ()
    hang_up_after_ms: int = -1
    """After the last words were said and the agent fell silent again; -1: never, the agent ends the call."""
    voice: str = "party"
    noise_db: float | None = None
    """Background noise, dB below the speech; None: a digitally silent line."""
    answered_by: AnsweredBy = "human"
    """Who picks up. A machine's greeting are its says with ``when = "answered"``; a fax whistles at 2100 Hz."""
    beep_after_ms: int = -1
    """A machine's beep, from the end of its greeting; -1: none."""

    def __post_init__(self) -> None:
        _one_of("outcome", self.outcome, get_args(Outcome))
        _one_of("answered_by", self.answered_by, get_args(AnsweredBy))
        if self.beep_after_ms >= 0 and self.answered_by != "machine":
            raise ScenarioError('beep_after_ms is for answered_by = "machine"')
        if self.ring_s < 0:
            raise ScenarioError(f"ring_s must not be negative: {self.ring_s}")


@dataclass(frozen=True, slots=True)
class Reply:
    """What the agent answers to the next utterance it hears."""

    text: str
    think_ms: tuple[int, int] = (350, 550)
    """Drawn between these two: from the end of turn being certain to the first audio sent."""
    end_call: bool = False
    """Say this, then end the call (the `end_call` system tool)."""


@dataclass(frozen=True, slots=True)
class AgentScript:
    """The agent."""

    first_message: str = "Hello."
    replies: tuple[Reply, ...] = ()
    voice: str = "agent"
    end_of_turn_ms: int = 500
    """Silence after which the agent holds the party's turn for over."""
    transcripts: tuple[str, ...] = ()
    """What the agent reports as heard, utterance by utterance (it has ears, but no speech recognition). In a file:
    what the party says, unless it lists something else."""


@dataclass(frozen=True, slots=True)
class RelayFault:
    """A fault, and on which of the bridge's ways it stands."""

    relay: str
    """One of `shortwire.emulators.network.WAYS`: server, carrier, agent."""
    fault: Fault


@dataclass(frozen=True, slots=True)
class Scenario:
    name: str = "unnamed"
    seed: int = 1
    party: PartyScript = field(default_factory=PartyScript)
    agent: AgentScript = field(default_factory=AgentScript)
    network: Network | None = None
    """None: the file does not say; whoever plays it chooses."""
    faults: tuple[RelayFault, ...] = ()

    def faults_on(self, relay: str) -> tuple[Fault, ...]:
        """Those for the relay on that way, in the order of the file."""
        return tuple(item.fault for item in self.faults if item.relay == relay)


T = TypeVar("T")


def _build(kind: type[T], table: Mapping[str, Any], where: str) -> T:
    known = {f.name for f in fields(kind)}  # type: ignore[arg-type]
    if strangers := sorted(set(table) - known):
        raise ScenarioError(f"{where}: unknown key {strangers[0]!r}; known: {', '.join(sorted(known))}")
    try:
        return kind(**table)
    except (TypeError, ScenarioError) as error:
        raise ScenarioError(f"{where}: {error}") from None


def _leg(table: Any, base: LegNetwork, where: str) -> LegNetwork:
    """A line of the profile with other numbers."""
    if not isinstance(table, Mapping):
        raise ScenarioError(f"{where} must be a table: {table!r}")
    numbers = {"one_way_ms": base.one_way_ms, "jitter_ms": base.jitter_ms}
    if strangers := sorted(set(table) - set(numbers)):
        raise ScenarioError(f"{where}: unknown key {strangers[0]!r}; known: {', '.join(numbers)}")
    for key, value in table.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 60_000:
            raise ScenarioError(f"{where}: {key} must be a number of milliseconds, 0 to 60000: {value!r}")
    return LegNetwork(**{**numbers, **table}, faults=base.faults)


def _network(table: Any) -> Network:
    if not isinstance(table, Mapping):
        raise ScenarioError(f"network must be a table: {table!r}")
    if strangers := sorted(set(table) - {"profile", "carrier", "agent"}):
        raise ScenarioError(f"network: unknown key {strangers[0]!r}; known: profile, carrier, agent")
    profile = table.get("profile", "none")
    if not isinstance(profile, str) or profile not in NETWORKS:
        raise ScenarioError(f"network: profile must be one of {', '.join(NETWORKS)}: {profile!r}")
    base = NETWORKS[profile]
    return Network(
        _leg(table.get("carrier", {}), base.carrier, "network.carrier"),
        _leg(table.get("agent", {}), base.agent, "network.agent"),
    )


def _faults(tables: Any) -> tuple[RelayFault, ...]:
    if not isinstance(tables, list) or not all(isinstance(table, Mapping) for table in tables):
        raise ScenarioError("faults must be tables, each under [[faults]]")
    made: list[RelayFault] = []
    for i, table in enumerate(tables):
        relay = table.get("relay")
        if not isinstance(relay, str) or relay not in WAYS:
            raise ScenarioError(f"faults[{i}]: relay must be one of {', '.join(WAYS)}: {relay!r}")
        try:
            item = RelayFault(relay, Fault.parse({key: value for key, value in table.items() if key != "relay"}))
        except FaultError as error:
            raise ScenarioError(f"faults[{i}]: {error}") from None
        if any(other.relay == relay and other.fault.name == item.fault.name for other in made):
            raise ScenarioError(f"faults[{i}]: a second fault named {item.fault.name!r} on {relay}; give it a name")
        made.append(item)
    return tuple(made)


def parse(document: Mapping[str, Any]) -> Scenario:
    """A scenario from a parsed document. Raises `ScenarioError`."""
    top = dict(document)
    if "network" in top:
        top["network"] = _network(top["network"])
    if "faults" in top:
        top["faults"] = _faults(top["faults"])
    party = dict(top.pop("party", {}))
    agent = dict(top.pop("agent", {}))
    says = tuple(_build(Say, s, f"party.says[{i}]") for i, s in enumerate(party.pop("says", ())))
    replies = tuple(
        _build(Reply, {**r, **({"think_ms": tuple(r["think_ms"])} if "think_ms" in r else {})}, f"agent.replies[{i}]")
        for i, r in enumerate(agent.pop("replies", ()))
    )
    agent["transcripts"] = tuple(agent.get("transcripts") or (say.text for say in says if say.text))
    return _build(
        Scenario,
        {
            **top,
            "party": _build(PartyScript, {**party, "says": says}, "party"),
            "agent": _build(AgentScript, {**agent, "replies": replies}, "agent"),
        },
        "scenario",
    )


SHIPPED: Final = Path(__file__).parent / "scenarios"


def find(path: str | Path) -> Path:
    """The file of a scenario: the one at a path, or a shipped one by its bare name (`reservation`)."""
    named = SHIPPED / f"{path}.toml"
    return named if "/" not in str(path) and not Path(path).exists() and named.exists() else Path(path)


def load(path: str | Path) -> Scenario:
    """Read a scenario file, or one of the shipped ones by its bare name (`reservation`).

    Raises `ScenarioError` with the file's name in it.
    """
    file = find(path)
    try:
        return parse(tomllib.loads(file.read_text(encoding="utf-8")))
    except FileNotFoundError:
        shipped = ", ".join(sorted(found.stem for found in SHIPPED.glob("*.toml")))
        raise ScenarioError(f"no such scenario: {path}; name a file, or one of {shipped}") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, ScenarioError) as error:
        raise ScenarioError(f"{file}: {error}") from None
