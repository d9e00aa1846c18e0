"""Children: their words, their end, their cost."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time

import pytest

from shortwire.demo.processes import Child, cpu_ns, free_port

ECHO = "import sys\nprint('ready', flush=True)\nfor line in sys.stdin: print('got', line.strip(), flush=True)"
STUBBORN = (
    "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('ready', flush=True)\ntime.sleep(60)"
)


class Lines:
    """What a child said, to be waited for."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[str] = asyncio.Queue()

    async def next(self) -> str:
        async with asyncio.timeout(30):
            return await self.queue.get()


async def child(program: str, lines: Lines) -> Child:
    return await Child.start("the child", [sys.executable, "-c", program], on_line=lines.queue.put_nowait)


async def test_a_child_is_asked_and_answers_and_ends_when_told() -> None:
    lines = Lines()
    process = await child(ECHO, lines)
    assert await lines.next() == "ready"
    process.ask("hello")
    assert await lines.next() == "got hello"
    assert process.returncode is None
    assert await process.stop() == -signal.SIGTERM


async def test_who_does_not_listen_is_ended_for_good() -> None:
    lines = Lines()
    process = await child(STUBBORN, lines)
    await lines.next()
    assert await process.stop(patience_s=0.1) == -signal.SIGKILL


async def test_a_child_that_died_says_its_last_words() -> None:
    lines = Lines()
    process = await child("import sys; print('no money', file=sys.stderr); sys.exit(3)", lines)
    assert await lines.next() == "no money"
    assert await process.ended() == await process.stop() == 3
    assert str(process.death("did not come up")) == (
        "the child did not come up; it ended with exit status 3. Its last words:\n    no money"
    )


async def test_a_child_that_hangs_is_said_to_be_running() -> None:
    lines = Lines()
    process = await child(ECHO, lines)
    await lines.next()
    try:
        assert "it is still running" in str(process.death("did not answer"))
    finally:
        await process.stop()


def test_cpu_time_grows_with_work() -> None:
    before = cpu_ns(os.getpid())
    assert before > 0
    deadline = time.process_time() + 0.05
    while time.process_time() < deadline:
        pass
    assert cpu_ns(os.getpid()) - before >= 40_000_000


def test_cpu_time_of_nobody_is_nothing() -> None:
    assert cpu_ns(2**22 + 1) == 0


def test_a_free_port_can_be_listened_on() -> None:
    import socket

    with socket.socket() as server:
        server.bind(("127.0.0.1", free_port()))


def test_a_port_is_not_given_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not within a process, while it may still be waited for, nor in two that began one after another."""
    ours = [free_port() for _ in range(100)]
    next_pid = os.getpid() + 1
    monkeypatch.setattr(os, "getpid", lambda: next_pid)
    theirs = [free_port() for _ in range(100)]
    assert len(set(ours + theirs)) == 200
    assert all(20_000 <= port < 32_000 for port in ours + theirs)


@pytest.mark.parametrize("status", [0, 7])
async def test_the_exit_status_is_told(status: int) -> None:
    process = await child(f"raise SystemExit({status})", Lines())
    async with asyncio.timeout(30):
        assert await process.ended() == status
    assert await process.stop() == status
