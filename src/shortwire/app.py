"""The composition root: builds the adapters from the settings, starts, drains, stops.

The one place that knows which adapter stands behind which port.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import socket
import ssl
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, Self

import structlog

from .address import attended
from .call.options import BridgeOptions
from .call.uplink import AudioConverter
from .clock import SystemClock
from .errors import NumberRefused
from .net.agent_host import AgentSocketOptions, tls_context
from .net.elevenlabs_rest import ElevenLabsPlatform
from .net.front import Front, FrontOptions
from .net.stock import StockAgentDialer
from .net.tunnel import NgrokTunnel
from .net.twilio_rest import TwilioCarrier
from .numbers import check_number
from .owner import node_of_worker, settles
from .ports import AgentDialer, EventSink
from .settings import Settings
from .store.opening import open_store
from .switchboard import Switchboard
from .switchboard.context import Context
from .switchboard.low_latency import LowLatency
from .switchboard.tape_files import TapeFiles
from .telemetry.latency_lines import LatencyLines
from .telemetry.outputs import outputs, secrets_of
from .telemetry.redaction import Redactor
from .terms import AgentId
from .ulaw import FRAME_BYTES
from .web.app import create_app
from .web.echo import DoctorEcho
from .web.options import WebOptions
from .wire.signature import verify

__all__ = [
    "DRAIN_S",
    "Drained",
    "Place",
    "Server",
    "node_base",
    "serve",
    "stop_signals",
    "until_told_to_stop",
]

log = structlog.get_logger(__name__)

DRAIN_S = 25.0
"""How long live calls may go on after SIGTERM before they are hung up."""


async def serve(
    settings: Settings,
    say: Callable[[str], None] | None = None,
    *,
    configure_number: bool = False,
    restore_number: bool = False,
) -> int:
    """Run the server until SIGTERM or SIGINT. The exit status.

    `configure_number` points the number's webhook here, `restore_number` puts it back at the end. `say` takes lines
    for the person at the terminal and must not block; None: standard output. Raises `BridgeError` when it cannot start.
    """
    with outputs(settings) as lines:
        say = say or lines.put
        return await _serve(settings, say, lines.put, configure_number=configure_number, restore_number=restore_number)


async def _serve(
    settings: Settings,
    say: Callable[[str], None],
    out: Callable[[str], None],
    *,
    configure_number: bool,
    restore_number: bool,
) -> int:
    tunnel: NgrokTunnel | None = None
    try:
        if settings.shortwire_tunnel == "ngrok":
            token = settings.ngrok_authtoken.get_secret_value() if settings.ngrok_authtoken else ""
            tunnel = NgrokTunnel(token, host=settings.shortwire_host)
            settings = settings.with_server_url(await tunnel.start(settings.port))
            say(f"public address: {settings.server_url}")
        signals = stop_signals()  # first: whoever sees us ready may tell us to stop
        async with Server(settings, say=say, out=out) as server:
            say(f"ready on http://{settings.shortwire_host}:{server.port}")
            async with attended(
                settings,
                echo=server.echo,
                move=server.move,
                say=say,
                tunnel=tunnel,
                configure_number=configure_number,
                restore_number=restore_number,
            ):
                await until_told_to_stop(server.desk, signals, say)
        return 0
    finally:
        if tunnel is not None:
            await tunnel.stop()


def node_base(settings: Settings) -> str:
    """The name of this server in the store: the same after a restart."""
    return f"{socket.gethostname()}:{settings.port or settings.shortwire_profile.value}"


@dataclass(frozen=True, slots=True)
class Place:
    """Of one worker among several behind one port (`shortwire.workers`)."""

    worker: int
    of: int
    base: str
    """`node_base` of them all."""
    figures: Callable[[Mapping[str, Any]], Mapping[str, Any]]
    """This worker's figures to those of all."""


