"""The `shortwire` command, one module per command group.

Nothing heavy is imported before a command that needs it runs: `--help` answers at once.
"""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Entry point of the installed command; ends the process with the command's exit status."""
    from .root import app, say_error

    try:
        app(prog_name="shortwire")
    except Exception as error:
        sys.exit(say_error(error))
