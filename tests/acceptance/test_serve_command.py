"""`shortwire serve` as somebody runs it: what stops it from starting, and how it stops."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from command import scene

from shortwire.emulators.scenario import AgentScript, PartyScript, Reply, Say

pytestmark = pytest.mark.acceptance

POLITE = PartyScript(ring_s=0.1, says=(Say("300", delay_ms=100),))
GOODBYE = AgentScript(first_message="300", end_of_turn_ms=200, replies=(Reply("600", (20, 40), end_call=True),))


async def test_every_bad_setting_is_named_at_once(tmp_path: Path) -> None:
    async with scene(tmp_path) as made:
        bad = {
            "ELEVENLABS_API_KEY": None,
            "TWILIO_ACCOUNT_SID": "nonsense",
            "SERVER_URL": "http://example.com",
            "ALLOWED_COUNTRIES": "US,UK",
            "SHORTWIRE_API_KEY": "short",
        }
        ran = await made.run("serve", changes=bad)
        assert ran.status == 78
        for name in bad:
            assert name in ran.err
        assert "Traceback" not in ran.err


async def test_a_port_that_is_taken(tmp_path: Path) -> None:
    async with scene(tmp_path) as made:
        with socket.socket() as other:
            other.bind(("127.0.0.1", made.port))
            other.listen()
            ran = await made.run("serve")
        assert ran.status != 0
        assert str(made.port) in ran.err and "SHORTWIRE_PORT" in ran.err
        assert "Traceback" not in ran.err


async def test_a_data_directory_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a directory")
    async with scene(tmp_path) as made:
        ran = await made.run("serve", changes={"SHORTWIRE_DATA_DIR": str(tmp_path / "file")})
        assert ran.status != 0
        assert "file" in ran.err
        assert "Traceback" not in ran.err


async def test_a_database_of_a_newer_version(tmp_path: Path) -> None:
    async with scene(tmp_path) as made:
        server = await made.serving()
        server.signal(signal.SIGTERM)
        assert (await server.ended()).status == 0
        with sqlite3.connect(tmp_path / "data" / "shortwire.db") as database:
            database.execute("update shortwire_schema set version_num = '9999_from_the_future'")
        database.close()
        ran = await made.run("serve")
        assert ran.status == 74
        assert "newer" in ran.err
        assert "Traceback" not in ran.err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_stops_an_idle_server_at_once(tmp_path: Path, number: signal.Signals) -> None:
    async with scene(tmp_path) as made:
        server = await made.serving()
        server.signal(number)
        ran = await server.ended(within_s=15)
        assert ran.status == 0
        assert "Traceback" not in ran.err + ran.out


async def test_a_signal_lets_a_call_end_by_itself(tmp_path: Path) -> None:
    async with scene(tmp_path, party=POLITE, agent=GOODBYE) as made:
        server = await made.serving()
        placed = await made.run("call", "+14155550123", "--no-follow")
        assert placed.status == 0, placed
        await made.talking()
        server.signal(signal.SIGTERM)
        ran = await server.ended()
        assert ran.status == 0
        assert "waiting" in ran.out
        [call] = made.twilio.calls.values()
        assert call.ending is not None and call.ending.by == "api"
        assert [c.closed_by for c in made.eleven.ledger.conversations.values()] == ["emulator"]


async def test_a_second_signal_hangs_up_at_once(tmp_path: Path) -> None:
    async with scene(tmp_path) as made:
        server = await made.serving()
        await made.run("call", "+14155550123", "--no-follow")
        await made.talking()
        server.signal(signal.SIGTERM)
        await asyncio.sleep(0.5)
        server.signal(signal.SIGTERM)
        ran = await server.ended(within_s=20)
        assert ran.status == 0
        assert "Traceback" not in ran.err + ran.out
        [call] = made.twilio.calls.values()
        await made.until(lambda: call.ending is not None, "the carrier's call to end")
        assert not made.eleven.live


@contextlib.contextmanager
def stopped_terminal(folder: Path) -> Iterator[tuple[int, Callable[[], None]]]:
    """Something to write to, and what makes it take nothing more. The pipe has a name, because a blocking and a
    non-blocking writer each need an opening of their own."""
    path = folder / "terminal"
    os.mkfifo(path)
    opened = [os.open(path, os.O_RDONLY | os.O_NONBLOCK), os.open(path, os.O_WRONLY)]
    opened.append(os.open(path, os.O_WRONLY | os.O_NONBLOCK))

    def stop() -> None:
        for size in (4096, 1):
            with contextlib.suppress(BlockingIOError):
                while True:
                    os.write(opened[2], b"." * size)

    try:
        yield opened[1], stop
    finally:
        for descriptor in opened:
            os.close(descriptor)


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_a_terminal_that_takes_nothing_more_stops_no_call(tmp_path: Path, workers: str) -> None:
    """Ctrl-S, a pager, a log shipper that hangs: the next [LATENCY] line would have stopped every call."""
    async with scene(tmp_path, party=POLITE, agent=GOODBYE) as made:
        with stopped_terminal(tmp_path) as (terminal, stop):
            server = await made.serving("--workers", workers, stdout=terminal)
            stop()
            ran = await made.run("call", "+14155550123")
            assert ran.status == 0, ran
            server.signal(signal.SIGTERM)
            assert (await server.ended()).status == 0


async def test_killed_during_a_call_and_started_again(tmp_path: Path) -> None:
    """The open call is settled, the carrier told, and calls of before are shown."""
    async with scene(tmp_path) as made:
        server = await made.serving()
        placed = await made.run("call", "+14155550123", "--no-follow")
        call_id = placed.out.strip()
        await made.talking()
        await asyncio.sleep(0.5)
        server.process.kill()
        await server.ended()
        await made.serving()
        [call] = made.twilio.calls.values()
        await made.until(lambda: call.ending is not None, "the carrier's call to end")

        async def shown() -> str:
            return (await made.run("calls", "show", call_id)).out

        for _ in range(20):
            text = await shown()
            if "ended" in text:
                break
            await asyncio.sleep(0.3)
        assert "restart" in text
        assert call_id in (await made.run("calls", "list")).out
