"""What the figures of several workers come to together."""

from __future__ import annotations

from typing import Any

from shortwire.workers.figures import together


def figures(worker: int, **changes: Any) -> dict[str, Any]:
    return {
        "worker": worker,
        "alive": True,
        "ready": True,
        "draining": False,
        "calls": 1,
        "tapes_cut_short": 1,
        "loop_lag_ms": float(worker),
        "store": {"pending": 2, "dropped": 3, "last_error": ""},
        **changes,
    }


def test_sums_the_worst_and_each() -> None:
    found = together([figures(1), figures(0)])
    assert (found["ready"], found["calls"], found["tapes_cut_short"], found["loop_lag_ms"]) == (True, 2, 2, 1.0)
    assert found["store"] == {"pending": 4, "dropped": 6, "last_error": ""}
    assert [one["worker"] for one in found["workers"]] == [0, 1]
    assert "reason" not in found


def test_one_that_takes_calls_is_enough_and_the_others_trouble_is_told() -> None:
    refusing = {"ready": False, "reason": "no writes", "store": {"pending": 1, "dropped": 0, "last_error": "locked"}}
    found = together([figures(0), figures(1, **refusing)])
    assert found["ready"] and "reason" not in found
    assert found["store"] == {"pending": 3, "dropped": 3, "last_error": "locked"}
    found = together([figures(0, **refusing), figures(1, **refusing)])
    assert (found["ready"], found["reason"]) == (False, "no writes")


def test_seats_that_are_empty_or_have_not_spoken_yet() -> None:
    found = together([{"worker": 0, "alive": False}, {"worker": 1, "alive": True}])
    assert (found["ready"], found["calls"]) == (False, 0)
    assert found["store"] == {"pending": 0, "dropped": 0, "last_error": ""}
    assert found["reason"] == "no worker takes calls"
