"""Checks of the way in: does the public address lead here, and what happens to a request on the way?

A ticket made over loopback is spent through the public address, so the API key never travels there. Requests and the
upgrade are signed and shaped as Twilio's are: protocols/twilio.md sections 2 and 4.4.
"""

from __future__ import annotations

import json
import ssl
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from ...errors import BridgeError
from ...net.probes import (
    HttpAnswer,
    addresses_are_private,
    date_text,
    expires_in_days,
    first_words,
    http_request,
    tls_facts,
)
from ..bench import Bench, CannotTell
from ..check import Fix, Tell, check, fail, warn
from ..way import Way, WayBlocked

_CERTIFICATE = {9: "not_yet", 10: "expired", 18: "self_signed", 19: "self_signed", 20: "chain", 21: "chain", 62: "name"}
"""OpenSSL's verification codes."""


async def way_of(bench: Bench) -> Way:
    """The server behind the address, or why nothing can be said."""
    try:
        return await bench.way()
    except CannotTell as reason:
        cause = reason.__cause__
        if isinstance(cause, WayBlocked):
            raise CannotTell(f"{cause.message} (see way_in.server)") from cause
        raise CannotTell(str(cause or reason)) from cause


@check(
    "way_in.server",
    "The server's port is ours",
    "Asks the server on SHORTWIRE_PORT who it is; if none runs, listens there itself for the time of the examination.",
    fail(
        "other_key",
        "the server that runs here knows another API key",
        "your own commands are refused by it",
        "restart `shortwire serve`, so that it reads the SHORTWIRE_API_KEY that is set now",
    ),
    fail(
        "not_shortwire",
        "another program has the port",
        "the server cannot start, and the public address leads to that program",
        "stop that program, or set SHORTWIRE_PORT to a free port (and let the proxy or tunnel lead there)",
    ),
    warn(
        "other_address",
        "the running server has another public address than the settings",
        "calls use the old address until it is restarted",
        "restart `shortwire serve`, or set SERVER_URL={url}",
    ),
)
async def server(bench: Bench, tell: Tell) -> None:
    try:
        way = await bench.first_hand(bench.way)
    except WayBlocked as blocked:
        if blocked.code in ("other_key", "not_shortwire"):
            tell.problem(blocked.code, blocked.message)
            return
        raise CannotTell(blocked.message) from blocked
    ours = bench.settings.server_url
    if ours and way.public_url != ours:
        tell.problem("other_address", f"it says {way.public_url}", url=way.public_url)
    elif way.stand_in:
        tell.ok(f"port {bench.settings.port} is free; doctor listens there for now")
    else:
        tell.ok(f"Shortwire runs on port {bench.settings.port}")


@check(
    "way_in.dns",
    "The public name has an address",
    "Resolves the host of SERVER_URL.",
    fail(
        "no_such_name",
        "the name does not resolve",
        "Twilio cannot find this server (11210)",
        "create the DNS entry of {host}, or correct SERVER_URL",
    ),
    fail(
        "private",
        "the name leads to a private address",
        "Twilio cannot reach it from outside (11205)",
        "let {host} point to a public address, or open a tunnel: shortwire serve --tunnel ngrok",
    ),
    fail(
        "loopback",
        "the address is this machine's own",
        "Twilio cannot reach it from outside (11205)",
        "set SERVER_URL to a public https address, or open a tunnel: shortwire serve --tunnel ngrok",
    ),
)
async def dns(bench: Bench, tell: Tell) -> None:
    url = await public_url(bench)
    parts = urlsplit(url)
    host = parts.hostname or ""
    if host in ("127.0.0.1", "localhost", "::1"):
        if bench.on_emulators:
            tell.ok("this machine, for the emulator on it")
        else:
            tell.problem("loopback", f"SERVER_URL is {url}")
        return
    try:
        addresses = await bench.resolve(host, parts.port or 443)
    except (OSError, TimeoutError) as error:
        tell.problem("no_such_name", f"{host}: {first_words(error)}", host=host)
        return
    if addresses_are_private(addresses) and not bench.on_emulators:
        tell.problem("private", f"{host} is {', '.join(addresses)}", host=host)
    else:
        tell.ok(f"{host} is {', '.join(addresses[:3])}", addresses=addresses)


