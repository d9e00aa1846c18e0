"""While the server runs: the number points here, a lost tunnel comes back under another name, and no call is cut."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest
from clinic import ACCOUNT, OURS, TOKEN, Clinic, listening, names_lead_here, open_clinic, proxying
from live_house import open_house
from test_doctor_way_in import issued

from shortwire.address import attended, leads_here
from shortwire.app import Server
from shortwire.net.tunnel import NgrokTunnel
from shortwire.wire.signature import sign

ONE, TWO = "one.ngrok-free.app", "two.ngrok-free.app"


@pytest.fixture
async def clinic(tmp_path: Path) -> AsyncIterator[Clinic]:
    async with open_clinic(tmp_path) as made:
        yield made


def webhook_of(clinic: Clinic) -> str:
    return clinic.twilio.config.numbers[OURS].voice_url


async def until(condition: Any, within_s: float = 20.0) -> None:
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 - a condition of the tests, no event
            await asyncio.sleep(0.01)


async def test_the_number_is_pointed_here_and_put_back(clinic: Clinic) -> None:
    clinic.number(voice_url="https://old.example.com/voice")
    settings, said = clinic.made_settings(), list[str]()
    async with Server(settings, say=said.append) as server:
        ways = {"echo": server.echo, "move": server.move, "say": said.append}
        async with attended(settings, **ways, configure_number=True, restore_number=True):
            assert webhook_of(clinic) == f"{clinic.url}/incoming-call"
        assert webhook_of(clinic) == "https://old.example.com/voice"
        async with attended(settings, **ways, configure_number=True):
            pass
        assert webhook_of(clinic) == f"{clinic.url}/incoming-call"


async def test_a_lost_tunnel_comes_back_under_another_name_and_everything_follows(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    names_lead_here(monkeypatch, ONE, TWO)
    context = issued(ONE, TWO)(clinic.folder)
    monkeypatch.setenv("SSL_CERT_FILE", str(clinic.folder / "ca.pem"))
    async with AsyncExitStack() as first, AsyncExitStack() as second:
        ports = {
            ONE: await first.enter_async_context(listening(proxying(clinic.port), context)),
            TWO: await second.enter_async_context(listening(proxying(clinic.port), context)),
        }
        urls = [f"https://{name}:{ports[name]}" for name in (ONE, TWO)]
        left = list(urls)

        class Listener:
            def __init__(self, url: str) -> None:
                self._url = url

            def url(self) -> str:
                return self._url

            async def close(self) -> None: ...

        async def forward(address: str, **_: Any) -> Listener:
            return Listener(left.pop(0))

        monkeypatch.setitem(sys.modules, "ngrok", SimpleNamespace(forward=forward))
        tunnel = NgrokTunnel("token")
        settings = clinic.made_settings().with_server_url(await tunnel.start(clinic.port))
        said: list[str] = []
        async with Server(settings, say=said.append) as server, aiohttp.ClientSession() as http:
            async with attended(
                settings,
                echo=server.echo,
                move=server.move,
                say=said.append,
                tunnel=tunnel,
                configure_number=True,
                watch_every_s=0.05,
            ):
                assert webhook_of(clinic) == f"{urls[0]}/incoming-call"
                await first.aclose()
                await until(lambda: webhook_of(clinic) == f"{urls[1]}/incoming-call")
                assert server.desk.context.options.public_url == urls[1]
                status = await ring(clinic.url, http, urls[1])
                old = await ring(clinic.url, http, urls[0])
            await tunnel.stop()
    assert status == 200
    assert old == 403
    assert any(urls[1] in line and "open again" in line for line in said)


async def ring(local: str, http: aiohttp.ClientSession, public: str) -> int:
    """An incoming call's webhook as Twilio signs it for a public address."""
    form = [("CallSid", "CA" + "0" * 32), ("AccountSid", ACCOUNT), ("From", "+14155550123"), ("To", OURS)]
    headers = {
        "X-Twilio-Signature": sign(TOKEN, f"{public}/incoming-call", form),
        "Content-Type": "application/x-www-form-urlencoded",
    }
    async with http.post(f"{local}/incoming-call", data=urlencode(form).encode(), headers=headers) as answer:
        return answer.status


async def test_somebody_elses_server_is_not_taken_for_ours(clinic: Clinic) -> None:
    settings = clinic.made_settings()
    async with Server(settings, say=lambda line: None) as server, aiohttp.ClientSession() as http:
        assert await leads_here(http, server.echo, clinic.url)
        server.echo.instance = "another"
        found = await leads_here(http, server.echo, clinic.url)
        assert found  # it says what it is, and that is what is compared
        async with listening(proxying(clinic.twilio.port)) as port:
            assert not await leads_here(http, server.echo, f"http://127.0.0.1:{port}")


async def test_a_call_in_progress_outlives_the_move(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        call_id = await house.place()
        await house.talking(call_id)
        house.server.move("https://calls.example.com")
        before = house.live_call(call_id).session.downlink.playout.confirmed_ms
        await house.until(lambda: house.live_call(call_id).record.state == "connected")
        assert before > 0
        status, _ = await house.api("POST", f"/v1/calls/{call_id}/hangup")
        assert status == 200
        ended = await house.ended(call_id)
        assert ended["cause"] == "api_hangup"
