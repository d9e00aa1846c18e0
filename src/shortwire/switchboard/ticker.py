"""The calls' clock: a call is told the time when it wants to be, and analysed in its turn.

Two hundred calls that do their side work in one go stand between frames for tens of milliseconds. Two hundred that do
it each by itself cost every frame after them a processor's cache. So there is a turn every 50 ms, in which some do
theirs one after another while its code is warm, a piece at a time: the sockets are served in between.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable
from itertools import islice
from typing import Protocol

from ..clock import NEVER_NS, NS_PER_S, Clock
from .lag import Lag
from .strikes import TURN_NS, Strikes, new_strikes

__all__ = ["Ticked", "Ticker"]

_ANALYSED_EVERY = NS_PER_S // TURN_NS
"""Turns between two analyses of one call, at least."""
_AT_MOST_EVERY = 4 * _ANALYSED_EVERY
"""The same, at most; unless too many came at the same moment."""
_USUALLY = 3
"""Calls that are analysed in one turn, unless too many wait: sixty calls are, each second."""


class Ticked(Protocol):
    """A call, as far as it has to do with time."""

    def tick(self, now_ns: int) -> int:
        """Told the time; when it wants to be again. That is a turn later at the soonest, and `NEVER_NS` is never:
        `Ticker.wake` brings it back."""
        ...

    def analyse(self, now_ns: int) -> bool:
        """Every one to four seconds: a piece of the work beside the media path. True: there is more."""
        ...

    def failed(self, what: str) -> None:
        """One of the two raised, and is being handled: a mistake of ours, and this call's alone."""
        ...


class Ticker:
    """One process's calls and their moments. `begin`, then `stop`; `turn` and `work` are the pure part."""

    def __init__(self, clock: Clock, sweep: Callable[[], None] = lambda: None, lag: Lag | None = None) -> None:
        """`sweep` is called each turn, while there are calls."""
        self.lag = lag or Lag()
        self._clock = clock
        self._sweep = sweep
        self._next: dict[Ticked, int] = {}
        """All calls, and the turn in which each is told the time; `NEVER_NS`: when it is woken."""
        self._turns: dict[int, list[Ticked]] = {}
        """Who may be due in a turn; who is there without `_next` saying so was woken before, or is gone."""
        self._analysed: OrderedDict[Ticked, int] = OrderedDict()
        """All calls, and in which turn each was analysed last; the first has waited longest."""
        self._turn = 0
        self._due: deque[Ticked] = deque()
        """Who is still to be told the time in this turn."""
        self._unswept = False
        self._uncalled = False
        """Nobody was called up to be analysed in this turn yet."""
        self._waiting: deque[Ticked] = deque()
        """Who is still to be analysed."""
        self._strikes: Strikes | None = None
        self._working = False
        self._stopped = True

    def begin(self) -> None:
        """From now on calls are told the time. Needs a running loop."""
        self._stopped = False
        self._wind()

    def stop(self) -> None:
        self._stopped = True
        if self._strikes is not None:
            self._strikes.stop()
            self._strikes = None

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

    def turn(self) -> None:
        """One step of 50 ms: note what there is to do."""
        here = self._turn
        self._turn += 1
        self._due.extend(self._turns.pop(here, ()))
        self._unswept = True
        self._uncalled = not self._waiting

    def work(self, now_ns: int) -> bool:
        """Do the next of it; whether there is more."""
        if self._due:
            self._ask(self._due.popleft(), now_ns)
        elif self._unswept:
            self._unswept = False
            self._sweep()
        elif self._uncalled:
            self._uncalled = False
            self._call_up(self._turn - 1)
        elif self._waiting:
            self._analyse(self._waiting.popleft(), now_ns)
        return bool(self._due or self._unswept or self._waiting or self._uncalled)

    def _at(self, call: Ticked, turn: int) -> None:
        self._next[call] = turn
        self._turns.setdefault(turn, []).append(call)

    def _ask(self, call: Ticked, now_ns: int) -> None:
        if self._next.get(call, NEVER_NS) >= self._turn:
            return  # it is over, or had two appointments
        self._next[call] = NEVER_NS
        until_ns = now_ns
        try:
            until_ns = call.tick(now_ns)
        except Exception:
            call.failed("a tick failed; see the log")
        if until_ns < NEVER_NS:
            turn = self._turn - 1 + max(1, -((now_ns - until_ns) // TURN_NS))
            if turn < self._next.get(call, 0):  # it may have been woken, or be over
                self._at(call, turn)

    def _call_up(self, here: int) -> None:
        """Note whose turn it is to be analysed: a few calls, and more only where they would wait too long."""
        most = max(_USUALLY, -(-len(self._analysed) // _AT_MOST_EVERY))
        for place, (call, since) in enumerate(islice(self._analysed.items(), most)):
            if here - since < (_ANALYSED_EVERY if place < _USUALLY else _AT_MOST_EVERY):
                break
            self._waiting.append(call)
        for call in self._waiting:
            self._analysed[call] = here
            self._analysed.move_to_end(call)

    def _analyse(self, call: Ticked, now_ns: int) -> None:
        if call not in self._analysed:
            return  # over
        try:
            if call.analyse(now_ns):
                self._waiting.appendleft(call)
        except Exception:
            call.failed("an analysis failed; see the log")

    # The loop's part

    def _wind(self) -> None:
        """Start the clock, unless it runs; it stands still while there are no calls."""
        if self._stopped or not self._next:
            return
        if self._strikes is None:
            self._strikes = new_strikes(self._clock, self.struck)
        else:
            self._strikes.begin()

    def struck(self, turns: int, late_ns: int, own_ns: int) -> None:
        """See `strikes.Told`."""
        if self._stopped or not self._next:
            if self._strikes is not None:
                self._strikes.stop()
            return
        self.lag.struck(late_ns, own_ns)
        for _ in range(turns):
            self.turn()
        if not self._working:
            self._working = True
            # What a strike calls for is done before the sockets are looked at; what that calls for, after.
            loop = asyncio.get_running_loop()
            loop.call_soon(loop.call_soon, self._work)

    def _work(self) -> None:
        """One thing, and then whatever the sockets have."""
        if not self._stopped and self.work(self._clock.now_ns()):
            asyncio.get_running_loop().call_soon(self._work)
        else:
            self._working = False
