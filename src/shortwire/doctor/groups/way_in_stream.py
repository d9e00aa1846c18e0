"""Checks of what passes on the way in: signatures, media streams frame by frame, and the detour of a tunnel.

Requests and the upgrade are signed and shaped as Twilio's are: protocols/twilio.md sections 2 and 4.4.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from dataclasses import dataclass, field
from itertools import pairwise
from urllib.parse import urlencode, urlsplit

from ...net.probes import (
    Series,
    Socket,
    first_words,
)
from ...wire.signature import sign
from ..bench import Bench, CannotTell
from ..check import Tell, check, fail, warn
from .way_in import ask, document_of, public_url, way_of

_FORM = [("CallSid", "CA" + "0" * 32), ("From", "+14155550123"), ("Called", "a b&c=d+é"), ("Digits", "")]
_QUERY = "doctor=1&text=a%20b"
_FRAMES = 25
_TUNNELS = (
    "ngrok.io", "ngrok.app", "ngrok-free.app", "ngrok-free.dev", "ngrok.dev", "trycloudflare.com", "loca.lt",
    "localhost.run", "lhr.life", "serveo.net", "pinggy.link", "tunnelmole.net", "devtunnels.ms", "bore.pub",
)  # fmt: skip


def _answers_here(bench: Bench, url: str) -> bool:
    """A loopback address, which is right only where the carrier is an emulator on this machine."""
    return bench.on_emulators and (urlsplit(url).hostname or "") in ("127.0.0.1", "localhost", "::1")


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
    way, url = await way_of(bench), await public_url(bench)
    path = way.ticket()
    full = f"{url}{path}?{_QUERY}"
    token = bench.settings.twilio_auth_token.get_secret_value()
    headers = {
        "X-Twilio-Signature": sign(token, full, _FORM),
        "Content-Type": "application/x-www-form-urlencoded; charset=utf-8",
        "User-Agent": "TwilioProxy/1.1",
    }
    answer = await ask(bench, tell, "POST", full, data=urlencode(_FORM).encode(), headers=headers)
    seen = document_of(answer).get("seen") if answer is not None else None
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
    await public_url(bench)
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
    way = await way_of(bench)
    base = await public_url(bench) if public else way.local_url
    tried = _Tried()
    for _ in range(3):
        path = way.ticket()
        url = base.replace("http", "ws", 1) + path
        signed = (await public_url(bench)).replace("http", "ws", 1) + path
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
    url = await public_url(bench)
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
