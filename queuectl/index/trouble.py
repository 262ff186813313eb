"""What an error of SQLite means: damage, which is healed; or a lack that may pass, which is got round."""

from __future__ import annotations

import os
import sqlite3

from queuectl import system
from queuectl.errors import Busy, QueueError, SpoolUnusable

JOURNALS = ("-wal", "-shm", "-journal")
UNWRITABLE = "this user cannot write it"
NO_FILE = "it is a folder, a dangling link or a device"
_PASSING = ("locked", "busy", "full", "interrupted", "disk i/o", "out of memory", "too many")
_DOUBTFUL = ("readonly", "unable to open")
"""Said of a file that is not ours to write, and of one whose header is damaged."""
_LOCKED = ("locked", "busy")


def is_damage(error: sqlite3.Error, path: str) -> bool:
    """Whether `error` says that the file at `path` is no sound index, not that it cannot be had just now."""
    if type(error) is sqlite3.DatabaseError:
        return True
    text = str(error).lower()
    if not isinstance(error, sqlite3.OperationalError):
        return "closed database" in text
    if any(word in text for word in _DOUBTFUL):
        return _is_ours(path)
    return not any(word in text for word in _PASSING)


def trouble(error: sqlite3.Error, path: str) -> str:
    """Why the index cannot be used, for people."""
    text = str(error)
    if any(word in text for word in _DOUBTFUL) and not _is_writable(path):
        return UNWRITABLE
    return text


def refusal(path: str, why: str) -> QueueError:
    """What is told to somebody who wants to change an index that is got round for this reason."""
    if any(word in why for word in _LOCKED):
        return Busy(f"another program has locked {path}", hint="try again")
    return SpoolUnusable(f"{path} cannot be changed: {why}")


def usable_error(error: sqlite3.Error, path: str) -> QueueError:
    """What is told of an index that cannot be used at all."""
    if any(word in str(error) for word in _LOCKED):
        return Busy(f"another program has locked {path}", hint="try again")
    return SpoolUnusable(
        f"{path} cannot be used: {error}", hint="stop the workers and delete it; no job is lost"
    )


def _is_ours(path: str) -> bool:
    """Whether we can open it for writing, and nothing that we cannot lies where SQLite keeps its journals."""
    journals = [path + suffix for suffix in JOURNALS if os.path.lexists(path + suffix)]
    are_files = all(os.path.isfile(one) for one in (path, *journals))
    return are_files and _is_writable(path) and system.may_write(path)


def _is_writable(path: str) -> bool:
    return os.access(path, os.W_OK) and os.access(os.path.dirname(path), os.W_OK)
