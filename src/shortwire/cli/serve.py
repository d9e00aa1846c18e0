"""`shortwire serve`: settings from flags over environment over file, then the server.

Secrets have no flags: a process list is readable by everybody on the machine.
"""

# ruff: noqa: PLR0917 - a command's parameters are its options; typer calls it by keyword

from __future__ import annotations

import socket
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from ..errors import ConfigError, UsageError

__all__ = ["serve"]

Toggle = bool | None


def _toggle(name: str, does: str) -> Any:
    """An optimization: unset it has the profile's side; `does` also says where it has no effect."""
    return typer.Option(f"--{name}/--no-{name}", help=does)


def serve(
    profile: Annotated[
        Literal["optimized", "baseline"] | None, typer.Option(help="Which server to be [SHORTWIRE_PROFILE].")
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="8001 optimized, 8000 baseline; 0: a free one.")
    ] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on [127.0.0.1].")] = None,
    server_url: Annotated[str | None, typer.Option(help="Public https address of this server.")] = None,
    tunnel: Annotated[
        Literal["ngrok"] | None, typer.Option(help="Open a tunnel and use its address as SERVER_URL.")
    ] = None,
    configure_number: Annotated[
        bool, typer.Option("--configure-number", help="Point the Twilio number's incoming calls here.")
    ] = False,
    restore_number: Annotated[
        bool, typer.Option("--restore-number", help="With --configure-number: put back at exit what was there.")
    ] = False,
    env_file: Annotated[Path | None, typer.Option(help="Settings file instead of ./.env.")] = None,
    allowed_countries: Annotated[str | None, typer.Option(help="Countries that may be dialled, such as US,CA.")] = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes that share the calls, one a core [1, SHORTWIRE_WORKERS].")
    ] = None,
    data_dir: Annotated[str | None, typer.Option(metavar="<path>", help="Directory of database and tapes.")] = None,
    tape: Annotated[Toggle, typer.Option("--tape/--no-tape", help="Write a tape of each call.")] = None,
    prewarm: Annotated[
        Literal["off", "signed-url", "tls", "conversation"] | None,
        typer.Option(help="What is made while it rings. On stock sockets tls is no more than signed-url."),
    ] = None,
    disable_websocket_compression: Annotated[
        Toggle,
        _toggle(
            "disable-websocket-compression",
            "No deflate, and lean sockets; off: stock ones. The phone's wire is the same.",
        ),
    ] = None,
    increase_max_payload: Annotated[
        Toggle, _toggle("increase-max-payload", "Longer messages of the agent. No effect on usual ones, or on speed.")
    ] = None,
    optimize_audio_parsing: Annotated[
        Toggle, _toggle("optimize-audio-parsing", "Splice audio. Saves only the JSON where the agent speaks no mu-law.")
    ] = None,
    latency_logging: Annotated[
        Toggle, _toggle("latency-logging", "The [LATENCY] lines. No effect on what is measured.")
    ] = None,
    low_latency_mode: Annotated[
        Toggle, _toggle("low-latency-mode", "Faster models, per call. No effect where the agent permits no override.")
    ] = None,
    inline_twiml: Annotated[
        Toggle, _toggle("inline-twiml", "TwiML goes with the dial. No effect on inbound calls.")
    ] = None,
    tune_sockets: Annotated[
        Toggle,
        _toggle(
            "tune-sockets", "No Nagle, quick acks, deadlines, bounds. No effect of the first two on stock sockets."
        ),
    ] = None,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error.")] = None,
) -> None:
    """Run the server: HTTP and media on one port.

    Optimizations that are not given have the profile's side (docs/reference/settings.md).
    """
    overrides = dict(locals())
    env_file = overrides.pop("env_file")
    if data_dir is not None and not data_dir.strip():
        # An empty path would be the directory of whoever starts it: a variable that was not set, most likely.
        raise UsageError("--data-dir is empty", details="name a directory, or leave it out (~/.shortwire)")
    number: dict[str, Any] = {name: True for name in ("configure_number", "restore_number") if overrides.pop(name)}
    for name in ("profile", "port", "host", "workers", "tunnel", "data_dir", "tape"):
        overrides[f"shortwire_{name}"] = overrides.pop(name)
    from ..descriptors import more_descriptors
    from ..fast_loop import FAST_LOOP, fast_runner, run_promptly
    from ..settings import load_settings

    settings = load_settings(overrides, env_file=env_file)
    _check_host(settings.shortwire_host, settings.port)
    more_descriptors()
    print("Shortwire")
    for label, text in settings.banner():
        print(f"  {label:<18} {text}")
    for warning in settings.warnings:
        print(f"shortwire: warning: {warning}", file=sys.stderr)
    sys.stdout.flush()
    if settings.shortwire_workers > 1:
        from ..workers.parent import serve as serve_settings
    else:
        from ..app import serve as serve_settings

    if fast_runner() is None:
        print(f"shortwire: warning: {FAST_LOOP} is not installed; the standard event loop is slower", file=sys.stderr)
    raise typer.Exit(run_promptly(serve_settings(settings, **number)) or 0)


def _check_host(host: str, port: int) -> None:
    """Raises `ConfigError` for a name that is no address; a port that is taken is found by taking it."""
    try:
        socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise ConfigError(
            f"there is no address {host} to listen on",
            details=f"set --host or SHORTWIRE_HOST to one of this machine's, such as 127.0.0.1 ({error.strerror})",
        ) from None
