"""The playout buffer in virtual time: byte-accurate audio, marks in audio time, clear."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shortwire.emulators.twilio.playout import Playout

MS = 1_000_000
T0 = 5_000_000_000


def at(ms: float) -> int:
    return T0 + round(ms * MS)


def names(reached: object) -> list[str]:
    return [mark.name for mark in reached]  # type: ignore[attr-defined]


def test_audio_is_heard_from_the_instant_it_arrives_and_silence_around_it() -> None:
    playout = Playout(T0)
    playout.push(b"\x01" * 80, at(7))
    playout.advance(at(30))
    assert bytes(playout.heard) == b"\xff" * 56 + b"\x01" * 80 + b"\xff" * 104
    assert playout.played == [[7.0, 17.0]]


def test_audio_sent_ahead_plays_in_order_without_a_gap() -> None:
    playout = Playout(T0)
    playout.push(b"\x01" * 160, at(0))
    playout.push(b"\x02" * 160, at(3))
    assert playout.queued_ms == 37.0
    playout.advance(at(60))
    assert bytes(playout.heard) == b"\x01" * 160 + b"\x02" * 160 + b"\xff" * 160
    assert playout.played == [[0.0, 40.0]]


def test_a_mark_is_due_when_the_audio_before_it_was_played_not_when_it_came() -> None:
    playout = Playout(T0)
    playout.push(bytes(800), at(0))
    assert playout.mark("a", at(1)) == []
    playout.push(bytes(80), at(2))
    assert playout.mark("b", at(2)) == []
    assert playout.next_mark_ns() == at(100)
    assert playout.advance(at(99.8)) == []
    (a,) = playout.advance(at(105))
    assert (a.name, a.at_ms, a.sent_ms) == ("a", 100.0, 1.0)
    assert playout.next_mark_ns() == at(110)
    (b,) = playout.advance(at(400))
    assert (b.name, b.at_ms) == ("b", 110.0)
    assert playout.next_mark_ns() is None


def test_a_mark_behind_nothing_comes_back_at_once() -> None:
    playout = Playout(T0)
    (mark,) = playout.mark("now", at(33))
    assert (mark.name, mark.at_ms) == ("now", 33.0)


def test_clear_empties_the_buffer_and_returns_the_marks_in_order() -> None:
    playout = Playout(T0)
    playout.push(b"\x01" * 1600, at(0))
    playout.mark("a", at(0))
    playout.push(b"\x02" * 1600, at(0))
    playout.mark("b", at(0))
    playout.mark("b", at(0))
    assert playout.advance(at(50)) == []
    cleared = playout.clear(at(50))
    assert cleared.dropped_ms == 350.0
    assert names(cleared.marks) == ["a", "b", "b"]
    playout.advance(at(100))
    assert bytes(playout.heard) == b"\x01" * 400 + b"\xff" * 400
    playout.push(b"\x03" * 8, at(100))
    playout.advance(at(101))
    assert bytes(playout.heard[-8:]) == b"\x03" * 8, "what comes after a clear is played"


def test_a_mark_reached_before_a_late_wake_up_is_not_counted_as_cleared() -> None:
    playout = Playout(T0)
    playout.push(bytes(80), at(0))
    playout.mark("heard", at(0))
    reached = playout.advance(at(20))
    assert names(reached) == ["heard"]
    assert playout.clear(at(20)).marks == ()


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("push"), st.integers(1, 700)),
            st.tuples(st.just("mark"), st.just(0)),
            st.tuples(st.just("clear"), st.just(0)),
            st.tuples(st.just("wait"), st.integers(1, 90)),
        ),
        max_size=60,
    )
)
def test_time_and_audio_always_add_up(steps: list[tuple[str, int]]) -> None:
    playout, now_ms, pushed, dropped = Playout(T0), 0, 0, 0.0
    sent, back = [], []
    for n, (what, amount) in enumerate(steps):
        if what == "push":
            back += names(playout.push(b"\x11" * amount, at(now_ms)))
            pushed += amount
        elif what == "mark":
            sent.append(str(n))
            back += names(playout.mark(str(n), at(now_ms)))
        elif what == "clear":
            back += names(playout.advance(at(now_ms)))
            cleared = playout.clear(at(now_ms))
            back += names(cleared.marks)
            dropped += cleared.dropped_ms
        else:
            now_ms += amount
            back += names(playout.advance(at(now_ms)))
    assert len(playout.heard) <= now_ms * 8
    now_ms += pushed
    back += names(playout.advance(at(now_ms)))
    assert len(playout.heard) == now_ms * 8
    assert playout.heard.count(0x11) == pushed - dropped * 8
    assert sum(end - begin for begin, end in playout.played) * 8 == pushed - dropped * 8
    assert back == sent, "every mark comes back once, in order"
