"""The crew with real processes: one that cannot begin says why, one that is told to stop is followed by another."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import SecretStr

from shortwire.settings import Settings
from shortwire.workers.choosing import Asked
from shortwire.workers.crew import Crew, WorkerFailed


def settings(folder: Path) -> Settings:
    return Settings(
        _env_file=None,  # type: ignore[call-arg]
        elevenlabs_api_key=SecretStr("sk_test"),
        elevenlabs_agent_id="agent_1",
        elevenlabs_base_url="http://127.0.0.1:9",
        twilio_account_sid="AC" + "1" * 32,
        twilio_auth_token=SecretStr("0" * 32),
        twilio_phone_number="+14155550100",
        twilio_api_base_url="http://127.0.0.1:9",
        server_url="https://calls.example.com",
        shortwire_api_key=SecretStr("k" * 32),
        shortwire_data_dir=folder,
        shortwire_workers=2,
    )


async def until(check: Callable[[], object], within_s: float = 40.0) -> None:
    async with asyncio.timeout(within_s):
        while not check():  # noqa: ASYNC110 - a condition of the tests, no event
            await asyncio.sleep(0.05)


async def test_a_worker_that_cannot_begin_says_why_and_nobody_stays(tmp_path: Path) -> None:
    place = tmp_path / "file"
    place.write_text("not a directory")
    crew = Crew(settings(place), "test")
    try:
        with pytest.raises(WorkerFailed) as caught:
            await crew.start()
    finally:
        await crew.stop()
    assert caught.value.exit_status == 74
    assert str(place) in caught.value.message and "SHORTWIRE_DATA_DIR" in caught.value.details
    assert all(hired.process.returncode is not None for hired in crew._hired.values())


async def test_one_that_is_told_to_stop_is_followed_by_another(tmp_path: Path) -> None:
    crew = Crew(settings(tmp_path), "test")
    try:
        await crew.start()
        await until(lambda: len([one for one in crew.health()["workers"] if "calls" in one]) == 2)
        first = crew._hired[0]
        os.kill(first.process.pid, signal.SIGTERM)
        await until(lambda: crew._hired[0] is not first and crew._hired[0].takes)
        assert first.process.returncode == 0
        await until(lambda: all("calls" in one for one in crew.health()["workers"]))
        assert {hired.seat.load for hired in crew._hired.values()} == {0}
        await asyncio.wait_for(crew.drain(5.0), 60)
        assert {hired.process.returncode for hired in crew._hired.values()} == {0}
    finally:
        await crew.stop()


async def test_one_that_is_stuck_gets_only_what_is_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shortwire.workers.hired._FRESH_S", 1.5)
    crew = Crew(settings(tmp_path), "test")
    try:
        await crew.start()
        stuck = crew._hired[0]
        os.kill(stuck.process.pid, signal.SIGSTOP)
        await until(lambda: not stuck.seat.fresh and crew._hired[1].seat.fresh)
        seats = [hired.seat for hired in crew._hired.values()]
        assert crew._chooser.choose(Asked(), seats) == 1
        assert crew._chooser.choose(Asked(0), seats) == 0
        os.kill(stuck.process.pid, signal.SIGCONT)
        await until(lambda: stuck.seat.fresh)
    finally:
        await crew.stop()
