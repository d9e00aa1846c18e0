"""Levels of signals whose level is known."""

from __future__ import annotations

import pytest

from shortwire.audio.levels import FLOOR_DB, level, level_db, level_of_db, peak_db


def test_silence_is_the_floor() -> None:
    assert level(b"\xff\x7f" * 80) == 0.0
    assert level_db(b"\xff" * 160) == FLOOR_DB
    assert level(b"") == 0.0
    assert peak_db(b"") == FLOOR_DB


def test_full_scale_is_zero() -> None:
    assert level_db(b"\x80\x00" * 80) == pytest.approx(0, abs=0.3)
    assert peak_db(b"\xff" * 159 + b"\x00") == pytest.approx(0, abs=0.3)


def test_half_a_frame_of_speech_lies_half_way() -> None:
    assert level_db(b"\x80" * 80 + b"\xff" * 80) == pytest.approx(FLOOR_DB / 2, abs=0.3)


def test_a_level_and_its_step() -> None:
    assert level_of_db(FLOOR_DB) == 0
    assert level_of_db(level_db(b"\x9f" * 160)) == pytest.approx(level(b"\x9f" * 160))