async def public_url(bench: Bench) -> str:
    return bench.settings.server_url or (await way_of(bench)).public_url


@check(
    "way_in.tls",
    "The certificate is trusted",
    "Opens a TLS connection to SERVER_URL and verifies the chain as Twilio does.",
    fail(
        "expired", "the certificate has expired", "Twilio refuses to connect (11237)", "renew the certificate of {host}"
    ),
    fail(
        "not_yet",
        "the certificate is not yet valid",
        "Twilio refuses to connect (11237)",
        "set the clock of whoever made the certificate of {host} right, and make it again",
    ),
    fail(
        "self_signed",
        "the certificate is signed by nobody that Twilio trusts",
        "Twilio refuses to connect (11237)",
        "use a certificate of a public authority (Let's Encrypt) for {host}",
    ),
    fail(
        "chain",
        "the chain is incomplete or its authority unknown",
        "browsers may accept it; Twilio does not (11237)",
        "serve the full chain (fullchain.pem, not cert.pem) for {host}",
    ),
    fail(
        "name",
        "the certificate is for another name",
        "Twilio refuses to connect (11237)",
        "get a certificate that names {host}, or set SERVER_URL to the name that it has",
    ),
    fail(
        "no_tls",
        "what answers there does not speak TLS",
        "Twilio cannot connect (11220)",
        "let the proxy speak TLS on this port, or correct the port in SERVER_URL",
    ),
    fail(
        "refused",
        "nobody listens there",
        "Twilio cannot connect (11205)",
        "start the proxy or tunnel for {host}, or open its port in the firewall",
    ),
    fail(
        "silent",
        "nobody answers there",
        "Twilio gives up after 15 s (11205)",
        "open the port in the firewall, or correct SERVER_URL: {host} does not answer",
    ),
    warn(
        "expires",
        "the certificate expires soon",
        "from then on no call works",
        "renew the certificate of {host} before {day}",
    ),
)
async def tls(bench: Bench, tell: Tell) -> None:
    url = await public_url(bench)
    host = urlsplit(url).netloc
    if url.startswith("http://"):
        tell.ok("http on this machine: no TLS")
        return
    await _listening(bench)
    try:
        facts = await tls_facts(url, deadline_s=5.0 * bench.patience)
    except ssl.SSLCertVerificationError as error:
        tell.problem(_CERTIFICATE.get(error.verify_code, "chain"), error.verify_message, host=host)
        return
    except (ssl.SSLError, ConnectionResetError) as error:
        tell.problem("no_tls", first_words(error), host=host)
        return
    except TimeoutError:
        tell.problem("silent", f"{host} did not answer within {5 * bench.patience:g} s", host=host)
        return
    except OSError as error:
        if "getaddrinfo" in str(error) or "Name or service" in str(error):
            raise CannotTell("the name does not resolve (see way_in.dns)") from error
        tell.problem("refused", first_words(error), host=host)
        return
    days = expires_in_days(facts, bench.clock.wall_s())
    text = f"{facts.version}, from {facts.issuer or 'an unnamed authority'}, good for {days:.0f} days"
    if days < 14:
        tell.problem("expires", text, host=host, day=date_text(facts.expires_s))
    else:
        tell.ok(text, days=round(days), version=facts.version)


async def _listening(bench: Bench) -> None:
    """Have the stand-in on the port before somebody knocks; what keeps it away is told by its own check."""
    try:
        await bench.way()
    except (CannotTell, BridgeError):
        return


