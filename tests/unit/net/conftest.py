"""A resolver and a door, and which event loop: the standard one and uvloop have little in common below a connection."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import pytest
import uvloop

ON_BOTH = {"test_reach", "test_reach_of_several", "test_heads"}
"""Modules whose tests run on both; the rest has the standard loop."""
ON_UVLOOP = {"test_tap"}
"""Those of what only uvloop makes possible."""


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    standard = {"standard": asyncio.new_event_loop}
    fast = {"uvloop": uvloop.new_event_loop}
    if item.path.stem in ON_UVLOOP:
        return fast
    return {**standard, **fast} if item.path.stem in ON_BOTH else standard


Names = dict[str, list[tuple[str, int]]]


@pytest.fixture
async def door() -> AsyncIterator[int]:
    async def nothing(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(nothing, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


@pytest.fixture
async def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    """Names and the addresses of their resolver, whatever port is asked for."""
    known: Names = {}

    async def resolve(host: str, _port: int, **_more: Any) -> list[Any]:
        await asyncio.sleep(0.01)
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", place) for place in known[host]]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
    return known
