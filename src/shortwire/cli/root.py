"""The tree of commands, and the one place where an error becomes a sentence and an exit status.

No command shows a traceback: `LOG_LEVEL=debug` does, for whoever wants to mend something.
"""

from __future__ import annotations

import os
import sys
import traceback
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from ..errors import BridgeError

__all__ = ["app", "say_error"]


def say_error(error: Exception) -> int:
    """Print an error as a person wants to read it; the exit status."""
    if os.environ.get("LOG_LEVEL", "").lower() == "debug":
        traceback.print_exception(error)
    if not isinstance(error, BridgeError):
        text = f"a mistake in Shortwire: {type(error).__name__}: {error} (LOG_LEVEL=debug shows where)"
        print(f"shortwire: {text}", file=sys.stderr)
        return 1
    lines = error.details.splitlines()
    if len(lines) > 1:
        print(f"shortwire: {error.message}:", *(f"  {line}" for line in lines), sep="\n", file=sys.stderr)
    else:
        print(f"shortwire: {error}", file=sys.stderr)
    return error.exit_status


class _Commands(TyperGroup):
    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # `shortwire calls list | head`: nobody is reading any more, which is no error.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(0) from None
        except BridgeError as error:
            raise typer.Exit(say_error(error)) from None


app = typer.Typer(
    name="shortwire",
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    # Rich would cost more than the rest of a --help together.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.command()
def version() -> None:
    """Print the version."""
    from .. import __version__

    print(f"shortwire {__version__}")


def _say_version(wanted: bool) -> None:
    if wanted:
        version()
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_say_version, is_eager=True)
    ] = False,
) -> None:
    """An ElevenLabs agent on a Twilio phone line, with the least delay there can be."""


def _register() -> None:
    from .agent import agent_app
    from .bench import bench_app
    from .call import call
    from .calls import calls_app
    from .doctor import doctor
    from .gate import gate
    from .offline import demo, emulate_app
    from .region import region
    from .report import report
    from .serve import serve
    from .tape import tape_app
    from .tune import tune

    app.command("serve")(serve)
    app.command("call")(call)
    app.add_typer(calls_app, name="calls")
    app.command("report")(report)
    app.add_typer(tape_app, name="tape")
    app.command("gate")(gate)
    app.command("doctor")(doctor)
    app.add_typer(agent_app, name="agent")
    app.command("region")(region)
    app.command("demo")(demo)
    app.add_typer(emulate_app, name="emulate")
    app.add_typer(bench_app, name="bench")
    app.command("tune")(tune)


_register()
