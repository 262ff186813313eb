"""The rows of the index, as the program sees them."""

import os
import sqlite3
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple, Optional, Union, get_args

from queuectl.names import read_worker_name
from queuectl.state import State

STUCK_AFTER = 10.0
"""Seconds after which a job that cannot be moved or started is told of, and not waited for by a drain."""


class Stamp(NamedTuple):
    """Where a file lies and which version of it was read: equal stamps mean that nothing has changed."""

    state: str
    worker: Optional[str]
    mtime_ns: int
    size: int


class Entry(NamedTuple):
    """One row of the index: what `list` shows of a job, and what a claim is decided by."""

    id: str
    fold: str
    state: str
    worker: Optional[str]
    mtime_ns: int
    size: int
    created: float
    command: str = '""'
    """As text in JSON: of a task its call."""
    task: Optional[str] = None
    priority: int = 0
    due: Optional[float] = None
    attempts: int = 0
    crashes: int = 0
    max_retries: Optional[int] = None
    run_at: Optional[str] = None
    created_at: Optional[str] = None
    updated_at: Optional[str] = None
    exit_code: Optional[int] = None
    error: Optional[str] = None
    tags: str = ""
    stuck_since: Optional[float] = None
    stuck_why: Optional[str] = None
    lane: Optional[str] = None
    """Its group."""
    batch: Optional[str] = None
    after: Optional[str] = None
    """What it waits for, a line each."""
    hold: int = 0
    unique_key: Optional[str] = None

    @property
    def stamp(self) -> Stamp:
        """The version of the file that this row was made from."""
        return Stamp(self.state, self.worker, self.mtime_ns, self.size)


class Match(NamedTuple):
    """A job that a filter means: where it was, since when it is in the spool, and the version of its file."""

    state: State
    created: float
    mtime_ns: int
    size: int


class Oddity(NamedTuple):
    """Something in the spool that is no job (yet): `seen` is when this version of it was first seen."""

    path: str
    reason: str
    mtime_ns: int
    size: int
    seen: float


class Look(NamedTuple):
    """Of a state's folder, which version of it was looked into, when, and by whose workers."""

    folder: str
    inode: str
    changed_ns: int
    owner: str
    at: float


class Position(NamedTuple):
    """Of a job that has ended, where it lies in the order of their ends."""

    updated_at: Optional[str]
    id: str

    def is_after(self, other: "Position") -> bool:
        """Whether the other one comes before it; those that do not say when come before all others."""
        return _rank(self) > _rank(other)


class EndedRow(NamedTuple):
    """What is asked of a job that has ended; `is_job` is False of a file that holds none."""

    id: str
    updated_at: Optional[str]
    mtime_ns: int
    size: int
    is_job: bool

    @property
    def position(self) -> Position:
        """Where it lies among the others."""
        return Position(self.updated_at, self.id)


_STATES = frozenset(state.value for state in State)
_APART = frozenset("/\0" if os.sep == "/" else "/\\:\0")
"""What a file's name cannot hold, because it sets names apart or ends them."""
_KNOWN: set[tuple[type, ...]] = set()
"""Types of rows that were found to be right: to look at each of their values would take half of a look."""


def entry_from(row: Sequence[Any]) -> Entry:
    """The entry that this row of the table is.

    Raises:
        sqlite3.DatabaseError: it is none; SQLite does not check what a damaged file says.
    """
    entry = Entry(*row)
    kinds = tuple(map(type, row))
    if kinds not in _KNOWN and all(isinstance(value, types) for value, types in zip(entry, _types())):
        _KNOWN.add(kinds)
    if kinds not in _KNOWN or entry.state not in _STATES:
        raise sqlite3.DatabaseError(f"malformed: the row of {entry.id!r}")
    if entry.worker is not None and not _is_worker(entry.worker):
        raise sqlite3.DatabaseError(f"malformed: {entry.worker!r} is no worker")
    checked_id(entry.id)
    return entry


def _rank(position: Position) -> tuple[bool, str, str]:
    return position.updated_at is not None, position.updated_at or "", position.id


def ended_from(row: Sequence[Any]) -> EndedRow:
    """What this row of the table tells of a job that has ended.

    Raises:
        sqlite3.DatabaseError: it tells nonsense.
    """
    job_id, updated_at, mtime_ns, size, is_job = row
    found = EndedRow(job_id, updated_at, mtime_ns, size, bool(is_job))
    is_text = found.updated_at is None or isinstance(found.updated_at, str)
    if not is_text or type(found.mtime_ns) is not int or type(found.size) is not int:
        raise sqlite3.DatabaseError(f"malformed: the row of {found.id!r}")
    checked_id(found.id)
    return found


def stamp_from(row: Sequence[Any]) -> Stamp:
    """The version that this row of the table tells of: paths are made of it, as of ids.

    Raises:
        sqlite3.DatabaseError: it is none.
    """
    stamp = Stamp(*row)
    if stamp.state not in _STATES or (stamp.worker is not None and not _is_worker(stamp.worker)):
        raise sqlite3.DatabaseError(f"malformed: no file lies in {stamp.state!r} of {stamp.worker!r}")
    return stamp


def _is_worker(name: Any) -> bool:
    return isinstance(name, str) and read_worker_name(name) is not None


def look_from(row: Sequence[Any]) -> Optional[Look]:
    """The look that this row of the table tells of; None if it tells nonsense."""
    if tuple(map(type, row)) != (str, str, int, str, float):
        return None
    look = Look(*row)
    return look if look.owner == "" or read_worker_name(look.owner) else None


@cache
def _types() -> list[tuple[type, ...]]:
    return [get_args(hint) or (hint,) for hint in Entry.__annotations__.values()]


def checked_id(value: Any) -> str:
    """The id that a row has: paths are made of it, and none may lead out of the spool.

    Raises:
        sqlite3.DatabaseError: no file can be called so.
    """
    if not isinstance(value, str) or not _APART.isdisjoint(value):
        raise sqlite3.DatabaseError(f"malformed: no file can be called {value!r}")
    return value


def written_command(command: Union[str, list[str]]) -> str:
    """The command of a job as `command_of` reads it."""
    if isinstance(command, str) and _is_plain(command):
        return f'"{command}"'
    from json import dumps

    return dumps(command, ensure_ascii=False)


def _is_plain(text: str) -> bool:
    """Whether JSON writes it as it is."""
    return text.isprintable() and '"' not in text and "\\" not in text


def command_of(entry: Entry) -> Any:
    """The command as the job gives it, text or list.

    Raises:
        sqlite3.DatabaseError: the row is damaged.
    """
    text = entry.command[1:-1]
    if f'"{text}"' == entry.command and _is_plain(text):
        # Most are: to import a decoder takes longer than to list a hundred.
        return text
    from json import loads

    try:
        return loads(entry.command)
    except ValueError as error:
        raise sqlite3.DatabaseError(f"malformed: the row of {entry.id!r}") from error
