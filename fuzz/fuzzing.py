"""What the fuzz entry points share: bending bytes, running a target, reporting what it did not survive."""

from __future__ import annotations

import argparse
import random
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass

__all__ = ["Finding", "Target", "bend", "main", "run", "views"]

Target = Callable[[random.Random], bytes]
"""Makes one input, feeds it, and checks what came of it. Returns the input, for the count alone; what raises
leaves its input in the exception's notes (`feeding`)."""

_JSON = rb"""" \ \" \/ \u0022 \ud800 { } [ ] , : 0 - 1e999 null true NaN = A
    "type":"audio" ,"type":"ping" "event":"media" ,"event":"stop" ,"payload":"BBBB"
    ,"audio_base_64":"" ,"audio_base_64":"BBBB" ,"event_id":07 ,"event_id":7""".split()
_BYTES = [b"\x00", b"\x1f", b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xef\xbb\xbf", b" ", b"\n"]
_DEEP = [b"[" * 2_000, b'{"a":' * 2_000]
_PIECES = [*_JSON, *_BYTES, *_DEEP]


@dataclass(frozen=True)
class Finding:
    """An input that a target did not survive."""

    number: int
    data: bytes
    error: Exception

    def __str__(self) -> str:
        where = "".join(traceback.format_exception(self.error))
        return f"input {self.number}: {self.data[:2000]!r}\n{where}"


def bend(rng: random.Random, data: bytes, others: Sequence[bytes] = ()) -> bytes:
    """`data` with nought to four things wrong: bits, bytes, splinters of JSON, parts of other inputs."""
    for _ in range(rng.choice((0, 1, 1, 1, 2, 2, 3, 4))):
        at, length = rng.randint(0, len(data)), rng.choice((1, 1, 2, 5, 20, 100))
        match rng.randrange(8):
            case 0:
                data = data[:at] + rng.choice(_PIECES) + data[at:]
            case 1:
                data = data[:at] + data[at + length :]
            case 2:
                data = data[: at + length] + data[at:]
            case 3 if data:
                spot = min(at, len(data) - 1)
                data = data[:spot] + bytes([data[spot] ^ 1 << rng.randrange(8)]) + data[spot + 1 :]
            case 4:
                data = data[:at] + rng.randbytes(length) + data[at + length :]
            case 5:
                data += rng.choice(_PIECES)
            case 6 if others:
                other = rng.choice(others)
                start = rng.randint(0, len(other))
                data = data[:at] + other[start : start + 40] + data[at:]
            case _:
                data = data[:at]
    return data


def views(rng: random.Random, data: bytes) -> list[bytes]:
    """The ways one message can come: whole, in two, or (now and then, and if short) cut at every byte."""
    at = rng.randint(0, len(data))
    found = [data, data[:at], data[at:]]
    if len(data) < 600 and rng.random() < 0.02:
        found += [data[:n] for n in range(len(data))]
    return found


def feeding(error: Exception, data: bytes) -> Exception:
    """Note on an exception what was being fed."""
    error.fed = data  # type: ignore[attr-defined]
    return error


def run(target: Target, seed: int, *, seconds: float = 0.0, inputs: int = 0) -> tuple[int, Finding | None]:
    """Feed until the time is over, the inputs are used up, or something is found: (inputs fed, finding)."""
    until = time.monotonic() + seconds if seconds else float("inf")
    number = 0
    while (not inputs or number < inputs) and time.monotonic() < until:
        # A generator of its own for each input: number and seed are enough to have it again.
        rng = random.Random(f"{seed}/{number}")  # noqa: S311, reproducible on purpose
        try:
            target(rng)
        except Exception as error:
            return number + 1, Finding(number, getattr(error, "fed", b""), error)
        number += 1
    return number, None


def main(target: Target) -> int:
    """The command line of an entry point; its exit status."""
    parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--inputs", type=int, default=0, help="stop after so many; 0: when the time is over")
    parser.add_argument("--only", type=int, default=None, help="feed this one input of the seed, without catching")
    given = parser.parse_args()
    if given.only is not None:
        target(random.Random(f"{given.seed}/{given.only}"))  # noqa: S311
        return 0
    fed, finding = run(target, given.seed, seconds=given.seconds, inputs=given.inputs)
    if finding is not None:
        sys.stderr.write(f"seed {given.seed}, {finding}\nagain: --seed {given.seed} --only {finding.number}\n")
        return 1
    sys.stdout.write(f"{fed} inputs, nothing found (seed {given.seed})\n")
    return 0
