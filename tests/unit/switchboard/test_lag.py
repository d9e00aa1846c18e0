"""How late the clock was: the worst of the last half minute, and how much of it was our own doing."""

from __future__ import annotations

from shortwire.switchboard.lag import Lag

MS = 1_000_000


def test_the_worst_is_told_for_half_a_minute_and_forgotten_after_a_minute() -> None:
    lag = Lag()
    lag.struck(21 * MS, 4 * MS)
    for _ in range(30 * 20 - 1):  # half a minute of turns
        lag.struck(MS // 2, MS // 4)
        assert (lag.ms, lag.own_ms) == (21.0, 4.0)
    for _ in range(30 * 20):
        assert (lag.ms, lag.own_ms) == (21.0, 4.0)
        lag.struck(MS // 2, MS // 4)
    lag.struck(MS // 2, MS // 4)
    assert (lag.ms, lag.own_ms) == (0.5, 0.25)