@check(
    "way_in.reaches_us",
    "The public address leads to this very server",
    "Spends a ticket, made over loopback, through SERVER_URL: the answer names the process.",
    fail(
        "bad_gateway",
        "the proxy does not reach the server",
        "every call fails (11200)",
        "let the proxy or tunnel lead to port {port} of this machine",
    ),
    fail(
        "other_shortwire",
        "the address leads to another Shortwire",
        "calls go to that one",
        "stop the other one, or correct SERVER_URL or the proxy",
    ),
    fail(
        "other_site",
        "the address leads to something that is not Shortwire",
        "every call fails (11200 or 12100)",
        "correct SERVER_URL, or let the proxy lead {host} to port {port}",
    ),
    fail(
        "redirect",
        "the address redirects",
        "Twilio follows with GET and loses the form, so every webhook is refused",
        "set SERVER_URL={url}",
    ),
    fail(
        "guarded",
        "something before the server asks for a password or refuses robots",
        "Twilio's requests do not reach us",
        "let Twilio's requests pass: except /incoming-call, /outbound-call-twiml, /status-callback and "
        "/outbound-media-stream",
    ),
    fail(
        "path_changed",
        "the proxy changes the path",
        "webhooks and media streams are refused",
        "let the proxy pass the path as it is (it came as {path})",
    ),
    fail(
        "unreachable",
        "the address does not answer",
        "every call fails (11205)",
        "start the proxy or tunnel, or correct SERVER_URL: {why}",
    ),
)
async def reaches_us(bench: Bench, tell: Tell) -> None:
    way, url = await way_of(bench), await public_url(bench)
    answer = await ask(bench, tell, "GET", url + way.ticket())
    if answer is not None:
        _say_where(bench, tell, way, url, answer)


async def ask(bench: Bench, tell: Tell, method: str, url: str, **more: Any) -> HttpAnswer | None:
    try:
        return await http_request(bench.http, method, url, deadline_s=8.0 * bench.patience, **more)
    except aiohttp.ClientConnectorCertificateError as error:
        raise CannotTell("the certificate is not trusted (see way_in.tls)") from error
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        if "unreachable" not in tell.known_problems:
            raise CannotTell("the address does not answer (see way_in.reaches_us)") from error
        tell.problem("unreachable", first_words(error), why=first_words(error))
        return None


def _say_where(bench: Bench, tell: Tell, way: Way, url: str, answer: HttpAnswer) -> None:
    document = document_of(answer)
    port, host = bench.settings.port, urlsplit(url).netloc
    if document.get("instance"):
        seen_path = document["seen"]["path"]
        if document["instance"] != way.instance:
            tell.problem("other_shortwire", "another process answers")
        elif not seen_path.startswith("/doctor/echo/"):
            tell.problem("path_changed", f"it came as {seen_path.partition('/doctor/')[0]}/...", path=seen_path[:40])
        else:
            tell.ok(f"{answer.ms:.0f} ms through {host}", ms=round(answer.ms, 1))
        return
    problem, shown = _stranger(answer, document)
    if problem == "redirect":
        target = urlsplit(answer.headers.get("location", ""))
        fixed = f"https://{target.netloc}" if target.netloc and target.netloc != host else ""
        fix = Fix("SERVER_URL", fixed, "where the address redirects to") if fixed else None
        tell.problem("redirect", shown, url=fixed or "an address that does not redirect", fix=fix)
    else:
        tell.problem(problem, shown, port=port, host=host, path="something else")


def _stranger(answer: HttpAnswer, document: dict[str, Any]) -> tuple[str, str]:
    """Which problem an answer is that is not our echo, and what was seen."""
    shown = f"HTTP {answer.status}"
    if 300 <= answer.status < 400:
        return "redirect", f"{shown} to {answer.headers.get('location', '?')}"
    error = document.get("error")
    code = error.get("code") if isinstance(error, dict) else None
    if code == "no_such_ticket":
        return "other_shortwire", "it does not know the ticket"
    if code in ("unauthorized", "not_found"):
        return "path_changed", f"{shown}: it came under another path"
    if answer.status in (502, 503, 504, 521, 522, 523, 530):
        return "bad_gateway", shown
    if answer.status in (401, 403, 407, 429):
        return "guarded", shown
    return "other_site", shown


def document_of(answer: HttpAnswer) -> dict[str, Any]:
    try:
        found = json.loads(answer.body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
