"""What parent and worker tell each other: one JSON object a line, over a pair of Unix sockets that nobody else has.

The settings travel this way, too: secrets belong neither on a command line nor into an environment that children
and crash reports see.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import structlog
from pydantic import SecretStr

from ..settings import Settings

__all__ = ["Line", "settings_from", "settings_said"]

log = structlog.get_logger(__name__)

_LONGEST = 1024 * 1024
_BEHIND = 1024 * 1024
"""Bytes that may wait for a reader that does not read; what is said every second is left out then."""


class Line:
    """One end. `heard` ends with None: the other side is gone."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, sock: socket.socket) -> Line:
        """Over a connected stream socket, which belongs to the line from now on."""
        reader, writer = await asyncio.open_unix_connection(sock=sock, limit=_LONGEST)
        return cls(reader, writer)

    def say(self, what: str, *, may_drop: bool = False, **more: Any) -> None:
        """Returns at once. On a line that is gone: nothing."""
        transport = self._writer.transport
        if transport.is_closing() or (may_drop and transport.get_write_buffer_size() > _BEHIND):
            return
        self._writer.write(json.dumps({"is": what, **more}).encode() + b"\n")

    async def heard(self) -> dict[str, Any] | None:
        """The next message."""
        try:
            line = await self._reader.readline()
        except (OSError, ValueError) as error:
            log.warning("workers.line_broken", error=str(error))
            return None
        found: dict[str, Any] | None = json.loads(line) if line.endswith(b"\n") else None
        return found

    async def close(self) -> None:
        """Once all that was said has left, or the other side is gone."""
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except OSError as error:
            log.debug("workers.line_closed", error=str(error))


def settings_said(settings: Settings) -> dict[str, Any]:
    """Every variable as JSON, secrets in the clear: for a `Line` and nothing else."""
    return {name: _plain(getattr(settings, name)) for name in Settings.model_fields}


def settings_from(said: Mapping[str, Any]) -> Settings:
    """The settings that were said; neither environment nor file has a word in it."""
    return Settings(**{**said, "_env_file": None})


def _plain(value: object) -> object:
    match value:
        case SecretStr():
            return value.get_secret_value()
        case frozenset():
            return sorted(value)
        case Path():
            return str(value)
    return value