class Server:
    """Everything of one process, put together: an async context manager around a listening switchboard.

    `options` replaces what the settings make of themselves (tests shorten the limits). `say` takes what is for the
    person at the terminal, `out` the `[LATENCY]` lines; where calls depend on it, neither may block. On leaving, calls
    that still live are hung up at once: whoever wants to wait for them drains the `desk` before. With a `place` it is
    one of several and listens on nothing: it serves what it is given (`take`).
    """

    def __init__(
        self,
        settings: Settings,
        *,
        options: BridgeOptions | None = None,
        say: Callable[[str], None] = print,
        out: Callable[[str], None] = print,
        place: Place | None = None,
    ) -> None:
        self._settings = settings
        self._place = place
        self._base = place.base if place else node_base(settings)
        options = options or settings.bridge_options()
        self.options = replace(
            options, node=options.node or node_of_worker(self._base, place.worker if place else None)
        )
        self._say = say
        self._out = out
        self._exits = AsyncExitStack()
        self.desk: Switchboard
        self.echo: DoctorEcho
        self._front: Front

    @property
    def port(self) -> int:
        """The one that is listened on."""
        return self._front.port

    @property
    def connections(self) -> int:
        """Of HTTP, open now."""
        return self._front.connections

    def take(self, sock: socket.socket) -> None:
        """Serve a connection that was accepted elsewhere. Only with a `place`."""
        self._front.take(sock)

    def move(self, public_url: str) -> None:
        """The public address has changed: new calls use it, calls in progress are left alone."""
        self.echo.public_url = public_url
        context = self.desk.context
        self.desk.context = replace(context, options=replace(context.options, public_url=public_url))

    async def __aenter__(self) -> Self:
        try:
            await self._rise()
        except BaseException:
            await self._exits.aclose()
            raise
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self._exits.aclose()

    async def _rise(self) -> None:
        settings, options, exits, place = self._settings, self.options, self._exits, self._place
        worker = place.worker if place else None
        lean = _lean(options, self._say)
        tls = tls_context()
        database = settings.shortwire_database_url
        store = await asyncio.to_thread(
            open_store, database.get_secret_value() if database else settings.shortwire_data_dir
        )
        exits.push_async_callback(store.close)
        tapes = TapeFiles(Path(options.tape_dir)) if options.tape_dir else None
        if tapes is not None:
            exits.push_async_callback(asyncio.to_thread, tapes.close)
        carrier = _carrier(settings)
        exits.push_async_callback(carrier.close)
        platform = ElevenLabsPlatform(
            settings.elevenlabs_api_key.get_secret_value(), base_url=settings.elevenlabs_base_url
        )
        exits.push_async_callback(platform.close)
        platform.warm()
        await _warm_up(settings.twilio_phone_number)
        low_latency = LowLatency(platform, SystemClock())
        exits.callback(low_latency.close)
        auth_token = settings.twilio_auth_token.get_secret_value()
        self.desk = desk = Switchboard(
            Context(
                options=options,
                store=store,
                carrier=carrier,
                platform=platform,
                dialer=_dialer(options, tls, lean=lean),
                clock=SystemClock(),
                converters=_converters,
                agent_base_url=settings.elevenlabs_base_url,
                sinks=_sinks(options, self._out),
                tapes=tapes,
                masked=Redactor(secrets_of(settings)).text,
                verify_signature=lambda url, signature: verify(auth_token, url, (), signature),
                agent_overrides=low_latency.overrides if options.toggles.low_latency_mode else lambda _agent_id: {},
                worker=worker,
                settles=lambda node: (
                    node == options.node or settles(self._base, worker, place.of if place else 1, node)
                ),
            )
        )
        self.echo = echo = DoctorEcho(
            options.public_url,
            lambda url, fields, signature: verify(auth_token, url, fields, signature),
            worker=worker,
        )
        web = create_app(
            desk,
            WebOptions(
                public_url=options.public_url,
                api_key=settings.shortwire_api_key.get_secret_value(),
                verify_signature=lambda url, fields, signature: verify(auth_token, url, fields, signature),
                echo=echo,
                public_address=lambda: echo.public_url,
                figures=(lambda: place.figures(desk.health())) if place else None,
            ),
        )
        self._front = Front(
            web, echo.before(desk.admit), _front_options(settings, options, lean=lean, handed=place is not None)
        )
        await self._front.start()
        # The desk first, then the listener: followers of the last calls get their last event.
        exits.push_async_callback(self._front.stop)
        exits.push_async_callback(desk.stop)
        exits.push_async_callback(desk.drain, 0)
        await desk.start()
        learning = asyncio.create_task(_say_low_latency(low_latency, options, self._say))
        exits.callback(learning.cancel)
        # What lives now lives as long as the process: the collector need not look at it again, and a
        # full collection never stands between two frames for long.
        gc.collect()
        gc.freeze()


async def _say_low_latency(low_latency: LowLatency, options: BridgeOptions, say: Callable[[str], None]) -> None:
    """Read the agent's configuration beside everything else, and say what LOW_LATENCY_MODE makes of it."""
    if not options.toggles.low_latency_mode:
        return
    found = await low_latency.learn(AgentId(options.agent_id))
    if found is None:
        say("LOW_LATENCY_MODE: the agent's configuration could not be read, so nothing is overridden")
        return
    for reason in found.reasons:
        say(f"LOW_LATENCY_MODE: {reason}")


