"""`shortwire bench`: what this machine can carry, measured beside what else people write.

Light: everything heavy is imported when a measurement begins.
"""

# ruff: noqa: PLR0917 - a command's parameters are its options; typer calls it by keyword

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

__all__ = ["bench_app"]

bench_app = typer.Typer(
    help="Measure: concurrent calls against delay, CPU and memory, beside the peers.", rich_markup_mode=None
)

Out = Annotated[Path, typer.Option(help="Folder to write into.")]
Calls = Annotated[int, typer.Option(help="Concurrent calls.", min=1)]
Rounds = Annotated[int, typer.Option(help="Rounds; the order rotates. Fewer than 5 give no confidence.", min=1)]
Seconds = Annotated[float, typer.Option(help="Measured in each run, after the warm-up.", min=0.5)]
Warmup = Annotated[float, typer.Option(help="After the last call opened, not measured.", min=0.0)]
Mode = Annotated[Literal["echo", "talk"], typer.Option(help="echo: a piece a frame. talk: chunks, with barge-in.")]
Tls = Annotated[bool, typer.Option("--tls", help="The agent speaks TLS (needs the emulators extra).")]


def _run(name: str, **options: Any) -> None:
    run = importlib.import_module("shortwire.bench.commands")
    raise typer.Exit(int(getattr(run, name)(**options)))


@bench_app.callback(invoke_without_command=True)
def bench(
    context: typer.Context,
    calls: Annotated[str, typer.Option(help="Concurrent calls, with commas.")] = "10,50,100,200",
    mode: Annotated[str, typer.Option(help="echo, talk, or echo,talk.")] = "echo",
    rounds: Rounds = 3,
    seconds: Seconds = 5.0,
    warmup: Warmup = 2.0,
    ramp: Annotated[float, typer.Option(help="Calls dialled a second.", min=1.0)] = 50.0,
    profile: Annotated[
        Literal["both", "optimized", "baseline"], typer.Option(help="Which of our servers to measure.")
    ] = "both",
    peers: Annotated[str, typer.Option(help="all, none, or names with commas (benchmarks/peers).")] = "all",
    peers_dir: Annotated[Path | None, typer.Option(help="Another folder of peers.")] = None,
    tls: Tls = False,
    workers: Annotated[int, typer.Option(help="Processes of our server, a core each.", min=1)] = 1,
    out: Out = Path("bench-out"),
) -> None:
    """The curve of concurrent calls: both profiles and the peers, in one run."""
    if context.invoked_subcommand is None:
        options = {name: value for name, value in locals().items() if name != "context"}
        _run("curve", **options)


@bench_app.command("toggles")
def toggles(
    calls: Calls = 50,
    rounds: Rounds = 7,
    seconds: Seconds = 4.0,
    warmup: Warmup = 1.5,
    mode: Mode = "echo",
    tls: Tls = False,
    only: Annotated[str, typer.Option(help="Names of toggles, with commas; empty: all.")] = "",
    alone: Annotated[bool, typer.Option("--alone", help="Also each one alone on, against all off.")] = False,
    out: Out = Path("bench-out"),
) -> None:
    """Each optimization off against all on, and all off: what it is worth in CPU, delay and set-up."""
    _run("toggles", **locals())


@bench_app.command("soak")
def soak(
    calls: Calls = 200,
    minutes: Annotated[float, typer.Option(help="How long.", min=0.05)] = 10.0,
    call_seconds: Annotated[float, typer.Option(help="Mean length of a call; calls come and go.", min=1.0)] = 30.0,
    mode: Mode = "talk",
    profile: Annotated[Literal["optimized", "baseline"], typer.Option(help="Which server.")] = "optimized",
    out: Out = Path("bench-out"),
) -> None:
    """Calls coming and going for a long time: memory's slope, and what is left behind."""
    _run("soak", **locals())


@bench_app.command("slow")
def slow(
    calls: Calls = 20,
    stopped: Annotated[int, typer.Option(help="Calls of which one side stops reading.", min=1)] = 2,
    side: Annotated[Literal["both", "agent", "phone"], typer.Option(help="Which side stops.")] = "both",
    seconds: Seconds = 60.0,
    mode: Mode = "echo",
    out: Out = Path("bench-out"),
) -> None:
    """A side that stops reading: the others' delay, memory, and how the stopped calls end."""
    _run("slow", **locals())


@bench_app.command("beside")
def beside(
    calls: Calls = 50,
    rounds: Rounds = 5,
    seconds: Seconds = 5.0,
    warmup: Warmup = 1.5,
    tls: Tls = False,
    only: Annotated[str, typer.Option(help="Kinds of work, with commas; empty: all.")] = "",
    out: Out = Path("bench-out"),
) -> None:
    """Work beside the media path: what each kind does to the frames of other calls."""
    _run("beside", **locals())
