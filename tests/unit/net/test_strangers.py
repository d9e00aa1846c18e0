"""Who is not the agent's host gets no conversation: a stranger's certificate, and one for another name."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path

import pytest
import trustme
from aiofastnet.openssl_compat import OPENSSL_DYN_LIBS
from raw_websocket import Ear, serving, shake_hands

from shortwire.errors import AgentError
from shortwire.net import undecoded as module
from shortwire.net.agent_host import AgentSocketOptions
from shortwire.net.lean_agent import LeanAgentDialer
from shortwire.net.stock import StockAgentDialer
from shortwire.net.undecoded import Undecoded, undecoded
from shortwire.ports import AgentDialer

REQUIREMENTS = Path(__file__).resolve().parents[3] / "requirements.txt"
KINDS = ("lean", "lean, stdlib's TLS", "stock")


def dialer(kind: str, trusted: trustme.CA) -> AgentDialer:
    context = ssl.create_default_context()
    trusted.configure_trust(context)
    options = AgentSocketOptions()
    if kind == "stock":
        return StockAgentDialer(options, context, compression=False)
    # What aiofastnet takes by itself where Python is linked with OpenSSL statically (uv's).
    context._aiofastnet_force_fallback_ssl = kind != "lean"  # type: ignore[attr-defined]
    return LeanAgentDialer(options, context)


@asynccontextmanager
async def host(authority: trustme.CA, name: str) -> AsyncIterator[str]:
    """Its URL; it takes any upgrade."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await shake_hands(reader, writer)
        await reader.read()
        writer.close()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    async with serving(serve, context) as port:
        yield f"wss://localhost:{port}/"


@pytest.mark.parametrize("kind", KINDS)
async def test_the_host_itself(kind: str) -> None:
    authority, ear = trustme.CA(), Ear()
    async with host(authority, "localhost") as url:
        await dialer(kind, authority).connect(url, ear)
        assert ear.socket is not None
        ear.socket.close(1000, "")
        await ear.over()


@pytest.mark.parametrize("kind", KINDS)
async def test_a_stranger(kind: str) -> None:
    ear = Ear()
    async with host(trustme.CA(), "localhost") as url:
        with pytest.raises(AgentError) as refused:
            await dialer(kind, trustme.CA()).connect(url, ear)
    assert "certificate" in str(refused.value).lower()
    assert ear.socket is None


@pytest.mark.parametrize("kind", KINDS)
async def test_somebody_elses_name(kind: str) -> None:
    authority, ear = trustme.CA(), Ear()
    async with host(authority, "somebody.example") as url:
        with pytest.raises(AgentError) as refused:
            await dialer(kind, authority).connect(url, ear)
    assert "certificate" in str(refused.value).lower()
    assert ear.socket is None


@pytest.mark.skipif(OPENSSL_DYN_LIBS is None, reason="Python is linked with OpenSSL statically: nothing is written")
@pytest.mark.parametrize("plain", [True, False])
async def test_nobody_decodes_the_certificate(plain: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it is for: no temporary file with each connection. A version that was not read gets a plain context."""
    decoded: list[str] = []
    monkeypatch.setattr(ssl._ssl, "_test_decode_cert", lambda path: decoded.append(path) or {})  # type: ignore[attr-defined]
    if plain:
        monkeypatch.setattr(module, "READ", ())
    authority, ear = trustme.CA(), Ear()
    async with host(authority, "localhost") as url:
        await dialer("lean", authority).connect(url, ear)
        assert ear.socket is not None
        transport = ear.socket._transport.underlying_transport  # type: ignore[attr-defined]
        assert transport.get_extra_info("peercert") == {}, "decoded by nobody, or by the one above"
        ear.socket.close(1000, "")
        await ear.over()
    assert len(decoded) == (version("aiofastnet") not in module.READ)


def test_the_version_of_the_requirements_was_read() -> None:
    """Otherwise each connection costs a temporary file again: read what it asks a context, and add it to `READ`."""
    pinned = re.search(r"^aiofastnet==(\S+)", REQUIREMENTS.read_text(encoding="utf-8"), re.MULTILINE)
    assert pinned is not None
    assert pinned[1] in module.READ


def careless(check_hostname: bool, verify_mode: ssl.VerifyMode) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = check_hostname
    context.verify_mode = verify_mode
    return context


@pytest.mark.parametrize(
    "checks", [(False, ssl.CERT_REQUIRED), (False, ssl.CERT_NONE), (True, ssl.CERT_OPTIONAL)], ids=str
)
def test_a_context_that_does_not_check(checks: tuple[bool, ssl.VerifyMode]) -> None:
    with pytest.raises(ValueError, match="does not check"):
        undecoded(careless(*checks))


def test_a_context_that_checks_goes_on_checking() -> None:
    context = undecoded(ssl.create_default_context())
    assert isinstance(context, Undecoded)
    assert ssl.SSLContext.verify_mode.__get__(context) is ssl.CERT_REQUIRED
    assert undecoded(context) is context
    with pytest.raises(AttributeError):
        context.verify_mode = ssl.CERT_NONE
    context.check_hostname = False
    with pytest.raises(ValueError, match="does not check"):
        undecoded(context)