async def _warm_up(number: str) -> None:
    """Pay now for what is slow only the first time, when nobody hears it: a country's numbering plan, and, where the
    extra for agents that speak PCM is installed, its 0.15 s in the middle of somebody's call."""
    with contextlib.suppress(NumberRefused):
        await asyncio.to_thread(check_number, number, frozenset())
    with contextlib.suppress(ValueError):
        await asyncio.to_thread(_convert_something)


def _convert_something() -> None:
    for converter in _converters("pcm_16000", "pcm_16000"):
        if converter is not None:
            converter.convert(bytes(FRAME_BYTES))


def stop_signals() -> asyncio.Queue[int]:
    """SIGTERM and SIGINT from now on, one by one."""
    signals: asyncio.Queue[int] = asyncio.Queue()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, signals.put_nowait, number)
    return signals


class Drained(Protocol):
    """Whoever has calls: a desk, or the workers that have one each."""

    def health(self) -> Mapping[str, Any]: ...
    async def drain(self, deadline_s: float) -> None: ...


async def until_told_to_stop(desk: Drained, signals: asyncio.Queue[int], say: Callable[[str], None]) -> None:
    """Wait for a signal, then drain; a second signal cuts the draining short."""
    await signals.get()
    calls = desk.health()["calls"]
    if calls:
        say(f"stopping: waiting up to {DRAIN_S:g} s for {calls} call(s); again to hang up now")
    drain = asyncio.create_task(desk.drain(DRAIN_S))
    again = asyncio.create_task(signals.get())
    await asyncio.wait((drain, again), return_when=asyncio.FIRST_COMPLETED)
    if not drain.done():
        drain.cancel()
        await asyncio.wait({drain})
        say("stopping: hanging up")
        await desk.drain(0)
    again.cancel()


def _lean(options: BridgeOptions, say: Callable[[str], None]) -> bool:
    """Whether the lean sockets serve: wished by the toggles, and able to be built here."""
    if not options.toggles.disable_websocket_compression:
        return False
    try:
        from .net.lean_phone import self_test

        self_test()
    except Exception as error:
        say(f"WARNING: lean sockets cannot be used ({error}); stock sockets serve instead, slower")
        log.warning("sockets.fallback", error=str(error))
        return False
    return True


def _dialer(options: BridgeOptions, tls: ssl.SSLContext, *, lean: bool) -> AgentDialer:
    toggles = options.toggles
    sockets = AgentSocketOptions(
        max_message=16 * 1024 * 1024 if toggles.increase_max_payload else 1024 * 1024, tuned=toggles.tune_sockets
    )
    if lean:
        from .net.lean_agent import LeanAgentDialer

        return LeanAgentDialer(sockets, tls)
    return StockAgentDialer(sockets, tls, compression=not toggles.disable_websocket_compression)


def _front_options(settings: Settings, options: BridgeOptions, *, lean: bool, handed: bool) -> FrontOptions:
    toggles = options.toggles
    return FrontOptions(
        host=settings.shortwire_host,
        port=settings.port,
        lean=lean,
        compression=not toggles.disable_websocket_compression,
        tuned=toggles.tune_sockets,
        max_message=64 * 1024 if toggles.increase_max_payload else 1024 * 1024,
        handed=handed,
    )


def _carrier(settings: Settings) -> TwilioCarrier:
    edge, region = settings.carrier_edge
    return TwilioCarrier(
        settings.twilio_account_sid,
        settings.twilio_auth_token.get_secret_value(),
        base_url=settings.twilio_api_base_url,
        edge=edge,
        region=region,
    )


def _converters(input_format: str, output_format: str) -> tuple[AudioConverter | None, AudioConverter | None]:
    """See `Converters`; the module is imported only for agents that need it."""
    if input_format == output_format == "ulaw_8000":
        return None, None
    try:
        from .audio.convert import converters
    except ImportError as error:
        raise ValueError(
            f"the agent speaks {output_format} and hears {input_format}: set both to ulaw_8000, "
            f"or install shortwire[audio] to have it converted ({error})"
        ) from None
    return converters(input_format, output_format)


def _sinks(options: BridgeOptions, out: Callable[[str], None]) -> tuple[EventSink, ...]:
    return (LatencyLines(lambda line, _call_id: out(line)),) if options.toggles.latency_logging else ()
