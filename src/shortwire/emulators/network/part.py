"""One fault in one direction of one connection: takes chunks, gives them back when they are due.

A part knows no socket, no loop and no clock: time is an argument, chance is a generator it is given. It keeps
the order of what it passes on, and on being taken out it hands on what it still holds.
"""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, ClassVar, Generic, TypeVar

from .chunk import NEVER_NS, StreamChunk

__all__ = ["FaultError", "NoOptions", "Part", "not_negative"]

O = TypeVar("O")  # noqa: E741  the options of a kind of part


class FaultError(ValueError):
    """A fault cannot be had as it was asked for; the text says what to change."""


def not_negative(**values: float) -> None:
    """Raises `FaultError` naming the first value below zero."""
    for name, value in values.items():
        if value < 0:
            raise FaultError(f"{name} must not be negative: {value}")


class NoOptions:
    """For parts that have nothing to choose."""

    __slots__ = ()


class Part(Generic[O]):
    """Base of all parts: a queue in order of arrival. By itself it passes everything on at once."""

    kind: ClassVar[str]
    Options: ClassVar[type[Any]]
    one_direction: ClassVar[bool] = False
    """Makes sense in one direction only; `both` is refused."""

    def __init__(self, options: O, *, now_ns: int, dice: random.Random) -> None:
        self.options = options
        self.held = 0
        """Bytes inside."""
        self.counters: Counter[str] = Counter()
        self._dice = dice
        self._pipe: deque[StreamChunk] = deque()
        self._last_ns = 0
        self._begin(now_ns)

    def put(self, chunk: StreamChunk) -> None:
        """Take a chunk; chunks come in order, each with the instant it reaches this part."""
        if chunk.mark is None:
            self.counters["chunks"] += 1
            self.counters["bytes"] += len(chunk.data)
        self._accept(chunk)

    def take(self, now_ns: int) -> Iterator[StreamChunk]:
        """What is due, in order, each with the instant it leaves."""
        while self._pipe and self._pipe[0].at_ns <= now_ns:
            chunk = self._pipe.popleft()
            self.held -= len(chunk.data)
            yield chunk

    def due_ns(self) -> int:
        """When `take` next has something; `NEVER_NS` if nothing is known to come."""
        return self._pipe[0].at_ns if self._pipe else NEVER_NS

    def change(self, options: O, now_ns: int) -> None:
        """Other options from now on; what is already inside keeps its time, unless a part says otherwise."""
        del now_ns
        self.options = options

    def release(self, now_ns: int) -> list[StreamChunk]:
        """This part is being taken out: everything it holds, due at once."""
        held = [replace(chunk, at_ns=now_ns) for chunk in self._pipe]
        self._pipe.clear()
        self.held = 0
        self._last_ns = 0
        return held

    @property
    def full(self) -> bool:
        """Holds so much that the source should not be read from."""
        return False

    # For the parts

    def _begin(self, now_ns: int) -> None:
        """The part has just been put in."""

    def _accept(self, chunk: StreamChunk) -> None:
        self._pass(chunk, chunk.at_ns)

    def _pass(self, chunk: StreamChunk, at_ns: int) -> None:
        """Let it go at that instant, but never before what came earlier."""
        self._last_ns = max(self._last_ns, at_ns)
        self._pipe.append(replace(chunk, at_ns=self._last_ns))
        self.held += len(chunk.data)

    def _again(self, now_ns: int) -> None:
        """Take in anew, at this instant, everything that is inside."""
        for chunk in self.release(now_ns):
            self._accept(chunk)
