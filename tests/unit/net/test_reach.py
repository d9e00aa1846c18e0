"""A connection in steps: addresses in their order, what is told of each step, and nothing left of a failure.

On both event loops (conftest).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import trustme
from websockets.asyncio.server import serve

from shortwire.call.setup import ConnectionInstants
from shortwire.clock import SystemClock
from shortwire.errors import AgentError
from shortwire.net.agent_host import AgentSocketOptions
from shortwire.net.lean_agent import LeanAgentDialer
from shortwire.net.reach import reach
from shortwire.net.stock import StockAgentDialer

Names = dict[str, list[tuple[str, int]]]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_an_address_needs_no_look_up(door: int, names: Names) -> None:
    """Nor does connecting to it: uvloop's own way would ask the resolver in a thread."""
    assert not names  # whoever looks up anything fails
    before = SystemClock.now_ns()
    reached = await reach("127.0.0.1", door)
    with reached.system:
        assert reached.looked_up_ns == 0
        assert before < reached.tcp_ns <= SystemClock.now_ns()
        assert reached.system.getpeername() == ("127.0.0.1", door)
        assert not reached.system.getblocking()


async def test_a_name_is_looked_up_first(door: int) -> None:
    before = SystemClock.now_ns()
    reached = await reach("localhost", door)
    with reached.system:
        assert before < reached.looked_up_ns <= reached.tcp_ns


async def test_the_first_address_that_answers_is_taken(door: int, names: Names) -> None:
    names["agent.example"] = [("127.0.0.2", free_port()), ("127.0.0.1", door), ("127.0.0.3", door)]
    reached = await reach("agent.example", 443)
    with reached.system:
        assert reached.system.getpeername() == ("127.0.0.1", door)


async def test_no_address_answers(names: Names) -> None:
    names["agent.example"] = [("127.0.0.2", free_port()), ("127.0.0.3", free_port())]
    with pytest.raises(OSError, match=r"refused.*127\.0\.0\.2.*refused.*127\.0\.0\.3"):
        await reach("agent.example", 443)


async def test_one_failure_is_told_as_it_is() -> None:
    with pytest.raises(ConnectionRefusedError) as caught:
        await reach("127.0.0.1", free_port())
    assert caught.value.errno == errno.ECONNREFUSED


async def test_a_name_without_addresses(names: Names) -> None:
    names["agent.example"] = []
    with pytest.raises(OSError, match="no address"):
        await reach("agent.example", 443)


@contextlib.contextmanager
def deaf_place() -> Iterator[tuple[str, int]]:
    """An address that takes no connection and refuses none: its backlog is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as deaf:
        filling = [socket.socket() for _ in range(4)]
        for one in filling:
            one.setblocking(False)
            one.connect_ex(deaf.getsockname())
        yield deaf.getsockname()
        for one in filling:
            one.close()


async def test_one_that_is_given_up_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who stops waiting gets the descriptor back."""
    made: list[socket.socket] = []

    class Kept(socket.socket):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            made.append(self)

    with deaf_place() as place:
        monkeypatch.setattr("shortwire.net.reach.socket.socket", Kept)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await reach(*place)
        assert [one.fileno() for one in made] == [-1]


# What the dialers tell


@dataclass
class Ear:
    """A listener that measures."""

    told: list[ConnectionInstants] = field(default_factory=list)
    opened_ns: int = 0
    over: asyncio.Event = field(default_factory=asyncio.Event)

    def connected(self, connection: ConnectionInstants) -> None:
        assert self.opened_ns == 0
        self.told.append(connection)

    def opened(self, socket: Any) -> None:
        self.opened_ns = SystemClock.now_ns()
        self.socket = socket

    def media(self, data: bytes, read_ns: int) -> None:
        return None

    def message(self, data: bytes, read_ns: int) -> bool:
        return False

    def other(self, data: bytes, read_ns: int) -> bool:
        return self.message(data, read_ns)

    def relayed(self, read_ns: int, written_ns: int) -> None: ...

    def binary(self) -> None: ...

    def paused(self, paused: bool) -> None: ...

    def closed(self, code: int, reason: str) -> None:
        self.over.set()


Dialer = LeanAgentDialer | StockAgentDialer


def dialer_of(kind: str, tls: ssl.SSLContext) -> Dialer:
    options = AgentSocketOptions()
    return LeanAgentDialer(options, tls) if kind == "lean" else StockAgentDialer(options, tls, compression=False)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
async def host(authority: trustme.CA, request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """An agent's host that says nothing; by TLS if the test's id says wss."""
    secure = "wss" in request.node.name
    context = None
    if secure:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)

    async def wait(connection: Any) -> None:
        await connection.wait_closed()

    async with serve(wait, "127.0.0.1", 0, ssl=context) as server:
        port = server.sockets[0].getsockname()[1]
        yield f"{'wss' if secure else 'ws'}://{{}}:{port}/v1/convai/conversation"


