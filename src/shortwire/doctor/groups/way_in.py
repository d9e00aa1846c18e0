"""Checks of the way in: does the public address lead here, and what happens to a request on the way?

A ticket made over loopback is spent through the public address, so the API key never travels there. Requests and the
upgrade are signed and shaped as Twilio's are: protocols/twilio.md sections 2 and 4.4.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any
from urllib.parse import urlencode, urlsplit

import aiohttp

from ...errors import BridgeError
from ...net.probes import (
    HttpAnswer,
    Series,
    Socket,
    addresses_are_private,
    date_text,
    expires_in_days,
    first_words,
    http_request,
    tls_facts,
)
from ...wire.signature import sign
from ..bench import Bench, CannotTell
from ..check import Fix, Tell, check, fail, warn
from ..way import Way, WayBlocked

_FORM = [("CallSid", "CA" + "0" * 32), ("From", "+14155550123"), ("Called", "a b&c=d+é"), ("Digits", "")]
_QUERY = "doctor=1&text=a%20b"
_FRAMES = 25
_TUNNELS = (
    "ngrok.io", "ngrok.app", "ngrok-free.app", "ngrok-free.dev", "ngrok.dev", "trycloudflare.com", "loca.lt",
    "localhost.run", "lhr.life", "serveo.net", "pinggy.link", "tunnelmole.net", "devtunnels.ms", "bore.pub",
)  # fmt: skip
_CERTIFICATE = {9: "not_yet", 10: "expired", 18: "self_signed", 19: "self_signed", 20: "chain", 21: "chain", 62: "name"}
"""OpenSSL's verification codes."""


async def _way(bench: Bench) -> Way:
    """The server behind the address, or why nothing can be said."""
    try:
        return await bench.way()
    except CannotTell as reason:
        cause = reason.__cause__
        if isinstance(cause, WayBlocked):
            raise CannotTell(f"{cause.message} (see way_in.server)") from cause
        raise CannotTell(str(cause or reason)) from cause


def _answers_here(bench: Bench, url: str) -> bool:
    """A loopback address, which is right only where the carrier is an emulator on this machine."""
    return bench.on_emulators and (urlsplit(url).hostname or "") in ("127.0.0.1", "localhost", "::1")


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
    url = await _public_url(bench)
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


async def _public_url(bench: Bench) -> str:
    return bench.settings.server_url or (await _way(bench)).public_url


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
    url = await _public_url(bench)
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
    way, url = await _way(bench), await _public_url(bench)
    answer = await _ask(bench, tell, "GET", url + way.ticket())
    if answer is not None:
        _say_where(bench, tell, way, url, answer)


async def _ask(bench: Bench, tell: Tell, method: str, url: str, **more: Any) -> HttpAnswer | None:
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
    document = _document(answer)
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


