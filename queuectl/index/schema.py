"""Opening the index file: its schema and version, and what is done with one that is damaged or foreign."""

from __future__ import annotations

import os
import sqlite3
from typing import Optional

from queuectl import locks, system
from queuectl.errors import Busy, QueueError, SpoolUnusable
from queuectl.moment import format_moment

VERSION = 1
UNWRITABLE = "this user cannot write it"
DAMAGED = "damaged"
"""In the name of an index that was set aside for it."""
_BUSY_SECONDS = 30.0
_DAMAGE = ("malformed", "not a database", "no such table", "no such column", "closed database")
_SCHEMA = """
CREATE TABLE jobs (
    id TEXT PRIMARY KEY,
    fold TEXT NOT NULL,
    state TEXT NOT NULL,
    worker TEXT,
    mtime_ns INTEGER NOT NULL,
    size INTEGER NOT NULL,
    priority INTEGER NOT NULL,
    due REAL,
    created REAL NOT NULL,
    command TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    crashes INTEGER NOT NULL,
    max_retries INTEGER,
    run_at TEXT,
    created_at TEXT,
    updated_at TEXT,
    exit_code INTEGER,
    error TEXT,
    tags TEXT NOT NULL,
    stuck_since REAL,
    stuck_why TEXT
) WITHOUT ROWID;
CREATE INDEX jobs_fold ON jobs (fold);
CREATE INDEX jobs_state ON jobs (state, updated_at);
CREATE INDEX jobs_due ON jobs (due) WHERE due IS NOT NULL;
CREATE INDEX jobs_ready ON jobs (priority DESC, created, id)
    WHERE due IS NULL AND state IN ('pending', 'failed');
CREATE TABLE oddities (
    path TEXT PRIMARY KEY,
    reason TEXT NOT NULL,
    mtime_ns INTEGER NOT NULL,
    size INTEGER NOT NULL,
    seen REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS config (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


def connect(path: str, lock_path: str) -> tuple[sqlite3.Connection, Optional[str]]:
    """A connection to a sound index of this version at `path`, or to one in memory with the reason for that.

    Raises:
        sqlite3.OperationalError: somebody else has locked it all the time.
    """
    try:
        if os.path.exists(path):
            connection = _open(path)
            if _version(connection) == VERSION:
                return connection, None
            connection.close()
    except sqlite3.DatabaseError as error:
        if _is_unwritable(error, path):
            return in_memory(path), UNWRITABLE
        # RACE: "disk I/O error" is met by who has opened a damaged file just when another sets it aside.
        if not (is_damage(error) or "disk I/O" in str(error)):
            raise
    if not os.access(os.path.dirname(path), os.W_OK):
        return in_memory(path), UNWRITABLE
    try:
        with locks.exclusive(lock_path):
            return _make(path), None
    except SpoolUnusable as error:
        # Damaged, and others hold it open (Windows): the files tell all the same.
        return in_memory(path), error.message


def rebuild(path: str, lock_path: str, identity: Optional[tuple[int, int]]) -> sqlite3.Connection:
    """A connection to a new index in place of a damaged one, unless somebody else has made that already.

    `identity` is the damaged file's.

    Raises:
        SpoolUnusable: it is held open by somebody else.
    """
    with locks.exclusive(lock_path):
        if identity == identity_of(path):
            return _replace(path, DAMAGED)
        return _make(path)


def identity_of(path: str) -> Optional[tuple[int, int]]:
    """What tells a file from another one of the same name; None where there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return (found.st_dev, found.st_ino)


def is_damage(error: sqlite3.Error) -> bool:
    """Whether `error` says that the file is no sound index, not that it cannot be had just now."""
    if type(error) is sqlite3.DatabaseError:
        return True
    return any(word in str(error) for word in _DAMAGE)


def usable_error(error: sqlite3.Error, path: str) -> QueueError:
    """What is told of an index that cannot be used."""
    if "locked" in str(error) or "busy" in str(error):
        return Busy(f"another program has locked {path} for {_BUSY_SECONDS:g} s", hint="try again")
    return SpoolUnusable(f"{path} cannot be used: {error}", hint="queuectl doctor")


def _open(path: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)
    try:
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.DatabaseError:
        connection.close()
        raise
    return connection


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _is_unwritable(error: sqlite3.DatabaseError, path: str) -> bool:
    """Whether the spool is not ours to write, which is no passing lack (of descriptors, for example)."""
    refused = "unable to open" in str(error) or "readonly" in str(error)
    ours = os.path.isfile(path) and os.access(path, os.W_OK) and os.access(os.path.dirname(path), os.W_OK)
    return refused and not ours


def _make(path: str) -> sqlite3.Connection:
    if not os.path.exists(path):
        # A -wal that outlived its database would be replayed into the new one.
        for leftover in (f"{path}-wal", f"{path}-shm"):
            system.remove(leftover)
        return _create(path, {})
    try:
        connection = _open(path)
        version = _version(connection)
        if version == VERSION:
            return connection
        connection.close()
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
        return _replace(path, DAMAGED)
    return _replace(path, f"version-{version}")


def _replace(path: str, why: str) -> sqlite3.Connection:
    settings = _salvage(path)
    _set_aside(path, why)
    return _create(path, settings)


def _create(path: str, settings: dict[str, str]) -> sqlite3.Connection:
    connection = _open(path)
    connection.execute("PRAGMA journal_mode = WAL")
    _fill(connection, settings)
    return connection


def _fill(connection: sqlite3.Connection, settings: dict[str, str]) -> None:
    connection.executescript(f"BEGIN IMMEDIATE;{_SCHEMA}PRAGMA user_version = {VERSION};COMMIT;")
    connection.executemany("INSERT OR REPLACE INTO config VALUES (?, ?)", settings.items())


def _salvage(path: str) -> dict[str, str]:
    """The settings of an index that we cannot use, as far as they can be read."""
    from pathlib import Path

    address = Path(path).absolute().as_uri()
    for mode in ("mode=ro", "mode=ro&immutable=1"):
        try:
            connection = sqlite3.connect(f"{address}?{mode}", uri=True)
            try:
                rows = connection.execute("SELECT name, value FROM config").fetchall()
            finally:
                connection.close()
        except sqlite3.Error:
            continue
        return {str(name): str(value) for name, value in rows}
    return {}


def _set_aside(path: str, why: str) -> None:
    stamp = format_moment(system.now()).replace(":", "").replace(".", "")
    try:
        for suffix in ("-wal", "-shm", ""):
            if os.path.exists(path + suffix):
                system.replace(path + suffix, f"{path}.{why}-{stamp}{suffix}")
    except OSError as error:
        raise SpoolUnusable(
            f"the index {path} is damaged or of another version and cannot be set aside: {error}",
            hint="stop the workers and delete it; no job is lost",
        ) from error


def in_memory(path: str) -> sqlite3.Connection:
    """An index that is this connection's alone, with the settings of the one at `path`."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    _fill(connection, _salvage(path))
    return connection
