"""Whose doing the end of an agent's socket was, on both adapters: a cause that blames the agent must be the agent's."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from raw_websocket import TEXT, Ear, frame
from websockets.asyncio.server import ServerConnection, serve

from shortwire.net.agent_host import AgentSocketOptions, tls_context
from shortwire.net.lean_agent import LeanAgentDialer
from shortwire.net.stock import StockAgentDialer
from shortwire.ports import AgentDialer

Handler = Callable[[ServerConnection], Awaitable[None]]


def lean() -> AgentDialer:
    return LeanAgentDialer(AgentSocketOptions(), tls_context())


def stock() -> AgentDialer:
    return StockAgentDialer(AgentSocketOptions(), tls_context(), compression=False)


async def says_no_text(connection: ServerConnection) -> None:
    connection.transport.write(frame(TEXT, b"\xff\xfe", masked=False))
    await connection.wait_closed()


async def refuses(connection: ServerConnection) -> None:
    await connection.close(1008, "not like this")


async def breaks_off(connection: ServerConnection) -> None:
    connection.transport.abort()


async def waits(connection: ServerConnection) -> None:
    await connection.wait_closed()


async def end_of(dialer: AgentDialer, handler: Handler, *, close: bool = False) -> tuple[int, bool]:
    """Code of a conversation's end, and whether it was ours."""
    ear = Ear()
    async with serve(handler, "127.0.0.1", 0) as server, asyncio.timeout(20):
        port = next(iter(server.sockets)).getsockname()[1]
        await dialer.connect(f"ws://127.0.0.1:{port}/", ear)
        assert ear.socket is not None
        if close:
            ear.socket.close(1000, "")
        code, _ = await ear.over()
    return code, ear.socket.ours


@pytest.mark.parametrize("dialer", [lean, stock])
@pytest.mark.parametrize(
    ("handler", "close", "end"),
    [
        (says_no_text, False, (1007, True)),
        (refuses, False, (1008, False)),
        (breaks_off, False, (1006, False)),
        (waits, True, (1000, True)),
    ],
)
async def test_who_closed(
    dialer: Callable[[], AgentDialer], handler: Handler, close: bool, end: tuple[int, bool]
) -> None:
    assert await end_of(dialer(), handler, close=close) == end
