"""Brings a database to this version's schema, or refuses it with one sentence.

Alembic without its command line or ini file, so that it works from an installed wheel. One transaction
under a lock: two servers may start at the same moment.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy.engine import Connection, Engine

from shortwire.errors import StoreError

from .schema import VERSION_TABLE, metadata

__all__ = ["head_revision", "migrate"]

_SCRIPTS: Final = Path(__file__).parent / "migrations"
_LOCK_KEY: Final = 0x5357_0001
"""Any number, the same in every process: PostgreSQL's advisory lock for migrations."""


def head_revision() -> str:
    """The schema this version writes."""
    return str(_scripts(_config()).get_current_head())


def migrate(engine: Engine, place: str) -> None:
    """Create or upgrade the tables. Blocks. Raises `StoreError` when the database is not ours or newer."""
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK_KEY)))
        revision = _revision(connection)
        if revision is None:
            _refuse_foreign_tables(connection, place)
        else:
            _refuse_newer(revision, place)
        if revision != head_revision():
            command.upgrade(_config(connection), "head")


def _revision(connection: Connection) -> str | None:
    context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
    return context.get_current_revision()


def _refuse_foreign_tables(connection: Connection, place: str) -> None:
    taken = sorted(set(sa.inspect(connection).get_table_names()) & set(metadata.tables))
    if taken:
        raise StoreError(
            f"{place} is not a Shortwire database, and has tables of our names already ({', '.join(taken)})",
            details="choose another SHORTWIRE_DATA_DIR, database or schema",
        )


def _refuse_newer(revision: str, place: str) -> None:
    try:
        _scripts(_config()).get_revision(revision)
    except CommandError:
        raise StoreError(
            f"{place} was written by a newer Shortwire "
            f"(its schema is {_shown(revision)}, this version knows {head_revision()})",
            details="install that version again, or choose another SHORTWIRE_DATA_DIR or database",
        ) from None


def _shown(revision: str) -> str:
    return re.sub(r"[^\w.-]", "?", revision)[:40]


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _scripts(config: Config) -> ScriptDirectory:
    return ScriptDirectory.from_config(config)