@pytest.fixture
def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
@pytest.mark.parametrize("scheme", ["ws", "wss"])
@pytest.mark.parametrize("kind", ["lean", "stock"])
async def test_the_steps_of_a_cold_connection(
    kind: str, scheme: str, name: str, host: str, trusting: ssl.SSLContext
) -> None:
    ear = Ear()
    before = SystemClock.now_ns()
    assert await dialer_of(kind, trusting).connect(host.format(name), ear) is False
    [steps] = ear.told
    taken = [ns for ns in (steps.looked_up_ns, steps.tcp_ns, steps.tls_ns) if ns]
    assert len(taken) == 1 + (name == "localhost") + (scheme == "wss")
    assert [before, *taken, ear.opened_ns] == sorted([before, *taken, ear.opened_ns])
    assert bool(steps.looked_up_ns) is (name == "localhost")
    assert bool(steps.tls_ns) is (scheme == "wss")
    assert steps.connected_ns == 0
    ear.socket.close(1000, "")
    await asyncio.wait_for(ear.over.wait(), 20)


@pytest.mark.parametrize("kind", ["lean", "stock"])
async def test_a_host_whose_first_address_is_dead(kind: str, host: str, trusting: ssl.SSLContext, names: Names) -> None:
    """The deadlines of neither dialer are used up by it."""
    ear = Ear()
    with deaf_place() as dead:
        names["agent.example"] = [dead, ("127.0.0.1", int(host.partition("{}:")[2].partition("/")[0]))]
        await dialer_of(kind, trusting).connect(host.format("agent.example"), ear)
    [steps] = ear.told
    assert 0 < steps.looked_up_ns < steps.tcp_ns < ear.opened_ns
    ear.socket.close(1000, "")
    await asyncio.wait_for(ear.over.wait(), 20)


async def test_a_warm_connection_tells_when_it_was_made_wss(host: str, trusting: ssl.SSLContext) -> None:
    """Before the answer, so that no part of the set-up comes of it."""
    dialer, ear = LeanAgentDialer(AgentSocketOptions(), trusting), Ear()
    warm = await dialer.warm(host.format("localhost"))
    made_ns = SystemClock.now_ns()
    assert warm is not None
    assert await dialer.connect(host.format("localhost"), ear, warm) is True
    [steps] = ear.told
    assert 0 < steps.looked_up_ns <= steps.tcp_ns < steps.tls_ns < made_ns < ear.opened_ns
    ear.socket.close(1000, "")
    await asyncio.wait_for(ear.over.wait(), 20)


async def test_a_proxy_hides_the_steps(host: str, trusting: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library goes through it as before; all of it is one step."""

    async def tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        there, port = head.split()[1].decode().rsplit(":", 1)
        their_reader, their_writer = await asyncio.open_connection(there, int(port))
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")

        async def copy(source: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
            while data := await source.read(65536):
                to.write(data)
            to.close()

        await asyncio.gather(copy(reader, their_writer), copy(their_reader, writer))

    async with await asyncio.start_server(tunnel, "127.0.0.1", 0) as proxy:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.sockets[0].getsockname()[1]}")
        monkeypatch.setenv("no_proxy", "")
        ear = Ear()
        await dialer_of("stock", trusting).connect(host.format("127.0.0.1"), ear)
        [steps] = ear.told
        assert (steps.looked_up_ns, steps.tcp_ns, steps.tls_ns) == (0, 0, 0)
        assert 0 < steps.connected_ns <= ear.opened_ns
        ear.socket.close(1000, "")
        await asyncio.wait_for(ear.over.wait(), 20)


@pytest.mark.parametrize("kind", ["lean", "stock"])
async def test_a_host_that_nobody_can_trust_wss(kind: str, host: str) -> None:
    with pytest.raises(AgentError, match="could not be reached"):
        await dialer_of(kind, ssl.create_default_context()).connect(host.format("localhost"), Ear())


@pytest.mark.parametrize("kind", ["lean", "stock"])
async def test_nagle_is_off_as_before(kind: str, host: str, trusting: ssl.SSLContext) -> None:
    """A connection that is handed over rather than made by the loop keeps what the loop would have set."""
    ear = Ear()
    await dialer_of(kind, trusting).connect(host.format("127.0.0.1"), ear)
    transport = ear.socket._abort.__self__ if kind == "stock" else ear.socket._transport.underlying_transport
    assert transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    ear.socket.close(1000, "")
    await asyncio.wait_for(ear.over.wait(), 20)
