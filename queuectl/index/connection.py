"""Connecting to a database: never one that SQLite makes itself, unless in memory."""

from __future__ import annotations

import os
import sqlite3
from typing import Any


class _Connection(sqlite3.Connection):
    """Of a damaged file SQLite may quote what cannot be decoded, which the module raises as another error."""

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        """As the module's own."""
        try:
            return super().execute(sql, *values)
        except UnicodeDecodeError as error:
            raise sqlite3.DatabaseError(f"malformed: {error}") from error


def connected(path: str, options: str, timeout: float) -> sqlite3.Connection:
    """A connection to the database at `path`, in autocommit mode.

    `options` are those of SQLite's addresses (`mode=rw`), `timeout` the seconds that it waits for a lock.

    Raises:
        sqlite3.Error: there is none, or it cannot be opened.
    """
    return sqlite3.connect(
        _address(path, options), uri=True, timeout=timeout, isolation_level=None, factory=_Connection
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
