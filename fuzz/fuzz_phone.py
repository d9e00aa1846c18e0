"""Bent messages of the carrier: decoded or refused, and cut truly or not at all."""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

from fuzzing import bend, feeding, main, views

from shortwire.wire import twilio
from shortwire.wire.splice import phone_cut

__all__ = ["ALLOWED", "SEEDS", "target"]

ALLOWED = (twilio.WireError,)
"""What `decode` may raise. The cuts raise nothing."""

SID = "MZ5174584e1127285e2b015e720b3d9e68"
CORPUS = Path(__file__).parents[1] / "tests" / "fixtures" / "corpus" / "twilio-stream.jsonl"
SEEDS = [json.loads(line)["raw"].encode() for line in CORPUS.read_text(encoding="utf-8").splitlines()]
SEEDS += [
    b'{"event":"media","sequenceNumber":"2","media":{"track":"inbound","chunk":"1","timestamp":"5","payload":"//8="},'
    b'"streamSid":"' + SID.encode() + b'"}'
] * 8

cut, plain = phone_cut(SID), twilio.media_plain(SID)


def check(data: bytes) -> None:
    """One message."""
    payload, other = cut(data), plain(data)
    try:
        typed = twilio.decode(data)
    except ALLOWED:
        assert payload is None, "cut, and no message"
        return
    if payload is None:
        return
    assert isinstance(typed, twilio.Media)
    assert (typed.media.payload.encode(), typed.media.track, typed.streamSid) == (payload, "inbound", SID)
    assert json.loads(data)["media"]["payload"].encode() == payload
    # The plain side refuses what is not base64 throughout; what it takes is the same audio, its end spelled properly.
    assert other is None or other.rstrip(b"=")[:-1] == payload.rstrip(b"=")[:-1]


def target(rng: random.Random) -> bytes:
    data = bend(rng, rng.choice(SEEDS), SEEDS)
    for view in views(rng, data):
        try:
            check(view)
        except Exception as error:
            raise feeding(error, view) from None
    return data


if __name__ == "__main__":
    sys.exit(main(target))
