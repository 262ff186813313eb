"""Opening the index file as it is, with what is made where it cannot be used (`making`)."""

from __future__ import annotations

import os
import sqlite3
from typing import Optional, Union

from queuectl import locks
from queuectl.errors import QueueError
from queuectl.index.connection import VERSION, is_empty, open_index, version_of
from queuectl.index.trouble import NO_FILE, UNWRITABLE, is_damage, trouble


def connect(path: str, lock_path: str) -> tuple[sqlite3.Connection, Optional[str]]:
    """A connection to a sound index of this version at `path`, or to one in memory with the reason for that.

    Files tell, so looking goes on whatever has become of the index.
    """
    found = _on_disk(path, lock_path)
    if isinstance(found, str):
        from queuectl.index.making import in_memory

        return in_memory(path), found
    return found, None


def _on_disk(path: str, lock_path: str) -> Union[sqlite3.Connection, str]:
    """A connection to the file, made or replaced where it must be; or why it cannot be used."""
    if os.path.lexists(path) and not os.path.isfile(path):
        return NO_FILE
    try:
        if (connection := _open_sound(path)) is not None:
            return connection
        if not os.access(os.path.dirname(path), os.W_OK):
            return UNWRITABLE
        from queuectl.index.making import make

        with locks.exclusive(lock_path):
            return make(path)
    except sqlite3.Error as error:
        return trouble(error, path)
    except (OSError, QueueError) as error:
        # A full disk; or a damaged one that others hold open (Windows).
        return str(error)


def _open_sound(path: str) -> Optional[sqlite3.Connection]:
    """A connection to the index as it is; None when one must be made.

    Raises:
        sqlite3.Error: it cannot be used just now.
    """
    if is_empty(path):
        return None
    try:
        connection = open_index(path)
        if version_of(connection) == VERSION:
            return connection
        connection.close()
    except sqlite3.DatabaseError as error:
        # RACE: met by who opens a damaged file just when another sets it aside. Asked again under the lock.
        raced = any(words in str(error) for words in ("disk I/O", "unable to open"))
        if not is_damage(error, path) and not raced:
            raise
    return None
