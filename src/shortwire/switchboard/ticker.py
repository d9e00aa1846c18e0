"""The calls' clock: a call is told the time when it wants to be, and analysed in its turn, never two at once.

Two hundred calls that do their side work in one go stand between frames for tens of milliseconds. So they are
analysed one by one, hardly ever more than one in 10 ms: every second while there are a hundred, less often when there
are more. And two hundred that are only asked whether they have something to do cost every frame after them a
processor's cache: nobody is asked who has not said when.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable
from itertools import islice
from typing import Protocol

from ..clock import NEVER_NS, NS_PER_MS, NS_PER_S, Clock, computed_ns

__all__ = ["TICK_S", "Ticked", "Ticker"]

TICK_S = 0.05
_TURN_NS = 10 * NS_PER_MS
_TICKS = round(TICK_S * NS_PER_S) // _TURN_NS
"""Turns between two ticks of one call, at least."""
_ANALYSED_EVERY = NS_PER_S // _TURN_NS
"""Turns between two analyses of one call, at least."""
_AT_MOST_EVERY = 2 * _ANALYSED_EVERY
"""The same, at most; unless too many came at the same moment."""
_REMEMBERED = 30 * NS_PER_S // _TURN_NS
"""Turns in which the worst lag is gathered before it is put beside the next."""


class Ticked(Protocol):
    """A call, as far as it has to do with time."""

    def tick(self, now_ns: int) -> int:
        """Told the time; when it wants to be again. That is 50 ms later at the soonest, and `NEVER_NS` is never:
        `Ticker.wake` brings it back."""
        ...

    def analyse(self, now_ns: int) -> bool:
        """Every second or two: a piece of the work beside the media path. True: there is more, after whatever the
        sockets have."""
        ...

    def failed(self, what: str) -> None:
        """One of the two raised, and is being handled: a mistake of ours, and this call's alone."""
        ...


