"""Opening the index file: its schema and version, and what is done with one that is damaged or foreign."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Optional

from queuectl import locks, system
from queuectl.errors import QueueError, SpoolUnusable
from queuectl.index.connection import connected
from queuectl.index.trouble import JOURNALS, NO_FILE, UNWRITABLE, is_damage, trouble
from queuectl.moment import format_moment

VERSION = 1
DAMAGED = "damaged"
"""In the name of an index that was set aside for it."""
NEW = ".new"
"""Behind the name of an index that is being made."""
MUCH_LOGGED = 4 << 20
"""Bytes in the log of writes (WAL) from which on who minds workers moves them into the index file."""
MOST_LOGGED = 4000

"""Pages of 4 KiB there, from which on whoever commits has to do that, and waits for the disk."""
_BUSY_SECONDS = 5.0
_SALVAGE_SECONDS = 0.5
_STUCK = "CREATE INDEX IF NOT EXISTS jobs_stuck ON jobs (stuck_since) WHERE stuck_since IS NOT NULL"
"""Not in the first ones of this version: a look does without it, and takes longer then."""
_LOOKS = """CREATE TABLE IF NOT EXISTS looks (
    folder TEXT PRIMARY KEY,
    inode TEXT NOT NULL,
    changed_ns INTEGER NOT NULL,
    owner TEXT NOT NULL,
    at REAL NOT NULL
)"""
"""Not in the first ones either: without it everything is looked at."""
_ADDED = (_STUCK, _LOOKS)
_SCHEMA = f"""
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
{_STUCK};
CREATE TABLE oddities (
    path TEXT PRIMARY KEY,
    reason TEXT NOT NULL,
    mtime_ns INTEGER NOT NULL,
    size INTEGER NOT NULL,
    seen REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS config (name TEXT PRIMARY KEY, value TEXT NOT NULL);
{_LOOKS};
"""


def connect(path: str, lock_path: str) -> tuple[sqlite3.Connection, Optional[str]]:
    """A connection to a sound index of this version at `path`, or to one in memory with the reason for that.

    Files tell, so looking goes on whatever has become of the index.
    """
    if os.path.lexists(path) and not os.path.isfile(path):
        return in_memory(path), NO_FILE
    try:
        if (connection := _open_sound(path)) is not None:
            return connection, None
        if not os.access(os.path.dirname(path), os.W_OK):
            return in_memory(path), UNWRITABLE
        with locks.exclusive(lock_path):
            return _make(path), None
    except sqlite3.Error as error:
        return in_memory(path), trouble(error, path)
    except (OSError, QueueError) as error:
        # A full disk; or a damaged one that others hold open (Windows).
        return in_memory(path), str(error)


def _open_sound(path: str) -> Optional[sqlite3.Connection]:
    """A connection to the index as it is; None when one must be made.

    Raises:
        sqlite3.Error: it cannot be used just now.
    """
    if _is_empty(path):
        # To SQLite it is a new database: to look into it is to delete the journal of that name, which would
        # be the one of the index that somebody moves in meanwhile.
        return None
    try:
        connection = _open(path)
        if _version(connection) == VERSION:
            return _completed(connection)
        connection.close()
    except sqlite3.DatabaseError as error:
        # RACE: met by who opens a damaged file just when another sets it aside. Asked again under the lock.
        raced = any(words in str(error) for words in ("disk I/O", "unable to open"))
        if not is_damage(error, path) and not raced:
            raise
    return None


def _completed(connection: sqlite3.Connection) -> sqlite3.Connection:
    added = "SELECT count(*) FROM sqlite_master WHERE name IN ('jobs_stuck', 'looks')"
    if connection.execute(added).fetchone()[0] < len(_ADDED):
        # Where it may not be written it serves as it is.
        with suppress(sqlite3.OperationalError):
            for statement in _ADDED:
                connection.execute(statement)
    return connection


def _is_empty(path: str) -> bool:
    try:
        return os.path.getsize(path) == 0
    except FileNotFoundError:
        return True


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


@contextmanager
def impatient(connection: sqlite3.Connection) -> Iterator[None]:
    """Wait for nobody in the block."""
    connection.execute("PRAGMA busy_timeout = 0")
    try:
        yield
    finally:
        connection.execute(f"PRAGMA busy_timeout = {_BUSY_SECONDS * 1000:.0f}")


def _open(path: str) -> sqlite3.Connection:
    # Never made by SQLite, where somebody has just set it aside: see `_open_sound`.
    connection = connected(path, "mode=rw", _BUSY_SECONDS)
    try:
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {MOST_LOGGED}")
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.DatabaseError:
        connection.close()
        raise
    return connection


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _make(path: str) -> sqlite3.Connection:
    if not os.path.exists(path):
        return _create(path)
    try:
        connection = _open(path)
        version = _version(connection)
        if version == VERSION:
            return connection
        connection.close()
    except sqlite3.DatabaseError as error:
        if not is_damage(error, path):
            raise
        return _replace(path, DAMAGED)
    return _replace(path, f"version-{version}")


def _replace(path: str, why: str) -> sqlite3.Connection:
    # Made before the old one goes, so that its settings are in one of the two whenever we die.
    settings = _salvage(path, whole=why != DAMAGED)
    _prepare(path, settings)
    try:
        _set_aside(path, why)
    except SpoolUnusable:
        if settings is not None:
            # The old one remains, and settings may change in it.
            with suppress(OSError):
                system.remove(path + NEW)
        raise
    return _move_in(path)


def _create(path: str) -> sqlite3.Connection:
    _prepare(path, None)
    return _move_in(path)


def _move_in(path: str) -> sqlite3.Connection:
    # A -wal that outlived its database would be replayed into the new one.
    _remove_journals(path)
    system.replace(path + NEW, path)
    return _open(path)


def _prepare(path: str, settings: Optional[dict[str, str]]) -> None:
    """Make a new index with these settings beside `path`.

    None are those of an index that is gone, or tells nothing: if somebody who died before a new one was moved
    there has left that, it has them. Else it is older than they are.
    """
    new = path + NEW
    if settings is None and _is_sound(new):
        return
    # In this order: without its journal a file may look whole and not be.
    system.remove(new)
    _remove_journals(new)
    connection = _open_new(new)
    try:
        connection.execute("PRAGMA synchronous = FULL")
        _fill(connection, settings or {})
        # Only now: in this mode a commit may stay in a file of its own.
        connection.execute("PRAGMA journal_mode = WAL")
    finally:
        connection.close()


def _open_new(path: str) -> sqlite3.Connection:
    # Made here, because root makes it for the spool's owner; of its journals SQLite does so, too.
    with open(path, "xb", opener=system.open_plainly):
        pass
    try:
        return _open(path)
    except sqlite3.Error:
        system.remove(path)
        raise


def _is_sound(path: str) -> bool:
    if not os.path.exists(path):
        return False
    try:
        connection = _open(path)
        try:
            return _version(connection) == VERSION
        finally:
            connection.close()
    except sqlite3.DatabaseError:
        return False


def _remove_journals(path: str) -> None:
    for suffix in JOURNALS:
        system.remove(path + suffix)


def _fill(connection: sqlite3.Connection, settings: dict[str, str]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    for statement in _SCHEMA.split(";"):
        connection.execute(statement)
    connection.executemany("INSERT OR REPLACE INTO config VALUES (?, ?)", settings.items())
    connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute("COMMIT")


def _salvage(path: str, *, whole: bool = False) -> Optional[dict[str, str]]:
    """The settings of an index that we cannot use, as far as they can be read; None when it tells nothing.

    Raises:
        sqlite3.Error: it is `whole`, and cannot be read just now.
    """
    if not os.path.isfile(path) or _is_empty(path):
        # To open a FIFO would wait for its writer.
        return None
    for options in ("mode=ro", "mode=ro&immutable=1"):
        try:
            return _settings(path, options)
        except sqlite3.Error as error:
            if whole and not is_damage(error, path):
                raise
    return None


def _settings(path: str, options: str) -> dict[str, str]:
    connection = connected(path, options, _SALVAGE_SECONDS)
    try:
        rows = connection.execute("SELECT name, value FROM config").fetchall()
    finally:
        connection.close()
    return {str(name): str(value) for name, value in rows}


def _set_aside(path: str, why: str) -> None:
    """Move the index and its journals out of the way.

    Raises:
        SpoolUnusable: the index remains.
    """
    aside = f"{path}.{why}-{format_moment(system.now()).replace(':', '').replace('.', '')}"
    try:
        # Before its journals: who finds it without them would miss what was written last.
        if os.path.exists(path):
            system.replace(path, aside)
    except OSError as error:
        raise SpoolUnusable(
            f"the index {path} is damaged or of another version and cannot be set aside: {error}",
            hint="stop the workers and delete it; no job is lost",
        ) from error
    for suffix in JOURNALS:
        if os.path.exists(path + suffix):
            system.replace(path + suffix, aside + suffix)


def in_memory(path: str) -> sqlite3.Connection:
    """An index that is this connection's alone, with the settings of the one at `path`."""
    connection = connected("", "mode=memory", _BUSY_SECONDS)
    settings = _salvage(path)
    if settings is None:
        # Of one that could not be moved in.
        settings = _salvage(path + NEW)
    _fill(connection, settings or {})
    return connection
