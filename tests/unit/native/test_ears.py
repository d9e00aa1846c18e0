"""The compiled ear and its twins in Python hear the same, frame by frame and in stretches."""

from __future__ import annotations

import base64
import random
from collections.abc import Iterator
from typing import Any

import pytest

from shortwire import native
from shortwire.audio import analyst as analysts
from shortwire.audio.analyst import Analyst
from shortwire.audio.ear import Ear, clipped, measured, new_ear, new_recorder
from shortwire.audio.levels import level
from shortwire.audio.mulaw import LINEAR
from shortwire.audio.voice_activity import VoiceOptions
from shortwire.call.side import (
    AGENT_AUDIO,
    BARGE_IN,
    DOWNLINK,
    FRAMES,
    HEARD,
    RELAYED,
    UPLINK,
    UPLINK_KEPT,
    WORDS,
    WRITTEN,
    SideEntry,
    plain,
)
from shortwire.records import EventKind

pytestmark = pytest.mark.skipif(not native.AVAILABLE, reason=f"not built: {native.WHY_NOT}")

MS = 1_000_000
BY_LOUDNESS = sorted(range(256), key=lambda code: abs(LINEAR[code]))


def sound(rng: random.Random, loudness: int, size: int = 160) -> bytes:
    """Mu-law around a place in the order of its codes by loudness (0 to 255)."""
    low, high = max(0, loudness - 20), min(255, loudness + 20)
    return bytes(BY_LOUDNESS[rng.randint(low, high)] for _ in range(size))


def line(rng: random.Random, frames: int) -> Iterator[tuple[int, bytes]]:
    """Caller frames with what lines do: jitter, stalls, holes, speech over noise, odd sizes, digital silence."""
    now_ns, late_ns, noise, speech, voice = rng.randrange(10**15), 0, rng.randrange(20, 80), 0, 200
    for _ in range(frames):
        now_ns += 20 * MS
        late_ns = max(0, late_ns - 20 * MS)
        dice = rng.random()
        if dice < 0.01:
            late_ns = rng.choice([90, 400, 2500]) * MS
        elif dice < 0.015:
            now_ns += rng.choice([20, 200, 900]) * MS
        elif dice < 0.02:
            noise = rng.randrange(20, 120)
        if speech == 0 and rng.random() < 0.05:
            speech, voice = rng.randrange(1, 60), rng.randrange(120, 256)
        speech = max(0, speech - 1)
        size = 160 if rng.random() < 0.97 else rng.choice([1, 80, 159, 161, 480])
        audio = sound(rng, voice if speech and rng.random() < 0.9 else noise, size)
        yield now_ns + late_ns + rng.randrange(4 * MS), b"\xff" * size if rng.random() < 0.01 else audio


