"""`shortwire serve` with several workers: the port, the tunnel and the number are the parent's, the calls the workers'.

Nothing of a call passes through here but the first look at each connection. The counterpart of `app.serve`, with the
same words on the terminal.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import AsyncExitStack

import aiohttp

from ..address import attended
from ..app import node_base, stop_signals, until_told_to_stop
from ..errors import ConfigError
from ..net.front import listen
from ..net.probes import http_request
from ..net.tunnel import NgrokTunnel
from ..settings import Settings
from ..store.opening import open_store
from ..telemetry.outputs import outputs
from .crew import Crew
from .door import Door
from .passing import can_pass

__all__ = ["serve"]

_ASK_S = 10.0


async def serve(
    settings: Settings,
    say: Callable[[str], None] | None = None,
    *,
    configure_number: bool = False,
    restore_number: bool = False,
) -> int:
    """Run workers until SIGTERM or SIGINT. The exit status. See `app.serve`; raises `BridgeError` as it does."""
    if not can_pass():
        raise ConfigError(
            f"SHORTWIRE_WORKERS={settings.shortwire_workers} cannot be had on this system",
            details="open connections cannot be handed to another process here (Windows cannot); "
            "leave SHORTWIRE_WORKERS at 1, or run several servers on ports of their own",
        )
    with outputs(settings) as lines:
        say = say or lines.put
        async with AsyncExitStack() as exits:
            await _serve(settings, say, exits, configure_number=configure_number, restore_number=restore_number)
        return 0


async def _serve(
    settings: Settings,
    say: Callable[[str], None],
    exits: AsyncExitStack,
    *,
    configure_number: bool,
    restore_number: bool,
) -> None:
    listener = exits.enter_context(listen(settings.shortwire_host, settings.port))
    port: int = listener.getsockname()[1]
    base = node_base(settings)
    await _check_store(settings)
    tunnel: NgrokTunnel | None = None
    if settings.shortwire_tunnel == "ngrok":
        token = settings.ngrok_authtoken.get_secret_value() if settings.ngrok_authtoken else ""
        tunnel = NgrokTunnel(token, host=settings.shortwire_host)
        exits.push_async_callback(tunnel.stop)
        settings = settings.with_server_url(await tunnel.start(port))
        say(f"public address: {settings.server_url}")
    signals = stop_signals()  # first: whoever sees us ready may tell us to stop
    crew = Crew(settings, base)
    exits.push_async_callback(crew.stop)
    await crew.start()
    door = Door(listener, crew.take)
    exits.callback(door.close)
    door.open()
    say(f"ready on http://{settings.shortwire_host}:{port}")
    async with attended(
        settings,
        echo=_EchoOfWorkers(settings, crew, port),
        move=crew.move,
        say=say,
        tunnel=tunnel,
        configure_number=configure_number,
        restore_number=restore_number,
    ):
        await until_told_to_stop(crew, signals, say)


async def _check_store(settings: Settings) -> None:
    """Make, check and upgrade the database once, before several do it at a time. Raises `StoreError`."""
    database = settings.shortwire_database_url
    store = await asyncio.to_thread(
        open_store, database.get_secret_value() if database else settings.shortwire_data_dir
    )
    await store.close()


class _EchoOfWorkers:
    """Asks whichever worker answers for a ticket; the ticket's request goes to that very one."""

    def __init__(self, settings: Settings, crew: Crew, port: int) -> None:
        host = settings.shortwire_host
        host = "127.0.0.1" if host in ("0.0.0.0", "") else host  # noqa: S104 - compared, not bound
        self._url = f"http://{f'[{host}]' if ':' in host else host}:{port}/doctor/tickets"
        self._key = settings.shortwire_api_key.get_secret_value()
        self._crew = crew

    @property
    def public_url(self) -> str:
        return self._crew.public_url

    async def pledge(self) -> tuple[str, str]:
        headers = {"Authorization": f"Bearer {self._key}"}
        async with aiohttp.ClientSession() as http:
            answer = await http_request(http, "POST", self._url, headers=headers, deadline_s=_ASK_S)
        document = json.loads(answer.body)
        return document["instance"], document["tickets"][0]
