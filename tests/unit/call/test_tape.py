"""What goes onto a tape comes off it; what is damaged is named, and nothing before it is lost."""

from __future__ import annotations

import base64
import struct
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shortwire.call import side, tape
from shortwire.call.tape import Kind, Record, TapeHeader, TapeWriter, read_tape

HEADER = TapeHeader("call_1", clock_ns=5_000_000_000, wall_s=1_790_000_000.25, more={"profile": "optimized"})

AUDIO = (Kind.UPLINK_AUDIO, Kind.UPLINK_KEPT, Kind.DOWNLINK_AUDIO, Kind.DOWNLINK_DROPPED)
audio_kinds = st.sampled_from(AUDIO)
text_kinds = st.sampled_from([kind for kind in Kind if kind not in AUDIO])
instants = st.integers(0, 2**62)
records = st.one_of(
    st.builds(Record, audio_kinds, instants, st.binary(max_size=400).map(base64.b64encode)),
    st.builds(Record, audio_kinds, instants, st.binary(max_size=30)),  # not base64, or not as we would write it
    st.builds(Record, text_kinds, instants, st.binary(max_size=60)),
)
batches = st.lists(st.lists(records, max_size=6), max_size=5)


@given(batches)
def test_what_goes_on_comes_off(script: list[list[Record]]) -> None:
    writer = TapeWriter(HEADER)
    data = b"".join(writer.records(batch) for batch in script)
    if not script:
        data = writer.records([])
    found = read_tape(data)
    assert found.header == HEADER
    assert found.records == tuple(record for batch in script for record in batch)
    assert found.damage is None
    assert found.skipped == 0


def written(blocks: int = 4) -> tuple[bytes, list[int], list[list[Record]]]:
    """A tape, the length after each block (and after the header), and the batches."""
    writer = TapeWriter(HEADER)
    data = writer.records([])
    ends = [len(data)]
    script = [
        [
            Record(Kind.UPLINK_AUDIO, 5_000_000_000 + i * 40_000_000, base64.b64encode(bytes([i]) * 20)),
            Record(Kind.FROM_AGENT, 5_000_000_000 + i * 40_000_000 + 7, b'{"type":"ping"}'),
        ]
        for i in range(blocks)
    ]
    for batch in script:
        data += writer.records(batch)
        ends.append(len(data))
    return data, ends, script


def test_cut_anywhere_it_gives_every_whole_block_and_says_where_it_ends() -> None:
    data, ends, script = written()
    for cut in range(len(data) + 1):
        found = read_tape(data[:cut])
        whole = sum(end <= cut for end in ends) - 1
        if cut < ends[0]:
            assert found.header is None
            assert found.records == ()
        else:
            assert found.header == HEADER
            assert found.records == tuple(record for batch in script[:whole] for record in batch)
        if cut in ends:
            assert found.damage is None
        else:
            assert found.damage is not None
            assert f"ends at byte {cut}" in found.damage


def test_a_flipped_bit_anywhere_never_gives_a_wrong_record() -> None:
    data, ends, script = written()
    for at in range(len(tape.MAGIC) + 2, len(data)):
        broken = bytearray(data)
        broken[at] ^= 0x10
        found = read_tape(bytes(broken))
        whole = sum(end <= at for end in ends) - 1
        assert found.damage is not None
        assert found.records == tuple(record for batch in script[: max(whole, 0)] for record in batch)


def test_damage_says_where() -> None:
    data, ends, _ = written()
    broken = bytearray(data)
    broken[ends[1] + 12] ^= 1
    assert read_tape(bytes(broken)).damage == f"the block at byte {ends[1]} is damaged: its checksum does not fit"


def test_a_newer_tape_is_refused_in_a_sentence() -> None:
    data, _, _ = written()
    newer = data[:8] + struct.pack("<H", tape.VERSION + 1) + data[10:]
    with pytest.raises(tape.TapeUnreadable, match="newer Shortwire"):
        read_tape(newer)


