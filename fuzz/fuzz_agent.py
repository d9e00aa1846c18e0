"""Bent messages of the agent's host: decoded or refused, and cut truly or not at all."""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

from fuzzing import bend, feeding, main, views

from shortwire.wire import elevenlabs
from shortwire.wire.splice import cut_agent_audio
from shortwire.wire.twilio import WireError

__all__ = ["ALLOWED", "SEEDS", "target"]

ALLOWED = (WireError,)
"""What `decode` may raise. The cuts raise nothing."""

CORPUS = Path(__file__).parents[1] / "tests" / "fixtures" / "corpus" / "elevenlabs-server.jsonl"
SEEDS = [json.loads(line)["raw"].encode() for line in CORPUS.read_text(encoding="utf-8").splitlines()]
SEEDS += [seed for seed in SEEDS if seed.startswith(b'{"audio_event"')] * 3


def check(data: bytes) -> None:
    """One message."""
    found, plain = cut_agent_audio(data), elevenlabs.audio_plain(data)
    try:
        typed = elevenlabs.decode(data)
    except ALLOWED as error:
        assert str(error)
        assert found is None, "cut, and no message"
        return
    if found is None:
        return
    payload, event_id = found
    assert isinstance(typed, elevenlabs.Audio)
    assert (typed.audio_event.audio_base_64.encode(), typed.audio_event.event_id) == found
    parsed = json.loads(data)["audio_event"]
    assert (parsed["audio_base_64"].encode(), parsed["event_id"]) == found
    # The plain side refuses what is not base64 throughout; what it takes is the same audio, its end spelled properly.
    assert plain is None or (plain[0].rstrip(b"=")[:-1], plain[1]) == (payload.rstrip(b"=")[:-1], event_id)


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
