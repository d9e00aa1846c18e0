"""A real server over the fake desk for the commands to talk to, and an environment without settings."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "web"))

from fake_desk import KEY, FakeDesk, options

from shortwire.web import create_app


class RunningServer:
    def __init__(self) -> None:
        self.desk = FakeDesk()
        config = uvicorn.Config(
            create_app(self.desk, options()), port=0, log_config=None, lifespan="off", timeout_graceful_shutdown=1
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        deadline = time.monotonic() + 30
        while not self._server.started and time.monotonic() < deadline:
            time.sleep(0.01)
        assert self._server.started
        self.port = self._server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(30)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith(("SHORTWIRE_", "TWILIO_", "ELEVENLABS_")) or name in ("SERVER_URL", "LOG_LEVEL"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    running = RunningServer()
    monkeypatch.setenv("SHORTWIRE_URL", running.url)
    monkeypatch.setenv("SHORTWIRE_API_KEY", KEY)
    yield running
    running.stop()