@pytest.mark.parametrize("data", [b"RIFF....WAVE", b"x", b"\x89PNG\r\n\x1a\n" + bytes(20)])
def test_another_file_is_refused(data: bytes) -> None:
    with pytest.raises(tape.TapeUnreadable, match="not a Shortwire tape"):
        read_tape(data)


def block(body: bytes) -> bytes:
    return struct.pack("<II", len(body), crc32(body, crc32(struct.pack("<I", len(body))))) + body


def test_unknown_kinds_are_skipped_and_counted() -> None:
    head = TapeWriter(HEADER).records([])
    body = bytes([2]) + bytes([200, 0, 3]) + b"new" + bytes([Kind.FROM_AGENT, 4, 2]) + b"{}"
    found = read_tape(head + block(body))
    assert found.records == (Record(Kind.FROM_AGENT, HEADER.clock_ns + 3, b"{}"),)
    assert found.skipped == 1
    assert found.damage is None


@pytest.mark.parametrize(
    "body",
    [
        bytes([2, Kind.FROM_AGENT, 0, 9]) + b"{}",
        bytes([2, Kind.FROM_AGENT]),
        bytes([0x80] * 12),
        bytes([2, Kind.UPLINK_AUDIO, 0, 2, 9, 9]),
    ],
)
def test_a_sound_block_of_nonsense_stops_the_reader(body: bytes) -> None:
    head = TapeWriter(HEADER).records([])
    found = read_tape(head + block(body))
    assert found.records == ()
    assert found.damage is not None
    assert f"block at byte {len(head)} does not make sense" in found.damage


@given(st.binary(max_size=200))
def test_whatever_follows_the_header_the_reader_ends_well(noise: bytes) -> None:
    found = read_tape(TapeWriter(HEADER).records([]) + noise)
    assert found.header == HEADER
    assert found.records == () or found.damage is None


def test_a_tape_is_about_as_large_as_its_audio() -> None:
    writer = TapeWriter(HEADER)
    payload = base64.b64encode(bytes(range(160)))
    head = len(writer.records([]))
    size = 0
    for batch in range(100):
        at = HEADER.clock_ns + batch * 200_000_000
        size += len(writer.records(Record(Kind.UPLINK_AUDIO, at + i * 20_000_000, payload) for i in range(10)))
    assert size < 100 * 10 * 160 * 1.08
    assert head < 300


def test_the_side_log_becomes_records() -> None:
    entries: side.SideLog = [
        (1, side.UPLINK, b"AAAA"),
        (2, side.DOWNLINK, (b"BBBB", False, 1)),
        (3, side.WRITTEN, None),
        (4, side.DOWNLINK, (b"CCCC", True, 1)),
        (5, side.FROM_PHONE, b"p"),
        (6, side.FROM_AGENT, b"a"),
        (7, side.TO_PHONE, b"P"),
        (8, side.TO_AGENT, b"A"),
        (9, side.HEARD, (7, 0.0)),
        (10, side.BARGE_IN, 125.5),
        (11, side.UPLINK_KEPT, b"DDDD"),
        (12, side.HEARD, (None, 20.0)),  # a later mark: on the tape as the carrier's message
        (13, side.WORDS, ("party.said", "hi")),  # on the tape as the agent's message
    ]
    found = list(tape.from_side(entries))
    assert [r.at_ns for r in found] == list(range(1, 12))
    assert [r.kind for r in found] == [
        Kind.UPLINK_AUDIO,
        Kind.DOWNLINK_AUDIO,
        Kind.WRITTEN,
        Kind.DOWNLINK_DROPPED,
        Kind.FROM_PHONE,
        Kind.FROM_AGENT,
        Kind.TO_PHONE,
        Kind.TO_AGENT,
        Kind.HEARD,
        Kind.BARGE_IN,
        Kind.UPLINK_KEPT,
    ]
    assert found[0].ulaw == base64.b64decode("AAAA")
    assert [found[2].value, found[8].value, found[9].value] == [None, 7, 125.5]
