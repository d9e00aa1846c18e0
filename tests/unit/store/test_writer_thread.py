"""The writing thread's place behind the event loop."""

from __future__ import annotations

import os
import sys
import threading

import pytest

from shortwire.store import writer


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux knows a niceness of threads")
def test_the_thread_goes_last_and_only_the_thread() -> None:
    found: list[int] = []

    def run() -> None:
        writer._go_last()
        found.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))

    before = os.getpriority(os.PRIO_PROCESS, 0)
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert found == [max(before, 10)]
    assert os.getpriority(os.PRIO_PROCESS, 0) == before


def test_a_refusal_does_not_end_the_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: int) -> None:
        raise PermissionError("not here")

    monkeypatch.setattr(os, "setpriority", refuse)
    writer._go_last()
