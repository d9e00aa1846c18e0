"""`shortwire tune`: which settings are worth it here. Everything heavy is imported when it starts."""

# ruff: noqa: PLR0917 - a command's parameters are its options; typer calls it by keyword

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["tune"]


def tune(
    network: Annotated[str, typer.Option(help="The emulated network, by name.")] = "cross-continent",
    rounds: Annotated[int, typer.Option(help="Calls with each variant; fewer than 5 prove nothing.", min=1)] = 7,
    only: Annotated[str, typer.Option(help="Settings to try, with commas; empty: all.")] = "",
    scenario: Annotated[Path | None, typer.Option(help="Another call to play (a scenario file).")] = None,
    live: Annotated[str, typer.Option(help="Call this number for real instead. Billed; needs --consent.")] = "",
    consent: Annotated[bool, typer.Option("--consent", help="Whoever is called has agreed to it.")] = False,
    billed: Annotated[
        bool, typer.Option("--billed", help="With --live: also try what the agent's vendor may charge for.")
    ] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Do not go on with the trials in the folder.")] = False,
    out: Annotated[Path, typer.Option(help="Folder; a run broken off goes on from it.")] = Path("tune-out"),
) -> None:
    """Play the same call with and without each optimization; rank them, and say what to write into .env."""
    options = dict(locals())
    raise typer.Exit(int(importlib.import_module("shortwire.tuning.run").run(**options)))
