"""When missing marks are worth a word: never while audio should still be playing, and once."""

from __future__ import annotations

from shortwire.call.playout import PlainPlayout
from shortwire.clock import NS_PER_S
from shortwire.switchboard.marks import OVERDUE_S, MarkWatch

T0 = 1000 * NS_PER_S


def at(seconds: float) -> int:
    return T0 + int(seconds * NS_PER_S)


def first_reply(*, returned: bool = True) -> PlainPlayout:
    """A reply of 2 s whose mark came back, or not."""
    playout = PlainPlayout()
    playout.wrote(T0, 2_000.0)
    name = playout.mark()
    if returned:
        assert playout.mark_returned(name, at(2.1)) is not None
    return playout


def complaints(playout: PlainPlayout, until_s: int) -> list[int]:
    watch = MarkWatch()
    return [second for second in range(until_s) if watch.complaint(playout, at(second))]


def test_nothing_outstanding_is_nothing_overdue() -> None:
    assert first_reply().overdue_ms(at(500)) == 0.0
    assert complaints(first_reply(), 500) == []


def test_marks_that_stop_coming_back_are_told_once() -> None:
    playout = first_reply()
    playout.wrote(at(5), 3_000.0)
    playout.mark()
    assert complaints(playout, 100) == [8 + OVERDUE_S]


def test_a_minute_sent_at_once_is_played_for_a_minute() -> None:
    """And the marks of its beginning are overdue long before the one of its end."""
    playout = first_reply()
    playout.wrote(at(5), 60_000.0)
    playout.mark()
    assert complaints(playout, 74) == []
    assert complaints(playout, 76) == [75]
    playout = first_reply()
    playout.wrote(at(5), 1_000.0)
    playout.mark()
    playout.wrote(at(5), 59_000.0)
    playout.mark()
    assert complaints(playout, 76) == [6 + OVERDUE_S]


def test_a_carrier_that_never_returned_one_is_not_accused() -> None:
    assert complaints(first_reply(returned=False), 100) == []


def test_what_was_cleared_is_not_waited_for() -> None:
    playout = first_reply()
    playout.wrote(at(5), 30_000.0)
    playout.mark()
    playout.cleared(at(6))
    assert complaints(playout, 100) == []


def test_while_audio_goes_on_the_oldest_mark_counts() -> None:
    playout = first_reply()
    watch = MarkWatch()
    told = []
    for second in range(5, 40):
        playout.wrote(at(second), 1_000.0)
        playout.mark()
        if watch.complaint(playout, at(second)):
            told.append(second)
    assert told == [16]
