"""Stamps in audio: read back, found damaged, put together again."""

from __future__ import annotations

import base64

import pytest

from shortwire.bench.stamp import Assembler, Stamp, Voice, read
from shortwire.bench.tally import Tally


def test_a_frame_is_a_frame() -> None:
    piece = Voice().piece(3, 4, 5)
    assert len(base64.b64decode(piece)) == 160
    assert len(piece) == 216


def test_what_was_stamped_is_read() -> None:
    assert read(Voice(4000).piece(7, 99, 123_456_789)) == Stamp(123_456_789, 7, 99, 4000, True)


def test_pieces_differ_so_that_a_repeated_one_is_seen() -> None:
    voice = Voice()
    assert voice.piece(1, 1, 10)[32:] != voice.piece(1, 2, 10)[32:]


def test_a_changed_byte_is_seen() -> None:
    audio = bytearray(base64.b64decode(Voice().piece(1, 2, 3)))
    audio[100] ^= 1
    found = read(base64.b64encode(audio))
    assert found is not None
    assert not found.whole


@pytest.mark.parametrize("payload", [b"", b"AAAA", b"A" * 216, b"\xff" * 40, b"*" * 216])
def test_what_is_no_piece_has_no_stamp(payload: bytes) -> None:
    assert read(payload) is None


def test_a_stamp_needs_room() -> None:
    with pytest.raises(ValueError, match="24 bytes"):
        Voice(23)


def cut(payload: bytes, *sizes: int) -> list[bytes]:
    audio = base64.b64decode(payload)
    found, at = [], 0
    for size in [*sizes, len(audio)]:
        found.append(base64.b64encode(audio[at : at + size]))
        at += size
    return found


@pytest.mark.parametrize("sizes", [(), (160,), (10, 10, 10), (3999,), (24,)])
def test_cut_pieces_are_put_together(sizes: tuple[int, ...]) -> None:
    assembler = Assembler()
    found = []
    for at, part in enumerate(cut(Voice(4000).piece(1, 8, 77), *sizes)):
        found += assembler.take(part, 1000 + at)
    assert [stamp for stamp, _ in found] == [Stamp(77, 1, 8, 4000, True)]


def test_the_beginning_is_what_is_timed() -> None:
    assembler = Assembler()
    first, second = cut(Voice(400).piece(1, 0, 7), 200)
    assert assembler.take(first, 50) == []
    assert assembler.take(second, 90) == [(Stamp(7, 1, 0, 400, True), 50)]


def test_pieces_glued_together_are_two() -> None:
    voice = Voice()
    both = base64.b64encode(base64.b64decode(voice.piece(1, 0, 5)) + base64.b64decode(voice.piece(1, 1, 6)))
    assert [(s.number, s.whole) for s, _ in Assembler().take(both, 9) if s] == [(0, True), (1, True)]


def test_a_dropped_rest_does_not_spoil_what_follows_a_clear() -> None:
    assembler, voice = Assembler(), Voice(400)
    assembler.take(cut(voice.piece(1, 0, 5), 200)[0], 1)
    assembler.forget()
    assert [stamp for stamp, _ in assembler.take(voice.piece(1, 1, 6), 2)] == [Stamp(6, 1, 1, 400, True)]


def test_rubbish_is_damage_once_and_then_forgotten() -> None:
    assembler, voice = Assembler(), Voice()
    assert assembler.take(base64.b64encode(b"x" * 160), 1) == [(None, 1)]
    assert [stamp for stamp, _ in assembler.take(voice.piece(1, 1, 6), 2)] == [Stamp(6, 1, 1, 160, True)]


def take(tally: Tally, number: int, *, call: int = 1, over: int = 1, sent_ns: int = 100, whole: bool = True) -> None:
    tally.take(Stamp(sent_ns, call, number, 160, whole), over, sent_ns + 2000, sent_ns + 1500)


def test_order_gaps_damage_and_strangers_are_counted_apart() -> None:
    tally = Tally()
    tally.window(0, 1000)
    for number in (2, 3, 6, 5, 6, 7):
        take(tally, number)
    take(tally, 8, whole=False)
    take(tally, 8, call=2)
    tally.take(None, 1, 5, 5)
    said = tally.report()
    assert said["arrived"] == {1: 4}
    assert (said["first"], said["last"]) == ({1: 2}, {1: 7})
    assert (said["gaps"], said["disordered"], said["damaged"]) == (2, 2, 3)


def test_only_what_was_sent_in_the_window_is_timed() -> None:
    tally = Tally()
    tally.window(100, 200)
    for number, sent_ns in enumerate((99, 100, 199, 200)):
        take(tally, number, sent_ns=sent_ns)
    said = tally.report()
    assert said["in_window"] == said["delay_us"]["n"] == 2
    assert said["arrived"] == {1: 4}
    assert said["delay_us"]["max"] == 2.0
    assert said["own_share_us"]["max"] == 0.5
