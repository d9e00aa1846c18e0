"""How the runner and its children talk: JSON lines, questions on standard input, answers on standard output.

A child ends when its input ends, so that it cannot outlive the benchmark.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

from .poll import Loop

__all__ = ["Questions", "first_question", "say"]


def say(answer: Mapping[str, Any]) -> None:
    """One answer to the runner."""
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def first_question() -> dict[str, Any]:
    """The configuration, which is the first line. Read byte by byte: what follows is the loop's."""
    line = bytearray()
    while (byte := os.read(0, 1)) not in (b"", b"\n"):
        line += byte
    found: dict[str, Any] = json.loads(line)
    return found


class Questions:
    """Standard input on the loop: `answer` gets each line; the loop stops at its end."""

    def __init__(self, loop: Loop, answer: Callable[[dict[str, Any]], None]) -> None:
        self._loop = loop
        self._answer = answer
        self._rest = b""
        loop.add(sys.stdin.buffer, self)

    def readable(self) -> None:
        data = os.read(0, 1 << 16)
        if not data:
            self._loop.remove(sys.stdin.buffer)
            self._loop.stop()
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._answer(json.loads(line))

    def writable(self) -> None: ...
