"""The emulator's own side door under /_emulator/: ledger, calls, recordings, incoming calls, reset.

Not part of the vendor's API; for tests, the demo and people. Requests whose Host is not loopback are
refused, so that a web page cannot reach it by a name that resolves to 127.0.0.1.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

from aiohttp import web

from ..scenario import ScenarioError, parse
from .call import Call
from .exchange import Exchange
from .faults import FaultError, Faults
from .fields import E164

__all__ = ["Control", "describe"]

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def describe(call: Call) -> dict[str, Any]:
    """Everything known about a call: timeline, ground truth, streams. `_ms` counts from the answer."""
    line = call.line
    facts: dict[str, Any] = {
        "sid": call.sid,
        "direction": call.direction,
        "from": call.sender,
        "to": call.to,
        "status": call.status,
        "ended_by": call.ending.by if call.ending else None,
        "duration_s": call.duration_s,
        "instants_ns": dict(call.instants_ns),
        "notifications": list(call.notifications),
        "streams": [asdict(record) for record in call.streams],
        "parent_sid": call.parent_sid,
        "answered_by": call.verdict.answered_by if call.verdict else None,
        "detection_ms": call.verdict.duration_ms if call.verdict else None,
        "recordings": [recording.sid for recording in call.recordings.all],
        "answered_ns": None,
    }
    if line is not None:
        facts |= {
            "answered_ns": line.answered_ns,
            "recorded_ms": len(line.spoken) / 8,
            "latest_tick_ms": line.latest_tick_ms,
            "utterances": [asdict(utterance) for utterance in line.party.utterances],
            "sounds": list(line.party.sounds),
            "digits_heard": list(line.party.digits_heard),
            "digits_pressed": list(line.party.digits_pressed),
            "party_hung_up_ms": line.party.hung_up_ms,
            "heard_voice_ms": [list(stretch) for stretch in line.party.heard_voice],
            "played_ms": [list(stretch) for stretch in line.playout.played],
        }
    return facts


class Control:
    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/_emulator/ledger", self._guarded(self._ledger)),
            web.get("/_emulator/calls", self._guarded(self._calls)),
            web.get("/_emulator/calls/{sid}", self._guarded(self._call)),
            web.get("/_emulator/calls/{sid}/recording.wav", self._guarded(self._recording)),
            web.post("/_emulator/incoming", self._guarded(self._incoming)),
            web.post("/_emulator/calls/{sid}/hangup", self._guarded(self._hangup)),
            web.post("/_emulator/calls/{sid}/dtmf", self._guarded(self._dtmf)),
            web.get("/_emulator/faults", self._guarded(self._get_faults)),
            web.post("/_emulator/faults", self._guarded(self._set_faults)),
            web.get("/_emulator/stats", self._guarded(self._stats)),
            web.post("/_emulator/stats/reset", self._guarded(self._reset_stats)),
            web.post("/_emulator/reset", self._guarded(self._reset)),
        ]

    @staticmethod
    def _guarded(handler: Handler) -> Handler:
        async def guarded(request: web.Request) -> web.StreamResponse:
            host = request.host.rpartition(":")[0] or request.host
            if host not in {"127.0.0.1", "localhost", "[::1]"} or "Origin" in request.headers:
                return _json({"error": "the control API answers programs on this machine only"}, 403)
            try:
                return await handler(request)
            except _Bad as error:
                return _json({"error": str(error)}, error.status)

        return guarded

    async def _ledger(self, request: web.Request) -> web.Response:
        entries = self._exchange.ledger.entries(request.query.get("kind"), request.query.get("call_sid"))
        return _json({"ledger": entries})

    async def _calls(self, request: web.Request) -> web.Response:
        del request
        return _json({"calls": [describe(call) for call in self._exchange.calls.values()]})

    async def _call(self, request: web.Request) -> web.Response:
        call = self._find(request)
        return _json({**describe(call), "timeline": self._exchange.ledger.entries(call_sid=call.sid)})

    async def _recording(self, request: web.Request) -> web.Response:
        call = self._find(request)
        if call.line is None:
            raise _Bad("nobody answered this call: there is no recording", 404)
        return web.Response(body=call.line.wav(), content_type="audio/wav")

    async def _incoming(self, request: web.Request) -> web.Response:
        body = await _body(request, {"To", "From", "party"})
        for name in ("To", "From"):
            if not isinstance(body.get(name), str) or not E164.fullmatch(body[name]):
                raise _Bad(f"{name} must be a number in E.164 form, such as +14155550123")
        try:
            script = parse({"party": body["party"]}).party if "party" in body else None
            call = self._exchange.receive(body["To"], body["From"], script)
        except (ScenarioError, ValueError, TypeError, AttributeError) as error:
            raise _Bad(str(error)) from None
        return _json({"sid": call.sid}, 201)

    async def _hangup(self, request: web.Request) -> web.Response:
        call = self._find(request)
        call.hang_up()
        await call.ended()
        return _json({"sid": call.sid, "status": call.status})

    async def _dtmf(self, request: web.Request) -> web.Response:
        call = self._find(request)
        body = await _body(request, {"digits"})
        try:
            call.press(str(body.get("digits", "")))
        except ValueError as error:
            raise _Bad(str(error), 409) from None
        return _json({"sid": call.sid})

    async def _get_faults(self, request: web.Request) -> web.Response:
        del request
        return _json(asdict(self._exchange.faults.on))

    async def _set_faults(self, request: web.Request) -> web.Response:
        """Replace all faults by those in the body; ``{}`` clears them."""
        try:
            self._exchange.faults.set(Faults.parse(json.loads(await request.text() or "{}")))
        except FaultError as error:
            raise _Bad(str(error)) from None
        except ValueError:
            raise _Bad("the body must be JSON") from None
        return await self._get_faults(request)

    async def _stats(self, request: web.Request) -> web.Response:
        del request
        lateness = self._exchange.lateness
        return _json({"lateness": lateness.summary(), "histogram": lateness.histogram()})

    async def _reset_stats(self, request: web.Request) -> web.Response:
        del request
        self._exchange.lateness.clear()
        return _json({})

    async def _reset(self, request: web.Request) -> web.Response:
        del request
        await self._exchange.reset()
        return _json({})

    def _find(self, request: web.Request) -> Call:
        call = self._exchange.calls.get(request.match_info["sid"])
        if call is None:
            raise _Bad("no such call", 404)
        return call


class _Bad(Exception):
    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


async def _body(request: web.Request, known: set[str]) -> dict[str, Any]:
    try:
        body = json.loads(await request.text())
    except ValueError:
        raise _Bad("the body must be JSON") from None
    if not isinstance(body, dict):
        raise _Bad("the body must be a JSON object")
    if strangers := sorted(set(body) - known):
        raise _Bad(f"unknown key {strangers[0]!r}; known: {', '.join(sorted(known))}")
    return body


def _json(body: dict[str, Any], status: int = 200) -> web.Response:
    return web.Response(status=status, text=json.dumps(body), content_type="application/json")
