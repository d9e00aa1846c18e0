"""How late the clock was: the worst of the last half minute, and how much of it was our own doing."""

from __future__ import annotations

from shortwire.switchboard.lag import Lag
from shortwire.switchboard.ticker import Ticker

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


async def test_a_late_strike_tells_how_much_of_it_this_process_computed() -> None:
    class Clock:
        ns = 0

        def now_ns(self) -> int:
            return self.ns

        def wall_s(self) -> float:
            return 0.0

    class Call:
        def tick(self, now_ns: int) -> int:
            return now_ns

        def analyse(self, now_ns: int) -> bool:
            return False

        def failed(self, what: str) -> None:
            raise AssertionError(what)

    clock, computed = Clock(), Computed()
    computed.ns = 7 * MS
    ticker = Ticker(clock, lag=Lag(computed))
    lag = ticker.lag
    ticker.begin()
    ticker.add(Call())  # the first strike is due in 10 ms
    try:
        clock.ns, computed.ns = 40 * MS, 19 * MS
        ticker._strike()
        assert (lag.ms, lag.own_ms) == (30.0, 12.0)
        # The strike that was missed meanwhile is due at once: as late, and nothing was computed since.
        ticker._strike()
        assert (lag.ms, lag.own_ms) == (30.0, 12.0)
        clock.ns, computed.ns = 75 * MS, 119 * MS
        ticker._strike()
        assert (lag.ms, lag.own_ms) == (45.0, 45.0)
    finally:
        ticker.stop()
