"""Where values come from (command line, environment, file), and what is said when they are wrong or odd."""

from __future__ import annotations

import difflib
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import ValidationError

from ..errors import ConfigError
from .checks import is_loopback
from .model import TWILIO_API, Settings

__all__ = ["load_settings"]

# Read by other parts of the project or by its tests, so no typing mistakes of somebody's.
_OTHER_NAMES = {"SHORTWIRE_URL", "SHORTWIRE_TEST_POSTGRES_URL"}


def load_settings(cli_overrides: Mapping[str, Any] | None = None, *, env_file: str | Path | None = None) -> Settings:
    """The settings, command line over environment over file.

    `cli_overrides` is keyed by variable name in any case; None values count as not given. `env_file`
    None reads `.env` of the working directory if there is one. Raises `ConfigError` whose details hold
    one line per variable: name, what is wrong, what to write.
    """
    if env_file is not None and not Path(env_file).is_file():
        raise ConfigError(f"no such settings file: {env_file}", details="name one that is there with --env-file")
    file = Path(env_file) if env_file is not None else Path(".env")
    given = {name.lower(): value for name, value in (cli_overrides or {}).items() if value not in (None, "")}
    problems: dict[str, str] = {}
    settings = None
    try:
        settings = Settings(**{**given, "_env_file": file})
    except ValidationError as error:
        for problem in error.errors(include_url=False, include_input=False):
            name = str(problem["loc"][0]).upper()
            problems.setdefault(name, _problem_text(str(problem["type"]), str(problem["msg"])))
    except UnicodeDecodeError:
        raise ConfigError(f"{file} is not a text file in UTF-8", details=f"save {file} as UTF-8") from None
    names = _names_in_use(file)
    tunnel = settings.shortwire_tunnel if settings else given.get("shortwire_tunnel", names.get("SHORTWIRE_TUNNEL"))
    if not tunnel and "SERVER_URL" not in problems and not (given.get("server_url") or names.get("SERVER_URL")):
        problems["SERVER_URL"] = "is not set (and no tunnel is asked for)"
    if settings is None or problems:
        raise _config_error(problems, given)
    settings._warnings = (*_stranger_warnings(names), *_edge_warnings(settings), *_address_warnings(settings))
    return settings


def _problem_text(kind: str, message: str) -> str:
    if kind == "missing":
        return "is not set"
    if kind.startswith("bool"):
        return "is neither true nor false"
    if kind.startswith("int"):
        return "is not a whole number"
    return message.removeprefix("Value error, ").replace("Input should be", "should be")


def _config_error(problems: Mapping[str, str], given: Mapping[str, Any]) -> ConfigError:
    """`given`: what came from the command line, by name in lower case; it is to be changed there."""
    lines = []
    for field, info in Settings.model_fields.items():
        name = field.upper()
        if name in problems:
            # A suggestion nobody has to invent: copied as it is, it is a good key.
            example = secrets.token_urlsafe(32) if name == "SHORTWIRE_API_KEY" else (info.examples or [""])[0]
            flag = f" (--{field.removeprefix('shortwire_').replace('_', '-')})" if field in given else ""
            lines.append(f"{name}{flag} {problems[name]}; write for example {name}={example}")
    count = "1 setting has" if len(lines) == 1 else f"{len(lines)} settings have"
    where = (
        "on the command line" if all(name.lower() in given for name in problems) else "in the environment or in .env"
    )
    return ConfigError(f"{count} to be changed ({where})", details="\n".join(lines))


def _names_in_use(file: Path) -> dict[str, str]:
    """Variables of the file, then of the environment, by upper-case name; empty ones left out."""
    from dotenv import dotenv_values

    in_file = dotenv_values(file, encoding="utf-8") if file.is_file() else {}
    return {name.upper(): value for name, value in {**in_file, **os.environ}.items() if value}


def _stranger_warnings(names: Mapping[str, str]) -> list[str]:
    known = {name.upper() for name in Settings.model_fields} | _OTHER_NAMES
    warnings = []
    for name in sorted(n for n in names if n.startswith("SHORTWIRE_") and n not in known):
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.75)
        warnings.append(f"{name} is not a setting and does nothing" + (f"; did you mean {near[0]}?" if near else ""))
    return warnings


def _edge_warnings(settings: Settings) -> list[str]:
    given = [name.upper() for name in ("twilio_edge", "twilio_region") if getattr(settings, name)]
    if not given or settings.twilio_api_base_url == TWILIO_API:
        return []
    return [f"{' and '.join(given)} ignored: TWILIO_API_BASE_URL already names the host"]


def _address_warnings(settings: Settings) -> list[str]:
    """A public address on this machine can only be ours, and is not if its port is another."""
    parts = urlsplit(settings.server_url)
    host = parts.hostname or ""
    if settings.shortwire_tunnel or parts.scheme != "http" or not is_loopback(host):
        return []
    if (parts.port or 80) == settings.port:
        return []
    where = f"[{host}]" if ":" in host else host
    listening = f"port {settings.port}" if settings.port else "a free port (SHORTWIRE_PORT is 0)"
    advice = f"write SERVER_URL=http://{where}:{settings.port}" if settings.port else "choose a port"
    return [
        f"SERVER_URL is {settings.server_url} but this server listens on {listening}: unless a proxy of yours is "
        f"there, calls end as media_never_came; {advice}"
    ]
