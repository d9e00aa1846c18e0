"""Faults switched while the relays run, over HTTP on 127.0.0.1: list, add, change, remove, reset, trigger.

Every refusal is ``{"error": "<one sentence>", "status": <the HTTP status>}``.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web

from .fault import Fault, FaultError
from .relay import NetworkRelay

__all__ = ["NetworkControl"]

_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


def _answer(body: Any, status: int = 200) -> web.Response:
    return web.Response(text=json.dumps(body), status=status, content_type="application/json")


def _refusal(status: int, sentence: str) -> web.Response:
    return _answer({"error": sentence, "status": status}, status)


@web.middleware
async def _one_error_shape(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    # A page in somebody's browser may reach loopback under a name of its own: it is not who this is for.
    if (request.host or "").rsplit(":", 1)[0] not in _LOOPBACK:
        return _refusal(403, "the control API answers to 127.0.0.1 and localhost only")
    try:
        return await handler(request)
    except _NotThere as error:
        return _refusal(404, str(error))
    except FaultError as error:
        return _refusal(400, str(error))
    except web.HTTPException as error:
        return _refusal(error.status, f"{request.method} {request.path}: {error.reason}; see GET /")


class _NotThere(LookupError):
    pass


class NetworkControl:
    """``async with NetworkControl({"server": relay}) as control: control.port``."""

    def __init__(self, relays: Mapping[str, NetworkRelay], *, port: int = 0) -> None:
        self.port = port
        self._relays = relays
        self._runner: web.AppRunner | None = None

    def _app(self) -> web.Application:
        app = web.Application(middlewares=[_one_error_shape])
        one = "/relays/{relay}"
        app.add_routes(
            [
                web.get("/", self._help),
                web.get("/relays", self._list),
                web.get(one, self._show),
                web.get(f"{one}/faults", self._faults),
                web.post(f"{one}/faults", self._add),
                web.get(f"{one}/faults/{{fault}}", self._fault),
                web.patch(f"{one}/faults/{{fault}}", self._change),
                web.delete(f"{one}/faults/{{fault}}", self._remove),
                web.post(f"{one}/reset", self._reset),
                web.post("/reset", self._reset_all),
                web.post("/triggers/{name}", self._trigger),
            ]
        )
        return app

    async def start(self) -> None:
        """Listen. Raises `OSError` if the port is taken."""
        self._runner = web.AppRunner(self._app(), access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def __aenter__(self) -> NetworkControl:
        await self.start()
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.stop()

    def _relay(self, request: web.Request) -> NetworkRelay:
        name = request.match_info["relay"]
        if name not in self._relays:
            raise _NotThere(f"no relay is named {name!r}; there are: {', '.join(self._relays)}")
        return self._relays[name]

    def _named(self, request: web.Request) -> tuple[NetworkRelay, str]:
        relay, name = self._relay(request), request.match_info["fault"]
        try:
            relay.faults(name)
        except FaultError as error:
            raise _NotThere(str(error)) from None
        return relay, name

    @staticmethod
    async def _table(request: web.Request) -> dict[str, Any]:
        try:
            table = json.loads(await request.read())
        except ValueError:
            table = None
        if not isinstance(table, dict):
            raise FaultError('the body must be a JSON object like {"kind": "stall", "for_ms": 2000}')
        return table

    async def _help(self, _: web.Request) -> web.Response:
        return _answer(
            {
                "emulator": "this imitates a network; nothing here reaches a vendor",
                "GET /relays": "every relay",
                "GET /relays/{relay}": "one relay, its connections and faults",
                "GET /relays/{relay}/faults[/{name}]": "faults with state and counters",
                "POST /relays/{relay}/faults": "add a fault",
                "PATCH /relays/{relay}/faults/{name}": "change its options",
                "DELETE /relays/{relay}/faults/{name}": "take it out",
                "POST /relays/{relay}/reset, POST /reset": "back to the faults of the start",
                "POST /triggers/answered": "begin the faults that wait for it",
            }
        )

    async def _list(self, _: web.Request) -> web.Response:
        return _answer({name: relay.describe() for name, relay in self._relays.items()})

    async def _show(self, request: web.Request) -> web.Response:
        return _answer(self._relay(request).describe())

    async def _faults(self, request: web.Request) -> web.Response:
        return _answer({"faults": self._relay(request).faults()})

    async def _fault(self, request: web.Request) -> web.Response:
        relay, name = self._named(request)
        return _answer(relay.faults(name)[0])

    async def _add(self, request: web.Request) -> web.Response:
        relay = self._relay(request)
        fault = Fault.parse(await self._table(request))
        relay.add(fault)
        return _answer(relay.faults(fault.name)[0], 201)

    async def _change(self, request: web.Request) -> web.Response:
        relay, name = self._named(request)
        relay.change(name, **await self._table(request))
        return _answer(relay.faults(name)[0])

    async def _remove(self, request: web.Request) -> web.Response:
        relay, name = self._named(request)
        last = relay.faults(name)[0]
        relay.remove(name)
        return _answer(last)

    async def _reset(self, request: web.Request) -> web.Response:
        relay = self._relay(request)
        relay.reset()
        return _answer({"faults": relay.faults()})

    async def _reset_all(self, _: web.Request) -> web.Response:
        for relay in self._relays.values():
            relay.reset()
        return _answer({name: {"faults": relay.faults()} for name, relay in self._relays.items()})

    async def _trigger(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        return _answer({relay_name: relay.trigger(name) for relay_name, relay in self._relays.items()})
