"""What was found of a call: told one by one, and whole for whoever asks."""

from __future__ import annotations

from typing import Any

from shortwire.call.turn import Turn
from shortwire.records import EventKind
from shortwire.switchboard.figures import Figures
from shortwire.switchboard.findings import Findings


class World:
    def __init__(self) -> None:
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.figures = Figures(1)
        self.findings = Findings(self.figures)

    def tell(self, kind: str, /, **data: Any) -> None:
        self.told.append((kind, data))


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
