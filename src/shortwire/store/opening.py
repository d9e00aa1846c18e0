"""From a directory or a URL to a store that works, or one sentence that says what to change.

Everything that can be wrong with a database is looked for here, at start, and not in the middle of a call.
"""

from __future__ import annotations

import os
import stat
import tempfile
import time
from pathlib import Path
from typing import Final

import sqlalchemy as sa
import structlog
from alembic.util import CommandError
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, DBAPIError

from shortwire.clock import Clock, SystemClock
from shortwire.errors import StoreError

from .engine import Database, postgres_database, sqlite_database
from .migrate import migrate
from .sql import SqlCallStore, StoreTiming
from .writer import database_words

__all__ = ["DATABASE_NAME", "open_store"]

DATABASE_NAME: Final = "shortwire.db"
"""The file in the data directory."""
_QUICK_CHECK_BYTES: Final = 64 * 1024 * 1024
"""Up to this size a start reads the whole file for damage; above it only the start of it."""

_LOCKED_WAITS_S: Final = (0.1, 0.3, 1.0)
"""Two servers may start at once, and SQLite does not wait for the other one's change to WAL by itself."""

_log = structlog.stdlib.get_logger(__name__)


def open_store(
    url_or_dir: str | os.PathLike[str], *, clock: Clock | None = None, timing: StoreTiming | None = None
) -> SqlCallStore:
    """Open, check, migrate, start the writer thread. Blocks; call it before the loop runs or in a thread.

    `url_or_dir`: a data directory (made if missing), `postgresql://...`, or `sqlite:///file`.
    Raises `StoreError`: not writable, not reachable, damaged, not ours, or written by a newer version.
    """
    database = _database(url_or_dir)
    try:
        _prepare(database)
    except BaseException:
        database.dispose()
        raise
    return SqlCallStore(database, clock=clock or SystemClock(), timing=timing or StoreTiming())


def _prepare(database: Database) -> None:
    for wait_s in (*_LOCKED_WAITS_S, None):
        try:
            migrate(database.writer, database.place)
            _check_health(database)
            return
        except CommandError as error:
            raise _damaged(database.place, error) from error
        except DBAPIError as error:
            words = database_words(error)
            if wait_s is None or "locked" not in words:
                damaged = database.writer.dialect.name == "sqlite" and type(error) is DatabaseError
                raise (_damaged if damaged else _not_usable)(database.place, words) from error
            time.sleep(wait_s)


def _database(url_or_dir: str | os.PathLike[str]) -> Database:
    text = os.fspath(url_or_dir)
    if "://" not in text:
        try:
            directory = Path(text).expanduser()
        except RuntimeError:
            raise StoreError(
                f"{text} begins with ~ and a name that has no home", details="write the whole path"
            ) from None
        return _in_directory(directory, DATABASE_NAME)
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise StoreError("the database URL cannot be read", details=_URL_HELP) from None
    backend = url.get_backend_name()
    if backend == "sqlite" and url.database:
        path = Path(url.database)
        return _in_directory(path.parent, path.name)
    if backend in ("postgresql", "postgres"):
        return _postgres(url)
    raise StoreError(f"a database of the kind {backend!r} cannot be used", details=_URL_HELP)


_URL_HELP: Final = "write postgresql://user:password@host/name, or give a directory for SQLite"


def _postgres(url: URL) -> Database:
    try:
        return postgres_database(url.set(drivername="postgresql+psycopg"))
    except ModuleNotFoundError:
        raise StoreError(
            "PostgreSQL needs a driver that is not installed", details="pip install 'shortwire[postgres]'"
        ) from None


def _in_directory(directory: Path, name: str) -> Database:
    _check_directory(directory)
    path = directory / name
    _check_file(path)
    return sqlite_database(path)


def _check_directory(directory: Path) -> None:
    try:
        if not directory.exists():
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as error:
        raise StoreError(
            f"the data directory {directory} cannot be written ({error.strerror or error})",
            details="set SHORTWIRE_DATA_DIR to a directory of yours",
        ) from None
    # An existing directory may be anything (a home, /tmp): say it, do not change it.
    if os.name == "posix" and stat.S_IMODE(directory.stat().st_mode) & 0o077:
        _log.warning("store.directory_open_to_others", directory=str(directory), fix=f"chmod 700 {directory}")


def _check_file(path: Path) -> None:
    """Make the file ourselves, because SQLite would give it the umask's permissions; -wal and -shm follow it."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
    except OSError as error:
        raise StoreError(
            f"the database {path} cannot be written ({error.strerror or error})",
            details="change its permissions, or set SHORTWIRE_DATA_DIR to another directory",
        ) from None
    try:
        status = os.fstat(descriptor)
        if os.name == "posix" and status.st_mode & 0o077 and status.st_uid == os.geteuid():
            os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)


def _check_health(database: Database) -> None:
    if database.writer.dialect.name != "sqlite":
        return
    with database.reader.connect() as connection:
        mode = connection.execute(sa.text("PRAGMA journal_mode")).scalar()
        if mode != "wal":
            _log.warning("store.no_wal", place=database.place, why="two servers on this file will wait for each other")
        if Path(database.place).stat().st_size <= _QUICK_CHECK_BYTES:
            found = connection.execute(sa.text("PRAGMA quick_check(1)")).scalar()
            if found != "ok":
                raise _damaged(database.place, found)


def _damaged(place: str, words: object) -> StoreError:
    return StoreError(
        f"{place} is not a Shortwire database, or it is damaged ({' '.join(str(words).split())})",
        details="restore a backup, or move it away to start with an empty one",
    )


def _not_usable(place: str, words: object) -> StoreError:
    return StoreError(
        f"the database {place} cannot be used ({words})",
        details="check that it is reachable, unlocked and writable, and the address and password",
    )
