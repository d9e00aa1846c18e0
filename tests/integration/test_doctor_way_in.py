"""The way in: proxies, tunnels, certificates and other people's servers between doctor and the public address."""

from __future__ import annotations

import datetime
import re
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme
from clinic import KEY, TOKEN, Clinic, Handler, answering, listening, names_lead_here, open_clinic, proxying
from pydantic import SecretStr

from shortwire.app import Server
from shortwire.demo.processes import free_port
from shortwire.doctor import Outcome

HOST = "calls.shortwire.test"
TUNNEL = "abcd-12.ngrok-free.app"
PUBLIC = ["93.184.216.34"]
Spoil = Callable[[Clinic, pytest.MonkeyPatch], Awaitable[None]]


@dataclass(frozen=True)
class Mistake:
    name: str
    check: str
    problem: str
    remedy: str
    spoil: Spoil


MISTAKES: list[Mistake] = []


def mistake(check: str, problem: str, remedy: str, name: str = "") -> Callable[[Spoil], Spoil]:
    def register(spoil: Spoil) -> Spoil:
        MISTAKES.append(Mistake(name or spoil.__name__, check, problem, remedy, spoil))
        return spoil

    return register


async def before(clinic: Clinic, handler: Handler, context: ssl.SSLContext | None = None, host: str = "") -> None:
    """Put a program before the server, and let SERVER_URL name it."""
    port = await clinic.exits.enter_async_context(listening(handler, context))
    scheme = "https" if context else "http"
    clinic.settings["server_url"] = f"{scheme}://{host or '127.0.0.1'}:{port}"


