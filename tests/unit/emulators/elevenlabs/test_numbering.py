"""Event ids as captured: strictly between for a voice barge-in, equal after a written message; never downwards."""

from __future__ import annotations

import random

import pytest

from shortwire.emulators.elevenlabs.numbering import Numbering


@pytest.mark.parametrize(
    ("rule", "by_voice", "equal"),
    [("live", True, False), ("live", False, True), ("strict", False, False), ("equal", True, True)],
)
def test_an_interruption_and_the_turn_after_it(rule, by_voice, equal):
    numbers = Numbering(random.Random(3), rule)
    first = numbers.turn(spoken_to=True)
    stopped = numbers.interruption(by_voice=by_voice)
    after = numbers.turn(spoken_to=by_voice)
    assert first < stopped <= after
    assert (stopped == after) is equal


def test_the_first_turns_begin_above_zero():
    assert Numbering(random.Random(1), "live").turn(spoken_to=False) == 1
    assert 6 <= Numbering(random.Random(1), "live").turn(spoken_to=True) <= 16


def test_a_promised_number_is_kept_unless_an_interruption_comes_between():
    numbers = Numbering(random.Random(1), "live")
    promised = numbers.coming()
    assert numbers.coming() == promised == numbers.turn(spoken_to=True)
    promised = numbers.coming()
    assert numbers.interruption(by_voice=True) > promised
    assert numbers.turn(spoken_to=True) > promised
