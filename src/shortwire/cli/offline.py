"""Commands that need no account: the emulators and the demo. They live elsewhere and are imported late."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Annotated, Literal

import typer

__all__ = ["demo", "emulate_app"]

emulate_app = typer.Typer(
    help="Run an imitation of a vendor on this machine.", no_args_is_help=True, rich_markup_mode=None
)

# The emulators have command lines of their own; everything after the name is theirs, --help included.
_PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


@emulate_app.command("twilio", context_settings=_PASS_ON)
def emulate_twilio(context: typer.Context) -> None:
    """The carrier: REST, webhooks, media streams, a party that speaks."""
    _emulate("twilio", context.args)


@emulate_app.command("elevenlabs", context_settings=_PASS_ON)
def emulate_elevenlabs(context: typer.Context) -> None:
    """The agent platform: signed URLs and conversations."""
    _emulate("elevenlabs", context.args)


@emulate_app.command("network", context_settings=_PASS_ON)
def emulate_network(context: typer.Context) -> None:
    """A network between two of them: delay, jitter, stalls, cuts."""
    _emulate("network", context.args)


def _emulate(name: str, arguments: list[str]) -> None:
    package = f"shortwire.emulators.{name}"
    # The command line of an emulator is its package's `run`, or that of `python -m` on the package.
    run = getattr(importlib.import_module(package), "run", None) or importlib.import_module(f"{package}.__main__").run
    raise typer.Exit(int(run(list(arguments)) or 0))


def demo(
    out: Annotated[Path, typer.Option(help="Folder to write into.")] = Path("demo-out"),
    network: Annotated[str, typer.Option(help="The network between the parties, by name.")] = "cross-continent",
    profile: Annotated[
        Literal["both", "optimized", "baseline"], typer.Option(help="Which server to play it on.")
    ] = "both",
    as_json: Annotated[bool, typer.Option("--json", help="Figures as JSON.")] = False,
) -> None:
    """Play a conversation on both profiles, on the emulators; show, judge and write what happened."""
    run = importlib.import_module("shortwire.demo.cli").run
    raise typer.Exit(int(run(str(out), network, profile, as_json)))
