"""Damaged tapes: read as far as they are sound, and never further."""

from __future__ import annotations

import base64
import random
import sys

from fuzzing import bend, feeding, main

from shortwire.call.tape import Kind, Record, TapeHeader, TapeUnreadable, TapeWriter, read_tape

__all__ = ["ALLOWED", "target"]

ALLOWED = (TapeUnreadable,)
"""What the reader may raise: no tape, or a newer one. Damage is an answer, not an error."""

_AUDIO = (Kind.UPLINK_AUDIO, Kind.UPLINK_KEPT, Kind.DOWNLINK_AUDIO, Kind.DOWNLINK_DROPPED)


def _tape(rng: random.Random) -> tuple[bytes, list[int], tuple[Record, ...]]:
    """A sound tape, where its blocks end, and what is on it."""
    writer = TapeWriter(TapeHeader("call_1", clock_ns=rng.randrange(2**40), wall_s=1.5, more={"a": 1}))
    data, ends, records = writer.records([]), [], []
    ends.append(len(data))
    for _ in range(rng.randrange(5)):
        batch = []
        for _ in range(rng.randrange(1, 5)):
            kind = rng.choice(list(Kind))
            payload = rng.randbytes(rng.randrange(30))
            batch.append(Record(kind, rng.randrange(2**50), base64.b64encode(payload) if kind in _AUDIO else payload))
        data += writer.records(batch)
        ends.append(len(data))
        records += batch
    return data, ends, tuple(records)


def _is_beginning(found: tuple[Record, ...], records: tuple[Record, ...]) -> bool:
    return found == records[: len(found)]


def target(rng: random.Random) -> bytes:
    data, ends, records = _tape(rng)
    fed = data
    try:
        whole = read_tape(data)
        assert whole.records == records
        assert whole.damage is None
        # As the file grows: byte by byte, what can be read grows with it, block by block.
        read = 0
        for length in range(len(data)) if rng.random() < 0.05 else sorted(rng.sample(range(len(data)), 8)):
            fed = data[:length]
            part = read_tape(fed)
            assert _is_beginning(part.records, records)
            assert len(part.records) >= read
            assert (part.damage is None) == (length in ends)
            read = len(part.records)
        # One bit: whatever stands in front of it is read, nothing that was never written.
        at = rng.randrange(len(data))
        fed = data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]
        try:
            found = read_tape(fed)
        except ALLOWED:
            assert at < ends[0], "a sound header was not recognised"
        else:
            assert found.damage is not None
            assert _is_beginning(found.records, records)
        # Anything.
        fed = bend(rng, data)
        try:
            read_tape(fed)
        except ALLOWED as error:
            assert str(error)
    except Exception as error:
        raise feeding(error, fed) from None
    return data


if __name__ == "__main__":
    sys.exit(main(target))
