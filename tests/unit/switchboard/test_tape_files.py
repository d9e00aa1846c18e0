"""A tape that loses a block ends there: what is on disk is sound, somebody is told, and nobody waits."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from shortwire.call.options import Limits
from shortwire.call.session import SessionOptions
from shortwire.call.side import FROM_PHONE, SideEntry
from shortwire.call.tape import Tape, read_tape
from shortwire.records import CallRecord
from shortwire.switchboard import tape_files
from shortwire.switchboard.tape_files import TapeFiles
from shortwire.switchboard.taping import Taping
from shortwire.terms import AgentId, CallDirection, CallId, CallState, Profile


class Disk:
    """Writes, until it hangs."""

    def __init__(self) -> None:
        self.works = threading.Event()
        self.works.set()
        self.waiting = threading.Event()
        self._append = tape_files.append_whole

    def append(self, path: Path, block: bytes) -> None:
        self.waiting.set()
        assert self.works.wait(60)
        self._append(path, block)

    def hang(self) -> None:
        self.works.clear()
        self.waiting.clear()


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    found = Disk()
    monkeypatch.setattr(tape_files, "append_whole", found.append)
    yield found
    found.works.set()


def taping(files: TapeFiles, name: str = "call_1") -> Taping:
    record = CallRecord(
        id=CallId(name),
        direction=CallDirection.OUTBOUND,
        state=CallState.CONNECTED,
        profile=Profile.OPTIMIZED,
        number="+15005550006",
        our_number="+15005550001",
        agent_id=AgentId("a"),
        created_at=1.0,
    )
    options = SessionOptions(client_data={}, converters=lambda _input, _output: (None, None), limits=Limits())
    return Taping(files.open(record.id), record, 0, options)


def batch(*numbers: int) -> list[SideEntry]:
    return [(number, FROM_PHONE, b'{"number": %d}' % number) for number in numbers]


def on_disk(files: TapeFiles, name: str = "call_1") -> Tape:
    return read_tape(files.path(CallId(name)).read_bytes())


def numbers(tape: Tape) -> list[int]:
    assert tape.header is not None and tape.damage is None
    return [record.value["number"] for record in tape.records]


def test_what_was_written_is_there_when_they_are_closed(tmp_path: Path) -> None:
    files = TapeFiles(tmp_path / "tapes")
    tape = taping(files)
    for number in range(100):
        tape.write(batch(number))
    files.close(60)
    assert numbers(on_disk(files)) == [*range(100)]
    assert (tape.complaint(), files.cut_short) == ("", 0)


def test_a_disk_that_does_not_keep_up_ends_the_tape_and_no_other(tmp_path: Path, disk: Disk) -> None:
    files = TapeFiles(tmp_path, pending=2)
    slow, other = taping(files), taping(files, "call_2")
    disk.hang()
    with capture_logs() as logged:
        slow.write(batch(1, 2))
        assert disk.waiting.wait(60)
        slow.write(batch(3))
        slow.write(batch(4))
        slow.write(batch(5))  # lost
        disk.works.set()
        while not files._waiting.empty():
            threading.Event().wait(0.01)
        slow.write(batch(6))  # there is room again, but a gap before it
        other.write(batch(7))
        files.close(60)
    assert numbers(on_disk(files)) == [1, 2, 3, 4]
    assert numbers(on_disk(files, "call_2")) == [7]
    assert [(line["event"], line["call_id"]) for line in logged] == [("tape.cut_short", "call_1")]
    assert slow.complaint() == "the tape ends before the call: the disk does not keep up"
    assert (slow.complaint(), other.complaint(), files.cut_short) == ("", "", 1)


def test_a_tape_whose_first_block_is_lost_is_no_file(tmp_path: Path, disk: Disk) -> None:
    files = TapeFiles(tmp_path, pending=1)
    first, late = taping(files), taping(files, "call_2")
    disk.hang()
    first.write(batch(1))
    assert disk.waiting.wait(60)
    first.write(batch(2))
    late.write(batch(3))  # the header went with it
    disk.works.set()
    files.close(60)
    late.write(batch(4))
    assert numbers(on_disk(files)) == [1, 2]
    assert not files.path(CallId("call_2")).exists()


def full_after(writes: int) -> Callable[[int, bytes], int]:
    """A disk that takes half of the write after that many, and then nothing."""
    left, real = writes, os.write

    def write(descriptor: int, data: bytes) -> int:
        nonlocal left
        left -= 1
        if left >= 0:
            return real(descriptor, data)
        if left == -1:
            return real(descriptor, data[: len(data) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    return write


def test_a_disk_that_is_full_ends_the_tape_at_its_last_whole_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tape_files.os, "write", full_after(2))
    files = TapeFiles(tmp_path)
    tape = taping(files)
    with capture_logs() as logged:
        for number in range(10):
            tape.write(batch(number))
        files.close(60)
    assert numbers(on_disk(files)) == [0, 1]
    assert [(line["event"], line["call_id"]) for line in logged] == [("tape.cut_short", "call_1")]
    assert tape.complaint() == f"the tape ends before the call: {os.strerror(errno.ENOSPC)}"
    assert files.cut_short == 1


def test_a_disk_that_was_full_from_the_first_block_on_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tape_files.os, "write", full_after(0))
    files = TapeFiles(tmp_path)
    taping(files).write(batch(1))
    files.close(60)
    assert [*tmp_path.iterdir()] == []
    assert files.cut_short == 1


def test_closing_does_not_wait_for_a_disk_that_hangs(tmp_path: Path, disk: Disk) -> None:
    files = TapeFiles(tmp_path, pending=3)
    tape = taping(files)
    disk.hang()
    tape.write(batch(1))
    assert disk.waiting.wait(60)
    for number in range(2, 10):
        tape.write(batch(number))
    with capture_logs() as logged:
        files.close(0.05)
    assert not disk.works.is_set()  # it came back although nothing was ever written
    assert [line["event"] for line in logged] == ["tapes.not_written"]


def test_after_the_end_nothing_is_taken(tmp_path: Path) -> None:
    files = TapeFiles(tmp_path)
    tape = taping(files)
    files.close(60)
    tape.write(batch(1))
    assert tape.complaint() == "the tape ends before the call: the server has stopped"
