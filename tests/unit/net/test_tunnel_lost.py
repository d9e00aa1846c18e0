"""A tunnel that is lost is opened again, and whoever must know is told."""

from __future__ import annotations

import asyncio
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from shortwire.net.tunnel import NgrokTunnel


class Listener:
    def __init__(self, url: str) -> None:
        self._url = url
        self.closed = 0

    def url(self) -> str:
        return self._url

    async def close(self) -> None:
        self.closed += 1


class Ngrok:
    """Gives the addresses one after the other; an exception in the list is raised."""

    def __init__(self, *answers: str | Exception) -> None:
        self.answers = list(answers)
        self.listeners: list[Listener] = []

    async def forward(self, address: str, **options: Any) -> Listener:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        self.listeners.append(Listener(answer))
        return self.listeners[-1]


@pytest.fixture
def ngrok(monkeypatch: pytest.MonkeyPatch) -> Ngrok:
    made = Ngrok("https://one.ngrok.app", "https://two.ngrok.app")
    monkeypatch.setitem(sys.modules, "ngrok", SimpleNamespace(forward=made.forward))
    return made


async def until(condition: Any) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - a condition of the tests, no event
            await asyncio.sleep(0.005)


async def test_a_lost_tunnel_is_opened_again_and_the_new_address_is_told(ngrok: Ngrok) -> None:
    asked: list[str] = []
    moved: list[str] = []

    async def alive(url: str) -> bool:
        asked.append(url)
        return url != "https://one.ngrok.app"

    async def told(url: str) -> None:
        moved.append(url)

    tunnel = NgrokTunnel("token")
    assert await tunnel.start(8001) == "https://one.ngrok.app"
    tunnel.watch(told, alive, every_s=0.01, first_wait_s=0.01)
    await until(lambda: "https://two.ngrok.app" in asked)
    await tunnel.stop()
    assert moved == ["https://two.ngrok.app"]
    assert tunnel.url == "https://two.ngrok.app"
    assert [listener.closed for listener in ngrok.listeners] == [1, 1]


async def test_one_hiccup_is_not_a_loss(ngrok: Ngrok) -> None:
    answers = [True, False, True, False, True, True]

    async def alive(url: str) -> bool:
        return answers.pop(0) if answers else True

    async def told(url: str) -> None:
        raise AssertionError

    tunnel = NgrokTunnel("token")
    await tunnel.start(8001)
    tunnel.watch(told, alive, every_s=0.005)
    await until(lambda: not answers)
    await tunnel.stop()
    assert tunnel.url == "https://one.ngrok.app"


async def test_it_is_tried_until_the_network_is_back(ngrok: Ngrok) -> None:
    ngrok.answers[1:1] = [ValueError("no route"), ValueError("no route")]
    moved = asyncio.Event()

    async def alive(url: str) -> bool:
        if url.endswith("one.ngrok.app"):
            raise OSError("gone")
        return True

    async def told(url: str) -> None:
        moved.set()
        raise RuntimeError("whoever was told failed, which must not end the watch")

    tunnel = NgrokTunnel("token")
    await tunnel.start(8001)
    tunnel.watch(told, alive, every_s=0.01, first_wait_s=0.01)
    async with asyncio.timeout(20):
        await moved.wait()
    assert tunnel.url == "https://two.ngrok.app"
    await tunnel.stop()
    await tunnel.stop()
