"""How this Python was built: with profile-guided optimisation, or 20 to 40 % slower without it.

Imports nothing of ours: `scripts/choose_python.sh` runs this file with every Python of a machine, before
anything is installed.
"""

from __future__ import annotations

import sys
import sysconfig

__all__ = ["flavour", "optimised"]


def optimised(schemes: tuple[str, ...] | None = None, arguments: str | None = None) -> bool:
    """Whether it was built for speed. The arguments are for tests: install schemes, and those of ``configure``."""
    if schemes is None:
        schemes = sysconfig.get_scheme_names()
    if "deb_system" in schemes:
        return True  # Debian and what comes from it: optimised by a rule of their own, which `configure` does not see
    if arguments is None:
        arguments = str(sysconfig.get_config_var("CONFIG_ARGS") or "")
    return not arguments or "--enable-optimizations" in arguments  # none on Windows: the installers' are optimised


def flavour() -> str:
    """Minor version and build, such as ``3.11`` or ``3.11 optimised``: what figures can be compared between."""
    return "{}.{}{}".format(*sys.version_info[:2], " optimised" if optimised() else "")


def _usable() -> bool:
    try:
        import ensurepip  # noqa: F401 - Debian leaves it out unless python3-venv is installed
        import venv  # noqa: F401
    except ImportError:
        return False
    return sys.version_info >= (3, 11)


if __name__ == "__main__":
    if not _usable():
        sys.exit(1)
    sys.stdout.write(f"{'optimised' if optimised() else 'plain'} {sys.version.split()[0]}\n")
