"""What was found of a call: told one by one, kept in its record now and then, and whole for whoever asks."""

from __future__ import annotations

from typing import Any

from shortwire.call.turn import Turn
from shortwire.records import EventKind
from shortwire.switchboard.figures import Figures
from shortwire.switchboard.findings import Findings

S = 1_000_000_000


class World:
    def __init__(self) -> None:
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.kept: list[tuple[dict[str, Any], ...]] = []
        self.figures = Figures(1)
        self.findings = Findings(self.figures)

    def tell(self, kind: str, /, **data: Any) -> None:
        self.told.append((kind, data))

    def change(self, *, turns: tuple[dict[str, Any], ...]) -> None:
        self.kept.append(turns)


def turn(index: int) -> Turn:
    return Turn(index, "reply", response_gap_ms=900.0 + index)


def test_one_event_at_a_time_in_the_order_found() -> None:
    world = World()
    assert not world.findings
    world.findings.add([800.0, 1000.004], [turn(0)])
    kinds = []
    while world.findings:
        world.findings.tell_one(world.tell)
        kinds.append(world.told[-1][0])
    assert kinds == [EventKind.ROUND_TRIP, EventKind.ROUND_TRIP, EventKind.TURN]
    assert world.told[1][1] == {"ms": 1000.0, "average_ms": 900.0}
    assert world.figures.turns == [turn(0).as_dict()]


def test_the_first_turn_is_kept_at_once_and_later_ones_every_ten_seconds() -> None:
    world = World()
    for second in range(100, 131):
        world.findings.add([], [turn(second)])
        world.findings.tell_all(world.tell)
        world.findings.keep(second * S, world.change)
    assert [len(turns) for turns in world.kept] == [1, 11, 21, 31]
    world.findings.keep(200 * S, world.change)
    assert len(world.kept) == 4  # nothing new
