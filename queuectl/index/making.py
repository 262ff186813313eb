"""Making an index: where there is none, and in place of one that is damaged or of another version."""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from typing import Optional

from queuectl import locks, system
from queuectl.errors import SpoolUnusable
from queuectl.index.connection import (
    BUSY_SECONDS,
    VERSION,
    connected,
    identity_of,
    is_empty,
    open_index,
    version_of,
)
from queuectl.index.schema import fill
from queuectl.index.trouble import JOURNALS, is_damage
from queuectl.moment import format_moment

DAMAGED = "damaged"
"""In the name of an index that was set aside for it."""
NEW = ".new"
"""Behind the name of an index that is being made."""
_SALVAGE_SECONDS = 0.5


def make(path: str) -> sqlite3.Connection:
    """A connection to the index at `path`, made or replaced where it must be. The caller holds the lock.

    Raises:
        SpoolUnusable: a damaged one cannot be set aside.
        sqlite3.Error, OSError: it cannot be used, or made, just now.
    """
    if not os.path.exists(path):
        return _create(path)
    try:
        connection = open_index(path)
        version = version_of(connection)
        if version == VERSION:
            return connection
        connection.close()
    except sqlite3.DatabaseError as error:
        if not is_damage(error, path):
            raise
        return _replace(path, DAMAGED)
    return _replace(path, f"version-{version}")


def rebuild(path: str, lock_path: str, identity: Optional[tuple[int, int]]) -> sqlite3.Connection:
    """A connection to a new index in place of a damaged one, unless somebody else has made that already.

    `identity` is the damaged file's.

    Raises:
        SpoolUnusable: it is held open by somebody else.
    """
    with locks.exclusive(lock_path):
        if identity == identity_of(path):
            return _replace(path, DAMAGED)
        return make(path)


def in_memory(path: str) -> sqlite3.Connection:
    """An index that is this connection's alone, with the settings of the one at `path`."""
    connection = connected("", "mode=memory", BUSY_SECONDS)
    settings = _salvage(path)
    if settings is None:
        # Of one that could not be moved in.
        settings = _salvage(path + NEW)
    fill(connection, settings or {})
    return connection


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
    return open_index(path)


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
        fill(connection, settings or {})
        # Only now: in this mode a commit may stay in a file of its own.
        connection.execute("PRAGMA journal_mode = WAL")
    finally:
        connection.close()


def _open_new(path: str) -> sqlite3.Connection:
    # Made here, because root makes it for the spool's owner; of its journals SQLite does so, too.
    with open(path, "xb", opener=system.open_plainly):
        pass
    try:
        return open_index(path)
    except sqlite3.Error:
        system.remove(path)
        raise


def _is_sound(path: str) -> bool:
    if not os.path.exists(path):
        return False
    try:
        connection = open_index(path)
        try:
            return version_of(connection) == VERSION
        finally:
            connection.close()
    except sqlite3.DatabaseError:
        return False


def _remove_journals(path: str) -> None:
    for suffix in JOURNALS:
        system.remove(path + suffix)


def _salvage(path: str, *, whole: bool = False) -> Optional[dict[str, str]]:
    """The settings of an index that we cannot use, as far as they can be read; None when it tells nothing.

    Raises:
        sqlite3.Error: it is `whole`, and cannot be read just now.
    """
    if not os.path.isfile(path) or is_empty(path):
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