def _document(answer: HttpAnswer) -> dict[str, Any]:
    try:
        found = json.loads(answer.body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


@check(
    "way_in.signature",
    "Signatures survive the way",
    "Sends a form signed as Twilio signs it through SERVER_URL, with a query and odd characters, and compares what "
    "came.",
    fail(
        "header_dropped",
        "the proxy drops X-Twilio-Signature",
        "every webhook is refused (403)",
        "let the proxy pass the header X-Twilio-Signature",
    ),
    fail(
        "path_changed",
        "the proxy changes the path",
        "every webhook is refused (403)",
        "let the proxy pass the path as it is: {sent} came as {came}",
    ),
    fail(
        "query_changed",
        "the proxy changes the query",
        "signatures over addresses with a query are wrong",
        "let the proxy pass the query as it is: {sent} came as {came}",
    ),
    fail(
        "form_changed",
        "the proxy changes the form",
        "every webhook is refused (403)",
        "let the proxy pass bodies untouched: {what}",
    ),
    fail(
        "other_url",
        "the server hashes another address than Twilio",
        "every webhook is refused (403)",
        "restart the server with SERVER_URL={url}; it hashed {hashed}",
    ),
    fail(
        "other_token",
        "the running server has another auth token",
        "every webhook is refused (403)",
        "restart `shortwire serve`, so that it reads the TWILIO_AUTH_TOKEN that is set now",
    ),
)
async def signature(bench: Bench, tell: Tell) -> None:
    way, url = await _way(bench), await _public_url(bench)
    path = way.ticket()
    full = f"{url}{path}?{_QUERY}"
    token = bench.settings.twilio_auth_token.get_secret_value()
    headers = {
        "X-Twilio-Signature": sign(token, full, _FORM),
        "Content-Type": "application/x-www-form-urlencoded; charset=utf-8",
        "User-Agent": "TwilioProxy/1.1",
    }
    answer = await _ask(bench, tell, "POST", full, data=urlencode(_FORM).encode(), headers=headers)
    seen = _document(answer).get("seen") if answer is not None else None
    if answer is None or not isinstance(seen, dict):
        raise CannotTell("the echo did not answer (see way_in.reaches_us)")
    if seen["signature_valid"]:
        tell.ok(f"valid over {url}/...")
        return
    hashed = str(seen["hashed_url"]).replace(path, "/doctor/echo/...")
    came = str(seen["path"])
    if not seen["signature_came"]:
        tell.problem("header_dropped", f"no signature came; {hashed} would have been hashed")
    elif came != path:
        short = came.replace(path.rpartition("/")[2], "...")
        tell.problem("path_changed", f"hashed {hashed}", sent="/doctor/echo/...", came=short)
    elif seen["query"] != _QUERY:
        tell.problem("query_changed", f"hashed {hashed}", sent=f"?{_QUERY}", came=f"?{seen['query']}")
    elif sorted(map(tuple, seen["fields"])) != sorted(_FORM):
        what = f"{len(_FORM)} fields were sent, {len(seen['fields'])} came, {seen['content_type'] or 'without a type'}"
        tell.problem("form_changed", f"hashed {hashed}", what=what)
    elif not str(seen["hashed_url"]).startswith(url):
        tell.problem("other_url", f"hashed {hashed}", url=url, hashed=hashed)
    else:
        tell.problem("other_token", f"the same address was hashed: {hashed}")


@check(
    "way_in.websocket",
    "Media streams pass",
    "Opens a WebSocket through SERVER_URL as Twilio does, and sends 25 frames 20 ms apart; each must come back by "
    "itself.",
    fail(
        "refused",
        "the proxy does not let WebSockets pass",
        "calls are answered and stay silent (31920)",
        "switch on WebSocket upgrades in the proxy (nginx: proxy_http_version 1.1, Upgrade and Connection headers): "
        "{status}",
    ),
    fail(
        "compressed",
        "the proxy compresses WebSockets",
        "Twilio asked for no extension: the stream breaks",
        "switch off permessage-deflate in the proxy",
    ),
    fail(
        "buffered",
        "the proxy holds frames back",
        "the agent hears in bursts: every turn is late",
        "switch off buffering in the proxy (nginx: proxy_buffering off; on the path /outbound-media-stream)",
    ),
    fail(
        "broken",
        "the socket opens, and is closed or stays silent",
        "calls are answered and stay silent",
        "let the proxy pass WebSocket traffic both ways, with an idle limit of at least 60 s: {why}",
    ),
    fail(
        "signature",
        "the upgrade arrives without its signature",
        "every media stream is refused (403)",
        "let the proxy pass the header X-Twilio-Signature on upgrades too",
    ),
    fail(
        "path_changed",
        "the proxy changes the path of upgrades",
        "every media stream is refused (403)",
        "let the proxy pass the path of WebSockets as it is (it came as {path})",
    ),
    deadline_s=25.0,
)
async def websocket(bench: Bench, tell: Tell) -> None:
    await _public_url(bench)
    tried = await _socket_echo(bench, public=True)
    if tried.problem:
        tell.problem(
            tried.problem,
            tried.text,
            status=tried.text,
            why=tried.text,
            path=tried.text,
        )
        return
    values = {**tried.series.as_dict(), "upgrade_ms": round(tried.upgrade_ms)}
    tell.ok(f"each frame by itself, {tried.series.p50_ms:.1f} ms there and back", **values)


@dataclass(frozen=True, slots=True)
class _Tried:
    problem: str = ""
    text: str = ""
    series: Series = field(default_factory=Series)
    upgrade_ms: float = 0.0


async def _socket_echo(bench: Bench, *, public: bool) -> _Tried:
    """One socket and its frames. A burst may be this machine's own: only the third of three is believed."""
    way = await _way(bench)
    base = await _public_url(bench) if public else way.local_url
    tried = _Tried()
    for _ in range(3):
        path = way.ticket()
        url = base.replace("http", "ws", 1) + path
        signed = (await _public_url(bench)).replace("http", "ws", 1) + path
        token = bench.settings.twilio_auth_token.get_secret_value()
        headers = {"X-Twilio-Signature": sign(token, signed), "User-Agent": "Twilio.TmeWs/1.0"}
        tried = await _one_socket(bench, Socket(url, headers, deadline_s=6.0 * bench.patience), path)
        if tried.problem != "buffered":
            break
    return tried


async def _one_socket(bench: Bench, made: Socket, path: str) -> _Tried:
    try:
        async with made as opened:
            if not opened.open:
                if "extension" in opened.problem.lower():
                    return _Tried("compressed", opened.problem)
                return _Tried("refused", f"HTTP {opened.status}" if opened.status else opened.problem)
            if opened.answer_headers.get("sec-websocket-extensions"):
                return _Tried("compressed", opened.answer_headers["sec-websocket-extensions"])
            return await _frames(bench, opened, path)
    except ssl.SSLError as error:
        raise CannotTell("the certificate is not trusted (see way_in.tls)") from error
    except TimeoutError:
        return _Tried("refused", "the upgrade was not answered")
    except OSError as error:
        raise CannotTell(f"{first_words(error)} (see way_in.reaches_us)") from error


async def _frames(bench: Bench, opened: Socket, path: str) -> _Tried:  # noqa: PLR0911 - one per problem
    patience_s = 3.0 * bench.patience
    try:
        seen = json.loads(await opened.receive(patience_s))["seen"]
    except TimeoutError:
        return _Tried("broken", "nothing came from the server")
    except (ConnectionResetError, ValueError, LookupError, TypeError):
        return _Tried("broken", "the socket was closed at once, or spoke another language")
    if seen["path"] != path:
        return _Tried("path_changed", str(seen["path"])[:40])
    if not seen["signature_came"]:
        return _Tried("signature", f"none came; {str(seen['hashed_url']).replace(path, '/...')} would be hashed")
    sent: list[int] = []
    arrived: list[int] = []

    async def receive() -> None:
        for _ in range(_FRAMES):
            await opened.receive(patience_s)
            arrived.append(bench.clock.now_ns())

    receiving = asyncio.create_task(receive())
    try:
        for index in range(_FRAMES):
            sent.append(bench.clock.now_ns())
            await opened.send(json.dumps({"event": "media", "frame": index, "payload": "f" * 216}))
            await asyncio.sleep(0.02)
        await receiving
    except TimeoutError:
        return _Tried("buffered", f"{len(arrived)} of {len(sent)} frames came back within {patience_s:g} s")
    except OSError as error:
        return _Tried("broken", f"closed after {len(arrived)} frames: {first_words(error)}")
    finally:
        receiving.cancel()
        await asyncio.gather(receiving, return_exceptions=True)
    series = Series(tuple((back - out) / 1e6 for out, back in zip(sent, arrived, strict=True)))
    groups = 1 + sum(b - a > 3_000_000 for a, b in pairwise(arrived))
    if groups <= _FRAMES // 3 and max(series.times_ms) - min(series.times_ms) > 60:
        return _Tried("buffered", f"{_FRAMES} frames came back in {groups} bursts")
    return _Tried(series=series, upgrade_ms=opened.upgrade_ms)


@check(
    "way_in.tunnel",
    "No detour on the way in",
    "Recognises tunnels by their names, and compares frames through SERVER_URL with frames over loopback.",
    warn(
        "tunnel",
        "the public address is a tunnel",
        "every frame makes a detour, both ways",
        "for customers, give the server an address of its own and set SERVER_URL to it",
    ),
    deadline_s=30.0,
)
async def tunnel(bench: Bench, tell: Tell) -> None:
    url = await _public_url(bench)
    if _answers_here(bench, url):
        tell.ok("a direct address")
        return
    host = urlsplit(url).hostname or ""
    name = next((known for known in _TUNNELS if host.endswith(f".{known}")), "")
    outside = await _socket_echo(bench, public=True)
    inside = await _socket_echo(bench, public=False)
    if outside.problem or inside.problem:
        if not name:
            raise CannotTell("frames do not pass (see way_in.websocket)")
        tell.problem("tunnel", f"a tunnel ({name}); its delay could not be measured")
        return
    extra_ms = max(0.0, outside.series.p50_ms - inside.series.p50_ms)
    values = {"extra_ms": round(extra_ms, 1), "jitter_ms": round(outside.series.jitter_ms, 1)}
    text = f"{extra_ms:.0f} ms longer than over loopback, there and back (jitter {outside.series.jitter_ms:.0f} ms)"
    if name:
        effect = f"every turn is later by about {extra_ms:.0f} ms"
        tell.problem("tunnel", f"a tunnel ({name}): {text}", effect=effect, values=values)
    else:
        tell.ok(text, **values)
