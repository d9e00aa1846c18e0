"""The loop of the server, and how soon it gets its core and the interpreter."""

from __future__ import annotations

import ctypes
import json
import os
import struct
import subprocess
import sys
from typing import Any

import pytest

from shortwire.fast_loop import FAST_LOOP, fast_runner

SCHED_GETATTR = {"x86_64": 315, "aarch64": 275}
"""syscalls(2)."""

PROGRAM = """
import asyncio, json, os, sys, threading
from shortwire.fast_loop import run_promptly
from tests.unit.test_fast_loop import slice_ns

async def main():
    theirs = []
    other = threading.Thread(target=lambda: theirs.append(slice_ns()))
    other.start()
    other.join()
    loop = type(asyncio.get_running_loop()).__module__.partition(".")[0]
    print(json.dumps({"usual": usual, "loop": loop, "switch": sys.getswitchinterval(), "niceness": os.nice(0),
                      "slice": slice_ns(), "others": theirs[0]}))
    return 7

os.nice(1)
usual = slice_ns()
sys.exit(run_promptly(main()))
"""


def slice_ns() -> int:
    """The calling thread's slice of its core, as the kernel has it (sched_setattr(2)); 0: it does not say."""
    number = SCHED_GETATTR.get(os.uname().machine)
    found = ctypes.create_string_buffer(64)
    if number is None or ctypes.CDLL(None).syscall(number, 0, found, len(found), 0) != 0:
        return 0
    return int(struct.unpack_from("=Q", found, 24)[0])


def ran() -> dict[str, Any]:
    """What the program has found, in a process of its own: both are kept until its end."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert done.returncode == 7, done.stderr  # what `main` returned
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.skipif(sys.platform == "win32", reason="the program asks for its niceness")
def test_the_server_runs_on_the_fast_loop_and_waits_little_for_the_interpreter() -> None:
    found = ran()
    assert found["loop"] == (FAST_LOOP if fast_runner() is not None else "asyncio")
    assert found["switch"] == pytest.approx(0.0001)


@pytest.mark.skipif(sys.platform != "linux", reason="Linux has slices that can be asked for")
def test_the_loop_has_a_short_slice_of_its_core_and_its_threads_the_usual_one() -> None:
    found = ran()
    if not found["usual"]:
        pytest.skip("this kernel does not say what slices are (before 6.12)")
    assert found["slice"] == 100_000
    assert found["others"] == found["usual"] > found["slice"]
    assert found["niceness"] == 1
