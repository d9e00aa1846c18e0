"""The event loop that the server runs on, and how soon it gets the interpreter and its core back from other threads."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import importlib
import os
import platform
import struct
import sys
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

__all__ = ["FAST_LOOP", "fast_runner", "prompt_slices", "run_promptly"]

Answer = TypeVar("Answer")

FAST_LOOP: Final = "winloop" if sys.platform == "win32" else "uvloop"

_SWITCH_S: Final = 0.0001
"""How long the loop waits for the interpreter while another thread computes (the store writes some batches a second, 1
to 3 ms each). The usual 5 ms are a quarter of a frame."""

_SLICE_NS: Final = 100_000
"""The shortest there is. Linux lets a thread run for its slice before one that wakes up takes its core, unless that
one's is shorter (since 6.12); usually both are 1.4 ms and more."""
_SCHED_SETATTR: Final = {"x86_64": 314, "aarch64": 274, "riscv64": 274}
"""Number of the system call, by machine (syscalls(2)); neither libc nor Python has a name for it."""
_RESET_ON_FORK: Final = 1
"""The threads that the loop starts get the usual slice again; a niceness below 0 would be lost too. sched(7)."""


def fast_runner() -> Callable[[Coroutine[Any, Any, Any]], Any] | None:
    """`run` of the fast loop; None: it is not installed."""
    try:
        return importlib.import_module(FAST_LOOP).run  # type: ignore[no-any-return]
    except ImportError:
        return None


def run_promptly(main: Coroutine[Any, Any, Answer]) -> Answer:
    """Run on the fast loop, or the standard one where that is not installed, ahead of this process's other threads."""
    sys.setswitchinterval(_SWITCH_S)
    prompt_slices()
    return (fast_runner() or asyncio.run)(main)  # type: ignore[no-any-return]


def prompt_slices() -> bool:
    """Have this thread interrupt the others of the same niceness when it wakes up; it gets no more of a core than
    before. False where the system has no such thing, refuses it, or somebody has chosen another policy."""
    number = _SCHED_SETATTR.get(platform.machine())
    if sys.platform != "linux" or sys.maxsize < 1 << 32 or number is None:
        return False
    with contextlib.suppress(OSError):
        if os.sched_getscheduler(0) == os.SCHED_OTHER:
            niceness = os.getpriority(os.PRIO_PROCESS, 0)
            # size, policy, flags, niceness, priority, slice, deadline, period: struct sched_attr
            flags = _RESET_ON_FORK if niceness >= 0 else 0
            asked = struct.pack("=IIQiIQQQ", 48, os.SCHED_OTHER, flags, niceness, 0, _SLICE_NS, 0, 0)
            return bool(ctypes.CDLL(None).syscall(number, 0, asked, 0) == 0)
    return False
