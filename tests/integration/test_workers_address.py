"""The public address of several workers is the parent's: it opens the tunnel, and all of them follow when it moves."""

from __future__ import annotations

import asyncio
import functools
import os
import signal
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from clinic import OURS, open_clinic
from live_house import KEY
from pydantic import SecretStr

from shortwire.address import attended
from shortwire.errors import ConfigError
from shortwire.net.tunnel import NgrokTunnel
from shortwire.workers import parent

HEADERS = {"Authorization": f"Bearer {KEY}"}


async def test_all_workers_follow_a_tunnel_that_moves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Nothing answers at these addresses: the tunnel is found lost again and again.
    urls = (f"https://tunnel-{number}.invalid" for number in range(10_000))
    forwarded: list[str] = []

    class Listener:
        def __init__(self) -> None:
            self._url = next(urls)

        def url(self) -> str:
            return self._url

        async def close(self) -> None: ...

    async def forward(address: str, **_: Any) -> Listener:
        forwarded.append(address)
        return Listener()

    monkeypatch.setitem(sys.modules, "ngrok", SimpleNamespace(forward=forward))
    monkeypatch.setattr(NgrokTunnel.watch, "__kwdefaults__", {"every_s": 10.0, "first_wait_s": 0.01})
    monkeypatch.setattr(parent, "attended", functools.partial(attended, watch_every_s=0.2))
    said: list[str] = []
    async with open_clinic(tmp_path) as clinic:
        clinic.settings |= {
            "shortwire_workers": 2,
            "shortwire_tunnel": "ngrok",
            "ngrok_authtoken": SecretStr("2abc"),
            "shortwire_api_key": SecretStr(KEY),
        }
        settings = clinic.made_settings()
        serving = asyncio.create_task(parent.serve(settings, said.append, configure_number=True))
        async with asyncio.timeout(60), aiohttp.ClientSession(headers=HEADERS) as http:
            local = f"http://127.0.0.1:{settings.port}"
            while not any(line.startswith("ready on") for line in said):
                assert not serving.done(), serving.result()
                await asyncio.sleep(0.05)
            assert f"ready on {local}" in said
            assert "public address: https://tunnel-0.invalid" in said
            assert forwarded[0] == f"127.0.0.1:{settings.port}"
            moved: dict[str, str] = {}
            while len(moved) < 2 or "https://tunnel-0.invalid" in moved.values():
                async with http.post(f"{local}/doctor/tickets") as answer:
                    document = await answer.json()
                moved[document["instance"]] = document["public_url"]
                await asyncio.sleep(0.05)
            voice_url = clinic.twilio.config.numbers[OURS].voice_url
            assert voice_url.startswith("https://tunnel-") and voice_url.endswith(".invalid/incoming-call")
            os.kill(os.getpid(), signal.SIGTERM)
            assert await serving == 0
    assert any(line.startswith("the tunnel was lost and is open again") for line in said)


async def test_a_system_that_cannot_hand_connections_over_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parent, "can_pass", lambda: False)
    async with open_clinic(tmp_path) as clinic:
        clinic.settings |= {"shortwire_workers": 3}
        with pytest.raises(ConfigError) as caught:
            await parent.serve(clinic.made_settings())
    assert caught.value.exit_status == 78
    assert "SHORTWIRE_WORKERS=3" in str(caught.value) and "Windows" in str(caught.value)
