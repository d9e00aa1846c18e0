"""The tables against their own inverse and against the standard library's codec."""

from __future__ import annotations

import struct
import sys
import warnings

import pytest

from shortwire.audio import mulaw


def test_every_byte_survives_decoding_and_encoding() -> None:
    table = mulaw.encode_table()
    for code in range(256):
        # Two bytes mean zero; the positive one is what an encoder writes.
        assert table[mulaw.LINEAR[code] & 0xFFFF] == (0xFF if code == 0x7F else code)


def test_encoding_stays_within_half_a_step() -> None:
    table = mulaw.encode_table()
    for sample in range(-32768, 32768, 7):
        decoded = mulaw.LINEAR[table[sample & 0xFFFF]]
        step = max(8, abs(sample) // 16)
        assert abs(decoded - max(-32124, min(32124, sample))) <= step


def test_silence_and_extremes() -> None:
    assert mulaw.LINEAR[0xFF] == 0
    assert mulaw.LINEAR[0x80] == 32124
    assert mulaw.LINEAR[0x00] == -32124


def test_pcm_is_little_endian_and_interleaved() -> None:
    assert struct.unpack("<3h", mulaw.to_pcm16(b"\xff\x80\x00")) == (0, 32124, -32124)
    assert struct.unpack("<4h", mulaw.to_stereo_pcm16(b"\xff\x80", b"\x00\xff")) == (0, -32124, 32124, 0)
    with pytest.raises(ValueError, match="differ in length"):
        mulaw.to_stereo_pcm16(b"\xff", b"")


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="audioop left the standard library in 3.13")
def test_agrees_with_the_standard_library() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import audioop

    codes = bytes(range(256))
    assert mulaw.to_pcm16(codes) == audioop.ulaw2lin(codes, 2)
    samples = struct.pack("<65536h", *range(-32768, 32768))
    table = mulaw.encode_table()
    ours = bytes(table[sample & 0xFFFF] for sample in range(-32768, 32768))
    theirs = audioop.lin2ulaw(samples, 2)
    # audioop drops the two lowest bits before it takes the magnitude, so negative samples up to three
    # above a step boundary fall into the next step; ours is symmetrical.
    differing = [i - 32768 for i in range(65536) if ours[i] != theirs[i]]
    assert all(abs(ours[s + 32768] - theirs[s + 32768]) == 1 for s in differing)
    assert len(differing) == 127 * 3
    assert all(sample < 0 for sample in differing)
