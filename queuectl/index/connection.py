"""Connecting to a database: never one that SQLite makes itself, unless in memory."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Optional

from queuectl.uncut import uncut

VERSION = 3
"""Of the tables that we know, see `schema`."""
MUCH_LOGGED = 4 << 20
"""Bytes in the log of writes (WAL) from which on who minds workers moves them into the index file."""
MOST_LOGGED = 4000
"""Pages of 4 KiB there, from which on whoever commits has to do that, and waits for the disk."""
BUSY_SECONDS = 5.0
"""Seconds that a connection waits for whoever has locked the file."""


class _Connection(sqlite3.Connection):
    """Of a damaged file SQLite may quote what cannot be decoded, which the module raises as another error."""

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        """As the module's own."""
        try:
            return super().execute(sql, *values)
        except UnicodeDecodeError as error:
            raise sqlite3.DatabaseError(f"malformed: {error}") from error

    def executemany(self, sql: str, rows: Iterable[Any]) -> sqlite3.Cursor:
        """As the module's own."""
        try:
            return super().executemany(sql, rows)
        except UnicodeDecodeError as error:
            raise sqlite3.DatabaseError(f"malformed: {error}") from error


def connected(path: str, options: str, timeout: float) -> sqlite3.Connection:
    """A connection to the database at `path`, in autocommit mode.

    `options` are those of SQLite's addresses (`mode=rw`), `timeout` the seconds that it waits for a lock.

    Raises:
        sqlite3.Error: there is none, or it cannot be opened.
    """
    return sqlite3.connect(
        _address(path, options),
        uri=True,
        timeout=timeout,
        isolation_level=None,
        factory=_Connection,
        # One thread uses it; that of another one may close it, when the first has ended.
        check_same_thread=False,
    )


def _address(path: str, options: str) -> str:
    # Not by `Path.as_uri`, which names a Windows share in a way that SQLite does not take.
    quoted = path.replace(os.sep, "/")
    for special in "%?#":
        quoted = quoted.replace(special, f"%{ord(special):02x}")
    begin = "//" if quoted.startswith("/") else ""
    if os.path.splitdrive(path)[0] and not begin:
        begin = "///"
    return f"file:{begin}{quoted}?{options}"


def open_index(path: str) -> sqlite3.Connection:
    """A connection to the index at `path`, which is there.

    Raises:
        sqlite3.Error: it cannot be used, or not just now.
    """
    # Never made by SQLite, where somebody has just set it aside: see `is_empty`.
    connection = connected(path, "mode=rw", BUSY_SECONDS)
    try:
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {MOST_LOGGED}")
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.DatabaseError:
        connection.close()
        raise
    return connection


def version_of(connection: sqlite3.Connection) -> int:
    """Of the tables in that index; 0 where there are none yet."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def is_empty(path: str) -> bool:
    """Whether there is no index at `path`, or an empty file.

    To SQLite that is a new database: to look into it is to delete the journal of that name, which would be
    that of the index which somebody moves in meanwhile.
    """
    try:
        return os.path.getsize(path) == 0
    except FileNotFoundError:
        return True


@contextmanager
def impatient(connection: sqlite3.Connection) -> Iterator[None]:
    """Wait for nobody in the block."""
    with uncut():
        connection.execute("PRAGMA busy_timeout = 0")
        try:
            yield
        finally:
            connection.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000:.0f}")


def identity_of(path: str) -> Optional[tuple[int, int]]:
    """What tells a file from another one of the same name; None where there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return (found.st_dev, found.st_ino)
