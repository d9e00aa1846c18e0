"""How late the clock was: the worst of the last half minute, and how much of it was our own doing."""

from __future__ import annotations

from shortwire.switchboard.lag import Lag

MS = 1_000_000


class Computed:
    ns = 0

    def __call__(self) -> int:
        return self.ns


def test_the_worst_is_told_for_half_a_minute_and_forgotten_after_a_minute() -> None:
    computed = Computed()
    lag = Lag(computed)
    computed.ns = 4 * MS
    lag.struck(21 * MS)
    for _ in range(30 * 100):  # half a minute of strikes
        computed.ns += 9 * MS
        lag.struck(MS // 2)
        assert (lag.ms, lag.own_ms) == (21.0, 4.0)
    for _ in range(30 * 100):
        computed.ns += 9 * MS
        lag.struck(MS // 2)
    assert (lag.ms, lag.own_ms) == (0.5, 0.5)  # never more than it was late
