"""Length arithmetic must agree with really decoding, for every length."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shortwire import ulaw


@given(st.binary(max_size=4000))
def test_length_agrees_with_decoding_padded_or_not(audio: bytes) -> None:
    payload = base64.b64encode(audio)
    assert ulaw.payload_bytes(payload) == len(audio)
    assert ulaw.payload_bytes(payload.rstrip(b"=")) == len(audio)
    assert ulaw.payload_ms(payload) == len(audio) / 8


@pytest.mark.parametrize(("ms", "chars"), [(20, 216), (40, 428), (60, 640), (100, 1068), (200, 2136)])
def test_frame_table_of_the_protocol_page(ms: int, chars: int) -> None:
    payload = ulaw.silence_payload(ms)
    assert len(payload) == chars
    assert ulaw.payload_ms(payload) == ms
    assert isinstance(ulaw.payload_ms(payload), int)


def test_silence_is_the_byte_of_amplitude_zero() -> None:
    assert base64.b64decode(ulaw.silence_payload(20)) == b"\xff" * 160 == ulaw.SILENCE_FRAME
    assert ulaw.silence_payload(20) == b"/" * 212 + b"/w=="
    assert ulaw.silence_payload(0) == b""


def test_silence_of_negative_length_is_refused() -> None:
    with pytest.raises(ValueError, match="-20 ms"):
        ulaw.silence_payload(-20)


@given(st.binary(max_size=6000), st.integers(min_value=60, max_value=1000))
def test_split_keeps_every_byte_and_cuts_on_frames(audio: bytes, first_ms: int) -> None:
    head, tail = ulaw.split_payload(base64.b64encode(audio), first_ms)
    head_audio, tail_audio = base64.b64decode(head), base64.b64decode(tail)
    assert head_audio + tail_audio == audio
    if tail:
        assert len(head_audio) % 160 == 0
        assert first_ms - 60 < len(head_audio) / 8 <= first_ms
    else:
        assert head_audio == audio


def test_split_where_nothing_is_left_gives_one_piece() -> None:
    payload = ulaw.silence_payload(120)
    assert ulaw.split_payload(payload, 120) == (payload, b"")
    assert ulaw.split_payload(payload, 179) == (payload, b"")
    assert ulaw.split_payload(payload, 119) == (ulaw.silence_payload(60), ulaw.silence_payload(60))


def test_split_below_the_first_cut_is_refused() -> None:
    with pytest.raises(ValueError, match="every 60 ms"):
        ulaw.split_payload(ulaw.silence_payload(200), 40)
