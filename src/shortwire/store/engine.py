"""Connections: two engines over one database, tuned for one writing thread and a few readers.

SQLite: WAL, a full sync at each commit (https://www.sqlite.org/pragma.html#pragma_synchronous: NORMAL may lose
the last commits when power fails), foreign keys on, and real transactions
instead of the driver's implicit ones. PostgreSQL: deadlines on connecting and on a dead peer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine

from .encoding import decode, serialize

__all__ = ["Database", "postgres_database", "sqlite_database"]

BUSY_S: Final = 2.0
"""How long SQLite waits for another process's write before we back off and look again."""
_CONNECT_S: Final = 5
_DEAD_PEER_MS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Database:
    """Where rows are. `place` names it to a person, without secrets."""

    writer: Engine
    reader: Engine
    place: str

    def dispose(self) -> None:
        self.writer.dispose()
        self.reader.dispose()


def sqlite_database(path: Path, *, busy_s: float = BUSY_S) -> Database:
    """A file; it must exist already, so that its permissions were ours to choose."""

    def engine(begin: str, pragmas: tuple[str, ...], pool_size: int) -> Engine:
        made = sa.create_engine(
            URL.create("sqlite+pysqlite", database=str(path)),
            connect_args={"timeout": busy_s, "check_same_thread": False},
            json_serializer=serialize,
            json_deserializer=decode,
            pool_size=pool_size,
            max_overflow=0,
        )
        sa.event.listen(made, "connect", _on_sqlite_connect(pragmas))
        sa.event.listen(made, "begin", _on_begin(begin))
        return made

    # IMMEDIATE: a write lock taken late cannot be waited for, it fails at once.
    writer = engine("BEGIN IMMEDIATE", ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"), 1)
    reader = engine("BEGIN", ("query_only=ON",), 4)
    return Database(writer, reader, str(path))


def postgres_database(url: URL) -> Database:
    """`url` with the driver already chosen."""
    wanted: dict[str, Any] = {
        "connect_timeout": _CONNECT_S,
        "tcp_user_timeout": _DEAD_PEER_MS,
        "keepalives_idle": 10,
        "application_name": "shortwire",
    }
    arguments = {name: value for name, value in wanted.items() if name not in url.query}

    def engine(pool_size: int) -> Engine:
        return sa.create_engine(
            url,
            connect_args=arguments,
            json_serializer=serialize,
            json_deserializer=decode,
            pool_size=pool_size,
            max_overflow=0,
            pool_pre_ping=True,
        )

    return Database(engine(1), engine(4), url.set(query={}).render_as_string(hide_password=True))


def _on_sqlite_connect(pragmas: tuple[str, ...]) -> Callable[[Any, Any], None]:
    def on_connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver begins nothing by itself
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}")

    return on_connect


def _on_begin(statement: str) -> Callable[[Connection], None]:
    def on_begin(connection: Connection) -> None:
        connection.exec_driver_sql(statement)

    return on_begin