def proxied(check: str, problem: str, remedy: str, name: str, **changes: Any) -> None:
    @mistake(check, problem, remedy, name)
    async def spoil(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
        await before(clinic, proxying(clinic.port, **changes))


def replaced(check: str, problem: str, remedy: str, name: str, handler: Handler) -> None:
    @mistake(check, problem, remedy, name)
    async def spoil(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
        await before(clinic, handler)


def without(header: str) -> Callable[[bytes], bytes]:
    return lambda head: re.sub(rb"(?i)\r\n" + header.encode() + rb":[^\r]*", b"", head)


def moved(head: bytes) -> bytes:
    return head.replace(b" /doctor/", b" /app/doctor/", 1)


# Who answers

replaced("way_in.reaches_us", "other_site", "SERVER_URL", "a web site", answering())
replaced("way_in.reaches_us", "other_site", "SERVER_URL", "a site that knows no such page", answering("404 Not Found"))
replaced("way_in.reaches_us", "bad_gateway", "port", "a proxy that finds nobody", answering("502 Bad Gateway"))
replaced("way_in.reaches_us", "guarded", "/incoming-call", "a password", answering("401 Unauthorized"))
replaced("way_in.reaches_us", "guarded", "/outbound-media-stream", "a robot trap", answering("403 Forbidden"))
replaced("way_in.reaches_us", "redirect", "SERVER_URL=https://www.shortwire.test", "a redirect",
         answering("301 Moved Permanently", {"Location": "https://www.shortwire.test/doctor/echo/x"}))  # fmt: skip
proxied("way_in.reaches_us", "path_changed", "as it is", "a prefix before the path", request=moved)
proxied("way_in.reaches_us", "path_changed", "as it is", "a path cut short",
        request=lambda head: head.replace(b" /doctor/echo/", b" /echo/", 1))  # fmt: skip


@mistake("way_in.reaches_us", "unreachable", "start the proxy")
async def nobody_at_the_public_address(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    clinic.settings["server_url"] = f"http://127.0.0.1:{free_port()}"


@mistake("way_in.reaches_us", "other_shortwire", "stop the other one")
async def another_shortwire(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    other = free_port()
    settings = {**clinic.settings, "shortwire_port": other, "shortwire_data_dir": clinic.folder / "other"}
    made = clinic.made_settings().model_copy(update=settings)
    await clinic.exits.enter_async_context(Server(made, say=lambda line: None))
    clinic.settings["server_url"] = f"http://127.0.0.1:{other}"


@mistake("way_in.server", "not_shortwire", "SHORTWIRE_PORT")
async def another_program_on_the_port(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    clinic.settings["shortwire_port"] = await clinic.exits.enter_async_context(listening(answering()))


@mistake("way_in.server", "other_key", "restart")
async def a_server_with_another_key(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    await clinic.exits.enter_async_context(Server(clinic.made_settings(), say=lambda line: None))
    clinic.settings["shortwire_api_key"] = SecretStr("another-key-of-sixteen-characters")


@mistake("way_in.server", "other_address", "restart")
async def a_server_that_was_started_before_the_change(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    await clinic.exits.enter_async_context(Server(clinic.made_settings(), say=lambda line: None))
    clinic.settings["server_url"] = "https://calls.example.com"


# Signatures

proxied("way_in.signature", "header_dropped", "X-Twilio-Signature", "a proxy that drops the signature",
        request=without("x-twilio-signature"))  # fmt: skip
proxied("way_in.signature", "path_changed", "path as it is", "a prefix before a signed path", request=moved)
proxied("way_in.signature", "query_changed", "query as it is", "a query decoded",
        request=lambda head: head.replace(b"%20", b"+", 1))  # fmt: skip
proxied("way_in.signature", "query_changed", "query as it is", "a query dropped",
        request=lambda head: re.sub(rb"\?[^ ]*", b"", head, count=1))  # fmt: skip
proxied("way_in.signature", "form_changed", "bodies untouched", "a form changed",
        body=lambda data: data.replace(b"Digits", b"Digitz"))  # fmt: skip


@mistake("way_in.signature", "other_token", "TWILIO_AUTH_TOKEN")
async def a_server_with_another_token(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    await clinic.exits.enter_async_context(Server(clinic.made_settings(), say=lambda line: None))
    clinic.settings["twilio_auth_token"] = SecretStr(TOKEN[::-1])


@mistake("way_in.signature", "other_url", "restart the server with SERVER_URL")
async def a_server_that_hashes_another_address(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    old = clinic.made_settings().model_copy(update={"server_url": "https://old.example.com"})
    await clinic.exits.enter_async_context(Server(old, say=lambda line: None))


# Media streams

proxied("way_in.websocket", "refused", "Upgrade and Connection headers", "a proxy without WebSockets",
        request=lambda head: without("connection")(without("upgrade")(head)))  # fmt: skip
proxied("way_in.websocket", "compressed", "permessage-deflate", "a proxy that compresses",
        response=lambda head: head[:-2] + b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n")  # fmt: skip
proxied("way_in.websocket", "buffered", "proxy_buffering off", "a proxy that buffers", hold_s=0.25)
proxied("way_in.websocket", "broken", "idle limit", "a proxy that cuts the socket", cut_after=1200)
proxied("way_in.websocket", "signature", "on upgrades", "an upgrade without its signature",
        request=without("x-twilio-signature"))  # fmt: skip
replaced("way_in.websocket", "refused", "HTTP 426", "a web site instead of a socket", answering("426 Upgrade Required"))
proxied("way_in.websocket", "path_changed", "path of WebSockets", "a path with something after it",
        request=lambda head: re.sub(rb"(/doctor/echo/[^ ?]*)", rb"\1/", head, count=1))  # fmt: skip


# Names


def name(problem: str, remedy: str, label: str, url: str, addresses: list[str] | None) -> None:
    @mistake("way_in.dns", problem, remedy, label)
    async def spoil(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
        async def lookup(host: str, port: int) -> list[str]:
            if addresses is None:
                raise OSError("Name or service not known")
            return addresses

        clinic.settings |= {"server_url": url, "twilio_api_base_url": "https://api.twilio.com"}
        clinic.bench["resolve"] = lookup


name("no_such_name", "DNS entry", "a name that does not resolve", "https://calls.example.com", None)
name("private", "public address", "a name of the house", "https://calls.example.com", ["192.168.1.20"])
name("private", "tunnel", "a carrier-grade address", "https://calls.example.com", ["100.64.3.4"])
name("loopback", "serve --tunnel ngrok", "this machine as public address", "http://127.0.0.1:8001", PUBLIC)


# Certificates


def certificate(
    problem: str, remedy: str, label: str, make: Callable[[Path], ssl.SSLContext], trust: bool = True
) -> None:
    @mistake("way_in.tls", problem, remedy, label)
    async def spoil(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
        names_lead_here(monkeypatch, HOST)
        context = make(clinic.folder)
        if trust:
            monkeypatch.setenv("SSL_CERT_FILE", str(clinic.folder / "ca.pem"))
        await before(clinic, proxying(clinic.port), context, HOST)


def issued(*names: str, days: tuple[int, int] = (-1, 90)) -> Callable[[Path], ssl.SSLContext]:
    def make(folder: Path) -> ssl.SSLContext:
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(folder / "ca.pem"))
        now = datetime.datetime.now(datetime.UTC)
        leaf = authority.issue_cert(
            *names,
            not_before=now + datetime.timedelta(days=days[0]),
            not_after=now + datetime.timedelta(days=days[1]),
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        leaf.configure_cert(context)
        return context

    return make


def broken_chain(folder: Path) -> ssl.SSLContext:
    """The leaf without the intermediate that signed it."""
    root = trustme.CA()
    root.cert_pem.write_to_path(str(folder / "ca.pem"))
    leaf = root.create_child_ca().issue_cert(HOST)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    file = folder / "leaf.pem"
    file.write_bytes(leaf.private_key_pem.bytes() + leaf.cert_chain_pems[0].bytes())
    context.load_cert_chain(file)
    return context


def self_signed(folder: Path) -> ssl.SSLContext:
    """An authority's own certificate, shown as a server's."""
    authority = trustme.CA()
    file = folder / "self.pem"
    file.write_bytes(authority.private_key_pem.bytes() + authority.cert_pem.bytes())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


certificate("self_signed", "Let's Encrypt", "a certificate signed by itself", self_signed, trust=False)
certificate("expired", "renew", "a certificate that has expired", issued(HOST, days=(-90, -1)))
certificate("not_yet", "clock", "a certificate of tomorrow", issued(HOST, days=(1, 90)))
certificate("name", HOST, "a certificate of another name", issued("other.shortwire.test"))
certificate("chain", "fullchain.pem", "a chain without its middle", broken_chain)
certificate("chain", "fullchain.pem", "an authority of one's own", issued(HOST), trust=False)
certificate("expires", "before", "a certificate for one more week", issued(HOST, days=(-80, 7)))


@mistake("way_in.tls", "no_tls", "speak TLS")
async def http_on_the_https_port(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    async def plain(reader: Any, writer: Any) -> None:
        await reader.read(1024)
        writer.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
        await writer.drain()

    names_lead_here(monkeypatch, HOST)
    port = await clinic.exits.enter_async_context(listening(plain))
    clinic.settings["server_url"] = f"https://{HOST}:{port}"


@mistake("way_in.tls", "refused", "firewall")
async def a_closed_port(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    names_lead_here(monkeypatch, HOST)
    clinic.settings["server_url"] = f"https://{HOST}:{free_port()}"


@mistake("way_in.tls", "silent", "firewall")
async def a_port_that_swallows(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    async def swallow(reader: Any, writer: Any) -> None:
        await reader.read(-1)

    names_lead_here(monkeypatch, HOST)
    port = await clinic.exits.enter_async_context(listening(swallow))
    clinic.settings["server_url"] = f"https://{HOST}:{port}"
    clinic.bench["patience"] = 0.05


# Tunnels


@mistake("way_in.tunnel", "tunnel", "address of its own")
async def a_tunnel(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    names_lead_here(monkeypatch, TUNNEL)
    context = issued(TUNNEL)(clinic.folder)
    monkeypatch.setenv("SSL_CERT_FILE", str(clinic.folder / "ca.pem"))
    await before(clinic, proxying(clinic.port, hold_s=0.02), context, TUNNEL)


@pytest.mark.parametrize("case", MISTAKES, ids=lambda case: case.name.replace(" ", "-")[:60])
async def test_a_mistake_on_the_way_in_is_found(case: Mistake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_clinic(tmp_path) as clinic:
        await case.spoil(clinic, monkeypatch)
        findings = await clinic.finding(case.check)
    problems = {finding.problem: finding for finding in findings}
    assert case.problem in problems, [(f.outcome, f.problem, f.text) for f in findings]
    found = problems[case.problem]
    assert found.outcome in (Outcome.WARN, Outcome.FAIL)
    assert case.remedy in found.remedy
    assert found.effect
    assert KEY not in found.remedy + found.text
    assert TOKEN not in found.remedy + found.text


async def test_a_tunnel_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_clinic(tmp_path) as clinic:
        await a_tunnel(clinic, monkeypatch)
        (found,) = await clinic.finding("way_in.tunnel")
    assert found.values["extra_ms"] > 10
    assert re.search(r"later by about \d+ ms", found.effect)


async def test_a_right_address_behind_tls_passes_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_clinic(tmp_path) as clinic:
        names_lead_here(monkeypatch, HOST)
        context = issued(HOST)(tmp_path)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        await before(clinic, proxying(clinic.port), context, HOST)
        found = await clinic.examine("way_in")
    assert [(f.check, f.text) for f in found.findings if f.outcome is not Outcome.PASS] == []


async def test_with_a_running_server_its_own_echo_answers(tmp_path: Path) -> None:
    async with open_clinic(tmp_path) as clinic, Server(clinic.made_settings(), say=lambda line: None):
        found = await clinic.examine("way_in")
    assert [(f.check, f.text) for f in found.findings if f.outcome is not Outcome.PASS] == []
    assert any("runs on port" in finding.text for finding in found.findings)


async def test_the_api_key_never_travels_through_the_public_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heads: list[bytes] = []

    def note(head: bytes) -> bytes:
        heads.append(head)
        return head

    async with open_clinic(tmp_path) as clinic:
        await before(clinic, proxying(clinic.port, request=note))
        found = await clinic.examine("way_in")
    assert found.worst is Outcome.PASS
    assert len(heads) >= 3
    assert not any(KEY.encode() in head for head in heads)
