"""`shortwire demo`: what is asked for, what can be wrong with it, and the exit status.

Light: everything heavy is imported once it is known that it will be needed and is there.
"""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from pathlib import Path

from rich.console import Console

from ..emulators.network import NETWORKS
from .client import ApiError
from .processes import ChildDied

__all__ = ["run"]

PROFILES = ("baseline", "optimized")

EXIT_CHECKS_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130

_EXTRA = ("numpy", "trustme")
"""What the emulators and the judge need beside the server's own libraries."""


def run(out: str, network: str, profiles: str, as_json: bool) -> int:
    """Play the scenario, print and write everything; the exit status.

    Args:
        out: folder to write into, made if need be; what an earlier demonstration left there is replaced.
        network: name of the network between the parties (`shortwire.emulators.network.NETWORKS`).
        profiles: "both", "baseline" or "optimized".
        as_json: print one JSON object instead of prose.
    """
    console = Console(quiet=as_json, highlight=False, soft_wrap=False)
    if network not in NETWORKS:
        return _refuse(f"no network is called {network!r}: choose one of {', '.join(NETWORKS)}")
    if profiles not in ("both", *PROFILES):
        return _refuse(f"no profile is called {profiles!r}: choose both, {' or '.join(PROFILES)}")
    if missing := [name for name in _EXTRA if importlib.util.find_spec(name) is None]:
        return _refuse(f"{' and '.join(missing)} not installed: run  pip install 'shortwire[emulators]'")
    chosen = PROFILES if profiles == "both" else (profiles,)
    folder = Path(out).absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        from .performance import perform

        passed = asyncio.run(perform(console, folder, network, chosen, as_json))
        status = 0 if passed else EXIT_CHECKS_FAILED
    except* (ChildDied, ApiError) as errors:
        status = _broke_off(str(_first(errors)))
    except* TimeoutError:
        status = _broke_off("the call did not come to an end in time")
    except* OSError as errors:
        status = _refuse(f"cannot write to {folder} ({_first(errors)}): choose another folder with --out")
    except* (KeyboardInterrupt, asyncio.CancelledError):
        print("\ninterrupted; everything was stopped", file=sys.stderr)
        status = EXIT_INTERRUPTED
    return status


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """What went wrong first; the servers start side by side, so errors come in groups."""
    error = errors.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error


def _broke_off(why: str) -> int:
    return _refuse(f"the demonstration broke off: {why}", EXIT_CHECKS_FAILED)


def _refuse(text: str, status: int = EXIT_USAGE) -> int:
    print(f"shortwire demo: {text}", file=sys.stderr)
    return status
