"""The tunnel against an ngrok of our own: one sentence for everything that can be missing."""

from __future__ import annotations

import asyncio
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from shortwire.errors import ConfigError
from shortwire.net.tunnel import NgrokTunnel


class Listener:
    def __init__(self, url: str) -> None:
        self._url = url
        self.closed = 0

    def url(self) -> str:
        return self._url

    async def close(self) -> None:
        self.closed += 1


def pretend(monkeypatch: pytest.MonkeyPatch, forward: Any) -> None:
    monkeypatch.setitem(sys.modules, "ngrok", SimpleNamespace(forward=forward))


async def test_a_tunnel_gives_its_address_and_closes_once(monkeypatch: pytest.MonkeyPatch) -> None:
    listener, asked = Listener("https://abc.ngrok.app/"), []

    async def forward(address: str, **options: Any) -> Listener:
        asked.append((address, options))
        return listener

    pretend(monkeypatch, forward)
    tunnel = NgrokTunnel("token")
    assert await tunnel.start(8001) == "https://abc.ngrok.app"
    assert asked == [("127.0.0.1:8001", {"authtoken": "token", "proto": "http"})]
    await tunnel.stop()
    await tunnel.stop()
    assert listener.closed == 1


async def test_without_a_token_it_says_where_to_get_one() -> None:
    with pytest.raises(ConfigError, match="NGROK_AUTHTOKEN"):
        await NgrokTunnel("").start(8001)


async def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ngrok", None)
    with pytest.raises(ConfigError, match=r"pip install 'shortwire\[tunnel\]'"):
        await NgrokTunnel("token").start(8001)


async def test_an_error_of_the_sdk_becomes_one_sentence_without_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    async def forward(address: str, **options: Any) -> Listener:
        raise ValueError("authentication failed for s3cret\nERR_NGROK_105\n")

    pretend(monkeypatch, forward)
    with pytest.raises(ConfigError) as caught:
        await NgrokTunnel("s3cret").start(8001)
    assert str(caught.value) == "ngrok opened no tunnel: authentication failed for ***"


async def test_no_network_ends_at_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    async def forward(address: str, **options: Any) -> Listener:
        await asyncio.sleep(30)
        raise AssertionError

    pretend(monkeypatch, forward)
    with pytest.raises(ConfigError, match=r"within 0\.1 s"):
        await NgrokTunnel("token", deadline_s=0.1).start(8001)


async def test_an_address_that_is_not_https_is_closed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    listener = Listener("tcp://1.tcp.ngrok.io:1")

    async def forward(address: str, **options: Any) -> Listener:
        return listener

    pretend(monkeypatch, forward)
    with pytest.raises(ConfigError, match="not https"):
        await NgrokTunnel("token").start(8001)
    assert listener.closed == 1
