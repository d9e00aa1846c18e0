"""Jitter, holes, levels and echo of calls made to have them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from shortwire.audio.ear import clipped
from shortwire.audio.levels import level
from shortwire.audio.meter import Meter
from shortwire.audio.mulaw import LINEAR, encode_table
from shortwire.audio.quality import find_echo, quality_figures, verdict

MS = 1_000_000
QUIET = b"\xff" * 160
TABLE = np.frombuffer(encode_table(), np.uint8)


def encoded(samples: np.ndarray) -> bytes:
    return TABLE[np.clip(np.rint(samples), -32768, 32767).astype(np.int16).view(np.uint16)].tobytes()


def fed(delays_ms: list[float], frame: bytes = QUIET, *, voiced: bool = False) -> Meter:
    meter = Meter()
    for n, delay in enumerate(delays_ms, 1):
        meter.frame(int((20 * n + delay) * MS), len(frame), level(frame), clipped(frame), voiced)
    return meter


def test_a_steady_line_is_good() -> None:
    found = quality_figures(fed([45.0] * 500).counted())
    assert found["uplink"]["jitter_ms"] == 0
    assert (found["uplink"]["late_frames"], found["uplink"]["missing_frames"]) == (0, 0)
    assert verdict(found) == "good"


def test_jitter_is_rfc_3550s() -> None:
    """Section 6.4.1 by hand: J += (|D| - J) / 16."""
    delays = [0.0, 8.0, 0.0, 0.0, 16.0]
    jitter = 0.0
    for before, after in itertools.pairwise(delays):
        jitter += (abs(after - before) - jitter) / 16
    assert quality_figures(fed(delays).counted())["uplink"]["jitter_ms"] == pytest.approx(jitter, abs=0.01)


def test_a_stall_makes_frames_late_but_none_missing() -> None:
    stall = [max(0.0, 300 - 20 * n) for n in range(50)]
    found = quality_figures(fed([45.0] * 200 + [45 + ms for ms in stall] + [45.0] * 200).counted())["uplink"]
    assert found["late_frames"] == sum(1 for ms in stall if ms > 60)
    assert found["latest_ms"] == pytest.approx(300)
    assert found["missing_frames"] == 0
    assert verdict({"uplink": found}).startswith("poor: the caller's frames came unevenly")


def test_frames_that_the_carrier_left_out_are_missing() -> None:
    """What comes after a hole comes 200 ms "late" for good: ten frames were never sent."""
    found = quality_figures(fed([45.0] * 250 + [245.0] * 250).counted())["uplink"]
    assert found["missing_frames"] == 10
    assert "10 of the caller's frames never came" in verdict({"uplink": found})


@pytest.mark.parametrize("drift", [-0.001, 0.001])
def test_a_carrier_whose_clock_drifts_leaves_nothing_out(drift: float) -> None:
    found = quality_figures(fed([45.0 + n * 20 * drift for n in range(3000)]).counted())["uplink"]
    assert (found["missing_frames"], found["late_frames"]) == (0, 0)


def test_clipping_and_faint_speech_are_seen() -> None:
    loud = encoded(32767 * np.sign(np.sin(np.arange(160) / 3)))
    found = quality_figures(fed([0.0] * 100, loud, voiced=True).counted())
    assert found["uplink"]["clipped_percent"] > 90
    assert "clipped" in verdict(found)
    faint = encoded(60 * np.sin(np.arange(160) / 3))
    assert "the caller is faint" in verdict(quality_figures(fed([0.0] * 100, faint, voiced=True).counted()))


def test_audio_that_comes_slower_than_it_plays_underruns() -> None:
    meter = fed([0.0] * 100)
    for n in range(4):
        meter.agent(n * 500 * MS, 400, 7)
    found = quality_figures(meter.counted())["downlink"]
    assert (found["underruns"], found["underrun_ms"]) == (3, 300.0)
    assert "3 hole(s)" in verdict(quality_figures(meter.counted()))


def test_another_reply_and_what_follows_a_clear_are_no_underrun() -> None:
    meter = Meter()
    meter.agent(0, 400, 7)
    meter.agent(1000 * MS, 400, 8)
    meter.cleared()
    meter.agent(3000 * MS, 400, 8)
    assert quality_figures(meter.counted())["downlink"]["underruns"] == 0


def speechlike(seconds: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    noise = np.convolve(rng.standard_normal(8000 * seconds), np.ones(6) / 6, "same")
    return 6000 * noise * (np.sin(np.arange(8000 * seconds) / 900) > -0.3)


def test_an_echo_is_found_with_its_delay_and_level() -> None:
    agent, party = speechlike(12, 1), 200 * np.random.default_rng(2).standard_normal(8000 * 12)
    party[8 * 180 :] += agent[: -8 * 180] * 10 ** (-18 / 20)
    echo = find_echo(encoded(party), encoded(agent))
    assert echo is not None
    assert echo.delay_ms == pytest.approx(180, abs=1)
    assert echo.level_db == pytest.approx(-18, abs=1)
    assert "the agent hears itself 180 ms later" in verdict(quality_figures(fed([0.0] * 100).counted()), echo)


def test_two_voices_are_no_echo_of_each_other() -> None:
    assert find_echo(encoded(speechlike(12, 3)), encoded(speechlike(12, 4))) is None
    assert find_echo(QUIET * 600, encoded(speechlike(12, 4))) is None
    assert find_echo(b"", b"") is None


def test_a_call_without_audio_says_so() -> None:
    assert verdict(quality_figures(Meter().counted())) == "no audio came from the phone"
    assert max(map(abs, LINEAR)) == 32124
