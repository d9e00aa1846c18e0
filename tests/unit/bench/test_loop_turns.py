"""`benchmarks/turns`: what the preloaded recorder keeps of an event loop, and what is made of it."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

np = pytest.importorskip("numpy")
FOLDER = Path(__file__).resolve().parents[3] / "benchmarks/turns"

LOOP = """
import os, select, socket, time
here, there = socket.socketpair()
poll = select.epoll()
poll.register(here, select.EPOLLIN)
for size in (100, 2000):
    there.send(b"x" * size)
    poll.poll(1)
    here.recv(4096)
    time.sleep(0.02)
poll.poll(0)
time.sleep(0.05)
wake_up = os.eventfd(1)
os.read(wake_up, 8)
os.write(wake_up, bytes(7) + b"1")
poll.poll(0)
"""
"""A turn with a short message, one with a long one, and one in which nothing is read that is a message."""


@pytest.fixture(scope="module")
def turns() -> ModuleType:
    spec = importlib.util.spec_from_file_location("turns", FOLDER / "turns.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["turns"] = module  # its dataclass looks itself up
    spec.loader.exec_module(module)
    return module


def made_up(turns: ModuleType, us: list[float], window_s: float) -> object:
    none = np.zeros(len(us), dtype=np.int64)
    return turns.Turns(np.array(us), none, none, window_s)


def test_an_arrival_waits_for_what_is_left_of_a_turn(turns: ModuleType) -> None:
    # Busy for a tenth of the time, 100 us each: of all arrivals one in a hundred comes in the first tenth of a turn.
    steady = made_up(turns, [100.0] * 1000, 1.0)
    assert turns.waited_us(steady, 0.01) == pytest.approx(90, abs=0.1)
    assert turns.waited_us(steady, 0.001) == pytest.approx(99, abs=0.1)
    assert turns.waited_us(made_up(turns, [100.0] * 10, 1.0), 0.01) == pytest.approx(0, abs=0.1)


@pytest.mark.skipif(sys.platform != "linux" or shutil.which("cc") is None, reason="needs Linux and a C compiler")
def test_what_a_loop_did_is_kept(turns: ModuleType, tmp_path: Path) -> None:
    library, record = tmp_path / "record.so", tmp_path / "turns"
    turns.compile_recorder(library)
    began_ns = time.monotonic_ns()
    subprocess.run(
        [sys.executable, "-c", LOOP], check=True, env={"LD_PRELOAD": str(library), "TURNS_FILE": str(record)}
    )
    found = turns.turns_of(record, began_ns, time.monotonic_ns())
    assert found.reads.tolist() == [1, 1, 0]
    assert found.big.tolist() == [0, 1, 0]
    short, long, beside = found.us
    assert short >= 20_000
    assert long >= 20_000
    assert beside >= 50_000
    lines = "\n".join(turns.table(found))
    for kind in ("one short message", "one long message", "nothing read"):
        assert kind in lines
    assert "several" not in lines


def test_its_peer_is_found_in_the_checkout(turns: ModuleType, tmp_path: Path) -> None:
    subject = turns.subject_of("fastapi_websockets", None, tmp_path / "record.so", tmp_path / "turns")
    assert not subject.ours
    assert subject.settings["LD_PRELOAD"].endswith("record.so")
