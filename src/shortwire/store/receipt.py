"""A promise from the event loop to the writer thread that one of them keeps.

The point is `claim`: a caller that stops waiting and a writer that is about to commit decide, once, whether
the write still happens. So a call whose creation was reported as failed is not found stored later.
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from enum import Enum, auto
from typing import Generic, TypeVar

__all__ = ["Receipt"]

T = TypeVar("T")


class _State(Enum):
    OPEN = auto()
    CLAIMED = auto()
    WITHDRAWN = auto()


class Receipt(Generic[T]):
    """One awaited write. The writer claims and delivers; the loop waits or withdraws."""

    __slots__ = ("_future", "_lock", "_state")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._state = _State.OPEN
        self._future: Future[T] = Future()

    @property
    def withdrawn(self) -> bool:
        return self._state is _State.WITHDRAWN

    def claim(self) -> bool:
        """Writer, right before the commit: False when nobody wants it any more."""
        return self._move(_State.OPEN, _State.CLAIMED)

    def release(self) -> None:
        """Writer, after a commit that failed: it may be withdrawn again."""
        self._move(_State.CLAIMED, _State.OPEN)

    def withdraw(self) -> bool:
        """Loop: True when the write will certainly not happen."""
        return self._move(_State.OPEN, _State.WITHDRAWN)

    def deliver(self, value: T) -> None:
        with suppress(InvalidStateError):  # nobody waits any more
            self._future.set_result(value)

    def fail(self, error: Exception) -> None:
        with suppress(InvalidStateError):
            self._future.set_exception(error)

    async def wait(self, deadline_s: float) -> T:
        """The delivered value. Raises what was failed with, or `TimeoutError`, and withdraws then.

        A commit under way at the deadline is given as long again, because its outcome is worth knowing.
        """
        future = asyncio.wrap_future(self._future)
        try:
            done, _ = await asyncio.wait({future}, timeout=deadline_s)
            if not done and not self.withdraw():
                done, _ = await asyncio.wait({future}, timeout=deadline_s)
            if done:
                return future.result()
            raise TimeoutError
        finally:
            if not future.done():
                self.withdraw()
                future.cancel()

    def _move(self, old: _State, new: _State) -> bool:
        with self._lock:
            if self._state is not old:
                return False
            self._state = new
            return True