@pytest.mark.parametrize("seed", range(20))
def test_frame_by_frame(seed: int) -> None:
    rng = random.Random(seed)
    compiled, python = new_ear(), Ear(VoiceOptions())
    assert isinstance(compiled, native.ear.Ear)
    voices = set()
    for n, (now_ns, ulaw) in enumerate(line(rng, 1500)):
        found = measured(base64.b64encode(ulaw))
        assert found == (len(ulaw), level(ulaw), clipped(ulaw))
        heard = python.frame(now_ns, *found)
        assert compiled.frame(now_ns, *found) == heard, n
        voices.add(heard[0])
        if rng.random() < 0.3:
            chunk = (now_ns, rng.choice([20, 62.5, 400]), rng.choice([0, n // 100]))
            python.agent(*chunk)
            compiled.agent(*chunk)
        if rng.random() < 0.01:
            python.cleared()
            compiled.cleared()
        if rng.random() < 0.005:
            assert compiled.counted() == python.counted()
    assert voices == {True, False}
    assert compiled.counted() == python.counted()
    assert python.counted().late or python.counted().missing


def happening(rng: random.Random, frames: int) -> Iterator[SideEntry]:
    """A side log: two who speak, now and then at once, with everything that a session notes of it."""
    event_id, left, run_ns = 3, 0, 0
    for now_ns, ulaw in line(rng, frames):
        payload = base64.b64encode(ulaw)
        if rng.random() < 0.005:
            payload = rng.choice([b"A", b"AA=A", b"AAAA=", b"AA==AAAA"])
        yield now_ns, UPLINK if rng.random() < 0.98 else UPLINK_KEPT, payload
        if left:
            left -= 1
            if rng.random() < 0.02:
                event_id += 1
            ms = rng.choice([20, 20, 40, 62.5])
            yield now_ns, RELAYED, (event_id, base64.b64encode(bytes(int(ms * 8))), ms)
            left = 0 if rng.random() < 0.01 else left
            if rng.random() < 0.05:
                yield now_ns, HEARD, (rng.choice([None, run_ns + 80 * MS]), rng.choice([0.0, 200.0]))
            if rng.random() < 0.02:
                left = 0
                yield now_ns, BARGE_IN, 120.0
            if left == 0 and rng.random() < 0.7:
                yield now_ns, HEARD, (run_ns + 75 * MS, 0.0)
        elif rng.random() < 0.03:
            event_id += rng.randrange(2)
            left, run_ns = rng.randrange(60), now_ns
            if rng.random() < 0.6:
                yield now_ns, WORDS, (EventKind.PARTY_SAID, "well")
            chunk = base64.b64encode(bytes(320))
            yield now_ns, AGENT_AUDIO, (event_id, chunk, False)
            yield now_ns, DOWNLINK, (chunk, False, event_id)
            if rng.random() < 0.9:
                yield now_ns, WRITTEN, 40
            yield now_ns, WORDS, (EventKind.AGENT_SAID, "yes")
        if rng.random() < 0.01:
            yield now_ns, WORDS, (rng.choice([EventKind.AGENT_CORRECTED, EventKind.PARTY_SAID]), "no")


def analysed(log: list[SideEntry], analyst: Analyst, entries: list[SideEntry], pieces: list[int]) -> Any:
    """What comes out, piece by piece."""
    found = []
    for size in pieces:
        log += entries[:size]
        del entries[:size]
        found.append(analyst.work())
    found.append(analyst.finish(1 << 60))
    tracker = analyst.tracker
    stretches = [(s.start_ns, s.end_ns, s.sent_ns) for s in tracker.speech.stretches]
    return (
        [(trips, [turn.as_dict() for turn in turns]) for trips, turns in found],
        stretches,
        tracker.first_word_ns,
        tracker.carrier_round_trip_ms,
        analyst.quality(),
        analyst.first_audio_ns,
    )


@pytest.mark.parametrize("seed", range(60))
def test_in_stretches(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(seed)
    happened = list(happening(rng, 1500))
    gathered: list[SideEntry] = []
    recorder = new_recorder(gathered, keeps=True)
    assert recorder is not None
    # As shortcuts note them; now and then one goes the long way.
    batches: list[tuple[list[SideEntry], int]] = []
    before = 0
    for n, (now_ns, kind, value) in enumerate(happened):
        if kind == UPLINK and rng.random() < 0.99:
            recorder.note(now_ns, value)
        elif kind == RELAYED and rng.random() < 0.99:
            recorder.note(now_ns, value[1], value[0], value[2])
        else:
            gathered.append((now_ns, kind, value))
        if rng.random() < 0.03 or n == len(happened) - 1:
            batches.append((gathered[:], n + 1 - before))
            gathered.clear()
            before = n + 1
    noted = [entry for batch, _ in batches for entry in batch]
    assert [*plain(noted)] == happened
    assert sum(len(value) for _, kind, value in noted if kind == FRAMES) > 0.9 * sum(
        kind in (UPLINK, RELAYED) for _, kind, _ in happened
    )
    log: list[SideEntry] = []
    compiled = analysed(log, Analyst(log), noted, [len(batch) for batch, _ in batches])
    monkeypatch.setattr(analysts, "new_ear", lambda: Ear(VoiceOptions()))
    plain_log: list[SideEntry] = []
    python = analysed(plain_log, Analyst(plain_log), happened, [size for _, size in batches])
    assert compiled == python
    assert len([turn for _, turns in python[0] for turn in turns]) > 5


@pytest.mark.parametrize("payload", [b"A", b"AA", b"AA=A", b"A===", b"AA==AAAA", b"AAA AAAA", b"AAAA="])
def test_what_is_not_plain_base64_is_noted_as_it_is(payload: bytes) -> None:
    log: list[SideEntry] = []
    recorder = new_recorder(log, keeps=False)
    assert recorder is not None
    recorder.note(5, payload)
    assert log == [(5, UPLINK, payload)]


def test_a_long_stretch_is_noted_in_pieces_and_nothing_comes_between() -> None:
    log: list[SideEntry] = []
    recorder = new_recorder(log, keeps=True)
    assert recorder is not None
    for n in range(100):
        recorder.note(n, b"AAAA")
    log.append((100, WORDS, ("k", "t")))
    recorder.note(101, b"BBBB")
    taken = log[:]
    log.clear()
    recorder.note(102, b"CCCC", 7, 62.5)
    recorder.note(103, b"CCCC", 8, 20)
    assert [len(value) for _, kind, value in taken if kind == FRAMES] == [64, 36, 1]
    assert [*plain(taken)] == [
        *((n, UPLINK, b"AAAA") for n in range(100)),
        (100, WORDS, ("k", "t")),
        (101, UPLINK, b"BBBB"),
    ]
    assert [*plain(log)] == [(102, RELAYED, (7, b"CCCC", 62.5)), (103, RELAYED, (8, b"CCCC", 20))]