class Ticker:
    """One process's calls and their moments. `begin`, then `stop`; `turn` is the pure part."""

    def __init__(
        self, clock: Clock, sweep: Callable[[], None] = lambda: None, computed: Callable[[], int] = computed_ns
    ) -> None:
        """`sweep` is called each turn, while there are calls; `computed`: see `own_lag_ms`."""
        self._clock = clock
        self._computed_ns = computed
        self._sweep = sweep
        self._next: dict[Ticked, int] = {}
        """All calls, and the turn in which each is told the time; `NEVER_NS`: when it is woken."""
        self._turns: dict[int, list[Ticked]] = {}
        """Who may be due in a turn; who is there without `_next` saying so was woken before, or is gone."""
        self._analysed: OrderedDict[Ticked, int] = OrderedDict()
        """All calls, and in which turn each was analysed last; the first has waited longest."""
        self._turn = 0
        self._waiting: deque[Ticked] = deque()
        self._due_ns = 0
        self._timer: asyncio.TimerHandle | None = None
        self._analysing = False
        self._stopped = True
        self._worst_ms = [0.0, 0.0]
        """Of the last half minute, and of the one before."""
        self._own_ms = [0.0, 0.0]
        """The same, of what was our own doing."""
        self._cpu_ns = 0

    @property
    def own_lag_ms(self) -> float:
        """As `lag_ms`, of the lateness at most what this process computed since the clock's last strike, its other
        threads too: they hold the interpreter. In the rest it waited: for a core that others had, or for a disk."""
        return max(self._own_ms)

    @property
    def lag_ms(self) -> float:
        """How late the clock was at worst in the last half minute to minute of calls: what stood in the event loop's
        way, which may have begun up to a turn (10 ms) before. Whoever asks twice a minute misses nothing."""
        return max(self._worst_ms)

    def begin(self) -> None:
        """From now on calls are told the time. Needs a running loop."""
        self._stopped = False
        self._wind()

    def stop(self) -> None:
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def add(self, call: Ticked) -> None:
        """A call begins."""
        self._analysed[call] = self._turn
        self._next[call] = NEVER_NS
        self.wake(call)
        self._wind()

    def remove(self, call: Ticked) -> None:
        """A call is over. Harmless if it is not known."""
        self._analysed.pop(call, None)
        due = self._turns.get(self._next.pop(call, NEVER_NS), [])
        if call in due:
            due.remove(call)
        if not self._next:
            self._turns.clear()  # the clock stands still now, and would keep whom it had put down

    def wake(self, call: Ticked) -> None:
        """Something has happened in this call: it is told the time in the next turn. Harmless if it is not known."""
        if self._next.get(call, 0) > self._turn:
            self._at(call, self._turn)

    def _at(self, call: Ticked, turn: int) -> None:
        self._next[call] = turn
        self._turns.setdefault(turn, []).append(call)

    def _ask(self, call: Ticked, here: int, now_ns: int) -> None:
        self._next[call] = NEVER_NS
        until_ns = now_ns
        try:
            until_ns = call.tick(now_ns)
        except Exception:
            self._failed(call, "a tick")
        turn = here + max(_TICKS, -((now_ns - until_ns) // _TURN_NS)) if until_ns < NEVER_NS else NEVER_NS
        if turn < self._next.get(call, 0):  # it may have been woken, or be over
            self._at(call, turn)

    def turn(self, now_ns: int) -> None:
        """One step of 10 ms: tick those whose moment it is, and note who is to be analysed."""
        here = self._turn
        self._turn += 1
        for call in self._turns.pop(here, ()):
            if self._next.get(call) == here:
                self._ask(call, here, now_ns)
        if not self._waiting:
            self._call_up(here)
        self._sweep()

    def _call_up(self, here: int) -> None:
        """Note whose turn it is to be analysed: one call, and another one only where it would wait too long."""
        most = -(-len(self._analysed) // _AT_MOST_EVERY)
        for call, since in islice(self._analysed.items(), most):
            if here - since < (_AT_MOST_EVERY if self._waiting else _ANALYSED_EVERY):
                break
            self._waiting.append(call)
        for call in self._waiting:
            self._analysed[call] = here
            self._analysed.move_to_end(call)

    def analyse_one(self, now_ns: int) -> bool:
        """Analyse the call that has waited longest, or go on with it; whether anything waits."""
        if self._waiting:
            call = self._waiting.popleft()
            try:
                if call.analyse(now_ns):
                    self._waiting.appendleft(call)
            except Exception:
                self._failed(call, "an analysis")
        return bool(self._waiting)

    # The loop's part

    def _wind(self) -> None:
        """Start the clock, unless it runs; it stands still while there are no calls."""
        if self._timer is None and not self._stopped and self._next:
            self._due_ns = self._clock.now_ns() + _TURN_NS
            self._cpu_ns = self._computed_ns()
            self._timer = asyncio.get_running_loop().call_later(_TURN_NS / NS_PER_S, self._strike)

    def _strike(self) -> None:
        self._timer = None
        if self._stopped or not self._next:
            return
        now_ns = self._clock.now_ns()
        late_ns = now_ns - self._due_ns
        before_ns, self._cpu_ns = self._cpu_ns, self._computed_ns()
        self._note_lag(late_ns / NS_PER_MS, (self._cpu_ns - before_ns) / NS_PER_MS)
        # A turn that was missed is made up for, unless there are too many (the machine slept).
        self._due_ns = now_ns + _TURN_NS if late_ns > NS_PER_S else self._due_ns + _TURN_NS
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(max(0, self._due_ns - now_ns) / NS_PER_S, self._strike)
        self.turn(now_ns)
        if self._waiting and not self._analysing:
            self._analysing = True
            loop.call_soon(self._analyse)

    def _note_lag(self, late_ms: float, computed_ms: float) -> None:
        if not self._turn % _REMEMBERED:
            self._worst_ms = [0.0, self._worst_ms[0]]
            self._own_ms = [0.0, self._own_ms[0]]
        self._worst_ms[0] = max(self._worst_ms[0], late_ms)
        self._own_ms[0] = max(self._own_ms[0], min(late_ms, computed_ms))

    def _analyse(self) -> None:
        # One, and then whatever the sockets have.
        if not self._stopped and self.analyse_one(self._clock.now_ns()):
            asyncio.get_running_loop().call_soon(self._analyse)
        else:
            self._analysing = False

    def _failed(self, call: Ticked, what: str) -> None:
        call.failed(f"{what} failed; see the log")
