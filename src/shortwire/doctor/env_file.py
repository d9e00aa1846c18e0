"""Writing settings into `.env` without touching anything else in it: other lines, comments, order, line ends, mode.

The file is replaced in one step, and is never left half written. Follows python-dotenv's own parser, which is what
reads the file at the next start.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from io import StringIO
from pathlib import Path

from dotenv.parser import parse_stream

from ..errors import ConfigError

__all__ = ["with_values", "write_values"]


def with_values(text: str, values: Mapping[str, str]) -> str:
    """The file's text with these settings. A setting that stands several times is changed where it counts: last."""
    end = "\r\n" if "\r\n" in text else "\n"
    # The parser's stream must not translate line ends: they are to stay.
    lines = [(binding.key, binding.original.string) for binding in parse_stream(StringIO(text, newline=""))]
    for name, value in values.items():
        where = [index for index, (key, _) in enumerate(lines) if key is not None and key.upper() == name.upper()]
        if where:
            key, old = lines[where[-1]]
            lines[where[-1]] = (key, _replaced(old, str(key), value))
        else:
            if lines and not lines[-1][1].endswith("\n"):
                key, old = lines[-1]
                lines[-1] = (key, old + end)
            lines.append((name, f"{name}={_quoted(value)}{end}"))
    return "".join(original for _, original in lines)


def _replaced(original: str, key: str, value: str) -> str:
    """One binding with another value; what is before it, its comment and its line end stay."""
    head = re.match(rf"\s*(?:export[^\S\r\n]+)?['\"]?{re.escape(key)}['\"]?", original)
    lead = head[0] if head else key
    rest = original[len(lead) :].lstrip("= \t")
    if rest[:1] in ("'", '"'):
        quote = re.match(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"", rest, re.DOTALL)
        tail = rest[quote.end() :] if quote else re.search(r"\s*$", rest)[0]  # type: ignore[index]
    else:
        # An unquoted value ends at blank and hash, as the parser reads it.
        tail = rest[len(re.match(r"[^\r\n]*?(?=\s+#|\s*(?:[\r\n]|$))", rest)[0]) :]  # type: ignore[index]
    return f"{lead}={_quoted(value)}{tail}"


def _quoted(value: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9_@%+=:,./~-]*", value):
        return value
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def write_values(path: Path, values: Mapping[str, str]) -> None:
    """Change these settings in the file, or make it (readable by its owner only). Raises `ConfigError`."""
    try:
        # Bytes, so that no line end is translated on the way.
        old = path.read_bytes().decode("utf-8") if path.exists() else ""
        mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else 0o600
        target = path.resolve()
        draft = target.with_name(f"{target.name}.{os.getpid()}.tmp")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(with_values(old, values).encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())
        draft.chmod(mode)
        draft.replace(target)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} could not be changed, and is as it was", details=str(error)) from error
