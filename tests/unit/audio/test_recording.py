"""Tapes made by hand, where every instant is known, must lie in the recording where they were heard."""

from __future__ import annotations

import base64
import io
import struct
import wave

import pytest

from shortwire.audio.mulaw import LINEAR
from shortwire.audio.recording import as_heard, recording, stereo_wav, ulaw_wav
from shortwire.call.tape import Kind, Record, Tape, TapeHeader

MS = 1_000_000
HEADER = TapeHeader("call_1", 0, 0.0)
LOUD, OTHER = 0x80, 0x90


def audio(ms: int, code: int) -> bytes:
    return base64.b64encode(bytes([code]) * (8 * ms))


def frames(start_ms: int, count: int, *, code: int = LOUD, late_ms: dict[int, int] | None = None) -> list[Record]:
    """Party frames; frame i begins at start + 20 i and is read when it is complete, or later."""
    return [
        Record(Kind.UPLINK_AUDIO, (start_ms + 20 * (i + 1) + (late_ms or {}).get(i, 0)) * MS, audio(20, code))
        for i in range(count)
    ]


def run(read_ms: int, length_ms: int, heard_ms: int | None, *, code: int = LOUD) -> list[Record]:
    found = [
        Record(Kind.DOWNLINK_AUDIO, read_ms * MS, audio(length_ms, code)),
        Record(Kind.TO_PHONE, read_ms * MS, b"{}"),
        Record(Kind.WRITTEN, read_ms * MS + 1, b"null"),
    ]
    if heard_ms is not None:
        found.append(Record(Kind.HEARD, (heard_ms + 60) * MS, str(heard_ms * MS).encode()))
    return found


def tape(*parts: list[Record]) -> Tape:
    return Tape(HEADER, tuple(sorted((r for part in parts for r in part), key=lambda r: r.at_ns)))


def edges(channel: bytes) -> list[tuple[float, float]]:
    """Stretches of anything but silence, ms."""
    found, begun = [], None
    for i, code in enumerate([*channel, 0xFF]):
        if code != 0xFF and begun is None:
            begun = i
        elif code == 0xFF and begun is not None:
            found.append((begun / 8, i / 8))
            begun = None
    return found


def test_both_channels_lie_on_one_clock() -> None:
    found = recording(tape(frames(1000, 50), run(2300, 500, 2450)))
    assert found is not None
    assert found.start_ns == 1000 * MS
    assert edges(found.party) == [(0, 1000)]
    assert edges(found.agent) == [(1450, 1950)]
    assert len(found.party) == len(found.agent) == 8 * 1950


def test_jitter_is_taken_out() -> None:
    found = recording(tape(frames(1000, 50, late_ms={0: 80, 7: 30, 8: 10, 20: 15, 49: 40})))
    assert found is not None
    assert found.start_ns == 1000 * MS
    assert edges(found.party) == [(0, 1000)]


def test_a_carriers_clock_that_drifts_moves_later_frames_only() -> None:
    records = [Record(Kind.UPLINK_AUDIO, int((20 * (i + 1) * 1.0001) * MS), audio(20, LOUD)) for i in range(15_000)]
    party, _ = as_heard(tuple(records))
    assert party[0].start_ns < MS
    assert abs(party[-1].end_ns - records[-1].at_ns) < 11 * MS


def test_frames_that_were_not_sent_leave_silence() -> None:
    found = recording(tape(frames(0, 50), frames(3000, 50)))
    assert found is not None
    assert edges(found.party) == [(0, 1000), (3000, 4000)]


def test_a_barge_in_cuts_what_was_not_heard() -> None:
    found = recording(
        tape(
            run(1000, 5000, 1100),
            [Record(Kind.BARGE_IN, 3000 * MS, b"3000.0")],
            run(3500, 400, 3600),
        )
    )
    assert found is not None
    assert edges(found.agent) == [(0, 2000), (2500, 2900)]


def test_chunks_of_one_run_lie_end_to_end_and_a_new_run_where_it_was_heard() -> None:
    more = [Record(Kind.DOWNLINK_AUDIO, 1060 * MS, audio(500, OTHER))]
    found = recording(tape(run(1000, 500, 1100), more, run(5000, 200, 5130)))
    assert found is not None
    assert edges(found.agent) == [(0, 1000), (4030, 4230)]
    assert found.agent[0] == LOUD
    assert found.agent[8 * 500] == OTHER


def test_audio_dropped_as_stale_is_not_in_it() -> None:
    assert recording(tape([Record(Kind.DOWNLINK_DROPPED, MS, audio(100, LOUD))])) is None


def test_without_marks_a_run_lies_where_the_others_suggest() -> None:
    _, agent = as_heard(tape(run(1000, 500, 1100), run(5000, 500, None)).records)
    assert [h.confirmed for h in agent] == [True, False]
    assert [h.start_ns / MS for h in agent] == pytest.approx([1100, 5100], abs=0.01)
    _, alone = as_heard(tape(run(1000, 500, None)).records)
    assert alone[0].start_ns // MS == 1150
    assert not alone[0].confirmed


def test_a_tape_without_audio_is_no_recording() -> None:
    assert recording(Tape(HEADER, ())) is None
    assert stereo_wav(Tape(HEADER, ())) is None
    assert recording(tape([Record(Kind.UPLINK_AUDIO, MS, b"!")])) is None


def test_the_wav_is_stereo_party_left() -> None:
    data = stereo_wav(tape(frames(0, 50), run(500, 100, 600, code=OTHER)))
    assert data is not None
    with wave.open(io.BytesIO(data)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (2, 2, 8000)
        assert file.getnframes() == 8000
        file.setpos(8 * 650)
        left_right = file.readframes(1)
    assert left_right == LINEAR[LOUD].to_bytes(2, "little", signed=True) + LINEAR[OTHER].to_bytes(
        2, "little", signed=True
    )


@pytest.mark.parametrize("count", [1, 49, 50, 51, 173])
def test_no_frame_is_lost(count: int) -> None:
    found = recording(tape(frames(0, count)))
    assert found is not None
    assert len(found.party) == 160 * count


def test_a_mu_law_file_is_the_recording_byte_for_byte() -> None:
    found = recording(tape(frames(0, 50), run(500, 100, 600, code=OTHER)))
    assert found is not None
    data = ulaw_wav(found)
    assert (data[:4], data[8:16]) == (b"RIFF", b"WAVEfmt ")
    assert int.from_bytes(data[4:8], "little") == len(data) - 8
    length, kind, channels, rate = struct.unpack("<IHHI", data[16:28])
    assert (length, kind, channels, rate) == (18, 7, 2, 8000)
    audio = data[data.index(b"data") + 8 :]
    assert (audio[0::2], audio[1::2]) == (found.party, found.agent)
