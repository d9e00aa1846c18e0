"""What is done about the public address while the server runs: the tunnel, the number's webhook, the pinned choice.

Part of the composition root, beside `app`. Nothing here stands on a call's path, and nothing here ends a call.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Protocol

import aiohttp
import structlog

from .doctor.pinned import pinned_choice_is_worse
from .net.number_webhook import NumberWebhook
from .net.probes import http_request
from .net.tunnel import NgrokTunnel
from .net.twilio_account import TwilioAccount
from .settings import Settings
from .web.echo import ECHO_PATH

__all__ = ["Echo", "attended", "leads_here"]

log = structlog.get_logger(__name__)
_ECHO_S = 10.0


class Echo(Protocol):
    """What answers behind the public address: `DoctorEcho`, or that of one of several workers."""

    @property
    def public_url(self) -> str: ...

    async def pledge(self) -> tuple[str, str]:
        """The name of a process of this server, and a ticket that it alone redeems. Raises like any request."""
        ...


@asynccontextmanager
async def attended(
    settings: Settings,
    *,
    echo: Echo,
    move: Callable[[str], None],
    say: Callable[[str], None],
    tunnel: NgrokTunnel | None = None,
    configure_number: bool = False,
    restore_number: bool = False,
    watch_every_s: float = 10.0,
) -> AsyncIterator[None]:
    """For as long as the server runs. `move` tells the server its new address.

    Raises what pointing the number raises: somebody asked for it, so a start without it is no start.
    """
    async with AsyncExitStack() as exits:
        webhook = await _webhook(settings, say, exits, restore=restore_number) if configure_number else None
        if webhook is not None:
            await webhook.point(echo.public_url)
        if tunnel is not None:
            http = await exits.enter_async_context(_session())

            async def moved(url: str) -> None:
                same = url == echo.public_url
                move(url)
                say(f"the tunnel was lost and is open again: {url}{' (as before)' if same else ''}")
                if webhook is not None:
                    await webhook.follow(url)
                elif not same:
                    say("WARNING: incoming calls still go to the old address (serve --configure-number moves them)")

            tunnel.watch(moved, lambda url: leads_here(http, echo, url), every_s=watch_every_s)
        task = asyncio.create_task(_say_pinned(settings, say))
        exits.callback(task.cancel)
        yield


async def leads_here(http: aiohttp.ClientSession, echo: Echo, url: str) -> bool:
    """Whether a public address leads to this very server. Raises like any request."""
    instance, ticket = await echo.pledge()
    answer = await http_request(http, "GET", url + ECHO_PATH + ticket, deadline_s=_ECHO_S)
    try:
        found = json.loads(answer.body)
    except ValueError:
        return False
    return isinstance(found, dict) and found.get("instance") == instance


async def _webhook(
    settings: Settings, say: Callable[[str], None], exits: AsyncExitStack, *, restore: bool
) -> NumberWebhook:
    edge, region = settings.carrier_edge
    account = TwilioAccount(
        settings.twilio_account_sid,
        settings.twilio_auth_token.get_secret_value(),
        base_url=settings.twilio_api_base_url,
        edge=edge,
        region=region,
    )
    exits.push_async_callback(account.close)
    webhook = NumberWebhook(account, settings.twilio_phone_number, say)
    if restore:
        exits.push_async_callback(webhook.put_back)
    return webhook


async def _say_pinned(settings: Settings, say: Callable[[str], None]) -> None:
    try:
        complaint = await pinned_choice_is_worse(settings)
    except Exception as error:  # a measurement that fails is no reason to stop a server
        log.debug("pinned.not_measured", error=str(error))
        return
    if complaint:
        say(f"WARNING: {complaint}")


@asynccontextmanager
async def _session() -> AsyncIterator[aiohttp.ClientSession]:
    # A connection of its own for every look: a kept one says nothing about the way.
    connector = aiohttp.TCPConnector(ssl=ssl.create_default_context(), force_close=True)
    async with aiohttp.ClientSession(connector=connector) as session:
        yield session
